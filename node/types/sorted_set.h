// SortedSet: members with scores, in order of (score, member).
//
// Small ones are a listpack of member and score in turn, in order; large ones a table of members, which knows the
// score of each, and a tree of scores, which knows the order. Both lead to the same blocks (scored_member.h), so
// a member costs its bytes and some 30 bytes, half of what a skip list with a hash table takes.
//
//   kListpack: | member | score | member | score | ...            "listpack"
//   kTable:    MemberTable -> ScoredMember <- ScoreTree           "skiplist", as clients know it
//
// Every range is first turned into ranks (RanksBetween, RanksIn, Limit), then walked or removed: all forms of
// ZRANGE, ZCOUNT, ZREMRANGEBY and ZPOPMIN are two such calls. Nothing but Compact turns a table back
// into a listpack.
//
// A set may be empty between calls; a key never holds an empty one. Threads: those of the key's shard.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "common/function_ref.h"
#include "node/types/encoding.h"
#include "node/types/listpack.h"
#include "node/types/score_text.h"

namespace understudy::types {

struct ScoreRange {
  ScoreBound min;
  ScoreBound max;
};

struct LexRange {
  LexBound min;
  LexBound max;
};

// `count` members from rank `first` on.
struct Ranks {
  uint64_t first = 0;
  uint64_t count = 0;
  bool operator==(const Ranks&) const = default;
};

// From index `start` to `stop`, both included; negative ones count from the end. size: of the set.
Ranks RanksBetween(int64_t start, int64_t stop, uint64_t size);
// LIMIT offset count: what is left of a range that is walked from its start, or its end if `reverse`. A negative
// offset leaves nothing, a negative count is none.
Ranks Limit(Ranks ranks, bool reverse, int64_t offset, int64_t count);

class SortedSet {
 public:
  // How ZADD and ZINCRBY change a score.
  struct AddRule {
    bool increment = false;        // INCR: the number is added to the score
    bool only_new = false;         // NX
    bool only_existing = false;    // XX
    bool only_greater = false;     // GT
    bool only_less = false;        // LT
  };
  enum class AddOutcome : uint8_t {
    kAdded,
    kUpdated,
    kSame,     // it had this score already
    kSkipped,  // the rule forbids it: ZADD ... INCR answers null
    kNotANumber,  // inf - inf: "ERR resulting score is not a number (NaN)"; nothing changed
  };
  struct AddResult {
    AddOutcome outcome;
    double score;  // that the member has now; 0 if kSkipped or kNotANumber
  };

  SortedSet();  // empty, a listpack
  // Takes over what Release gave.
  static SortedSet Adopt(Encoding encoding, void* rep) { return SortedSet(encoding, rep); }
  // Takes over a listpack with Validate()d bytes from outside: pairs, in order or not, that become a table if they
  // are more than the limits allow. Nothing if they are no sorted set: odd, a member twice, a score that is none.
  static std::optional<SortedSet> FromListpack(Listpack pack, const Limits& limits);

  SortedSet(SortedSet&& other) noexcept : encoding_(other.encoding_), rep_(std::exchange(other.rep_, nullptr)) {}
  SortedSet& operator=(SortedSet&& other) noexcept {
    std::swap(encoding_, other.encoding_);
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~SortedSet();
  // Gives the value away; nothing but destruction may follow.
  void* Release() { return std::exchange(rep_, nullptr); }
  SortedSet Clone() const;

  Encoding encoding() const { return encoding_; }
  // "listpack" or "skiplist", as OBJECT ENCODING answers.
  std::string_view EncodingName() const { return types::EncodingName(Kind::kSortedSet, encoding_); }
  uint64_t Size() const;
  bool empty() const { return Size() == 0; }
  // O(1).
  size_t AllocatedBytes() const;
  // Only if it is one: what RDB files hold.
  ListpackView listpack() const { return ListpackView(rep_); }

  // score: no NaN.
  AddResult Add(std::string_view member, double score, const AddRule& rule, const Limits& limits);
  AddResult Add(std::string_view member, double score, const Limits& limits) {
    return Add(member, score, AddRule{}, limits);
  }
  bool Remove(std::string_view member);
  std::optional<double> Score(std::string_view member) const;
  // From the lowest, or from the highest if `reverse`. score: may be nullptr.
  std::optional<uint64_t> Rank(std::string_view member, bool reverse = false, double* score = nullptr) const;

  Ranks RanksIn(const ScoreRange& range) const;
  // Has a meaning only if all scores are equal, as in Redis.
  Ranks RanksIn(const LexRange& range) const;
  // Calls fn(member, score) until it returns false; from the end of the range if `reverse`. ranks: within the set.
  void Walk(Ranks ranks, bool reverse, FunctionRef<bool(std::string_view, double)> fn) const;
  void WalkAll(FunctionRef<bool(std::string_view, double)> fn) const { Walk({0, Size()}, false, fn); }
  void RemoveRange(Ranks ranks);
  // One step of ZSCAN: calls fn for `wanted` members or a few more and returns the next cursor, 0 at the end. Who
  // stays from the first step to the last is seen. A listpack is seen whole.
  uint64_t Scan(uint64_t cursor, uint64_t wanted, FunctionRef<void(std::string_view, double)> fn) const;

  // A table at once if so many members are to come: what a command announces before it adds.
  void Expect(uint64_t members, size_t longest_member, const Limits& limits);
  // A listpack if it fits: for results that commands store, and for what is loaded.
  void Compact(const Limits& limits);

  // CHECKs every invariant; for tests. O(n).
  void Validate() const;

 private:
  struct Table;
  SortedSet(Encoding encoding, void* rep) : encoding_(encoding), rep_(rep) {}

  Table& table() const { return *static_cast<Table*>(rep_); }
  bool is_listpack() const { return encoding_ == Encoding::kListpack; }
  void BecomeTable();
  AddResult AddToListpack(std::string_view member, double score, const AddRule& rule, const Limits& limits,
                          bool* too_large);
  AddResult AddToTable(std::string_view member, double score, const AddRule& rule);

  Encoding encoding_;
  void* rep_;  // Listpack's block, or Table
};

}  // namespace understudy::types
