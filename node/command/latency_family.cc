// LATENCY: what took long (latency.h), and how long commands take.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "node/acl/command_list.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

Latency& LatencyOf(CallContext& ctx) { return ctx.services.dispatcher.latency(); }

void Latest(CallContext& ctx, Args, Writer& reply) {
  const std::vector<Latency::Event> events = LatencyOf(ctx).Events();
  reply.Array(events.size());
  for (const Latency::Event& event : events) {
    reply.Array(4);
    reply.Bulk(event.name);
    reply.Integer(event.samples.back().unix_s);
    reply.Integer(event.samples.back().ms);
    reply.Integer(event.highest_ms);
  }
}

void History(CallContext& ctx, Args args, Writer& reply) {
  const Latency::Event event = LatencyOf(ctx).Find(args[2]);
  reply.Array(event.samples.size());
  for (const Latency::Sample& sample : event.samples) {
    reply.Array(2);
    reply.Integer(sample.unix_s);
    reply.Integer(sample.ms);
  }
}

void Reset(CallContext& ctx, Args args, Writer& reply) {
  Latency& latency = LatencyOf(ctx);
  int64_t count = 0;
  for (const std::string_view name : args.subspan(2)) count += latency.Reset(name);
  if (args.size() == 2) {
    for (const Latency::Event& event : latency.Events()) count += latency.Reset(event.name);
  }
  reply.Integer(count);
}

// "42s", "3m", "2h", "5d": how long ago.
std::string Age(int64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return std::to_string(seconds / 60) + "m";
  if (seconds < 86400) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

// A column for each of the newest samples, its age below it.
std::string DrawGraph(const Latency::Event& event, int64_t now_s) {
  constexpr size_t kColumns = 80, kRows = 4;
  constexpr char kLevels[] = {'_', 'o', '#'};
  const size_t count = std::min(event.samples.size(), kColumns);
  std::vector<Latency::Sample> shown(event.samples.end() - static_cast<ptrdiff_t>(count), event.samples.end());
  const auto [low, high] = std::minmax_element(shown.begin(), shown.end(), [](auto& a, auto& b) { return a.ms < b.ms; });
  std::string out = event.name + " - high " + std::to_string(high->ms) + " ms, low " + std::to_string(low->ms) +
                    " ms (all time high " + std::to_string(event.highest_ms) + " ms)\n" + std::string(kColumns, '-') + "\n";
  const auto steps = static_cast<int64_t>(kRows * std::size(kLevels));
  for (size_t row = 0; row < kRows; ++row) {
    for (const Latency::Sample& sample : shown) {
      const int64_t range = std::max<int64_t>(high->ms - low->ms, 1);
      const int64_t step = (sample.ms - low->ms) * (steps - 1) / range;
      const int64_t in_row = step - static_cast<int64_t>((kRows - 1 - row) * std::size(kLevels));
      const auto top = static_cast<int64_t>(std::size(kLevels));
      out += in_row < 0 ? ' ' : in_row >= top ? '|' : kLevels[in_row];
    }
    out += '\n';
  }
  out += '\n';
  std::vector<std::string> ages;
  size_t longest = 0;
  for (const Latency::Sample& sample : shown) {
    ages.push_back(Age(std::max<int64_t>(now_s - sample.unix_s, 0)));
    longest = std::max(longest, ages.back().size());
  }
  for (size_t row = 0; row < longest; ++row) {
    for (const std::string& age : ages) out += row < age.size() ? age[row] : ' ';
    out += '\n';
  }
  return out;
}

void Graph(CallContext& ctx, Args args, Writer& reply) {
  const Latency::Event event = LatencyOf(ctx).Find(args[2]);
  if (event.samples.empty()) {
    return reply.Error("ERR No samples available for event '" + std::string(args[2]) + "'");
  }
  reply.Verbatim("txt", DrawGraph(event, ctx.now_ms / 1000));
}

std::string_view AdviceFor(std::string_view event) {
  if (event == "command") {
    return "Commands that look at many elements take long: SLOWLOG GET names them. SCAN and its kin go in steps.";
  }
  if (event == "fast-command") {
    return "These commands do little: the machine may be busy with something else, or short of CPU time.";
  }
  if (event == "expire-cycle") return "Many keys expire at the same time: spread their times to live.";
  return "Keys are evicted faster than usual: maxmemory may be too small for what is written.";
}

std::string Diagnose(const std::vector<Latency::Event>& events, int64_t threshold_ms, int64_t now_s) {
  if (threshold_ms == 0) {
    return "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> switches it on.\n";
  }
  if (events.empty()) return "Nothing took longer than " + std::to_string(threshold_ms) + " ms.\n";
  std::string out;
  for (const Latency::Event& event : events) {
    int64_t sum = 0;
    for (const Latency::Sample& sample : event.samples) sum += sample.ms;
    const auto count = static_cast<int64_t>(event.samples.size());
    out += event.name + ": " + std::to_string(count) + " spikes, " + std::to_string(sum / count) + " ms on average, " +
           std::to_string(event.highest_ms) + " ms at most, the last one " +
           Age(std::max<int64_t>(now_s - event.samples.back().unix_s, 0)) + " ago.\n  " +
           std::string(AdviceFor(event.name)) + "\n";
  }
  return out;
}

void Doctor(CallContext& ctx, Args, Writer& reply) {
  const int64_t threshold_ms = ctx.services.config.latency_threshold_ms.load(std::memory_order_relaxed);
  reply.Verbatim("txt", Diagnose(LatencyOf(ctx).Events(), threshold_ms, ctx.now_ms / 1000));
}

// ---------------------------------------------------------------------------------------------- HISTOGRAM

// Calls by the time they took: upper bound in microseconds (1, 2, 4, ... 33, 66: powers of two of 1,024 ns) -> calls.
// Commands are counted by powers of two of processor ticks; what straddles a bound counts as the longer time.
std::map<int64_t, uint64_t> HistogramOf(const Dispatcher& dispatcher, uint32_t index) {
  std::map<int64_t, uint64_t> histogram;
  const double ticks_per_ns = dispatcher.ticks_per_us() / 1000;
  for (size_t bucket = 0; bucket < CommandStats::kBuckets; ++bucket) {
    uint64_t calls = 0;
    for (uint32_t w = 0; w < dispatcher.workers().size(); ++w) {
      calls += dispatcher.stats(w).by_command[index].by_duration[bucket].value();
    }
    if (calls == 0) continue;
    const double most_ns = std::ldexp(1.0, static_cast<int>(bucket)) / ticks_per_ns;
    const int power = std::max(static_cast<int>(std::ceil(std::log2(most_ns))), 10);
    histogram[static_cast<int64_t>(std::ldexp(1.0, power) / 1000)] += calls;
  }
  return histogram;
}

void Histogram(CallContext& ctx, Args args, Writer& reply) {
  const Table& table = ctx.services.table;
  std::vector<uint32_t> wanted;
  const auto add = [&](uint32_t index) {
    // In the order in which they were asked for; a command stands for its subcommands.
    wanted.push_back(index);
    for (const Row& sub : table.At(index).subcommands) wanted.push_back(sub.index);
  };
  if (args.size() == 2) {
    for (const Row* row : table.rows()) add(row->index);
  }
  for (const std::string_view name : args.subspan(2)) {
    const std::string lower = acl::Lower(name);
    for (uint32_t i = 0; i < table.size(); ++i) {
      if (table.FullName(i) == lower) add(i);
    }
  }
  std::vector<std::pair<uint32_t, std::map<int64_t, uint64_t>>> found;
  for (const uint32_t index : wanted) {
    auto histogram = HistogramOf(ctx.services.dispatcher, index);
    if (!histogram.empty()) found.emplace_back(index, std::move(histogram));
  }
  reply.Map(found.size());
  for (const auto& [index, histogram] : found) {
    reply.Bulk(table.FullName(index));
    uint64_t calls = 0;
    for (const auto& [us, count] : histogram) calls += count;
    reply.Map(2);
    reply.Bulk("calls");
    reply.Integer(static_cast<int64_t>(calls));
    reply.Bulk("histogram_usec");
    reply.Map(histogram.size());
    uint64_t so_far = 0;
    for (const auto& [us, count] : histogram) {
      so_far += count;
      reply.Integer(us);
      reply.Integer(static_cast<int64_t>(so_far));
    }
  }
}

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "DOCTOR",
      "    A report on what took long.",
      "GRAPH <event>",
      "    The samples of an event, drawn.",
      "HISTOGRAM [<command> ...]",
      "    How many calls took how long; cumulative.",
      "HISTORY <event>",
      "    The samples of an event: when, and milliseconds.",
      "LATEST",
      "    Each event's last and longest time.",
      "RESET [<event> ...]",
      "    Forgets samples, of all events unless told.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr uint32_t kByAdmin = kAdmin | kNoScript | kLoading | kStale;
const Row kLatencyRows[] = {
  {"doctor", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.8.13", "Reports on what took long.", "", Doctor},
  {"graph", 3, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.8.13", "Draws the samples of an event.", "event", Graph},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "2.8.13", "Lists the subcommands.", "", Help},
  {"histogram", -2, kByAdmin, {}, KeyAccess::kNone, "", "server", "7.0.0", "Tells how many calls took how long.", "[command [command ...]]", Histogram},
  {"history", 3, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.8.13", "Shows the samples of an event.", "event", History},
  {"latest", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.8.13", "Shows the last sample of each event.", "", Latest},
  {"reset", -2, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.8.13", "Forgets samples.", "[event [event ...]]", Reset},
};
const Row kRows[] = {
  {"latency", -2, 0, {}, KeyAccess::kNone, "", "server", "2.8.13", "Tells what took long.", "", nullptr, kLatencyRows},
};
// clang-format on

}  // namespace

std::span<const Row> LatencyCommands() { return kRows; }

}  // namespace understudy::command
