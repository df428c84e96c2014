#include "node/resp/parser.h"

#include <gtest/gtest.h>

#include <random>

namespace understudy::resp {
namespace {

struct Parsed {
  std::vector<std::vector<std::string>> commands;
  std::string error;
  bool operator==(const Parsed&) const = default;
};

// Feeds `input` in the given pieces, as a connection does: what is not used stays in front of what comes next.
Parsed Feed(const std::vector<std::string_view>& pieces, const Limits& limits = {}) {
  Parsed out;
  Arguments arguments;
  std::unique_ptr<Partial> partial;
  std::string input;
  size_t needed = 0;
  for (const std::string_view piece : pieces) {
    input += piece;
    if (input.size() < needed) continue;
    for (;;) {
      arguments.Clear();
      ParseResult r = Parse(input, limits, &arguments, &partial);
      if (r.outcome == Outcome::kError) {
        out.error = r.error;
        return out;
      }
      if (r.outcome == Outcome::kCommand) {
        std::vector<std::string>& command = out.commands.emplace_back();
        for (const std::string_view a : arguments.views) command.emplace_back(a);
        EXPECT_EQ(r.arguments, command.size());
      }
      input.erase(0, r.consumed);
      if (r.outcome == Outcome::kNeedMore) {
        needed = r.needed;
        break;
      }
    }
  }
  return out;
}

Parsed Whole(std::string_view input, const Limits& limits = {}) { return Feed({input}, limits); }

TEST(Parser, ReadsArraysAndInlineCommands) {
  const Parsed p = Whole("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n  set  a   b \n*1\r\n$0\r\n\r\n");
  EXPECT_EQ(p.error, "");
  const std::vector<std::vector<std::string>> expected = {{"GET", "k"}, {"PING"}, {"set", "a", "b"}, {""}};
  EXPECT_EQ(p.commands, expected);
}

TEST(Parser, SkipsEmptyCommands) {
  const Parsed p = Whole("\r\n\n*0\r\n*-1\r\n*-10\r\nPING\r\n\r\n");
  EXPECT_EQ(p.commands, (std::vector<std::vector<std::string>>{{"PING"}}));
}

TEST(Parser, EverySplitOfAPipelineIntoTwoReadsGivesTheSameCommands) {
  std::string many = "*12\r\n";
  for (int i = 0; i < 12; ++i) many += "$3\r\na" + std::to_string(10 + i) + "\r\n";
  const std::string pipeline = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$12\r\nvalue\r\nvalue\r\n" + many +
                               "PING \"a \\x41\\n\"\r\n*0\r\n" + many + "GET key\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n";
  const Parsed whole = Whole(pipeline);
  ASSERT_EQ(whole.error, "");
  ASSERT_EQ(whole.commands.size(), 6u);
  for (size_t i = 0; i <= pipeline.size(); ++i) {
    const std::string_view text = pipeline;
    EXPECT_EQ(Feed({text.substr(0, i), text.substr(i)}), whole) << "split at " << i;
  }
}

TEST(Parser, RandomSplitsIntoManyReadsGiveTheSameCommands) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string pipeline;
    for (int c = 0; c < 5; ++c) {
      const int words = 1 + static_cast<int>(random() % 20);
      pipeline += "*" + std::to_string(words) + "\r\n";
      for (int w = 0; w < words; ++w) {
        std::string word(random() % 30, '\0');
        for (char& ch : word) ch = static_cast<char>(random());
        pipeline += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
      }
    }
    std::vector<std::string_view> pieces;
    std::string_view rest = pipeline;
    while (!rest.empty()) {
      const size_t n = std::min<size_t>(rest.size(), 1 + random() % 40);
      pieces.push_back(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    ASSERT_EQ(Feed(pieces), Whole(pipeline)) << "round " << round;
  }
}

TEST(Parser, MalformedInputGivesRedissErrors) {
  const std::pair<std::string, std::string> cases[] = {
      {"*abc\r\n", "Protocol error: invalid multibulk length"},
      {"*3000000000\r\n", "Protocol error: invalid multibulk length"},
      {"*01\r\n", "Protocol error: invalid multibulk length"},
      {"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"},
      {"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "Protocol error: expected '$', got 'f'"},
      {"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"},
      {"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "Protocol error: invalid bulk length"},
      {"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$blabla\r\n", "Protocol error: invalid bulk length"},
      {"set \"a\r\n", "Protocol error: unbalanced quotes in request"},
      {"set 'a'b\r\n", "Protocol error: unbalanced quotes in request"},
      {std::string(70000, 'x'), "Protocol error: too big inline request"},
      {"*" + std::string(70000, '1'), "Protocol error: too big mbulk count string"},
      {"*1\r\n$" + std::string(70000, '1'), "Protocol error: too big bulk count string"},
  };
  for (const auto& [input, error] : cases) EXPECT_EQ(Whole(input).error, error) << input.substr(0, 40);
}

TEST(Parser, UnauthenticatedClientsHaveStricterLimits) {
  Limits limits;
  limits.unauthenticated = true;
  EXPECT_EQ(Whole("*11\r\n", limits).error, "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(Whole("*1\r\n$16385\r\n", limits).error, "Protocol error: unauthenticated bulk length");
  EXPECT_EQ(Whole("*1\r\n$16384\r\n" + std::string(16384, 'x') + "\r\n", limits).commands.size(), 1u);
  EXPECT_EQ(Whole("*10\r\n$1\r\n", limits).error, "");
}

TEST(Parser, TellsHowMuchALargeArgumentNeeds) {
  Arguments arguments;
  std::unique_ptr<Partial> partial;
  const ParseResult r = Parse("\r\n*1\r\n$1000\r\nxx", {}, &arguments, &partial);
  EXPECT_EQ(r.outcome, Outcome::kNeedMore);
  EXPECT_EQ(r.consumed, 2u);
  EXPECT_EQ(r.needed, std::string_view("*1\r\n$1000\r\n").size() + 1002);
  EXPECT_TRUE(arguments.views.empty());
}

TEST(Parser, ManyArgumentsInSmallPiecesTakeLinearTime) {
  // Quadratic work would be 200,000 * 20,000 / 2 visits: minutes, not the milliseconds that this takes.
  constexpr int kArguments = 200'000;
  std::string input = "*" + std::to_string(kArguments) + "\r\n";
  for (int i = 0; i < kArguments; ++i) input += "$1\r\nx\r\n";
  Arguments arguments;
  std::unique_ptr<Partial> partial;
  ParseResult r;
  for (size_t have = 0; have < input.size();) {
    have = std::min(input.size(), have + 70);
    r = Parse(std::string_view(input).substr(0, have), {}, &arguments, &partial);
  }
  EXPECT_EQ(r.outcome, Outcome::kCommand);
  EXPECT_EQ(arguments.views.size(), static_cast<size_t>(kArguments));
}

TEST(ParsePlain, TakesWholeCommandsInTheStreamsFormOnly) {
  struct Case {
    std::string_view input;
    uint32_t arguments;  // 0: left to Parse()
  };
  const std::string long_value(1234567, 'x');
  const std::string long_command = "*2\r\n$3\r\nGET\r\n$1234567\r\n" + long_value + "\r\n";
  const Case cases[] = {
      {"*1\r\n$4\r\nPING\r\n", 1},
      {"*3\r\n$3\r\nset\r\n$16\r\n0123456789abcdef\r\n$0\r\n\r\n", 3},
      {long_command, 2},
      {"*12\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"
       "$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n", 12},
      {"PING\r\n", 0},
      {"*0\r\n\r\n\r\n", 0},
      {"*-1\r\n\r\n\r\n", 0},
      {"*01\r\n$4\r\nPING\r\n", 0},
      {"*1\r\n$04\r\nPING\r\n", 0},
      {"*1\r\n$-1\r\nPING\r\n", 0},
      {"*1\r\n$4\rXPING\r\n", 0},
      {"*1\r\n$4\r\nPING\rX", 0},
      {"*1\r\n:4\r\nPING\r\n", 0},
      {"*1\r\n$x\r\nPING\r\n", 0},
      {"*9\r\n$4\r\nPING\r\n", 0},
      {"*1\r\n$99999999\r\nPING\r\n", 0},
  };
  for (const Case& c : cases) {
    Arguments arguments;
    uint32_t count = 0;
    const size_t used =
        ParsePlain(c.input.data(), c.input.data() + c.input.size(), PlainLimits(Limits{}), &arguments, &count);
    EXPECT_EQ(used, c.arguments == 0 ? 0 : c.input.size()) << c.input.substr(0, 60);
    EXPECT_EQ(arguments.views.size(), c.arguments) << c.input.substr(0, 60);
    // A command that is not there as a whole is left alone, wherever it ends.
    for (size_t size = 0; size < std::min<size_t>(c.input.size(), 200); ++size) {
      const std::string part(c.input.substr(0, size));  // so that the sanitizer sees its end
      EXPECT_EQ(ParsePlain(part.data(), part.data() + size, PlainLimits(Limits{}), &arguments, &count), 0u);
    }
  }
}

TEST(Parser, QuotedWordsOfInlineCommandsAreUnescaped) {
  std::vector<std::string> words;
  ASSERT_TRUE(SplitInline("set \"a\\x41\\n\\\"\" 'b\\'c' \"\" plain", &words));
  EXPECT_EQ(words, (std::vector<std::string>{"set", "aA\n\"", "b'c", "", "plain"}));
}

}  // namespace
}  // namespace understudy::resp
