// The RDB form of streams: every form in pieces and back, and what is no stream.
#include "node/types/stream_rdb.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/node/types/stream_test_support.h"
#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

using Piece = StreamBuilder::Piece;

// Gives the pieces as far as they are wanted; the first error, or one of the test's own if they do not match.
Status Give(StreamBuilder& builder, const StreamPieces& pieces) {
  for (const StreamPiece& piece : pieces) {
    if (builder.next() == Piece::kDone) return Internal("pieces are left over");
    if (builder.next() != piece.kind) return Internal("a piece of another kind is wanted");
    if (piece.kind == Piece::kBytes && builder.bytes() != piece.text.size()) return Internal("other bytes are wanted");
    RETURN_IF_ERROR(piece.kind == Piece::kLength ? builder.Give(piece.length) : builder.Give(piece.text));
  }
  return builder.next() == Piece::kDone ? Status() : Internal("more pieces are wanted");
}

std::string ErrorOf(const StreamPieces& pieces, StreamForm form = StreamForm::kV3) {
  StreamBuilder builder(form);
  return std::string(Give(builder, pieces).message());
}

Stream Built(const StreamPieces& pieces, StreamForm form) {
  StreamBuilder builder(form);
  const Status status = Give(builder, pieces);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return builder.Take();
}

// Nodes, gaps, two groups, three consumers.
Stream Sample() {
  Stream stream;
  Fill(stream.log(), 250);
  for (const uint64_t ms : {1, 2, 50, 250}) EXPECT_TRUE(stream.log().Erase({ms, 0}));
  StreamGroup* const group = stream.CreateGroup("group", {0, 0}, StreamGroup::kUnknown);
  StreamConsumer* const ann = group->CreateConsumer("ann", 1000);
  StreamConsumer* const bob = group->CreateConsumer("bob", 2000);
  group->CreateConsumer("idle", 3000);
  const auto ignore = [](const StreamEntry&) {};
  group->Deliver(stream.log(), ann, 20, false, 5000, ignore);
  group->Deliver(stream.log(), bob, 30, false, 6000, ignore);
  group->Deliver(stream.log(), ann, 10, false, 7000, ignore);
  EXPECT_TRUE(group->Ack({5, 0}));
  stream.CreateGroup("other", {100, 5}, 77);
  return stream;
}

TEST(StreamRdb, EveryFormComesBackAsItWasWritten) {
  const Stream stream = Sample();
  for (const StreamForm form : {StreamForm::kV1, StreamForm::kV2, StreamForm::kV3}) {
    const StreamPieces pieces = PiecesOf(stream, form);
    const Stream copy = Built(pieces, form);
    copy.Validate();
    EXPECT_EQ(PiecesOf(copy, form), pieces);
    if (form == StreamForm::kV3) {
      EXPECT_EQ(copy.AllocatedBytes() > 0, true);
      EXPECT_EQ(copy.FindGroup("group")->FindConsumer("ann")->active_ms(), 7000);
      EXPECT_EQ(copy.FindGroup("group")->FindConsumer("idle")->active_ms(), StreamConsumer::kNeverActive);
    }
  }
}

TEST(StreamRdb, OlderFormsHaveTheBestThatCanBeKnown) {
  const Stream stream = Sample();
  const Stream v2 = Built(PiecesOf(stream, StreamForm::kV2), StreamForm::kV2);
  EXPECT_EQ(v2.FindGroup("group")->FindConsumer("ann")->active_ms(), 1000);
  EXPECT_EQ(v2.FindGroup("other")->entries_read(), 77);
  const Stream v1 = Built(PiecesOf(stream, StreamForm::kV1), StreamForm::kV1);
  EXPECT_EQ(v1.log().entries_added(), 246u);
  EXPECT_TRUE(v1.log().max_deleted_id().zero());
  EXPECT_EQ(v1.log().first_id(), (StreamId{3, 0}));
  EXPECT_EQ(v1.FindGroup("other")->entries_read(), StreamGroup::kUnknown);
}

TEST(StreamRdb, AnEmptyStreamIsOne) {
  Stream stream;
  for (const StreamForm form : {StreamForm::kV1, StreamForm::kV2, StreamForm::kV3}) {
    const Stream copy = Built(PiecesOf(stream, form), form);
    EXPECT_EQ(copy.Size(), 0u);
    copy.Validate();
  }
}

TEST(StreamRdb, NamesWhatIsWrong) {
  Stream stream;
  Fill(stream.log(), 2);
  StreamGroup* const group = stream.CreateGroup("g", {0, 0}, 0);
  StreamConsumer* const ann = group->CreateConsumer("ann", 1);
  group->CreateConsumer("bob", 1);
  group->Deliver(stream.log(), ann, 2, false, 5, [](const StreamEntry&) {});
  const StreamPieces good = PiecesOf(stream);
  // 0 nodes, 1 master, 2 pack, 3 size, 4-5 last, 6-7 first, 8-9 deleted, 10 added, 11 groups, 12 name, 13-14 last ID,
  // 15 read, 16 pending, 17-19 and 20-22 each, 23 consumers, 24 ann, 25 seen, 26 active, 27 owns, 28-29, 30 bob, ...
  ASSERT_EQ(good.size(), 34u);
  const auto error = [&](size_t at, const StreamPiece& instead) {
    StreamPieces pieces = good;
    pieces[at] = instead;
    return ErrorOf(pieces);
  };
  const auto length = [](uint64_t n) { return StreamPiece{Piece::kLength, n, ""}; };
  EXPECT_EQ(ErrorOf(good), "");
  EXPECT_EQ(error(1, {Piece::kText, 0, "short"}), "stream: a node's ID is not 16 bytes long");
  EXPECT_EQ(error(2, {Piece::kText, 0, good[2].text + "x"}), "stream: a node is damaged, or not in order");
  EXPECT_EQ(error(3, length(3)), "stream: its length is not that of its nodes");
  EXPECT_EQ(error(4, length(1)), "stream: its last ID is below that of an entry");
  EXPECT_EQ(error(10, length(1)), "stream: it has more entries than were ever added");
  EXPECT_EQ(error(15, length(UINT64_MAX - 1)), "stream: a group has read less than nothing");
  EXPECT_EQ(error(20, good[17]), "stream: an entry is pending twice");
  EXPECT_EQ(error(30, good[24]), "stream: two consumers have the same name");
  EXPECT_EQ(error(29, good[28]), "stream: an entry is pending for a consumer but not for its group, or for two");
  EXPECT_EQ(error(29, {Piece::kBytes, 0, std::string(16, '7')}),
            "stream: an entry is pending for a consumer but not for its group, or for two");
  StreamPieces pieces = good;
  pieces[27].length = 1;
  pieces.erase(pieces.begin() + 29);
  EXPECT_EQ(ErrorOf(pieces), "stream: a pending entry has no consumer");
  pieces = good;
  pieces[11].length = 2;
  pieces.insert(pieces.end(), good.begin() + 12, good.end());
  EXPECT_EQ(ErrorOf(pieces), "stream: two groups have the same name");
  pieces = good;
  pieces[0].length = 2;
  pieces.insert(pieces.begin() + 3, good.begin() + 1, good.begin() + 3);
  EXPECT_EQ(ErrorOf(pieces), "stream: a node is damaged, or not in order");
}

// They are written over in place, where there is no room for another form of the same number.
TEST(StreamRdb, FlagsInALongerFormThanTheyNeedAreRefused) {
  size_t bytes = 0;
  StreamLog log(&bytes);
  Fill(log, 1);
  std::string node;
  log.ForEachNode([&](StreamId, std::string_view text) { node = text; });
  ASSERT_TRUE(StreamNode::Validate({1, 0}, node));
  constexpr size_t kFlags = 6 + 2 + 2 + 2 + 3 + 2;  // header, live, deleted, fields, "n", end
  ASSERT_EQ(node.substr(kFlags, 2), "\2\1");
  node.replace(kFlags, 2, "\xc0\2\2");
  ++node[0];
  ASSERT_TRUE(ListpackView::Validate(node, true));
  EXPECT_FALSE(StreamNode::Validate({1, 0}, node));
}

TEST(StreamRdb, ADamagedNodeIsRefusedOrStillAWholeOne) {
  Limits limits;
  limits.stream_node_max_entries = 12;
  TestRandom random(11);
  int accepted = 0;
  for (int round = 0; round < 200; ++round) {
    size_t bytes = 0;
    StreamLog source(&bytes);
    for (uint64_t i = 1; i <= 12; ++i) {
      Words words = {"kind", random.Text(10), "text", random.Text(70)};
      if (random.Below(3) == 0) words = {random.Text(5), random.Text(200)};
      ASSERT_TRUE(Append(source, {i * 1000, random.Below(300)}, words, limits).ok());
    }
    for (uint64_t i = random.Below(4); i > 0; --i) source.Erase(IdsOf(source)[random.Below(source.size())]);
    StreamId master;
    std::string node;
    source.ForEachNode([&](StreamId id, std::string_view text) {
      master = id;
      node = text;
    });
    for (int i = 0; i < 300; ++i) {
      std::string damaged = node;
      for (uint64_t n = random.Below(3) + 1; n > 0; --n) {
        damaged[random.Below(damaged.size())] = static_cast<char>(random.Below(2) == 0 ? random() : random.Below(6));
      }
      if (random.Below(10) == 0) damaged.resize(random.Below(damaged.size()));
      // What is read must be owned: the block ends where the bytes do.
      size_t copied = 0;
      StreamLog log(&copied);
      if (!log.AppendNode(master, std::string(damaged))) continue;
      ++accepted;
      uint64_t read = 0;
      for (const StreamId id : IdsOf(log)) read += WordsOf(*log.Find(id)).size();
      EXPECT_EQ(IdsOf(log, kMinStreamId, kMaxStreamId, true).size(), log.size());
      EXPECT_TRUE(log.size() == 0 || read > 0);
      log.SetCounters({kMaxStreamId, {}, log.size()});
      log.Validate();
      while (log.size() > 0) {
        if (random.Below(2) == 0) {
          ASSERT_TRUE(log.Erase(IdsOf(log)[random.Below(log.size())]));
        } else {
          ASSERT_EQ(log.Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = log.size() - 1}), 1u);
        }
        log.Validate();
      }
      ASSERT_EQ(copied, 0u);
    }
  }
  EXPECT_GT(accepted, 1000) << "most damage to values cannot be seen";
}

TEST(StreamRdb, DamagedPiecesNeverBreakTheBuilder) {
  const Stream stream = Sample();
  TestRandom random(12);
  int refused = 0;
  for (const StreamForm form : {StreamForm::kV1, StreamForm::kV2, StreamForm::kV3}) {
    const StreamPieces good = PiecesOf(stream, form);
    for (int round = 0; round < 1500; ++round) {
      StreamPieces pieces = good;
      for (uint64_t n = random.Below(2) + 1; n > 0; --n) {
        StreamPiece& piece = pieces[random.Below(random.Below(2) == 0 ? pieces.size() : 25)];
        if (piece.kind == Piece::kLength) {
          piece.length = random.Below(3) == 0 ? random() : piece.length + random.Below(3) - 1;
        } else if (!piece.text.empty()) {
          piece.text[random.Below(piece.text.size())] = static_cast<char>(random());
        }
      }
      StreamBuilder builder(form);
      if (!Give(builder, pieces).ok()) {
        ++refused;
        continue;
      }
      Stream copy = builder.Take();
      copy.Validate();
      copy.Clone().Validate();
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace understudy::types
