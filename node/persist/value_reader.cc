#include "node/persist/value_reader.h"

#include <cmath>

#include "common/check.h"
#include "node/persist/old_packs.h"
#include "node/persist/rdb_format.h"

namespace understudy::persist {
namespace {

using types::Hash;
using types::List;
using types::Listpack;
using types::ListpackValue;
using types::ListpackView;
using types::Set;
using types::SortedSet;

// At that time no field has expired.
constexpr int64_t kBeforeAll = INT64_MIN;

bool IsBlob(uint8_t type) {
  switch (type) {
    case kTypeHashZipmap:
    case kTypeListZiplist:
    case kTypeSetIntset:
    case kTypeZsetZiplist:
    case kTypeHashZiplist:
    case kTypeHashListpack:
    case kTypeZsetListpack:
    case kTypeSetListpack:
    case kTypeHashListpackEx: return true;
    default: return false;
  }
}

std::optional<double> ScoreOf(const ListpackValue& value) {
  if (value.is_integer()) return static_cast<double>(value.integer());
  ListpackValue::Buffer buffer;
  return types::ParseScore(value.Text(buffer));
}

}  // namespace

bool ValueReader::Reads(uint8_t type, int version) {
  switch (type) {
    case kTypeHash2: return version >= kFirstValkeyVersion;
    case kTypeHashMetadata:
    case kTypeHashListpackEx: return version < kFirstValkeyVersion;
    case kTypeList:
    case kTypeSet:
    case kTypeZset:
    case kTypeHash:
    case kTypeZset2:
    case kTypeListQuicklist:
    case kTypeListQuicklist2:
    case kTypeStream:
    case kTypeStream2:
    case kTypeStream3: return true;
    default: return IsBlob(type);
  }
}

ValueReader::ValueReader(uint8_t type, const types::Limits& limits, size_t max_string_bytes)
    : type_(type), limits_(limits), max_string_bytes_(max_string_bytes) {
  switch (type) {
    case kTypeList:
    case kTypeListZiplist:
    case kTypeListQuicklist: list_.emplace(); break;
    case kTypeListQuicklist2: list_.emplace(List::OfNodes()); break;
    case kTypeZset:
    case kTypeZset2:
    case kTypeZsetZiplist: sorted_set_.emplace(); break;
    case kTypeHash:
    case kTypeHash2:
    case kTypeHashMetadata:
    case kTypeHashZipmap:
    case kTypeHashZiplist:
    case kTypeHashListpackEx: hash_.emplace(); break;
    case kTypeStream:
    case kTypeStream2:
    case kTypeStream3: stream_.emplace(static_cast<types::StreamForm>(type)); break;
    default: break;  // made of the blob, or with the first element
  }
}

bool ValueReader::Step(RdbCursor& cursor) {
  CHECK(!done_);
  if (stream_) return StreamPiece(cursor);
  if (!begun_) {
    if (!Begin(cursor)) return false;
    begun_ = true;
  } else {
    if (!Element(cursor)) return false;
    --left_;
  }
  done_ = left_ == 0;
  return true;
}

// Reads the number of elements, or all of a blob.
bool ValueReader::Begin(RdbCursor& cursor) {
  if (type_ == kTypeHashMetadata || type_ == kTypeHashListpackEx) {
    if (!cursor.LittleEndian(&base_ms_)) return false;
    if (base_ms_ < 0) return cursor.Error("a hash has a field that expires before 1970");
  }
  if (IsBlob(type_)) {
    std::string_view bytes;
    return cursor.String(max_string_bytes_, &decoded_[0], &bytes) && Blob(cursor, bytes);
  }
  if (!cursor.PlainLength(&count_)) return false;
  left_ = count_;
  // What becomes a table anyhow is one from the start.
  if (sorted_set_) sorted_set_->Expect(count_, 0, limits_);
  if (count_ > limits_.hash_max_listpack_entries) limits_.hash_max_listpack_entries = 0;
  return true;
}

bool ValueReader::Blob(RdbCursor& cursor, std::string_view bytes) {
  bool good = true;
  switch (type_) {
    case kTypeSetIntset:
      set_ = Set::FromIntset(bytes, limits_);
      if (!set_) return cursor.Error("an intset is damaged");
      return true;
    case kTypeSetListpack:
      set_ = Set::FromListpack(bytes, limits_);
      if (!set_) return cursor.Error("the listpack of a set is damaged");
      return true;
    case kTypeHashListpack:
      hash_ = Hash::FromListpack(bytes, limits_);
      if (!hash_) return cursor.Error("the listpack of a hash is damaged");
      return true;
    case kTypeZsetListpack:
      if (ListpackView::Validate(bytes, true)) sorted_set_ = SortedSet::FromListpack(Listpack::Copy(bytes), limits_);
      if (!sorted_set_) return cursor.Error("the listpack of a sorted set is damaged");
      return true;
    case kTypeHashListpackEx:
      if (!ReadListpackWithExpiry(bytes)) return cursor.Error("the listpack of a hash is damaged");
      return true;
    case kTypeHashZipmap:
      good = WalkZipmap(bytes, [&](std::string_view field, std::string_view value) {
        return AddField(field, value, types::kNoExpire);
      });
      if (!good) return cursor.Error("a zipmap is damaged");
      return true;
    default:
      if (!ReadZiplist(bytes)) return cursor.Error("a ziplist is damaged");
      return true;
  }
}

bool ValueReader::ReadZiplist(std::string_view bytes) {
  if (list_) {
    return WalkZiplist(bytes, [&](const ListpackValue& value) {
      ListpackValue::Buffer buffer;
      list_->Push(types::ListEnd::kTail, value.Text(buffer), limits_);
      return true;
    });
  }
  // Fields with values, or members with scores.
  bool second = false;
  std::string first;
  const bool good = WalkZiplist(bytes, [&](const ListpackValue& value) {
    second = !second;
    ListpackValue::Buffer buffer;
    if (second) {
      first = value.Text(buffer);
      return true;
    }
    if (hash_) return AddField(first, value.Text(buffer), types::kNoExpire);
    const std::optional<double> score = ScoreOf(value);
    return score && AddScored(first, *score);
  });
  return good && !second;
}

bool ValueReader::ReadListpackWithExpiry(std::string_view bytes) {
  if (!ListpackView::Validate(bytes, true)) return false;
  const ListpackView pack(bytes.data());
  if (pack.Count() % 3 != 0) return false;
  for (auto at = pack.First(); at != ListpackView::kNone;) {
    ListpackValue::Buffer name, value;
    const std::string_view name_text = pack.Get(at).Text(name);
    at = pack.Next(at);
    const std::string_view value_text = pack.Get(at).Text(value);
    at = pack.Next(at);
    const ListpackValue expire = pack.Get(at);
    at = pack.Next(at);
    if (!expire.is_integer() || expire.integer() < 0) return false;
    if (!AddField(name_text, value_text, expire.integer() == 0 ? types::kNoExpire : expire.integer())) return false;
  }
  return true;
}

bool ValueReader::Element(RdbCursor& cursor) {
  std::string_view first, second;
  uint64_t n = 0;
  double score = 0;
  int64_t expire_ms = types::kNoExpire;
  const auto string = [&](int i, std::string_view* out) {
    return cursor.String(max_string_bytes_, &decoded_[i], out);
  };
  switch (type_) {
    case kTypeList:
      if (!string(0, &first)) return false;
      list_->Push(types::ListEnd::kTail, first, limits_);
      return true;
    case kTypeListQuicklist:
      if (!string(0, &first)) return false;
      return ReadZiplist(first) || cursor.Error("a ziplist is damaged");
    case kTypeListQuicklist2: return cursor.PlainLength(&n) && string(0, &first) && AddNode(cursor, n, first);
    case kTypeSet:
      if (!string(0, &first)) return false;
      if (!set_) set_.emplace(first, count_, limits_);
      return set_->Add(first, limits_) || cursor.Error("a set has a member twice");
    case kTypeZset:
      if (!string(0, &first) || !cursor.TextDouble(&score)) return false;
      return AddScored(first, score) || cursor.Error("a sorted set has a member twice");
    case kTypeZset2:
      if (!string(0, &first) || !cursor.LittleEndian(&score)) return false;
      if (std::isnan(score)) return cursor.Error("a score is not a number");
      return AddScored(first, score) || cursor.Error("a sorted set has a member twice");
    case kTypeHashMetadata:
      if (!cursor.PlainLength(&n) || !string(0, &first) || !string(1, &second)) return false;
      if (n > 0 && (n > INT64_MAX || __builtin_add_overflow(base_ms_, static_cast<int64_t>(n) - 1, &expire_ms))) {
        return cursor.Error("a field expires beyond all time");
      }
      break;
    case kTypeHash2:
      if (!string(0, &first) || !string(1, &second) || !cursor.LittleEndian(&expire_ms)) return false;
      if (expire_ms < -1) return cursor.Error("a hash has a field that expires before 1970");
      if (expire_ms == -1) expire_ms = types::kNoExpire;
      break;
    default:
      if (!string(0, &first) || !string(1, &second)) return false;
      break;
  }
  return AddField(first, second, expire_ms) || cursor.Error("a hash has a field twice");
}

bool ValueReader::StreamPiece(RdbCursor& cursor) {
  uint64_t n = 0;
  std::string_view text;
  Status given;
  switch (stream_->next()) {
    case types::StreamBuilder::Piece::kLength:
      if (!cursor.PlainLength(&n)) return false;
      given = stream_->Give(n);
      break;
    case types::StreamBuilder::Piece::kText:
      if (!cursor.String(max_string_bytes_, &decoded_[0], &text)) return false;
      given = stream_->Give(text);
      break;
    case types::StreamBuilder::Piece::kBytes:
      if (!cursor.Bytes(stream_->bytes(), &text)) return false;
      given = stream_->Give(text);
      break;
    case types::StreamBuilder::Piece::kDone: CHECK(false);
  }
  if (!given.ok()) return cursor.Error(std::string(given.message()));
  done_ = stream_->next() == types::StreamBuilder::Piece::kDone;
  return true;
}

bool ValueReader::AddField(std::string_view name, std::string_view value, int64_t expire_ms) {
  return hash_->Set(name, value, expire_ms, limits_, kBeforeAll);
}

bool ValueReader::AddScored(std::string_view member, double score) {
  return sorted_set_->Add(member, score, limits_).outcome == SortedSet::AddOutcome::kAdded;
}

bool ValueReader::AddNode(RdbCursor& cursor, uint64_t kind, std::string_view bytes) {
  if (kind == kNodePlain) {
    list_->AppendPlain(bytes);
    return true;
  }
  if (kind != kNodePacked) return cursor.Error("a list has a node of an unknown kind");
  if (!ListpackView::Validate(bytes, true)) return cursor.Error("the listpack of a list is damaged");
  list_->AppendPack(Listpack::Copy(bytes));
  return true;
}

store::Collection ValueReader::Take() {
  CHECK(done_);
  if (stream_) return store::Collection(stream_->Take());
  if (list_ && list_->Size() > 0) {
    list_->Compact(limits_);
    return store::Collection(*std::move(list_));
  }
  if (set_ && set_->Size() > 0) return store::Collection(*std::move(set_));
  if (sorted_set_ && sorted_set_->Size() > 0) {
    sorted_set_->Compact(limits_);
    return store::Collection(*std::move(sorted_set_));
  }
  if (hash_ && hash_->Size() > 0) return store::Collection(*std::move(hash_));
  return {};
}

}  // namespace understudy::persist
