#include "node/persist/rdb_reader.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "node/persist/crc64.h"
#include "node/persist/rdb_cursor.h"
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
  if (value_ != nullptr) return ReadValue(in, 0);
  RdbCursor cursor(in);
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
      if (!cursor.String(limits_.max_string_bytes, &decoded_value, &value)) return stop();
      status = handler_.OnFunctions(value);
      break;
    case kOpFunctionPreGa: return Fail("functions of Redis 7.0 before its release are not supported");
    case kTypeString: {
      if (!cursor.String(limits_.max_string_bytes, &decoded_name, &name)) return stop();
      if (!cursor.String(limits_.max_string_bytes, &decoded_value, &value)) return stop();
      status = handler_.OnKey({db_, name, value, nullptr, expire_ms_, idle_seconds_});
      expire_ms_ = store::kNoExpire;
      idle_seconds_ = 0;
      break;
    }
    default:
      if (op >= 242) return Fail(fmt::format("opcode {} is not supported by this version", op));
      if (!ValueReader::Reads(op, version_)) {
        return Fail(fmt::format("type {} ({}) is not supported by this version", op, TypeWord(op)));
      }
      if (!cursor.String(limits_.max_string_bytes, &decoded_name, &name)) return stop();
      key_ = name;
      value_ = std::make_unique<ValueReader>(op, limits_.compact, limits_.max_string_bytes);
      return ReadValue(in, cursor.at());
  }
  if (!status.ok()) return status;
  crc_ = Crc64(crc_, in.substr(0, cursor.at()));
  return cursor.at();
}

Result<size_t> RdbReader::ReadValue(std::string_view in, size_t at) {
  RdbCursor cursor(in.substr(at));
  size_t taken = 0;
  while (!value_->done() && value_->Step(cursor)) taken = cursor.at();
  if (cursor.error()) return Fail(*cursor.error());
  if (value_->done()) {
    store::Collection collection = value_->Take();
    value_.reset();
    // A key without elements is none: Redis skips those that older versions left in their files.
    if (collection) {
      RETURN_IF_ERROR(handler_.OnKey({db_, key_, {}, &collection, expire_ms_, idle_seconds_}));
    }
    expire_ms_ = store::kNoExpire;
    idle_seconds_ = 0;
  } else if (at + taken == 0) {
    wanted_ = cursor.need();
    return size_t{0};
  }
  crc_ = Crc64(crc_, in.substr(0, at + taken));
  return at + taken;
}

namespace {

constexpr size_t kFooterBytes = 2 + 8;

int DumpVersion(std::string_view payload) {
  uint16_t version;
  std::memcpy(&version, payload.data() + payload.size() - kFooterBytes, sizeof version);
  return version;
}

}  // namespace

Status CheckDumpPayload(std::string_view payload, const DumpChecks& checks) {
  if (payload.size() < kFooterBytes) return Invalid("DUMP payload is too short");
  const int version = DumpVersion(payload);
  uint64_t checksum;
  std::memcpy(&checksum, payload.data() + payload.size() - sizeof checksum, sizeof checksum);
  if (checks.version && version > kMaxRedisVersion && (version < kMinValkeyVersion || version > kMaxValkeyVersion)) {
    return Invalid(fmt::format("DUMP payload has version {}, which is not supported", version));
  }
  if (checks.checksum && checksum != 0 && checksum != Crc64(0, payload.substr(0, payload.size() - sizeof checksum))) {
    return Invalid("DUMP payload has a wrong checksum");
  }
  return {};
}

Result<store::StoredValue> ParseDumpPayload(std::string_view payload, const types::Limits& limits,
                                             const DumpChecks& checks) {
  RETURN_IF_ERROR(CheckDumpPayload(payload, checks));
  if (payload.size() < kFooterBytes + 2) return Invalid("DUMP payload is too short");
  const std::string_view body = payload.substr(0, payload.size() - kFooterBytes);
  const auto type = static_cast<uint8_t>(body[0]);
  RdbCursor cursor(body.substr(1));
  const auto broken = [&] {
    return Invalid(fmt::format("DUMP payload: {}", cursor.error().value_or("it breaks off")));
  };
  store::StoredValue value;
  if (type == kTypeString) {
    std::string decoded;
    std::string_view view;
    if (!cursor.String(store::kMaxValueBytes, &decoded, &view)) return broken();
    value.bytes = view;
  } else {
    if (!ValueReader::Reads(type, DumpVersion(payload))) {
      return Invalid(fmt::format("DUMP payload has type {} ({}), which is not supported by this version", type,
                                 TypeWord(type)));
    }
    ValueReader reader(type, limits, store::kMaxValueBytes);
    while (!reader.done()) {
      if (!reader.Step(cursor)) return broken();
    }
    value.collection = reader.Take();
    if (!value.collection) return Invalid("DUMP payload has no elements");
  }
  if (!cursor.at_end()) return Invalid("DUMP payload goes on after its value");
  return value;
}

}  // namespace understudy::persist
