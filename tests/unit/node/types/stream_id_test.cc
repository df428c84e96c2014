// IDs: every form a command may give, the texts of the refusals, and the ends of the numbers.
#include "node/types/stream_id.h"

#include <gtest/gtest.h>

#include <string>

namespace understudy::types {
namespace {

constexpr char kBadId[] = "ERR Invalid stream ID specified as stream command argument";

template <typename T>
std::string ErrorOf(const Result<T>& result) {
  return result.ok() ? "none" : std::string(result.status().message());
}

TEST(StreamId, IsOrderedByMillisecondsThenSequence) {
  EXPECT_LT((StreamId{1, 9}), (StreamId{2, 0}));
  EXPECT_LT((StreamId{2, 0}), (StreamId{2, 1}));
  EXPECT_LT(kMinStreamId, kMaxStreamId);
}

TEST(StreamId, PrintsBothNumbersAndParsesThemAgain) {
  for (const StreamId id : {StreamId{0, 0}, StreamId{5, 3}, StreamId{1526919030474, 55}, kMaxStreamId}) {
    const auto parsed = ParseStreamId(id.ToString());
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, id);
  }
  EXPECT_EQ(kMaxStreamId.ToString(), "18446744073709551615-18446744073709551615");
}

TEST(StreamId, StoredBytesCompareAsTheIdsDo) {
  char a[StreamId::kBytes], b[StreamId::kBytes];
  StreamId{255, 7}.Store(a);
  StreamId{256, 0}.Store(b);
  EXPECT_LT(std::string(a, sizeof a), std::string(b, sizeof b));
  EXPECT_EQ(StreamId::Load(a), (StreamId{255, 7}));
  EXPECT_EQ(std::string(b, sizeof b), std::string("\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0", 16));
}

TEST(StreamId, IncrementAndDecrementCarryAndStopAtTheEnds) {
  StreamId id = {4, UINT64_MAX};
  EXPECT_TRUE(Increment(&id));
  EXPECT_EQ(id, (StreamId{5, 0}));
  EXPECT_TRUE(Decrement(&id));
  EXPECT_EQ(id, (StreamId{4, UINT64_MAX}));
  id = kMaxStreamId;
  EXPECT_FALSE(Increment(&id));
  EXPECT_EQ(id, kMaxStreamId);
  id = kMinStreamId;
  EXPECT_FALSE(Decrement(&id));
  EXPECT_EQ(id, kMinStreamId);
}

TEST(StreamId, MissingSequenceIsWhatTheCommandSays) {
  EXPECT_EQ(*ParseStreamId("7"), (StreamId{7, 0}));
  EXPECT_EQ(*ParseStreamId("7", 9), (StreamId{7, 9}));
  EXPECT_EQ(*ParseStreamId("07-03"), (StreamId{7, 3}));
}

TEST(StreamId, RefusesWhatIsNoId) {
  for (const char* text : {"", "-", "+", "*", "$", "x", "1-", "-1", "1-x", "1--1", "1-2-3", "1-*", "(1", "1 ", "0x1",
                           "18446744073709551616", "1-18446744073709551616", "-1-1"}) {
    EXPECT_EQ(ErrorOf(ParseStreamId(text)), kBadId) << text;
  }
}

TEST(StreamId, NumbersMayHaveSpacesAndAPlusBeforeThem) {
  for (const char* text : {" 1-2", "+1-2", "1- 2", "1-+2", "01-002"}) {
    const Result<StreamId> id = ParseStreamId(text);
    ASSERT_TRUE(id.ok()) << text;
    EXPECT_EQ(*id, (StreamId{1, 2})) << text;
  }
  EXPECT_EQ(*ParseStreamId(std::string_view("1-2\0x", 5)), (StreamId{1, 2}));
  for (const char* text : {"+-1", " ", "+", "++1", "+ 1", "1-+"}) EXPECT_EQ(ErrorOf(ParseStreamId(text)), kBadId) << text;
}

TEST(StreamId, NewOnesMayLeavePartsToTheStream) {
  auto id = ParseNewStreamId("*");
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(id->auto_ms && id->auto_seq);
  id = ParseNewStreamId("5-*");
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(!id->auto_ms && id->auto_seq && id->id == (StreamId{5, 0}));
  id = ParseNewStreamId("5");
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(!id->auto_ms && !id->auto_seq && id->id == (StreamId{5, 0}));
  EXPECT_FALSE(ParseNewStreamId("0-*")->impossible());
  EXPECT_FALSE(ParseNewStreamId("*")->impossible());
  for (const char* text : {"0-0", "0", "0-00"}) {
    EXPECT_TRUE(ParseNewStreamId(text)->impossible()) << text;
  }
  for (const char* text : {"*-*", "*-1", "**", "-", "+", "5-**"}) {
    EXPECT_EQ(ErrorOf(ParseNewStreamId(text)), kBadId) << text;
  }
}

TEST(StreamId, PositionMayBeTheLast) {
  EXPECT_EQ(ParseStreamPosition("$")->Resolve({8, 1}), (StreamId{8, 1}));
  EXPECT_EQ(ParseStreamPosition("3-4")->Resolve({8, 1}), (StreamId{3, 4}));
  EXPECT_EQ(ErrorOf(ParseStreamPosition(">")), kBadId);
}

TEST(StreamId, RangesHaveEndsAndMayExcludeTheirBounds) {
  EXPECT_EQ(*ParseRangeStart("-"), kMinStreamId);
  EXPECT_EQ(*ParseRangeEnd("+"), kMaxStreamId);
  EXPECT_EQ(*ParseRangeStart("+"), kMaxStreamId);
  EXPECT_EQ(*ParseRangeStart("5"), (StreamId{5, 0}));
  EXPECT_EQ(*ParseRangeEnd("5"), (StreamId{5, UINT64_MAX}));
  EXPECT_EQ(*ParseRangeStart("(5-2"), (StreamId{5, 3}));
  EXPECT_EQ(*ParseRangeStart("(5"), (StreamId{5, 1}));
  EXPECT_EQ(*ParseRangeEnd("(5-2"), (StreamId{5, 1}));
  EXPECT_EQ(*ParseRangeEnd("(5"), (StreamId{5, UINT64_MAX - 1}));
  EXPECT_EQ(ErrorOf(ParseRangeStart("(18446744073709551615-18446744073709551615")),
            "ERR invalid start ID for the interval");
  EXPECT_EQ(ErrorOf(ParseRangeEnd("(0-0")), "ERR invalid end ID for the interval");
  for (const char* text : {"(", "(-", "(+", "((1", "*", "1-*", ""}) {
    EXPECT_EQ(ErrorOf(ParseRangeStart(text)), kBadId) << text;
    EXPECT_EQ(ErrorOf(ParseRangeEnd(text)), kBadId) << text;
  }
}

}  // namespace
}  // namespace understudy::types
