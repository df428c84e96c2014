#include "common/keyed_hash.h"

#include "common/random.h"

namespace understudy {

const HashSeed kHashSeed = {RandomU64() | 1, RandomU64() | 1, RandomU64() | 1, RandomU64() | 1};

}  // namespace understudy
