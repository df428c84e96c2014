// The replies of a worker's turn, of all connections one after the other in one block that stays in the cache.
// When the block is full another one is added for the rest of the turn.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "node/resp/output.h"

namespace understudy::net {

class TurnOutput final : public resp::Output {
 public:
  static constexpr size_t kBlockBytes = 256 * 1024;
  static constexpr size_t kLargeBytes = 64 * 1024;

  class Owner {
   public:
    // A reply does not fit: puts aside what there is between the start of its segment and `cursor`, and returns
    // room of its own for a large reply (`bytes` >= kLargeBytes), null for a small one.
    virtual char* OnFull(char* cursor, size_t bytes) = 0;
    // The segment goes on here.
    virtual void OnRoom(char* cursor) = 0;

   protected:
    ~Owner() = default;
  };
  explicit TurnOutput(Owner& owner);

  char* cursor() const { return cursor_; }
  size_t blocks() const { return blocks_.size(); }
  // Writes to the block again, after a large reply.
  void BackToBlock();
  // All replies were sent or put aside. Keeps one block.
  void EndTurn();
  // Exchanges all there is, of the same owner.
  void Swap(TurnOutput& other);

 private:
  void Grow(size_t bytes) override;

  Owner& owner_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* block_cursor_ = nullptr;  // while a large reply is being written: where the block goes on
  bool large_ = false;
};

}  // namespace understudy::net
