#include "node/command/bit_offset.h"

#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {

bool ReadBitOffset(const CallContext& ctx, std::string_view text, uint64_t* out, resp::Writer& reply, unsigned bits) {
  const bool in_fields = bits > 0 && text.starts_with('#');
  if (in_fields) text.remove_prefix(1);
  int64_t offset = 0;
  const int64_t most = ctx.session == nullptr ? static_cast<int64_t>(store::kMaxValueBytes)
                                              : ctx.services.config.max_bulk_bytes.load(std::memory_order_relaxed);
  if (!ParseInt64(text, &offset) || (in_fields && __builtin_mul_overflow(offset, int64_t{bits}, &offset)) ||
      offset < 0 || offset / 8 >= most) {
    reply.Error("ERR bit offset is not an integer or out of range");
    return false;
  }
  *out = static_cast<uint64_t>(offset);
  return true;
}

}  // namespace understudy::command
