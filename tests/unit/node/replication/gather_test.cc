// How often a primary sends what its workers append.
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/node/replication/test_node.h"

namespace understudy::replication {
namespace {

// More than two a millisecond would be a system call for each turn of the workers.
TEST(Gather, ManyTurnsAreSentAtOnceWhereNobodyWaits) {
  TestNode primary(1, false), replica(2, false);
  primary.Primary(1, {}, 0, true);
  replica.Replica(primary, 1);
  ASSERT_TRUE(Await([&] { return replica.Up(); }));
  const uint64_t before = primary.state().stream_sends;
  const MonoTime begin = primary.clock.Mono();
  for (int i = 0; i < 20'000; ++i) {
    primary.Set("key:" + std::to_string(i % 100), "value");
    std::this_thread::yield();
  }
  ASSERT_TRUE(Await([&] { return replica.replication->offset() == primary.replication->offset(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(250));  // the figures are published each 100 ms
  const int64_t halves = (primary.clock.Mono() - begin).ns / Microseconds(500).ns;
  const uint64_t sends = primary.state().stream_sends - before;
  EXPECT_GE(sends, 2u);
  EXPECT_LE(sends, static_cast<uint64_t>(halves) + 3);
}

}  // namespace
}  // namespace understudy::replication
