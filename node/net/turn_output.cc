#include "node/net/turn_output.h"

#include <utility>

namespace understudy::net {

TurnOutput::TurnOutput(Owner& owner) : owner_(owner) {
  blocks_.emplace_back(new char[kBlockBytes]);
  cursor_ = blocks_.back().get();
  end_ = cursor_ + kBlockBytes;
}

void TurnOutput::Grow(size_t bytes) {
  char* const before = cursor_;
  if (char* room = owner_.OnFull(before, bytes); room != nullptr) {
    if (!large_) block_cursor_ = before;
    large_ = true;
    cursor_ = room;
    end_ = room + bytes;
    return;
  }
  BackToBlock();
  if (static_cast<size_t>(end_ - cursor_) < bytes) {
    blocks_.emplace_back(new char[kBlockBytes]);
    cursor_ = blocks_.back().get();
    end_ = cursor_ + kBlockBytes;
  }
  owner_.OnRoom(cursor_);
}

void TurnOutput::BackToBlock() {
  if (!large_) return;
  large_ = false;
  cursor_ = block_cursor_;
  end_ = blocks_.back().get() + kBlockBytes;
}

void TurnOutput::EndTurn() {
  if (blocks_.size() > 1) blocks_.resize(1);
  large_ = false;
  cursor_ = blocks_.back().get();
  end_ = cursor_ + kBlockBytes;
}

void TurnOutput::Swap(TurnOutput& other) {
  std::swap(blocks_, other.blocks_);
  std::swap(block_cursor_, other.block_cursor_);
  std::swap(large_, other.large_);
  std::swap(cursor_, other.cursor_);
  std::swap(end_, other.end_);
}

}  // namespace understudy::net
