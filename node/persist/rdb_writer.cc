#include "node/persist/rdb_writer.h"

#include <bit>

#include "common/check.h"
#include "node/persist/crc64.h"
#include "node/persist/rdb_format.h"
#include "node/types/hash.h"
#include "node/types/list.h"
#include "node/types/set.h"
#include "node/types/sorted_set.h"
#include "node/types/stream.h"
#include "node/types/stream_rdb.h"

namespace understudy::persist {
namespace {

static_assert(std::endian::native == std::endian::little);

template <typename T>
void AppendLittleEndian(std::string& out, T n) {
  out.append(reinterpret_cast<const char*>(&n), sizeof n);
}

void AppendByte(std::string& out, uint8_t b) { out.push_back(static_cast<char>(b)); }

// A value of an entry in the form that a reader of `version` understands.
class ValueWriter {
 public:
  ValueWriter(std::string* out, const store::Entry& entry, int version, FunctionRef<std::string*(std::string*)> next)
      : out_(out), entry_(entry), version_(version), next_(next) {}

  uint8_t Type() const {
    const bool compact = entry_.encoding() != types::Encoding::kTable;
    const bool old = version_ <= kOldRdbVersion;
    switch (entry_.type()) {
      case store::Type::kString: return kTypeString;
      case store::Type::kList: return old ? kTypeList : kTypeListQuicklist2;
      case store::Type::kSet:
        if (entry_.encoding() == types::Encoding::kIntset) return kTypeSetIntset;
        return compact && !old ? kTypeSetListpack : kTypeSet;
      case store::Type::kSortedSet: return compact && !old ? kTypeZsetListpack : kTypeZset2;
      case store::Type::kHash:
        if (compact) return old ? kTypeHash : kTypeHashListpack;
        if (version_ >= kValkeyRdbVersion && HasFieldExpiry(entry_)) return kTypeHash2;
        return kTypeHash;
      case store::Type::kStream: return old ? kTypeStream : kTypeStream3;
    }
    CHECK(false);
  }

  // All but the type. False if `next` gave up.
  bool Write() {
    switch (Type()) {
      case kTypeString: AppendRdbString(*out_, entry_.value()); return true;
      case kTypeList: return WriteList();
      case kTypeListQuicklist2: return WriteNodes();
      case kTypeSet: return WriteSet();
      case kTypeSetIntset:
      case kTypeSetListpack: return WriteBlob(entry_.As<types::Set>()->AsBytes());
      case kTypeZset2: return WriteSortedSet();
      case kTypeZsetListpack: return WriteBlob(entry_.As<types::SortedSet>()->listpack().AsBytes());
      case kTypeHash: return WriteHash(false);
      case kTypeHash2: return WriteHash(true);
      case kTypeHashListpack: return WriteBlob(entry_.As<types::Hash>()->AsListpack());
      case kTypeStream:
      case kTypeStream3: return WriteStream();
    }
    CHECK(false);
  }

  static bool HasFieldExpiry(const store::Entry& entry) {
    return entry.type() == store::Type::kHash && entry.As<types::Hash>()->next_expire_ms() != types::kNoExpire;
  }

 private:
  bool Next() {
    if (out_ != nullptr) out_ = next_(out_);
    return out_ != nullptr;
  }
  bool WriteBlob(std::string_view bytes) {
    AppendRdbLength(*out_, bytes.size());
    *out_ += bytes;
    return true;
  }
  bool WriteList() {
    const auto list = entry_.As<types::List>();
    AppendRdbLength(*out_, list->Size());
    list->WalkAll([&](const types::ListpackValue& value) {
      types::ListpackValue::Buffer buffer;
      AppendRdbString(*out_, value.Text(buffer));
      return Next();
    });
    return out_ != nullptr;
  }
  bool WriteNodes() {
    const auto list = entry_.As<types::List>();
    AppendRdbLength(*out_, list->nodes());
    list->ForEachNode([&](bool plain, std::string_view bytes) {
      if (out_ == nullptr) return;
      AppendRdbLength(*out_, plain ? kNodePlain : kNodePacked);
      WriteBlob(bytes);
      Next();
    });
    return out_ != nullptr;
  }
  bool WriteSet() {
    const auto set = entry_.As<types::Set>();
    AppendRdbLength(*out_, set->Size());
    return set->ForEach([&](const types::Set::Member& member) {
      types::ListpackValue::Buffer buffer;
      AppendRdbString(*out_, member.Text(buffer));
      return Next();
    });
  }
  bool WriteSortedSet() {
    const auto set = entry_.As<types::SortedSet>();
    AppendRdbLength(*out_, set->Size());
    set->WalkAll([&](std::string_view member, double score) {
      AppendRdbString(*out_, member);
      AppendLittleEndian(*out_, score);
      return Next();
    });
    return out_ != nullptr;
  }
  bool WriteHash(bool with_expiry) {
    const auto hash = entry_.As<types::Hash>();
    AppendRdbLength(*out_, hash->Size());
    constexpr int64_t kEverything = INT64_MIN;  // at that time no field has expired
    return hash->ForEach(kEverything, [&](const types::Hash::Field& field) {
      types::ListpackValue::Buffer buffer;
      AppendRdbString(*out_, field.name.Text(buffer));
      AppendRdbString(*out_, field.value.Text(buffer));
      if (with_expiry) AppendLittleEndian(*out_, field.expire_ms == types::kNoExpire ? int64_t{-1} : field.expire_ms);
      return Next();
    });
  }

  // Gives up only by writing no more: it walks the stream to its end.
  class StreamPieces final : public types::StreamSink {
   public:
    explicit StreamPieces(ValueWriter& writer) : writer_(writer) {}
    void Length(uint64_t n) override {
      if (writer_.out_ != nullptr) AppendRdbLength(*writer_.out_, n);
    }
    void Text(std::string_view bytes) override {
      if (writer_.out_ != nullptr) writer_.WriteBlob(bytes);
      writer_.Next();
    }
    void Bytes(std::string_view bytes) override {
      if (writer_.out_ != nullptr) *writer_.out_ += bytes;
      writer_.Next();
    }

   private:
    ValueWriter& writer_;
  };
  bool WriteStream() {
    StreamPieces pieces(*this);
    types::WriteStream(*entry_.As<types::Stream>(), static_cast<types::StreamForm>(Type()), pieces);
    return out_ != nullptr;
  }

  std::string* out_;
  const store::Entry& entry_;
  const int version_;
  const FunctionRef<std::string*(std::string*)> next_;
};

// In one piece.
constexpr auto kOnePiece = [](std::string* out) { return out; };

void AppendExpiry(std::string& out, const store::Entry& entry) {
  if (!entry.has_expire()) return;
  AppendByte(out, kOpExpireMs);
  AppendLittleEndian(out, entry.expire_ms());
}

}  // namespace

void AppendRdbMagic(std::string& out, int version) {
  const bool valkey = version >= kFirstValkeyVersion;
  const std::string digits = std::to_string(version);
  out += valkey ? "VALKEY" : "REDIS";
  out.append((valkey ? 3 : 4) - digits.size(), '0');
  out += digits;
}

void AppendRdbLength(std::string& out, uint64_t n) {
  if (n < 64) {
    AppendByte(out, static_cast<uint8_t>(n));
  } else if (n < 16384) {
    AppendByte(out, static_cast<uint8_t>(0x40 | n >> 8));
    AppendByte(out, static_cast<uint8_t>(n));
  } else {
    const int bytes = n <= UINT32_MAX ? 4 : 8;
    AppendByte(out, bytes == 4 ? 0x80 : 0x81);
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) AppendByte(out, static_cast<uint8_t>(n >> shift));
  }
}

void AppendRdbString(std::string& out, std::string_view bytes) {
  int64_t n;
  if (bytes.size() <= 11 && store::ParseCanonicalInt(bytes, &n)) {
    if (n >= INT8_MIN && n <= INT8_MAX) {
      AppendByte(out, 0xc0);
      AppendLittleEndian(out, static_cast<int8_t>(n));
      return;
    }
    if (n >= INT16_MIN && n <= INT16_MAX) {
      AppendByte(out, 0xc1);
      AppendLittleEndian(out, static_cast<int16_t>(n));
      return;
    }
    if (n >= INT32_MIN && n <= INT32_MAX) {
      AppendByte(out, 0xc2);
      AppendLittleEndian(out, static_cast<int32_t>(n));
      return;
    }
  }
  AppendRdbLength(out, bytes.size());
  out += bytes;
}

void AppendRdbAux(std::string& out, std::string_view name, std::string_view value) {
  AppendByte(out, kOpAux);
  AppendRdbString(out, name);
  AppendRdbString(out, value);
}

void AppendRdbSelectDb(std::string& out, int db) {
  AppendByte(out, kOpSelectDb);
  AppendRdbLength(out, static_cast<uint64_t>(db));
}

void AppendRdbResizeDb(std::string& out, uint64_t keys, uint64_t keys_with_expire) {
  AppendByte(out, kOpResizeDb);
  AppendRdbLength(out, keys);
  AppendRdbLength(out, keys_with_expire);
}

void AppendRdbEntryHead(std::string& out, const store::Entry& entry) {
  CHECK(entry.external());
  AppendExpiry(out, entry);
  AppendByte(out, kTypeString);
  AppendRdbString(out, entry.key());
  AppendRdbLength(out, entry.value().size());
}

bool AppendRdbEntryInPieces(std::string* out, const store::Entry& entry, int version,
                            FunctionRef<std::string*(std::string*)> next) {
  ValueWriter writer(out, entry, version, next);
  AppendExpiry(*out, entry);
  AppendByte(*out, writer.Type());
  AppendRdbString(*out, entry.key());
  return writer.Write();
}

void AppendRdbEntry(std::string& out, const store::Entry& entry, int version) {
  if (entry.external()) {
    AppendRdbEntryHead(out, entry);
    out += entry.value();
    return;
  }
  AppendRdbEntryInPieces(&out, entry, version, kOnePiece);
}

void AppendRdbEnd(std::string& out, uint64_t crc) {
  const char eof = static_cast<char>(kOpEof);
  out.push_back(eof);
  AppendLittleEndian(out, Crc64(crc, {&eof, 1}));
}

void AppendDumpEnd(std::string& out, int version) {
  AppendLittleEndian(out, static_cast<uint16_t>(version));
  AppendLittleEndian(out, Crc64(0, out));
}

std::string DumpPayload(const store::Entry& entry) {
  std::string out;
  const int version = ValueWriter::HasFieldExpiry(entry) ? kValkeyRdbVersion : kRdbVersion;
  ValueWriter writer(&out, entry, version, kOnePiece);
  AppendByte(out, writer.Type());
  writer.Write();
  AppendDumpEnd(out, version);
  return out;
}

}  // namespace understudy::persist
