// Worker: others are served while a command of one connection takes long.
#include <utility>

#include "common/check.h"
#include "node/net/worker.h"

namespace understudy::net {
namespace {

constexpr size_t kEvents = 128;

}  // namespace

// The batch in progress ends with the segment whose command runs: those before it are finished, what follows goes back.
void Worker::EndBatchAt(const Connection& running) {
  size_t at = first_unfinished_;
  while (segments_[at].connection != &running) {
    FinishSegment(segments_[at], inputs_[at], executed_[at]);
    ++at;
  }
  for (size_t i = at + 1; i < segments_.size(); ++i) FinishSegment(segments_[i], inputs_[i], 0);
  segments_.resize(at + 1);
  inputs_.resize(at + 1);
  first_unfinished_ = at;
  // As if they had not been looked at in this turn.
  const auto give_back = [](std::vector<Connection*>& from, size_t& visited, std::vector<Connection*>& to) {
    to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(visited), from.end());
    from.clear();
    visited = 0;
  };
  give_back(reading_, reading_at_, ready_);
  give_back(reading_left_, reading_left_at_, left_over_);
}

void Worker::ServeOthers(Connection& running) {
  CHECK(running_ == nullptr && output_owner_ == &running);
  CloseOutput();
  EndBatchAt(running);
  if (!others_output_) {
    others_output_.reset(new TurnOutput(*this));
    others_arena_.reset(new char[kArenaBytes]);
  }
  // The batch in progress is put aside, with its input and output.
  resp::Arguments arguments;
  std::vector<Command> commands;
  std::vector<Segment> segments;
  std::vector<SegmentInput> inputs;
  std::vector<uint32_t> executed;
  const auto exchange = [&] {
    std::swap(arguments, arguments_);
    std::swap(commands, commands_);
    std::swap(segments, segments_);
    std::swap(inputs, inputs_);
    std::swap(executed, executed_);
    std::swap(arena_, others_arena_);
    output_.Swap(*others_output_);
  };
  const size_t unfinished = std::exchange(first_unfinished_, 0);
  const size_t arena_used = std::exchange(arena_used_, 0);
  exchange();
  std::erase(turn_list_, &running);  // what it wrote stays here until its command has ended
  running_ = &running;

  epoll_event events[kEvents];
  const std::span<epoll_event> ready = loop_.Wait(events, 0);
  RefreshTime();
  for (const epoll_event& event : ready) {
    if (event.data.ptr == &listener_tag_) {
      listeners_ready_ = true;
    } else {
      OnEvent(*static_cast<Connection*>(event.data.ptr), event.events);
    }
  }
  AcceptPhase();
  ReadPhase();
  FlushOutput();
  last_turn_end_ns_.store(clock_.Mono().ns, std::memory_order_relaxed);

  running_ = nullptr;
  turn_list_.push_back(&running);
  running.in_turn_list_ = true;
  exchange();
  arena_used_ = arena_used;
  first_unfinished_ = unfinished;
  OpenOutput(running);
}

}  // namespace understudy::net
