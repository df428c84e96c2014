// MEMORY: what takes how much.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/info.h"
#include "node/command/memory.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void Usage(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() != 3) {
    int64_t samples = 0;
    if (args.size() != 5 || !Is(args[3], "samples")) return reply.Error(resp::kSyntaxError);
    if (!ReadInt64(args[4], &samples, reply)) return;
    if (samples < 0) return reply.Error(resp::kSyntaxError);
  }
  const store::Entry* entry = LookupPeek(ctx, FirstKey(ctx, args[2]));
  if (entry == nullptr) return reply.Null();
  reply.Integer(static_cast<int64_t>(entry->AllocatedBytes() + store::Entry::kSlotBytes));
}

double Ratio(size_t a, size_t b) { return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0.0; }

// Redis's names for what this server has; "overhead.tables" instead of a figure for each database,
// "dataset.free-bytes" for what entries' heaps hold beyond it.
void Stats(CallContext& ctx, Args, Writer& reply) {
  const MemoryUse use = ReadMemoryUse(ctx.services);
  const size_t peak = PeakMemory(ctx.services);
  const size_t keys = ctx.keyspace.TotalSize();
  const size_t net = use.total() - std::min(use.total(), use.startup);
  const MemoryFigures allocator = ReadMemoryFigures();
  size_t free_bytes = 0;
  for (uint32_t i = 0; i < ctx.keyspace.shard_count(); ++i) {
    ctx.WithShard(i, [&](store::Shard& shard) { free_bytes += shard.free_bytes(); });
  }
  struct Figure {
    std::string_view name;
    size_t bytes;
  };
  const Figure figures[] = {
      {"peak.allocated", peak},
      {"total.allocated", use.total()},
      {"startup.allocated", use.startup},
      {"replication.backlog", use.backlog},
      {"clients.slaves", use.replicas},
      {"clients.normal", use.clients},
      {"overhead.tables", use.index},
      {"overhead.total", use.overhead()},
      {"keys.count", keys},
      {"keys.bytes-per-key", keys > 0 ? net / keys : 0},
      {"dataset.bytes", use.entries + use.waiting},
      {"dataset.free-bytes", free_bytes},
      {"lazyfree.pending-bytes", use.waiting},
  };
  struct Share {
    std::string_view name;
    double value;
  };
  const Share shares[] = {
      {"dataset.percentage", 100 * Ratio(use.entries + use.waiting, net)},
      {"peak.percentage", 100 * Ratio(use.total(), peak)},
      {"fragmentation", Ratio(allocator.resident, use.total())},
  };
  const Figure of_allocator[] = {
      {"allocator.allocated", allocator.allocated},
      {"allocator.active", allocator.active},
      {"allocator.resident", allocator.resident},
  };
  reply.Map(std::size(figures) + std::size(shares) + (allocator.from_allocator ? std::size(of_allocator) : 0));
  const auto add = [&](const Figure& f) {
    reply.Bulk(f.name);
    reply.Integer(static_cast<int64_t>(f.bytes));
  };
  for (const Figure& f : figures) add(f);
  if (allocator.from_allocator) {
    for (const Figure& f : of_allocator) add(f);
  }
  for (const Share& s : shares) {
    reply.Bulk(s.name);
    reply.Double(s.value);
  }
}

void Doctor(CallContext& ctx, Args, Writer& reply) {
  const MemoryUse use = ReadMemoryUse(ctx.services);
  const size_t peak = PeakMemory(ctx.services);
  const size_t resident = ResidentBytes();
  std::string text;
  const auto say = [&](const std::string& line) { text += (text.empty() ? "" : "\n") + line; };
  constexpr size_t kLittle = 5 << 20;
  if (use.entries + use.waiting < kLittle) {
    return reply.Verbatim("txt", "There is less than 5 MB of data: too little to say anything about memory.");
  }
  if (peak > use.total() / 2 * 3) {
    say("Peak: " + std::to_string(peak) + " bytes were used at some time, half as much again as now. Memory that was "
        "freed goes back to the system after seconds; MEMORY PURGE does it at once.");
  }
  if (resident > use.total() / 10 * 14) {
    say("Fragmentation: the process has " + std::to_string(resident) + " bytes of the system's memory, more than 1.4 "
        "times what it uses.");
  }
  if (use.clients > (use.entries + use.waiting) / 5) {
    say("Clients: their buffers take " + std::to_string(use.clients) + " bytes, more than a fifth of the data. CLIENT "
        "LIST tells whose (tot-mem); client-output-buffer-limit and maxmemory-clients bound them.");
  }
  if (use.replicas > (use.entries + use.waiting) / 10) {
    say("Replicas: " + std::to_string(use.replicas) + " bytes are kept for replicas that are behind or being copied "
        "to.");
  }
  if (ctx.services.dispatcher.eviction_exceeded_ms(false) > 0) {
    say("Limit: more is used than maxmemory, and nothing more may be evicted under the policy in force.");
  }
  reply.Verbatim("txt", text.empty() ? "No problem was found." : text);
}

void Purge(CallContext&, Args, Writer& reply) {
  PurgeAllocator();
  reply.Ok();
}

void MallocStats(CallContext&, Args, Writer& reply) { reply.Verbatim("txt", AllocatorReport()); }

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "DOCTOR",
      "    What is remarkable about the use of memory.",
      "MALLOC-STATS",
      "    What the allocator tells about itself.",
      "PURGE",
      "    Gives free memory back to the system.",
      "STATS",
      "    What takes how much.",
      "USAGE <key> [SAMPLES <count>]",
      "    Bytes that a key and its value take.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr KeySpec kSecond{2, 2, 1};
const Row kMemoryRows[] = {
  {"doctor", 2, 0, {}, KeyAccess::kNone, "", "server", "4.0.0", "Tells what is remarkable about the use of memory.", "", Doctor},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "4.0.0", "Lists the subcommands.", "", Help},
  {"malloc-stats", 2, 0, {}, KeyAccess::kNone, "", "server", "4.0.0", "Shows what the allocator tells about itself.", "", MallocStats},
  {"purge", 2, 0, {}, KeyAccess::kNone, "", "server", "4.0.0", "Gives free memory back to the system.", "", Purge},
  {"stats", 2, kWalks, {}, KeyAccess::kNone, "", "server", "4.0.0", "Tells what takes how much memory.", "", Stats},
  {"usage", -3, kReadonly, kSecond, KeyAccess::kLook, "", "server", "4.0.0", "Tells how many bytes a key takes.", "key [SAMPLES count]", Usage},
};
const Row kRows[] = {
  {"memory", -2, 0, {}, KeyAccess::kNone, "", "server", "4.0.0", "Tells about memory.", "", nullptr, kMemoryRows},
};
// clang-format on

}  // namespace

std::span<const Row> MemoryCommands() { return kRows; }

}  // namespace understudy::command
