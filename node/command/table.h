// The command table: what a command is called, what it takes, when it may run, which keys it locks.
//
// One row feeds dispatch, the lock plan, COMMAND INFO/DOCS/GETKEYS and the error texts. A family file
// (string_family.cc, ...) ends with its rows; Table gathers them once at start. Rows are constants: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/acl/command_list.h"

namespace understudy::resp {
class Writer;
}

namespace understudy::command {

struct CallContext;
using Args = std::span<const std::string_view>;  // args[0] is the command's name as it was sent
using Handler = void (*)(CallContext&, Args, resp::Writer&);

enum Flag : uint32_t {
  kWrite = 1 << 0,
  kReadonly = 1 << 1,
  kDenyOom = 1 << 2,       // refused above maxmemory
  kAdmin = 1 << 3,
  kFast = 1 << 4,
  kNoAuth = 1 << 5,        // allowed before AUTH
  kLoading = 1 << 6,       // allowed while a data set is being loaded, and in a node without a role
  kStale = 1 << 7,         // allowed in a replica without a link
  kNoMulti = 1 << 8,       // not inside MULTI
  kBlocking = 1 << 9,
  kNoScript = 1 << 10,
  kSkipSlowlog = 1 << 11,
  kNoAsyncLoading = 1 << 12,
  kAllowBusy = 1 << 13,
  kPubsub = 1 << 14,
  // For admission and the lock plan, not shown to clients:
  kRunsScript = 1 << 21,   // has the floor while it runs (script/floor.h); may write, as far as the script does
  kHandshake = 1 << 22,    // of a replica; in a group its node proves itself by other means than AUTH (replication/hello.h)
  kMayReplicate = 1 << 23,  // no write, but goes into the replication stream
  kAllShards = 1 << 24,    // runs with every shard locked
  kImmediate = 1 << 25,    // inside MULTI it runs at once instead of being queued (EXEC, DISCARD, ...)
  kWalks = 1 << 26,        // visits shards by WithShard; a transaction with it locks all of them
  kRunsQueue = 1 << 27,    // EXEC
  kGrowsToOffset = 1 << 29,  // argument 2 is an offset to which the value may have to grow
  kForTests = 1 << 28,     // needs enable-debug-command
  kGrowsToBit = 1 << 30,   // the same, in bits
  kWhenSubscribed = 1u << 31,  // allowed while a client of RESP2 has subscriptions
};

// What a command does with its keys, as COMMAND INFO tells it; ACL rules for keys (%R~, %W~) ask for it.
enum class KeyAccess : uint8_t {
  kNone,
  kRead,        // RO access
  kReadWrite,   // RW access update
  kOverwrite,   // OW update
  kRemove,      // RM delete
  kInsert,      // RW insert
  kLook,        // RO: nothing of what the key holds comes out (EXISTS, TYPE, STRLEN)
  kReadCached,  // RW access: writes without changing the value (PFCOUNT, HGETEX)
  kUpdate,      // RW update: nothing of the old value comes out
  kCreate,      // OW insert
  kTake,        // RW access delete
  kDelete,      // RW delete
  kMerge,       // RW access insert
};

// How COMMAND INFO describes keys that KeySpec::find finds.
struct KeyForm {
  enum class Kind : uint8_t {
    kCounted,  // argument `at` is how many follow it
    kWord,     // behind `word`, which comes at `at` or later
    kUnknown,
    kChannels,  // from `at` to `last`, and they are no keys
  };
  Kind kind = Kind::kUnknown;
  int at = 0;
  std::string_view word = {};
  int last = 0;                           // kWord: counted from the first behind it
  int step = 1;                           // kCounted
  int limit = 0;                          // kWord: only one in so many of the rest of the arguments, 0 = all
  KeyAccess access = KeyAccess::kNone;    // kNone: the row's
};

// Where a command's keys are: arguments first, first+step, ... last. last < 0 counts from the end (-1 = the
// last argument). first 0: no keys. find: for commands where a count comes first; adds argument indexes.
struct KeySpec {
  int first = 0;
  int last = 0;
  int step = 0;
  bool (*find)(Args args, std::vector<uint32_t>* indexes) = nullptr;
  KeyAccess others = KeyAccess::kNone;     // to the keys behind the first, if it differs from Row::access
  KeyAccess (*vary)(Args args) = nullptr;  // to the first key, if it depends on the arguments; Row::access is the most
  bool (*beyond)(Args args) = nullptr;     // do the arguments lead to keys that can't be known before (SORT BY)?
  std::span<const KeyForm> forms = {};     // of what `find` finds, behind the first key if `first` is one
};

// Arguments that are channels, for ACL rules (&channel). Not for commands that only let go of channels.
enum class Channels : uint8_t { kNone, kFirst, kAll, kAllPatterns };

struct Row {
  std::string_view name;        // lower case
  int arity;                    // with the name; -n = at least n
  uint32_t flags;
  KeySpec keys;
  KeyAccess access;
  std::string_view categories;  // ACL categories beyond those that follow from flags: "@string"
  std::string_view group;       // "string", "generic", ...
  std::string_view since;
  std::string_view summary;
  std::string_view syntax;      // arguments as text, for COMMAND DOCS
  Handler handler;
  std::span<const Row> subcommands = {};  // names without the parent's; their handlers get all arguments
  Channels channels = Channels::kNone;
  // Given by the one Table of the process: its number there (Table::At), and whether it is a data command that
  // Dispatcher::RunOrdinary may run when it comes with one key.
  mutable uint32_t index = 0;
  mutable bool ordinary = false;
  mutable bool reads_collection = false;  // of its keys' types: memory behind the entry is worth fetching ahead
};

// Commands with any of these need more than an ordinary command's checks, or end, park or change the session.
inline constexpr uint32_t kNotOrdinary = kAdmin | kNoAuth | kLoading | kNoMulti | kBlocking | kPubsub | kAllShards |
                                         kImmediate | kWalks | kRunsQueue | kForTests | kMayReplicate;

// Is `args` all right for the row's arity?
inline bool ArityFits(const Row& row, size_t args) {
  return row.arity >= 0 ? args == static_cast<size_t>(row.arity) : args >= static_cast<size_t>(-row.arity);
}
// Has the command exactly one key, args[keys.first]? For rows without KeySpec::find.
inline bool HasOneKey(const Row& row, size_t args) {
  return row.keys.last == row.keys.first || (row.keys.last == -1 && args == static_cast<size_t>(row.keys.first) + 1);
}

class Table {
 public:
  // families: rows of each family. A name that occurs twice is a CHECK failure.
  explicit Table(std::span<const std::span<const Row>> families);

  // Any case; null for an unknown one. Does not allocate.
  const Row* Find(std::string_view name) const;
  // rename-command: clients find the command by this name only, or not at all if it is empty. Everything else (ACL
  // rules, statistics, COMMAND) knows it by its own. Before threads start.
  Status Rename(std::string_view name, std::string_view now);
  std::span<const Row* const> rows() const { return rows_; }
  // Row::index of a row or subcommand of this table, for statistics.
  uint32_t size() const { return static_cast<uint32_t>(indexed_.size()); }
  const Row& At(uint32_t index) const { return *indexed_[index]; }
  // "get", or "config|get".
  std::string FullName(uint32_t index) const;

 private:
  struct Slot {
    const Row* row = nullptr;
    std::string_view name;  // by which it is found
  };
  void FillSlots();

  std::vector<const Row*> rows_;
  std::vector<const Row*> indexed_;    // rows and their subcommands
  std::vector<const Row*> parents_;    // of indexed_, null for a command itself
  std::map<const Row*, std::string> renamed_;  // empty = not to be found
  std::vector<Slot> slots_;            // open addressing by a hash of the lower-case name
};

// All ACL categories of a command or subcommand.
acl::Categories CategoriesOf(const Row& row);
// The table as ACL rules see it, numbered by Row::index.
acl::CommandList ListCommands(const Table& table);

// The subcommand of `row` that args[1] names, any case; null if there is none.
const Row* FindSubcommand(const Row& row, Args args);
// Argument indexes of the keys; false if the arguments make no sense ("ERR Invalid arguments ..." is the caller's).
bool FindKeys(const Row& row, Args args, std::vector<uint32_t>* indexes);
// Whether it runs with every shard locked.
inline bool NeedsAllShards(const Row& row, Args args) {
  return (row.flags & kAllShards) != 0 || (row.keys.beyond != nullptr && row.keys.beyond(args));
}
// What the command does with its first key, or with one of the others.
inline KeyAccess AccessTo(const Row& row, Args args, bool first) {
  if (!first && row.keys.others != KeyAccess::kNone) return row.keys.others;
  return first && row.keys.vary != nullptr ? row.keys.vary(args) : row.access;
}

// The families. Each is defined in <name>_family.cc.
std::span<const Row> StringCommands();
std::span<const Row> StringNumberCommands();
std::span<const Row> HashCommands();
std::span<const Row> HashExpireCommands();
std::span<const Row> ListCommands();
std::span<const Row> ListPopCommands();
std::span<const Row> DumpCommands();
std::span<const Row> StreamCommands();
std::span<const Row> StreamReadCommands();
std::span<const Row> StreamGroupCommands();
std::span<const Row> StreamInfoCommands();
std::span<const Row> KeyCommands();
std::span<const Row> KeyspaceCommands();
std::span<const Row> ExpireCommands();
std::span<const Row> ConnectionCommands();
std::span<const Row> AclCommands();
std::span<const Row> ClientCommands();
std::span<const Row> ServerCommands();
std::span<const Row> LatencyCommands();
std::span<const Row> ClusterCommands();
std::span<const Row> DebugCommands();
std::span<const Row> SaveCommands();
std::span<const Row> MemoryCommands();
std::span<const Row> CommandCommands();
std::span<const Row> TransactionCommands();
std::span<const Row> ReplicationCommands();
std::span<const Row> BitmapCommands();
std::span<const Row> BitfieldCommands();
std::span<const Row> PubsubCommands();
std::span<const Row> HyperLogLogCommands();
std::span<const Row> SetCommands();
std::span<const Row> SetAlgebraCommands();
std::span<const Row> SortedSetCommands();
std::span<const Row> SortedSetRangeCommands();
std::span<const Row> SortedSetPopCommands();
std::span<const Row> SortedSetAlgebraCommands();
std::span<const Row> GeoCommands();
std::span<const Row> SortCommands();
std::span<const Row> ScriptCommands();
std::span<const Row> FunctionCommands();

}  // namespace understudy::command
