// Keys behind their number, "numkeys key [key ...]": as KeySpec::find wants them.
#pragma once

#include <cstdint>
#include <vector>

#include "node/command/table.h"

namespace understudy::command {

// What COMMAND INFO says of them.
inline constexpr KeyForm kCountAtOne[] = {{KeyForm::Kind::kCounted, 1}};
inline constexpr KeyForm kCountAtTwo[] = {{KeyForm::Kind::kCounted, 2}};

// The number is args[1]: SINTERCARD, ZUNION, ZMPOP. False if it is no number, below 1, or more than what follows; the
// handler answers that then.
bool FindCountedKeys(Args args, std::vector<uint32_t>* indexes);
// The same behind a timeout: the number is args[2]. BLMPOP.
bool FindCountedKeysBehindTimeout(Args args, std::vector<uint32_t>* indexes);
// The same behind a destination, which is the first key: the number is args[2]. ZUNIONSTORE.
bool FindStoreAndCountedKeys(Args args, std::vector<uint32_t>* indexes);

// The same, and args[1] is no key: EVAL, FCALL.
bool FindKeysOfScript(Args args, std::vector<uint32_t>* indexes);

}  // namespace understudy::command
