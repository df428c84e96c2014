// Arguments that the commands on bits share.
#pragma once

#include <cstdint>
#include <string_view>

#include "node/command/call_context.h"

namespace understudy::command {

// The number of a bit: within proto-max-bulk-len, or on a replica within what the store can hold. bits: of a field; an
// offset "#2" then counts fields. 0: no such form. False after the error reply.
bool ReadBitOffset(const CallContext& ctx, std::string_view text, uint64_t* out, resp::Writer& reply, unsigned bits = 0);

}  // namespace understudy::command
