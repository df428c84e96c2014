#include <gtest/gtest.h>

#include <random>

#include "node/net/input_buffer.h"
#include "node/net/output_queue.h"

namespace understudy::net {
namespace {

std::string Drain(OutputQueue& queue, size_t limit) {
  iovec pieces[4];
  const size_t n = queue.Gather(pieces, limit);
  std::string out;
  for (size_t i = 0; i < n; ++i) out.append(static_cast<char*>(pieces[i].iov_base), pieces[i].iov_len);
  queue.Drop(out.size());
  return out;
}

TEST(OutputQueue, GivesBackWhatWasPutInWhateverThePieces) {
  std::mt19937 random(3);
  OutputQueue queue;
  std::string in, out;
  for (int i = 0; i < 2000; ++i) {
    const size_t size = random() % 5 == 0 ? random() % 40'000 : random() % 100;
    std::string piece(size, static_cast<char>('a' + i % 26));
    if (size >= 10'000 && random() % 2 == 0) {
      char* room = queue.ReserveLarge(size + 100);
      piece.copy(room, size);
      queue.CommitLarge(size);
    } else if (random() % 4 == 0) {
      queue.AppendShared(std::make_shared<const std::string>(piece));
    } else {
      queue.Append(piece);
    }
    in += piece;
    if (random() % 3 == 0) out += Drain(queue, random() % 60'000);
    ASSERT_EQ(queue.size(), in.size() - out.size());
  }
  while (!queue.empty()) out += Drain(queue, SIZE_MAX);
  EXPECT_EQ(out, in);
}

TEST(OutputQueue, SharedBytesAreNotCopied) {
  const auto bytes = std::make_shared<const std::string>(100'000, 'x');
  OutputQueue first, second;
  first.Append("a");
  for (OutputQueue* queue : {&first, &second}) queue->AppendShared(bytes);
  first.Append("b");
  EXPECT_EQ(bytes.use_count(), 3);
  EXPECT_EQ(Drain(first, SIZE_MAX), "a" + *bytes + "b");
  EXPECT_EQ(Drain(second, 99'999), bytes->substr(1));
  EXPECT_EQ(bytes.use_count(), 2);
  EXPECT_EQ(Drain(second, SIZE_MAX), "x");
  EXPECT_EQ(bytes.use_count(), 1);
  EXPECT_EQ(second.allocated_bytes(), 0u);
}

TEST(InputBuffer, KeepsTheRestAndOwnsNothingWhenEmpty) {
  InputBuffer buffer;
  buffer.Append("hello ");
  buffer.Append("world");
  buffer.Consume(6);
  EXPECT_EQ(buffer.view(), "world");
  const std::string large(100'000, 'x');
  buffer.Append(large);
  EXPECT_EQ(buffer.view(), "world" + large);
  buffer.Consume(buffer.size());
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), 0u);
}

}  // namespace
}  // namespace understudy::net
