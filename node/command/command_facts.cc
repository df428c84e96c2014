#include "node/command/command_facts.h"

#include <span>

namespace understudy::command {
namespace {

struct Fact {
  std::string_view text, commands;  // words
};

// clang-format off
constexpr Fact kTips[] = {
  {"request_policy:all_nodes response_policy:all_succeeded",
   "acl|deluser acl|setuser client|setinfo client|setname config|resetstat config|rewrite config|set "
   "script|flush script|load slowlog|reset"},
  {"nondeterministic_output",
   "client|info client|list cluster|bumpepoch cluster|count-failure-reports cluster|getkeysinslot "
   "cluster|info cluster|links cluster|myshardid cluster|nodes cluster|replicas cluster|shards "
   "cluster|slaves cluster|slots dump hpttl hrandfield hscan httl lastsave object|encoding object|freq "
   "object|idletime object|refcount pttl spop srandmember sscan time ttl xadd xautoclaim xclaim "
   "xinfo|consumers xpending xtrim zrandmember zscan"},
  {"nondeterministic_output request_policy:special response_policy:special",
   "scan"},
  {"nondeterministic_output_order",
   "command command|docs command|info command|list function|list hgetall hkeys hvals module|list sdiff "
   "sinter smembers sunion"},
  {"request_policy:all_nodes nondeterministic_output",
   "slowlog|get"},
  {"request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
   "slowlog|len"},
  {"request_policy:all_shards response_policy:agg_sum",
   "dbsize"},
  {"request_policy:multi_shard response_policy:agg_sum",
   "del exists touch unlink"},
  {"request_policy:all_shards response_policy:all_succeeded",
   "flushall flushdb function|delete function|flush function|load function|restore memory|purge ping"},
  {"request_policy:all_shards response_policy:one_succeeded",
   "function|kill script|kill"},
  {"nondeterministic_output request_policy:all_shards response_policy:special",
   "function|stats info memory|doctor memory|malloc-stats memory|stats"},
  {"request_policy:all_shards nondeterministic_output_order",
   "keys"},
  {"nondeterministic_output request_policy:all_nodes response_policy:special",
   "latency|doctor latency|graph latency|histogram latency|history latency|latest"},
  {"request_policy:all_nodes response_policy:agg_sum",
   "latency|reset"},
  {"request_policy:multi_shard",
   "mget"},
  {"request_policy:multi_shard response_policy:all_succeeded",
   "mset msetex"},
  {"request_policy:all_shards response_policy:special nondeterministic_output",
   "randomkey"},
  {"request_policy:all_shards response_policy:agg_logical_and",
   "script|exists"},
  {"request_policy:all_shards response_policy:agg_min",
   "wait"},
};
// Others are O(1).
constexpr Fact kComplexities[] = {
  {"O(N)",
   "acl|getuser acl|list acl|load acl|log acl|setuser acl|users auth bitcount bitop bitpos blpop brpop "
   "client|kill client|list client|unpause command command|docs command|getkeys command|getkeysandflags "
   "command|info command|list config|get config|set copy del discard exists flushall flushdb "
   "function|dump function|flush function|list function|restore getrange hdel hexpire hexpireat "
   "hexpiretime hgetall hgetdel hgetex hkeys hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl "
   "hrandfield hsetex httl hvals keys latency|histogram lindex linsert lpop lpos lset ltrim memory|usage "
   "mget module|list mset msetex msetnx pfmerge psubscribe pubsub|channels pubsub|numsub "
   "pubsub|shardchannels pubsub|shardnumsub punsubscribe rpop save script|exists script|flush "
   "script|load sdiff sdiffstore shutdown slowlog|get slowlog|reset smembers smismember spublish srem "
   "ssubscribe subscribe substr sunion sunionstore sunsubscribe swapdb touch unsubscribe xgroup|destroy "
   "xpending xrange xrevrange xtrim zmscore zrandmember zunion zunionstore"},
  {"O(N+M)",
   "blmpop lmpop lrem publish"},
  {"O(K) + O(M*log(N))",
   "bzmpop zmpop"},
  {"O(log(N))",
   "bzpopmax bzpopmin client|unblock geoadd xclaim zadd zcount zincrby zlexcount zrank zrevrank"},
  {"O(N+log(M))",
   "georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore"},
  {"O(N*M)",
   "lcs sinter sintercard sinterstore"},
  {"O(S+N)",
   "lrange"},
  {"O(N+M*log(M))",
   "sort sort_ro"},
  {"O(M)",
   "xreadgroup"},
  {"O(L + (N-K)*log(N))",
   "zdiff zdiffstore"},
  {"O(N*K) + O(M*log(M))",
   "zinter zinterstore"},
  {"O(N*K)",
   "zintercard"},
  {"O(log(N)*M)",
   "zpopmax zpopmin"},
  {"O(log(N)+M)",
   "zrange zrangebylex zrangebyscore zrangestore zremrangebylex zremrangebyrank zremrangebyscore "
   "zrevrange zrevrangebylex zrevrangebyscore"},
  {"O(M*log(N))",
   "zrem"},
  {"depends on the script", "eval eval_ro evalsha evalsha_ro fcall fcall_ro"},
  {"depends on the queued commands", "exec"},
};
// clang-format on

std::vector<std::string_view> WordsOf(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = text.find(' ');
    words.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return words;
}

std::string_view FindFact(std::span<const Fact> facts, std::string_view command) {
  for (const Fact& fact : facts) {
    for (const std::string_view name : WordsOf(fact.commands)) {
      if (name == command) return fact.text;
    }
  }
  return {};
}

}  // namespace

std::vector<std::string_view> TipsOf(std::string_view command) { return WordsOf(FindFact(kTips, command)); }

std::string_view ComplexityOf(std::string_view command) {
  const std::string_view found = FindFact(kComplexities, command);
  return found.empty() ? "O(1)" : found;
}

}  // namespace understudy::command
