#include "node/command/counted_keys.h"

#include "node/command/call_context.h"

namespace understudy::command {
namespace {

bool FindBehind(Args args, size_t number_at, int64_t least, std::vector<uint32_t>* indexes) {
  int64_t count = 0;
  if (args.size() <= number_at || !ParseInt64(args[number_at], &count)) return false;
  if (count < least || static_cast<uint64_t>(count) > args.size() - number_at - 1) return false;
  for (int64_t i = 1; i <= count; ++i) indexes->push_back(static_cast<uint32_t>(number_at) + static_cast<uint32_t>(i));
  return true;
}

}  // namespace

bool FindCountedKeys(Args args, std::vector<uint32_t>* indexes) { return FindBehind(args, 1, 1, indexes); }

bool FindCountedKeysBehindTimeout(Args args, std::vector<uint32_t>* indexes) { return FindBehind(args, 2, 1, indexes); }

bool FindStoreAndCountedKeys(Args args, std::vector<uint32_t>* indexes) {
  indexes->push_back(1);
  return FindBehind(args, 2, 1, indexes);
}

bool FindKeysOfScript(Args args, std::vector<uint32_t>* indexes) { return FindBehind(args, 2, 0, indexes); }

}  // namespace understudy::command
