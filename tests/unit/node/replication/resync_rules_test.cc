#include "node/replication/resync_rules.h"

#include <gtest/gtest.h>

#include "node/persist/rdb_format.h"
#include "node/replication/hello.h"

namespace understudy::replication {
namespace {

const std::string kNow(40, 'c'), kBefore(40, 'b'), kFirst(40, 'a'), kForeign(40, 'f');

LogView View() {
  LogView view;
  view.active = true;
  view.first = 1000;
  view.end = 5000;
  view.history = {kNow, {{kBefore, 3000}, {kFirst, 2000}}, 3};
  return view;
}

TEST(ResyncRules, ACopyIsInTheNewestFormThatTheReplicaReads) {
  EXPECT_EQ(RdbVersionFor(true, false, ""), persist::kValkeyRdbVersion);
  EXPECT_EQ(RdbVersionFor(false, false, "9.0.0"), persist::kValkeyRdbVersion);
  EXPECT_EQ(RdbVersionFor(false, false, "10.1"), persist::kValkeyRdbVersion);
  EXPECT_EQ(RdbVersionFor(false, false, "8.1.0"), persist::kRdbVersion);
  EXPECT_EQ(RdbVersionFor(false, false, "oops"), persist::kRdbVersion);
  EXPECT_EQ(RdbVersionFor(false, false, ""), persist::kOldRdbVersion);
  EXPECT_EQ(RdbVersionFor(false, true, ""), persist::kRdbVersion);
}

TEST(ResyncRules, Table) {
  struct Case {
    const char* what;
    std::string replid;
    int64_t wanted;
    bool partial;
    uint64_t position;
    const char* reason;
    std::optional<uint64_t> parted_at;
  };
  const Case cases[] = {
      {"no history", "?", -1, false, 0, "asks for a full copy", {}},
      {"at the end", kNow, 5001, true, 5000, "", {}},
      {"in the middle", kNow, 3501, true, 3500, "", {}},
      {"the oldest byte that is kept", kNow, 1001, true, 1000, "", {}},
      {"one byte too old", kNow, 1000, false, 0, "begins at offset 1000", {}},
      {"ahead of us in our own history", kNow, 5002, false, 0, "ahead of 5000", 5000},
      {"an older id up to its end", kBefore, 3001, true, 3000, "", {}},
      {"an older id beyond its end", kBefore, 3002, false, 0, "was left at offset 3000", 3000},
      {"an even older id up to its end", kFirst, 2001, true, 2000, "", {}},
      {"an even older id beyond its end", kFirst, 2002, false, 0, "was left at offset 2000", 2000},
      {"an older id before the backlog", kFirst, 500, false, 0, "begins at offset", {}},
      {"a foreign id", kForeign, 2000, false, 0, "not known here", {}},
      {"offset 0", kNow, 0, false, 0, "not one of a stream", {}},
      {"a negative offset", kNow, -5, false, 0, "not one of a stream", {}},
      {"the largest offset", kNow, INT64_MAX, false, 0, "ahead of", 5000},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const ResyncDecision decision = DecideResync(View(), c.replid, c.wanted);
    EXPECT_EQ(decision.partial, c.partial);
    if (c.partial) {
      EXPECT_EQ(decision.position, c.position);
    } else {
      EXPECT_NE(decision.reason.find(c.reason), std::string::npos) << decision.reason;
      EXPECT_EQ(decision.parted_at, c.parted_at);
    }
  }
  LogView idle = View();
  idle.active = false;
  EXPECT_FALSE(DecideResync(idle, kNow, 5001).partial);
}

TEST(ResyncRules, AnswersToPsync) {
  using Kind = PsyncAnswer::Kind;
  const auto parsed = [](const std::string& line) {
    Result<PsyncAnswer> answer = ParsePsyncAnswer(line);
    EXPECT_TRUE(answer.ok()) << line;
    return *answer;
  };
  EXPECT_EQ(parsed("+CONTINUE").kind, Kind::kContinue);
  EXPECT_EQ(parsed("+CONTINUE").replid, "");
  EXPECT_EQ(parsed("+CONTINUE " + kNow).replid, kNow);
  const PsyncAnswer full = parsed("+FULLRESYNC " + kNow + " 123");
  EXPECT_EQ(full.kind, Kind::kFullCopy);
  EXPECT_EQ(full.replid, kNow);
  EXPECT_EQ(full.offset, 123u);
  EXPECT_FALSE(full.beside);
  for (bool beside : {false, true}) {
    for (std::optional<uint64_t> parted : {std::optional<uint64_t>(), std::optional<uint64_t>(77)}) {
      const PsyncAnswer own = parsed(FormatFullResync(kNow, 9, true, beside, parted));
      EXPECT_EQ(own.beside, beside);
      EXPECT_EQ(own.parted_at, parted);
    }
  }
  EXPECT_EQ(FormatFullResync(kNow, 9, false, true, 5), "+FULLRESYNC " + kNow + " 9");
  EXPECT_EQ(parsed(std::string(kLeaveVotersFirstError)).kind, Kind::kLeaveVotersFirst);
  EXPECT_EQ(parsed("-NOMASTERLINK not now").kind, Kind::kError);
  for (const std::string bad : {"", "hello", "+CONTINUE xyz", "+FULLRESYNC", "+FULLRESYNC abc 1", "$-1", ":1"}) {
    EXPECT_FALSE(ParsePsyncAnswer(bad).ok()) << bad;
  }
  EXPECT_FALSE(ParsePsyncAnswer("+FULLRESYNC " + kNow + " x").ok());
  EXPECT_FALSE(ParsePsyncAnswer("+FULLRESYNC " + kNow + " 1 beside x").ok());
}

TEST(Hello, ProvesBothSidesAndNothingElse) {
  const std::string key(32, 'k');
  Hello hello{"group-uid", 5, "replica-incarnation", "00ff", ""};
  SignHello(key, &hello);
  EXPECT_TRUE(VerifyHello(key, hello));
  EXPECT_FALSE(VerifyHello(std::string(32, 'x'), hello));
  EXPECT_FALSE(VerifyHello("", hello));
  for (int i = 0; i < 5; ++i) {
    Hello changed = hello;
    if (i == 0) changed.group += "x";
    if (i == 1) changed.epoch++;
    if (i == 2) changed.incarnation += "x";
    if (i == 3) changed.nonce += "x";
    if (i == 4) changed.mac[0] = changed.mac[0] == '0' ? '1' : '0';
    EXPECT_FALSE(VerifyHello(key, changed)) << i;
  }

  const std::string line = "+" + FormatHelloAnswer(key, hello, "primary-incarnation");
  Result<HelloAnswer> answer = ParseHelloAnswer(line);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->epoch, 5u);
  EXPECT_EQ(answer->incarnation, "primary-incarnation");
  EXPECT_TRUE(VerifyHelloAnswer(key, hello, *answer));
  EXPECT_NE(answer->mac, hello.mac);
  Hello other = hello;
  other.nonce = "1111";
  EXPECT_FALSE(VerifyHelloAnswer(key, other, *answer));
  answer->incarnation = "somebody else";
  EXPECT_FALSE(VerifyHelloAnswer(key, hello, *answer));
  for (const char* bad : {"", "+OK", "+UNDERSTUDY", "+UNDERSTUDY x y z", "+UNDERSTUDY 5", "+UNDERSTUDY 5 ", "+UNDERSTUDY 5 y"}) {
    EXPECT_FALSE(ParseHelloAnswer(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace understudy::replication
