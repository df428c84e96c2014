// How many elements a command draws: HRANDFIELD, SRANDMEMBER, ZRANDMEMBER key [count [WITH...]].
#pragma once

#include <cstdint>
#include <string_view>

#include "node/command/table.h"
#include "node/resp/writer.h"

namespace understudy::command {

struct RandomCount {
  uint64_t count = 1;
  bool repeats = false;  // the number was negative: each is drawn from all
  bool pairs = false;    // the word is there: each comes with its value or score

  // How many there are to give of a collection of so many.
  uint64_t Of(uint64_t size) const { return size == 0 ? 0 : repeats || count < size ? count : size; }
};

// args: three at least. word: what may follow the number; empty for nothing. False after the error reply.
bool ReadRandomCount(Args args, std::string_view word, RandomCount* out, resp::Writer& reply);

}  // namespace understudy::command
