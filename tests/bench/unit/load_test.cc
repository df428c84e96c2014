// What the figures rest on: every reply is counted and no error is missed; percentiles are what they say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "tests/bench/load/commands.h"
#include "tests/bench/load/histogram.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/process_usage.h"
#include "tests/bench/load/reply_reader.h"

namespace understudy::load {
namespace {

using testing::HasSubstr;

Options Small() {
  Options options;
  options.value_bytes = 3;
  options.keys = 1000;
  options.elements = 2;
  return options;
}

Workload Mix(Options options, const std::string& command) {
  options.command = command;
  Result<Workload> workload = Workload::Parse(options);
  EXPECT_TRUE(workload.ok()) << workload.status().ToString();
  return *workload;
}

std::string Bytes(const CommandText& text, uint64_t key) {
  Numbers numbers(1);
  std::string out(text.bytes(), '?');
  text.WriteFor(out.data(), key, numbers, 1);
  return out;
}

TEST(ReplyReader, CountsRepliesThatAreCutAnywhere) {
  const Workload workload = Mix(Small(), "get,set");
  const std::string stream = "$3\r\nabc\r\n+OK\r\n:12\r\n$-1\r\n*2\r\n$3\r\nabc\r\n*1\r\n:7\r\n*0\r\n$0\r\n\r\n$12\r\na\r\n-ERR\r\nb c\r\n+OK\r\n$3\r\nxyz\r\n";
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    for (size_t second = cut; second <= stream.size(); ++second) {
      ReplyReader reader(workload.expected());
      ASSERT_TRUE(reader.Read(stream.data(), cut));
      ASSERT_TRUE(reader.Read(stream.data() + cut, second - cut));
      ASSERT_TRUE(reader.Read(stream.data() + second, stream.size() - second));
      ASSERT_EQ(reader.replies(), 10u) << cut << " " << second;
      ASSERT_EQ(reader.nulls(), 1u);
    }
  }
}

TEST(ReplyReader, FindsAnErrorAmongExpectedReplies) {
  const Workload workload = Mix(Small(), "get,set");
  const std::string stream = "$3\r\nabc\r\n+OK\r\n-OOM command not allowed\r\n$3\r\nabc\r\n";
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    ReplyReader reader(workload.expected());
    EXPECT_FALSE(reader.Read(stream.data(), cut) && reader.Read(stream.data() + cut, stream.size() - cut));
    EXPECT_THAT(reader.error(), HasSubstr("-OOM command not allowed"));
  }
}

TEST(ReplyReader, FindsAnErrorWithinAnArray) {
  ReplyReader reader({});
  const std::string stream = "*2\r\n:1\r\n-WRONGTYPE no\r\n";
  EXPECT_FALSE(reader.Read(stream.data(), stream.size()));
  EXPECT_THAT(reader.error(), HasSubstr("-WRONGTYPE no"));
}

TEST(ReplyReader, RefusesWhatIsNoReply) {
  for (const std::string stream : {"hello\r\n", "$x\r\n", "$-2\r\n", "*\r\n", ":1\n", "\r\n"}) {
    ReplyReader reader({});
    EXPECT_FALSE(reader.Read(stream.data(), stream.size())) << stream;
    EXPECT_THAT(reader.error(), HasSubstr("no RESP reply"));
  }
}

TEST(CommandText, HasTheKeysDigitsInTheirPlace) {
  const Options options = Small();
  EXPECT_EQ(Bytes(Mix(options, "get").fills()[0], 1'234'567'890), "*3\r\n$3\r\nSET\r\n$16\r\nkey:001234567890\r\n$3\r\nxxx\r\n");
  EXPECT_EQ(Bytes(Mix(options, "hget").fills()[0], 42),
            "*6\r\n$4\r\nHSET\r\n$16\r\nhsh:000000000042\r\n$10\r\nm:00000000\r\n$3\r\nxxx\r\n$10\r\nm:00000001\r\n$3\r\nxxx\r\n");
  Options longer = Small();
  longer.key_bytes = 20;
  EXPECT_EQ(Bytes(Mix(longer, "incr").fills()[0], 7), "*2\r\n$4\r\nINCR\r\n$20\r\nctr:0000000000000007\r\n");
}

TEST(Workload, ChoosesByWeightAndFillsEachKindOnce) {
  const Workload mix = Mix(Small(), "get:80,set:20");
  EXPECT_EQ(mix.fills().size(), 1u);
  Numbers numbers(1);
  int gets = 0;
  for (int i = 0; i < 10'000; ++i) gets += Bytes(mix.Choose(numbers), 0).find("GET") != std::string::npos ? 1 : 0;
  EXPECT_NEAR(gets, 8000, 200);
  EXPECT_EQ(Mix(Small(), "get,mset,lpush,rpop,zadd,zrange").fills().size(), 3u);
}

TEST(Workload, RefusesWhatItDoesNotKnow) {
  Options options;
  for (const auto& [command, reason] : std::map<std::string, std::string>{
           {"got", "there is no command 'got'"}, {"get:0", "a number from 1 to 100"}, {"get:x", "a number from 1 to 100"}, {"", "needs a name"}}) {
    options.command = command;
    const Result<Workload> workload = Workload::Parse(options);
    ASSERT_FALSE(workload.ok()) << command;
    EXPECT_THAT(std::string(workload.status().message()), HasSubstr(reason));
  }
}

TEST(Options, RefuseContradictions) {
  std::string text;
  EXPECT_FALSE(ParseOptions({"--port", "1", "--fill-from", "5"}, &text).ok());
  EXPECT_FALSE(ParseOptions({"--port", "1", "--fill", "--keys", "5", "--fill-from", "5"}, &text).ok());
  EXPECT_FALSE(ParseOptions({"--port", "1", "--cpus", "0,1", "--connections", "1"}, &text).ok());
  EXPECT_FALSE(ParseOptions({"--connections", "1"}, &text).ok());
  EXPECT_TRUE(ParseOptions({"--port", "1", "--cpus", "0,1"}, &text).ok());
  EXPECT_FALSE(ParseOptions({"--port", "1", "--sleep"}, &text).ok());
  EXPECT_FALSE(ParseOptions({"--port", "1", "--first-key", "5"}, &text).ok());
  EXPECT_FALSE(ParseOptions({"--port", "1", "--distribution", "sequence", "--keys", "5", "--first-key", "5"}, &text).ok());
  EXPECT_FALSE(ParseOptions({"--port", "1", "--distribution", "sequence", "--keys", "5", "--first-key", "4", "--cpus", "0,1"}, &text).ok());
  EXPECT_TRUE(ParseOptions({"--port", "1", "--distribution", "sequence", "--keys", "6", "--first-key", "4", "--cpus", "0,1"}, &text).ok());
}

TEST(KeyChoice, ASequenceVisitsEachKeyOnceThenBeginsAgain) {
  Numbers numbers(1);
  KeyChoice keys(100, nullptr, numbers);
  keys.WalkThrough(7, 10);
  for (const uint64_t key : {7, 8, 9, 7, 8}) EXPECT_EQ(keys.Next(), key);
}

TEST(Commands, TakeTheTtlOfTheOptions) {
  Options options = Small();
  options.ttl_s = 12;
  EXPECT_THAT(Bytes(Mix(options, "setex").fills()[0], 3), HasSubstr("\r\n$2\r\n12\r\n"));
  EXPECT_THAT(Bytes(Mix(Small(), "setex").fills()[0], 3), HasSubstr("\r\n$6\r\n864000\r\n"));
}

TEST(Histogram, QuantilesAreWithinTheirBucket) {
  Histogram histogram;
  for (int64_t ns = 1; ns <= 1'000'000; ++ns) histogram.Add(ns);
  for (const double share : {0.001, 0.5, 0.99, 0.999, 1.0}) {
    const double exact = share * 1e6;
    EXPECT_GE(static_cast<double>(histogram.Quantile(share)), exact);
    EXPECT_LE(static_cast<double>(histogram.Quantile(share)), exact * 1.016 + 1);
  }
  EXPECT_EQ(histogram.max(), 1'000'000u);
  Histogram other;
  other.Add(5'000'000'000);
  histogram.Merge(other);
  EXPECT_EQ(histogram.count(), 1'000'001u);
  EXPECT_EQ(histogram.Quantile(1), 5'000'000'000u);
}

TEST(ZipfTable, FewKeysGetMostAndAllAreInRange) {
  constexpr uint64_t kKeys = 1000;
  const ZipfTable table(kKeys, 0.99, 1);
  std::map<uint32_t, int> counts;
  for (uint64_t i = 0; i < 1'000'000; ++i) ++counts[table.at(i)];
  EXPECT_LT(counts.rbegin()->first, kKeys);
  std::multiset<int> sorted;
  for (const auto& [key, count] : counts) sorted.insert(count);
  // The sum of 1/rank^0.99 over 1000 ranks is 7.73: the first key gets 12.9 % of all.
  EXPECT_NEAR(*sorted.rbegin(), 129'400, 2'500);
  EXPECT_GT(counts.size(), 990u);
}

TEST(ProcessUsage, GrowsWithWorkAndKnowsNoProcessThatIsGone) {
  const Result<ProcessUsage> before = ReadProcessUsage(getpid());
  ASSERT_TRUE(before.ok());
  Numbers numbers(1);
  uint64_t sum = 0;
  for (int i = 0; i < 20'000'000; ++i) sum += numbers.Next();
  ASSERT_NE(sum, 0u);
  const Result<ProcessUsage> after = ReadProcessUsage(getpid());
  ASSERT_TRUE(after.ok());
  EXPECT_GT(after->cpu_ns, before->cpu_ns + 1'000'000);
  EXPECT_FALSE(ReadProcessUsage(1 << 30).ok());
}

}  // namespace
}  // namespace understudy::load
