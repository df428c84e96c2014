#include "node/types/sorted_set.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <unordered_set>
#include <vector>

#include "node/types/member_table.h"
#include "node/types/score_tree.h"

namespace understudy::types {
namespace {

using Position = ListpackView::Position;
using PlaceKind = ScoreTree::Place::Kind;

// Edits the listpack of a set in place of the block it had.
class Edit {
 public:
  explicit Edit(void** block) : block_(block), pack_(Listpack::Adopt(*block)) {}
  ~Edit() { *block_ = pack_.Release(); }
  Edit(const Edit&) = delete;
  Edit& operator=(const Edit&) = delete;
  Listpack* operator->() { return &pack_; }
  Listpack& operator*() { return pack_; }

 private:
  void** block_;
  Listpack pack_;
};

// As far as it is a number: what came from outside was looked at when it came in.
double ReadScore(const ListpackValue& value) {
  if (value.is_integer()) return static_cast<double>(value.integer());
  ListpackValue::Buffer buffer;
  const std::string_view text = value.Text(buffer);
  double score = 0;
  std::from_chars(text.data(), text.data() + text.size(), score);
  return score;
}

double ScoreAt(ListpackView pack, Position member) { return ReadScore(pack.Get(pack.Next(member))); }

// A listpack has no negative zero, as in Redis.
std::string_view ListpackScore(double score, ScoreBuffer& buffer) {
  return FormatScore(score == 0 ? 0 : score, buffer);
}

bool IsBefore(double score, std::string_view member, double other_score, std::string_view other) {
  return score != other_score ? score < other_score : member < other;
}

// Members of a listpack, from the start, for which is_before(score, value) holds.
template <typename IsBefore>
uint64_t CountWhile(ListpackView pack, IsBefore is_before) {
  uint64_t count = 0;
  for (Position at = pack.First(); at != ListpackView::kNone; ++count) {
    const Position score = pack.Next(at);
    if (!is_before(ReadScore(pack.Get(score)), pack.Get(at))) break;
    at = pack.Next(score);
  }
  return count;
}

void InsertPair(Listpack& pack, std::string_view member, double score) {
  ScoreBuffer text;
  const std::string_view score_text = ListpackScore(score, text);
  Position at = pack.First();
  while (at != ListpackView::kNone) {
    ListpackValue::Buffer buffer;
    const Position other_score = pack.Next(at);
    if (!IsBefore(ReadScore(pack.Get(other_score)), pack.Get(at).Text(buffer), score, member)) break;
    at = pack.Next(other_score);
  }
  if (at == ListpackView::kNone) {
    pack.AppendPair(member, score_text);
  } else {
    pack.InsertAfter(pack.InsertBefore(at, member), score_text);
  }
}

// What a rule makes of a score. kUpdated: *score is the new one.
SortedSet::AddOutcome Rescore(double current, const SortedSet::AddRule& rule, double* score) {
  using Outcome = SortedSet::AddOutcome;
  if (rule.only_new) return Outcome::kSkipped;
  if (rule.increment) *score += current;
  if (std::isnan(*score)) return Outcome::kNotANumber;
  if ((rule.only_less && *score >= current) || (rule.only_greater && *score <= current)) return Outcome::kSkipped;
  return *score == current ? Outcome::kSame : Outcome::kUpdated;
}

SortedSet::AddResult ResultOf(SortedSet::AddOutcome outcome, double score) {
  using Outcome = SortedSet::AddOutcome;
  return {outcome, outcome == Outcome::kSkipped || outcome == Outcome::kNotANumber ? 0 : score};
}

}  // namespace

Ranks RanksBetween(int64_t start, int64_t stop, uint64_t size) {
  const auto n = static_cast<int64_t>(size);
  if (start < 0) start = std::max<int64_t>(start + n, 0);
  if (stop < 0) stop += n;
  stop = std::min(stop, n - 1);
  if (start > stop) return {};
  return {static_cast<uint64_t>(start), static_cast<uint64_t>(stop - start + 1)};
}

Ranks Limit(Ranks ranks, bool reverse, int64_t offset, int64_t count) {
  if (offset < 0 || static_cast<uint64_t>(offset) >= ranks.count) return {ranks.first, 0};
  const uint64_t rest = ranks.count - static_cast<uint64_t>(offset);
  const uint64_t kept = count < 0 ? rest : std::min(rest, static_cast<uint64_t>(count));
  return {reverse ? ranks.first + rest - kept : ranks.first + static_cast<uint64_t>(offset), kept};
}

// The large form. Owns the members.
struct SortedSet::Table {
  MemberTable members;
  ScoreTree tree;
  size_t member_bytes = 0;

  ~Table() {
    for (ScoreTree::Cursor cursor = tree.First(); cursor;) {
      auto* const member = const_cast<ScoredMember*>(cursor.get());
      cursor.Next();
      ScoredMember::Delete(member);
    }
  }
  void Insert(std::string_view name, double score) {
    ScoredMember* const member = ScoredMember::New(name, score);
    member_bytes += member->AllocatedBytes();
    members.Insert(member);
    tree.Insert(member);
  }
  void Delete(ScoredMember* member) {
    member_bytes -= member->AllocatedBytes();
    ScoredMember::Delete(member);
  }
};

SortedSet::SortedSet() : SortedSet(Encoding::kListpack, Listpack().Release()) {}

SortedSet::~SortedSet() {
  if (rep_ == nullptr) return;
  is_listpack() ? std::free(rep_) : delete &table();
}

std::optional<SortedSet> SortedSet::FromListpack(Listpack pack, const Limits& limits) {
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> integers;  // texts of members that are integers
  const size_t count = pack.Count();
  if (count % 2 != 0) return std::nullopt;
  integers.reserve(count / 2);
  bool in_order = true;
  double last_score = -INFINITY;
  std::string_view last_member;
  for (Position at = pack.First(); at != ListpackView::kNone;) {
    const ListpackValue value = pack.Get(at);
    ListpackValue::Buffer buffer;
    std::string_view member = value.Text(buffer);
    if (value.is_integer()) member = integers.emplace_back(member);
    at = pack.Next(at);
    const ListpackValue score_value = pack.Get(at);
    if (!score_value.is_integer() && !ParseScore(score_value.Text(buffer))) return std::nullopt;
    const double score = ReadScore(score_value);
    if (!seen.insert(member).second) return std::nullopt;
    in_order = in_order && (seen.size() == 1 || IsBefore(last_score, last_member, score, member));
    last_score = score;
    last_member = member;
    at = pack.Next(at);
  }
  SortedSet set(Encoding::kListpack, pack.Release());
  if (!in_order || count / 2 > limits.zset_max_listpack_entries) set.BecomeTable();
  if (!in_order) set.Compact(limits);
  return set;
}

SortedSet SortedSet::Clone() const {
  if (is_listpack()) return SortedSet(Encoding::kListpack, Listpack::Copy(listpack().AsBytes()).Release());
  auto* const copy = new Table;
  WalkAll([&](std::string_view member, double score) {
    copy->Insert(member, score);
    return true;
  });
  return SortedSet(Encoding::kTable, copy);
}

uint64_t SortedSet::Size() const { return is_listpack() ? listpack().Count() / 2 : table().tree.size(); }

size_t SortedSet::AllocatedBytes() const {
  if (is_listpack()) return listpack().AllocatedBytes();
  const Table& t = table();
  return malloc_usable_size(rep_) + t.members.AllocatedBytes() + t.tree.AllocatedBytes() + t.member_bytes;
}

void SortedSet::BecomeTable() {
  if (!is_listpack()) return;
  auto* const made = new Table;
  WalkAll([&](std::string_view member, double score) {
    made->Insert(member, score);
    return true;
  });
  std::free(rep_);
  rep_ = made;
  encoding_ = Encoding::kTable;
}

void SortedSet::Expect(uint64_t members, size_t longest_member, const Limits& limits) {
  if (members > limits.zset_max_listpack_entries || longest_member > limits.zset_max_listpack_value) BecomeTable();
}

void SortedSet::Compact(const Limits& limits) {
  if (is_listpack() || Size() > limits.zset_max_listpack_entries) return;
  size_t bytes = 0;
  bool fits = true;
  WalkAll([&](std::string_view member, double) {
    bytes += member.size();
    return fits = member.size() <= limits.zset_max_listpack_value;
  });
  // As much again for lengths and scores.
  constexpr size_t kPairBytes = 64;
  if (!fits || bytes + Size() * kPairBytes > ListpackView::kMaxBytes) return;
  Listpack pack;
  WalkAll([&](std::string_view member, double score) {
    ScoreBuffer text;
    pack.AppendPair(member, ListpackScore(score, text));
    return true;
  });
  pack.ShrinkToFit();
  delete &table();
  rep_ = pack.Release();
  encoding_ = Encoding::kListpack;
}

SortedSet::AddResult SortedSet::Add(std::string_view member, double score, const AddRule& rule,
                                    const Limits& limits) {
  CHECK(!std::isnan(score));
  if (is_listpack()) {
    bool too_large = false;
    const AddResult result = AddToListpack(member, score, rule, limits, &too_large);
    if (!too_large) return result;
    BecomeTable();
  }
  return AddToTable(member, score, rule);
}

SortedSet::AddResult SortedSet::AddToListpack(std::string_view member, double score, const AddRule& rule,
                                              const Limits& limits, bool* too_large) {
  Edit pack(&rep_);
  const Position at = pack->Find(pack->First(), member, 2);
  if (at != ListpackView::kNone) {
    const AddOutcome outcome = Rescore(ScoreAt(*pack, at), rule, &score);
    if (outcome == AddOutcome::kUpdated) {
      pack->EraseRange(at, 2);
      InsertPair(*pack, member, score);
    }
    return ResultOf(outcome, score);
  }
  if (rule.only_existing) return {AddOutcome::kSkipped, 0};
  if (pack->Count() / 2 + 1 > limits.zset_max_listpack_entries || member.size() > limits.zset_max_listpack_value ||
      !pack->HasRoomFor(member.size() + sizeof(ScoreBuffer))) {
    *too_large = true;
    return {};
  }
  InsertPair(*pack, member, score);
  return {AddOutcome::kAdded, score};
}

SortedSet::AddResult SortedSet::AddToTable(std::string_view member, double score, const AddRule& rule) {
  Table& t = table();
  if (ScoredMember* const found = t.members.Find(member)) {
    const AddOutcome outcome = Rescore(found->score(), rule, &score);
    if (outcome == AddOutcome::kUpdated) t.tree.UpdateScore(found, score);
    return ResultOf(outcome, score);
  }
  if (rule.only_existing) return {AddOutcome::kSkipped, 0};
  t.Insert(member, score);
  return {AddOutcome::kAdded, score};
}

bool SortedSet::Remove(std::string_view member) {
  if (is_listpack()) {
    const Position at = listpack().Find(listpack().First(), member, 2);
    if (at == ListpackView::kNone) return false;
    Edit(&rep_)->EraseRange(at, 2);
    return true;
  }
  Table& t = table();
  ScoredMember* const found = t.members.Erase(member);
  if (found == nullptr) return false;
  t.tree.Erase(found);
  t.Delete(found);
  return true;
}

std::optional<double> SortedSet::Score(std::string_view member) const {
  if (is_listpack()) {
    const Position at = listpack().Find(listpack().First(), member, 2);
    if (at == ListpackView::kNone) return std::nullopt;
    return ScoreAt(listpack(), at);
  }
  const ScoredMember* const found = table().members.Find(member);
  if (found == nullptr) return std::nullopt;
  return found->score();
}

std::optional<uint64_t> SortedSet::Rank(std::string_view member, bool reverse, double* score) const {
  uint64_t rank = 0;
  if (is_listpack()) {
    const uint64_t size = Size();
    rank = CountWhile(listpack(), [&](double other_score, const ListpackValue& value) {
      if (!value.Is(member)) return true;
      if (score != nullptr) *score = other_score;
      return false;
    });
    if (rank == size) return std::nullopt;
  } else {
    const ScoredMember* const found = table().members.Find(member);
    if (found == nullptr) return std::nullopt;
    if (score != nullptr) *score = found->score();
    rank = table().tree.Rank(found);
  }
  return reverse ? Size() - 1 - rank : rank;
}

Ranks SortedSet::RanksIn(const ScoreRange& range) const {
  uint64_t begin, end;
  if (is_listpack()) {
    begin = CountWhile(listpack(), [&](double score, const ListpackValue&) {
      return score < range.min.value || (range.min.exclusive && score == range.min.value);
    });
    end = CountWhile(listpack(), [&](double score, const ListpackValue&) {
      return score < range.max.value || (!range.max.exclusive && score == range.max.value);
    });
  } else {
    const ScoreTree& tree = table().tree;
    begin = tree.CountBefore({range.min.exclusive ? PlaceKind::kAfterScore : PlaceKind::kBeforeScore, range.min.value});
    end = tree.CountBefore({range.max.exclusive ? PlaceKind::kBeforeScore : PlaceKind::kAfterScore, range.max.value});
  }
  return {begin, end > begin ? end - begin : 0};
}

Ranks SortedSet::RanksIn(const LexRange& range) const {
  // How many members lie before the bound, with the bound itself if `with`.
  const auto count_before = [&](const LexBound& bound, bool with) -> uint64_t {
    if (bound.kind == LexBound::Kind::kLowest) return 0;
    if (bound.kind == LexBound::Kind::kHighest) return Size();
    if (!is_listpack()) {
      return table().tree.CountBefore({with ? PlaceKind::kAfterName : PlaceKind::kBeforeName, 0, bound.member});
    }
    return CountWhile(listpack(), [&](double, const ListpackValue& value) {
      ListpackValue::Buffer buffer;
      const int order = value.Text(buffer).compare(bound.member);
      return order < 0 || (with && order == 0);
    });
  };
  const uint64_t begin = count_before(range.min, range.min.kind == LexBound::Kind::kExclusive);
  const uint64_t end = count_before(range.max, range.max.kind == LexBound::Kind::kInclusive);
  return {begin, end > begin ? end - begin : 0};
}

void SortedSet::Walk(Ranks ranks, bool reverse, FunctionRef<bool(std::string_view, double)> fn) const {
  if (ranks.count == 0) return;
  const uint64_t size = Size();
  CHECK(ranks.first < size && ranks.count <= size - ranks.first);
  const uint64_t from = reverse ? ranks.first + ranks.count - 1 : ranks.first;
  uint64_t left = ranks.count;
  if (is_listpack()) {
    const ListpackView pack = listpack();
    for (Position at = pack.Seek(static_cast<int64_t>(2 * from)); left > 0; --left) {
      ListpackValue::Buffer buffer;
      const Position score = pack.Next(at);
      if (!fn(pack.Get(at).Text(buffer), ReadScore(pack.Get(score)))) return;
      if (left == 1) return;
      at = reverse ? pack.Previous(pack.Previous(at)) : pack.Next(score);
    }
    return;
  }
  for (ScoreTree::Cursor cursor = table().tree.AtRank(from); left > 0; --left) {
    if (!fn(cursor->member(), cursor->score())) return;
    reverse ? cursor.Prev() : cursor.Next();
  }
}

void SortedSet::RemoveRange(Ranks ranks) {
  if (is_listpack()) {
    if (ranks.count > 0) Edit(&rep_)->EraseAt(static_cast<int64_t>(2 * ranks.first), 2 * ranks.count);
    return;
  }
  Table& t = table();
  t.tree.EraseRange(ranks.first, ranks.count, [&](ScoredMember* member) {
    CHECK(t.members.Erase(member->member()) == member);
    t.Delete(member);
  });
}

uint64_t SortedSet::Scan(uint64_t cursor, uint64_t wanted, FunctionRef<void(std::string_view, double)> fn) const {
  if (!is_listpack()) {
    return table().members.Scan(
        cursor, wanted, [&](const ScoredMember& member) { fn(member.member(), member.score()); });
  }
  WalkAll([&](std::string_view member, double score) {
    fn(member, score);
    return true;
  });
  return 0;
}

void SortedSet::Validate() const {
  if (is_listpack()) {
    CHECK(ListpackView::Validate(listpack().AsBytes(), true) && listpack().Count() % 2 == 0);
    std::string last;
    double last_score = 0;
    bool first = true;
    WalkAll([&](std::string_view member, double score) {
      CHECK(first || IsBefore(last_score, last, score, member));
      last = member;
      last_score = score;
      first = false;
      return true;
    });
    return;
  }
  const Table& t = table();
  t.members.Validate();
  t.tree.Validate();
  CHECK(t.members.size() == t.tree.size());
  size_t bytes = 0;
  for (ScoreTree::Cursor cursor = t.tree.First(); cursor; cursor.Next()) {
    CHECK(t.members.Find(cursor->member()) == cursor.get());
    bytes += cursor->AllocatedBytes();
  }
  CHECK(bytes == t.member_bytes);
}

}  // namespace understudy::types
