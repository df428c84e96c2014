#include "node/persist/rdb_reader.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "node/persist/crc64.h"
#include "node/persist/lzf.h"
#include "node/persist/rdb_format.h"

namespace understudy::persist {
namespace {

// Newest versions whose string records, opcodes and dumps we know.
constexpr int kMaxRedisVersion = 15;
constexpr int kMinValkeyVersion = 80;
constexpr int kMaxValkeyVersion = 81;
constexpr size_t kChecksumSince = 5;
// A name or value beside the data is short; a key is bounded by the limits.
constexpr size_t kMaxAuxBytes = 1u << 20;

std::string_view TypeWord(uint8_t type) {
  switch (type) {
    case 1: case 10: case 14: case 18: return "a list";
    case 2: case 11: case 20: return "a set";
    case 3: case 5: case 12: case 17: return "a sorted set";
    case 4: case 9: case 13: case 16: case 22: case 23: case 24: case 25: return "a hash";
    case 6: case 7: return "a module's value";
    case 15: case 19: case 21: case 26: case 27: return "a stream";
    default: return "unknown";
  }
}

// Reads from a view; every method gives false when bytes are missing (need() says how many in all) or, with
// an error set, when they are wrong.
class Cursor {
 public:
  explicit Cursor(std::string_view in) : in_(in) {}

  bool Byte(uint8_t* out) {
    if (!Want(1)) return false;
    *out = static_cast<uint8_t>(in_[at_++]);
    return true;
  }
  template <typename T>
  bool LittleEndian(T* out) {
    if (!Want(sizeof *out)) return false;
    std::memcpy(out, in_.data() + at_, sizeof *out);
    at_ += sizeof *out;
    return true;
  }
  // A length, or if *encoded an encoding's number.
  bool Length(uint64_t* out, bool* encoded) {
    uint8_t first;
    if (!Byte(&first)) return false;
    *encoded = false;
    switch (first >> 6) {
      case 0: *out = first & 63; return true;
      case 1: {
        uint8_t second;
        if (!Byte(&second)) return false;
        *out = static_cast<uint64_t>(first & 63) << 8 | second;
        return true;
      }
      case 2: {
        if (first != 0x80 && first != 0x81) return Error(fmt::format("length starts with byte {:#04x}", first));
        const size_t n = first == 0x80 ? 4 : 8;
        if (!Want(n)) return false;
        *out = 0;
        for (size_t i = 0; i < n; ++i) *out = *out << 8 | static_cast<uint8_t>(in_[at_++]);
        return true;
      }
      default: *encoded = true; *out = first & 63; return true;
    }
  }
  bool PlainLength(uint64_t* out) {
    bool encoded;
    if (!Length(out, &encoded)) return false;
    if (encoded) return Error("a length is expected where an encoded string stands");
    return true;
  }
  // view: of the input, or of *decoded.
  bool String(size_t limit, std::string* decoded, std::string_view* view) {
    uint64_t n;
    bool encoded;
    if (!Length(&n, &encoded)) return false;
    if (!encoded) {
      if (n > limit) return Error(fmt::format("string of {} bytes is longer than the {} allowed", n, limit));
      if (!Want(n)) return false;
      *view = in_.substr(at_, n);
      at_ += n;
      return true;
    }
    switch (n) {
      case 0: return Integer<int8_t>(decoded, view);
      case 1: return Integer<int16_t>(decoded, view);
      case 2: return Integer<int32_t>(decoded, view);
      case 3: return Lzf(limit, decoded, view);
      default: return Error(fmt::format("string encoding {} is not known; 0 to 3 are", n));
    }
  }
  bool Error(std::string what) {
    error_ = std::move(what);
    return false;
  }

  size_t at() const { return at_; }
  size_t need() const { return need_; }
  const std::optional<std::string>& error() const { return error_; }

 private:
  bool Want(uint64_t n) {
    if (in_.size() - at_ >= n) return true;
    need_ = at_ + n;
    return false;
  }
  template <typename T>
  bool Integer(std::string* decoded, std::string_view* view) {
    T n;
    if (!LittleEndian(&n)) return false;
    *decoded = std::to_string(n);
    *view = *decoded;
    return true;
  }
  bool Lzf(size_t limit, std::string* decoded, std::string_view* view) {
    uint64_t compressed, size;
    if (!PlainLength(&compressed) || !PlainLength(&size)) return false;
    if (size > limit) return Error(fmt::format("string of {} bytes is longer than the {} allowed", size, limit));
    // One byte of input gives at most 132 (a run of 264 from 3 bytes is less a byte): more is a lie.
    if (compressed > size + size / 16 + 64) return Error("compressed string is longer than its contents");
    if (size / 132 > compressed) return Error("compressed string is too short for its contents");
    if (!Want(compressed)) return false;
    Result<std::string> text = LzfDecompress(in_.substr(at_, compressed), size);
    if (!text.ok()) return Error(std::string(text.status().message()));
    at_ += compressed;
    *decoded = *std::move(text);
    *view = *decoded;
    return true;
  }

  const std::string_view in_;
  size_t at_ = 0;
  size_t need_ = 0;
  std::optional<std::string> error_;
};

}  // namespace

RdbReader::RdbReader(RdbHandler& handler, const Limits& limits) : handler_(handler), limits_(limits) {}

Status RdbReader::Fail(std::string what) {
  state_ = State::kFailed;
  pending_.clear();
  return Invalid(fmt::format("RDB at byte {}: {}", bytes_read_, what));
}

Result<size_t> RdbReader::Feed(std::string_view chunk) {
  if (state_ == State::kFailed) return Invalid("the RDB stream has failed before");
  size_t taken = 0;  // of chunk
  while (state_ != State::kDone) {
    const bool joined = !pending_.empty();
    if (joined) {
      // Add no more than the record is known to need, so that what follows it stays in the chunk.
      const size_t missing = wanted_ - pending_.size();
      const size_t n = std::min(missing, chunk.size() - taken);
      pending_.append(chunk, taken, n);
      taken += n;
      if (pending_.size() < wanted_) return taken;
    }
    const std::string_view in = joined ? std::string_view(pending_) : chunk.substr(taken);
    Result<size_t> used = state_ == State::kMagic ? ReadMagic(in) : ReadRecord(in);
    if (!used.ok()) {
      state_ = State::kFailed;
      return used.status();
    }
    if (*used == 0) {  // wanted_ says how much more
      if (!joined) {
        pending_.assign(in);
        taken = chunk.size();
      }
      if (taken == chunk.size()) return taken;
      continue;
    }
    bytes_read_ += *used;
    if (joined) {
      // wanted_ was exact or short, so the record took all of it.
      if (*used != pending_.size()) return Fail("internal: a record ended before its known length");
      pending_.clear();
    } else {
      taken += *used;
    }
  }
  return taken;
}

Status RdbReader::Finish() const {
  if (state_ == State::kDone) return {};
  if (state_ == State::kFailed) return Invalid("the RDB stream has failed before");
  return Invalid(fmt::format("RDB breaks off at byte {}, before its end mark", bytes_read_ + pending_.size()));
}

Result<size_t> RdbReader::ReadMagic(std::string_view in) {
  constexpr size_t kBytes = 9;
  if (in.size() < kBytes) {
    const std::string_view start = in.substr(0, 5);
    if (start != std::string_view("REDIS").substr(0, start.size()) &&
        start != std::string_view("VALKE").substr(0, start.size())) {
      return Fail("it does not start with REDIS or VALKEY");
    }
    wanted_ = kBytes;
    return size_t{0};
  }
  const bool valkey = in.starts_with("VALKEY");
  if (!valkey && !in.starts_with("REDIS")) return Fail("it does not start with REDIS or VALKEY");
  const std::string_view digits = in.substr(valkey ? 6 : 5, valkey ? 3 : 4);
  int version = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  if (error != std::errc() || end != digits.data() + digits.size() || version < 1) {
    return Fail(fmt::format("version '{}' is not a number", digits));
  }
  const bool known = valkey ? version >= kMinValkeyVersion && version <= kMaxValkeyVersion
                            : version <= kMaxRedisVersion;
  if (!known) {
    return Fail(fmt::format("version {} of {} is not supported; Redis's 1 to {} and Valkey's {} to {} are", version,
                            valkey ? "Valkey" : "Redis", kMaxRedisVersion, kMinValkeyVersion, kMaxValkeyVersion));
  }
  version_ = version;
  state_ = State::kRecords;
  crc_ = Crc64(crc_, in.substr(0, kBytes));
  return kBytes;
}

Result<size_t> RdbReader::ReadRecord(std::string_view in) {
  Cursor cursor(in);
  // Either more bytes are needed, or the cursor has met an error.
  const auto stop = [&]() -> Result<size_t> {
    if (cursor.error()) return Fail(*cursor.error());
    wanted_ = cursor.need();
    return size_t{0};
  };
  std::string decoded_name, decoded_value;
  std::string_view name, value;
  uint8_t op;
  if (!cursor.Byte(&op)) return stop();
  Status status;
  switch (op) {
    case kOpAux:
      if (!cursor.String(kMaxAuxBytes, &decoded_name, &name)) return stop();
      if (!cursor.String(kMaxAuxBytes, &decoded_value, &value)) return stop();
      status = handler_.OnAux(name, value);
      break;
    case kOpSelectDb: {
      uint64_t db;
      if (!cursor.PlainLength(&db)) return stop();
      if (db >= static_cast<uint64_t>(limits_.databases)) {
        return Fail(fmt::format("database {} is beyond the {} configured", db, limits_.databases));
      }
      db_ = static_cast<int>(db);
      break;
    }
    case kOpResizeDb: {
      uint64_t keys, keys_with_expire;
      if (!cursor.PlainLength(&keys) || !cursor.PlainLength(&keys_with_expire)) return stop();
      status = handler_.OnResizeDb(db_, keys, keys_with_expire);
      break;
    }
    case kOpSlotInfo: {  // cluster mode: slot, keys, keys with expiry; the keys themselves follow as usual
      uint64_t ignored;
      for (int i = 0; i < 3; ++i) {
        if (!cursor.PlainLength(&ignored)) return stop();
      }
      break;
    }
    case kOpExpireMs:
      if (!cursor.LittleEndian(&expire_ms_)) return stop();
      break;
    case kOpExpireSeconds: {
      int32_t seconds;
      if (!cursor.LittleEndian(&seconds)) return stop();
      expire_ms_ = int64_t{seconds} * 1000;
      break;
    }
    case kOpIdle: {
      uint64_t seconds;
      if (!cursor.PlainLength(&seconds)) return stop();
      idle_seconds_ = static_cast<uint32_t>(std::min<uint64_t>(seconds, 0xffffff));
      break;
    }
    case kOpFreq: {  // of LFU eviction: keys start anew
      uint8_t ignored;
      if (!cursor.Byte(&ignored)) return stop();
      break;
    }
    case kOpEof: {
      uint64_t checksum = 0;
      if (version_ >= static_cast<int>(kChecksumSince)) {
        if (!cursor.LittleEndian(&checksum)) return stop();
        const uint64_t computed = Crc64(crc_, in.substr(0, 1));
        if (checksum != 0 && checksum != computed) {
          return Fail(fmt::format("checksum is {:016x}, but the contents give {:016x}", checksum, computed));
        }
      }
      state_ = State::kDone;
      return cursor.at();
    }
    case kOpModuleAux: return Fail("data of a module is not supported by this version");
    case kOpFunction2:
    case kOpFunctionPreGa: return Fail("functions are not supported by this version");
    case kTypeString: {
      if (!cursor.String(limits_.max_string_bytes, &decoded_name, &name)) return stop();
      if (!cursor.String(limits_.max_string_bytes, &decoded_value, &value)) return stop();
      status = handler_.OnKey({db_, name, value, expire_ms_, idle_seconds_});
      expire_ms_ = store::kNoExpire;
      idle_seconds_ = 0;
      break;
    }
    default:
      if (op >= 242) return Fail(fmt::format("opcode {} is not supported by this version", op));
      return Fail(fmt::format("type {} ({}) is not supported by this version; only strings are", op, TypeWord(op)));
  }
  if (!status.ok()) return status;
  crc_ = Crc64(crc_, in.substr(0, cursor.at()));
  return cursor.at();
}

Result<store::StoredValue> ParseDumpPayload(std::string_view payload) {
  constexpr size_t kFooterBytes = 2 + 8;
  if (payload.size() < kFooterBytes + 2) return Invalid("DUMP payload is too short");
  uint16_t version;
  uint64_t checksum;
  std::memcpy(&version, payload.data() + payload.size() - kFooterBytes, sizeof version);
  std::memcpy(&checksum, payload.data() + payload.size() - sizeof checksum, sizeof checksum);
  if (version > kMaxRedisVersion && (version < kMinValkeyVersion || version > kMaxValkeyVersion)) {
    return Invalid(fmt::format("DUMP payload has version {}, which is not supported", version));
  }
  if (checksum != 0 && checksum != Crc64(0, payload.substr(0, payload.size() - sizeof checksum))) {
    return Invalid("DUMP payload has a wrong checksum");
  }
  const std::string_view body = payload.substr(0, payload.size() - kFooterBytes);
  const auto type = static_cast<uint8_t>(body[0]);
  if (type != kTypeString) {
    return Invalid(fmt::format("DUMP payload has type {} ({}), which is not supported by this version; only "
                               "strings are", type, TypeWord(type)));
  }
  Cursor cursor(body.substr(1));
  std::string decoded;
  std::string_view view;
  if (!cursor.String(store::kMaxValueBytes, &decoded, &view)) {
    return Invalid(fmt::format("DUMP payload: {}", cursor.error().value_or("it breaks off")));
  }
  if (cursor.at() != body.size() - 1) return Invalid("DUMP payload goes on after its value");
  store::StoredValue value;
  value.bytes = view;
  return value;
}

}  // namespace understudy::persist
