// Taking members from an end of a sorted set: ZPOPMIN, ZPOPMAX, ZMPOP and their blocking forms.
#pragma once

#include <cstdint>

#include "node/command/call_context.h"
#include "node/resp/writer.h"

namespace understudy::command {

enum class SortedSetEnd : uint8_t { kMin, kMax };

// Removes `count` members, writes each with its score (in arrays of two if `nested`), tells replicas and listeners. The
// caller has written what comes before. entry: of a sorted set, what LookupWrite gave for the key. count: at least 1, at
// most its size.
void PopMembers(CallContext& ctx, const Key& key, store::Entry* entry, SortedSetEnd end, uint64_t count, bool nested,
                resp::Writer& reply);

// "[key, [[member, score], ...]]" with up to `most` members: ZMPOP and BZMPOP. most: at least 1.
void PopWithKey(CallContext& ctx, const Key& key, store::Entry* entry, SortedSetEnd end, uint64_t most,
                resp::Writer& reply);

}  // namespace understudy::command
