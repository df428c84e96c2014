// HyperLogLogs: strings with a format of their own, see types/hyperloglog.h.
#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/hyperloglog.h"

namespace understudy::command {
namespace {

using resp::Writer;
namespace hll = types::hll;

constexpr std::string_view kCorrupt = "INVALIDOBJ Corrupted HLL object detected";
// Of PFSELFTEST: some milliseconds, in which its worker serves nobody else.
constexpr uint32_t kSelfTestElements = 100'000;

size_t SparseBytes(const CallContext& ctx) {
  return static_cast<size_t>(ctx.services.config.hll_sparse_bytes.load(std::memory_order_relaxed));
}

// No entry, or one that holds a HyperLogLog. False after the error reply.
bool IsHyperLogLog(const store::Entry* entry, Writer& reply) {
  if (HasOtherType(entry, store::Type::kString, reply)) return false;
  if (entry == nullptr || hll::IsValid(entry->value())) return true;
  reply.Error("WRONGTYPE Key is not a valid HyperLogLog string value.");
  return false;
}

void Store(CallContext& ctx, const Key& key, std::string_view value) {
  store::SetOptions options;
  options.keep_expire = true;
  options.hint = store::StringHint::kRaw;
  key.shard.Set(ctx.db, key.name, key.hash, value, ctx.now_ms, options);
}

std::span<char> OpenToWrite(CallContext& ctx, const Key& key, const store::Entry& entry) {
  return key.shard.Resize(ctx.db, key.name, key.hash, entry.value().size(), ctx.now_ms);
}

// A dense one is changed where it is. True if it changed.
bool AddToDense(CallContext& ctx, const Key& key, const store::Entry& entry, Args elements) {
  std::string_view value = entry.value();
  std::span<char> writable;
  for (const std::string_view element : elements) {
    const hll::Mark mark = hll::MarkOf(element);
    if (!hll::DenseNeeds(value, mark)) continue;
    if (writable.empty()) {
      writable = OpenToWrite(ctx, key, entry);
      value = {writable.data(), writable.size()};
    }
    hll::SetDense(writable, mark);
  }
  if (writable.empty()) return false;
  hll::OutdateEstimate(writable);
  return true;
}

void PfAdd(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (!IsHyperLogLog(entry, reply)) return;
  const Args elements = args.subspan(2);
  bool changed = entry == nullptr;
  if (entry != nullptr && hll::IsDense(entry->value())) {
    changed = AddToDense(ctx, key, *entry, elements);
  } else {
    std::string value = entry != nullptr ? std::string(entry->value()) : hll::Empty();
    if (entry == nullptr) hll::OutdateEstimate(value);
    for (const std::string_view element : elements) {
      const hll::Raised raised = hll::Raise(&value, hll::MarkOf(element), SparseBytes(ctx));
      if (raised == hll::Raised::kCorrupt) return reply.Error(kCorrupt);
      changed = changed || raised == hll::Raised::kYes;
    }
    if (entry == nullptr) NotifyIfNew(ctx, key);
    if (changed) Store(ctx, key, value);
  }
  if (changed) {
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifyString, "pfadd", key.name);
  }
  reply.Integer(changed);
}

// Merges all the keys. False after the error reply.
bool MergeKeys(CallContext& ctx, Args names, hll::Registers* registers, bool* dense, Writer& reply) {
  for (const std::string_view name : names) {
    const store::Entry* entry = LookupRead(ctx, AnyKey(ctx, name));
    if (!IsHyperLogLog(entry, reply)) return false;
    if (entry == nullptr) continue;
    *dense = *dense || hll::IsDense(entry->value());
    if (hll::Merge(entry->value(), registers)) continue;
    reply.Error(kCorrupt);
    return false;
  }
  return true;
}

void PfCount(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 2) {
    hll::Registers registers{};
    bool dense = false;
    if (!MergeKeys(ctx, args.subspan(1), &registers, &dense, reply)) return;
    return reply.Integer(static_cast<int64_t>(hll::Estimate(registers)));
  }
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupRead(ctx, key);
  if (!IsHyperLogLog(entry, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  std::optional<uint64_t> estimate = hll::LastEstimate(entry->value());
  if (!estimate) {
    estimate = hll::Estimate(entry->value());
    if (!estimate) return reply.Error(kCorrupt);
    // It is kept with the value, and so on the replicas; a replica that a client asks keeps nothing by itself.
    if (ctx.session == nullptr || MayStream(ctx)) {
      hll::SetEstimate(OpenToWrite(ctx, key, *entry), *estimate);
      ctx.effects.Verbatim(ctx.db, args);
    }
  }
  reply.Integer(static_cast<int64_t>(*estimate));
}

void PfMerge(CallContext& ctx, Args args, Writer& reply) {
  hll::Registers registers{};
  bool dense = false;
  // The destination is one of them.
  if (!MergeKeys(ctx, args.subspan(1), &registers, &dense, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  std::string value = entry != nullptr ? std::string(entry->value()) : hll::Empty();
  if (dense) hll::MakeDense(&value);
  for (uint32_t i = 0; i < hll::kRegisters; ++i) {
    if (registers[i] == 0) continue;
    if (hll::Raise(&value, {i, registers[i]}, SparseBytes(ctx)) == hll::Raised::kCorrupt) return reply.Error(kCorrupt);
  }
  hll::OutdateEstimate(value);
  if (entry == nullptr) NotifyIfNew(ctx, key);
  Store(ctx, key, value);
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyString, "pfadd", key.name);
  reply.Ok();
}

void PfDebug(CallContext& ctx, Args args, Writer& reply) {
  // For tests that compare two ways to count; here is one.
  if (Is(args[1], "simd")) {
    if (!Is(args[2], "on") && !Is(args[2], "off")) return reply.Error("ERR Argument must be ON or OFF");
    return reply.Ok();
  }
  const Key key = FirstKey(ctx, args[2]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (entry == nullptr) return reply.Error("ERR The specified key does not exist");
  if (!IsHyperLogLog(entry, reply)) return;
  const bool dense = hll::IsDense(entry->value());
  if (Is(args[1], "encoding")) return reply.SimpleString(dense ? "dense" : "sparse");
  if (Is(args[1], "decode")) {
    if (dense) return reply.Error("ERR HLL encoding is not sparse");
    return reply.Bulk(hll::Describe(entry->value()));
  }
  const bool shows = Is(args[1], "getreg");
  if (!shows && !Is(args[1], "todense")) {
    return reply.Error("ERR Unknown PFDEBUG subcommand '" + std::string(args[1].substr(0, 128)) + "'");
  }
  const std::optional<hll::Registers> registers = hll::Read(entry->value());
  if (!registers) return reply.Error(kCorrupt);
  if (!dense) {
    std::string value(entry->value());
    hll::MakeDense(&value);
    Store(ctx, key, value);
    ctx.effects.Verbatim(ctx.db, args);
  }
  if (!shows) return reply.Integer(!dense);
  reply.Array(registers->size());
  for (const uint8_t value : *registers) reply.Integer(value);
}

void PfSelfTest(CallContext& ctx, Args, Writer& reply) {
  const std::string failed =
      hll::SelfTest(static_cast<uint64_t>(ctx.now_ms), kSelfTestElements, SparseBytes(ctx));
  if (!failed.empty()) return reply.Error("TESTFAILED " + failed);
  reply.Ok();
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kAll{1, -1, 1}, kSecond{2, 2, 1}, kMerged{1, -1, 1, nullptr, KeyAccess::kRead};
const Row kRows[] = {
  {"pfadd", -2, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@hyperloglog", "hyperloglog", "2.8.9", "Adds elements to a HyperLogLog.", "key [element [element ...]]", PfAdd},
  {"pfcount", -2, kReadonly | kMayReplicate, kAll, KeyAccess::kReadCached, "@hyperloglog", "hyperloglog", "2.8.9", "Estimates how many different elements were added to the HyperLogLogs.", "key [key ...]", PfCount},
  {"pfmerge", -2, kWrite | kDenyOom, kMerged, KeyAccess::kMerge, "@hyperloglog", "hyperloglog", "2.8.9", "Merges HyperLogLogs into the first one.", "destkey [sourcekey [sourcekey ...]]", PfMerge},
  {"pfdebug", 3, kWrite | kDenyOom | kAdmin, kSecond, KeyAccess::kReadCached, "@hyperloglog", "hyperloglog", "2.8.9", "Looks into a HyperLogLog.", "subcommand key", PfDebug},
  {"pfselftest", 1, kAdmin, {}, KeyAccess::kNone, "@hyperloglog", "hyperloglog", "2.8.9", "Tests the HyperLogLogs.", "", PfSelfTest},
};
// clang-format on

}  // namespace

std::span<const Row> HyperLogLogCommands() { return kRows; }

}  // namespace understudy::command
