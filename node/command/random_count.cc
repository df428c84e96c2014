#include "node/command/random_count.h"

#include "node/command/call_context.h"
#include "node/resp/errors.h"

namespace understudy::command {

bool ReadRandomCount(Args args, std::string_view word, RandomCount* out, resp::Writer& reply) {
  // Each is written to the reply at once.
  constexpr uint64_t kMostRepeated = 1 << 24;
  int64_t number = 0;
  if (!ReadInt64(args[2], &number, reply)) return false;
  if (number == INT64_MIN) {
    reply.Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    return false;
  }
  out->repeats = number < 0;
  out->count = static_cast<uint64_t>(number < 0 ? -number : number);
  out->pairs = args.size() == 4 && Is(args[3], word);
  if (args.size() > (out->pairs ? 4 : 3)) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  if ((out->repeats && out->count > kMostRepeated) || (out->pairs && out->count > INT64_MAX / 2)) {
    reply.Error("ERR value is out of range");
    return false;
  }
  return true;
}

}  // namespace understudy::command
