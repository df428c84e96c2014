#include "tests/bench/load/options.h"

#include <CLI/CLI.hpp>

#include "tests/bench/load/commands.h"

namespace understudy::load {

Result<Options> ParseOptions(const std::vector<std::string>& arguments, std::string* exit_text) {
  Options o;
  CLI::App app{
      "Loads a Redis-compatible server and prints one line of JSON.\n"
      "Without --rate each connection sends its next pipeline as soon as the last one is answered: the server is\n"
      "saturated, and the figures are operations and, with --watch, the server's CPU time. With --rate commands are\n"
      "sent at random moments of that mean rate, answered or not, and latency counts from the moment at which a\n"
      "command was due, so a server that stalls is charged for everything that had to wait.\n"
      "An error reply, a lost connection or a server that stays silent ends the run with exit code 1.",
      "understudy-load"};
  app.add_option("--host", o.host, "IPv4 address of the server")->capture_default_str();
  app.add_option("--port", o.port, "Its port")->required()->check(CLI::Range(1, 65535));
  app.add_option("--cpus", o.cpus, "CPUs of the generator, one thread pinned to each: 1 or 0,1 (default: one thread, not pinned)")
      ->delimiter(',');
  app.add_option("--connections", o.connections, "Connections, over all threads")->capture_default_str()->check(CLI::Range(1u, 100'000u));
  app.add_option("--pipeline", o.pipeline, "Commands sent together on a connection")->capture_default_str()->check(CLI::Range(1u, 10'000u));
  app.add_option("--command", o.command, "What is sent, NAME[:WEIGHT],... chosen by weight: get:80,set:20. Names: " + CommandNames())
      ->capture_default_str();
  app.add_option("--keys", o.keys, "Keys of each kind of value")->capture_default_str()->check(CLI::Range(uint64_t{1}, uint64_t{4'000'000'000}));
  app.add_option("--key-size", o.key_bytes, "Bytes of a key")->capture_default_str()->check(CLI::Range(16u, 1024u));
  app.add_option("--value-size", o.value_bytes, "Bytes of a value, a field's value or a list's element")
      ->capture_default_str()->check(CLI::Range(1u, 1u << 20));
  app.add_option("--elements", o.elements, "Fields, members or elements of each hash, set, sorted set or list")
      ->capture_default_str()->check(CLI::Range(1u, 100'000u));
  app.add_option("--distribution", o.distribution, "How keys are chosen: uniform, zipf, or sequence, one after the other from --first-key to the last and again")
      ->capture_default_str()->check(CLI::IsMember({"uniform", "zipf", "sequence"}));
  app.add_option("--first-key", o.first_key, "Where a sequence begins, 0 is the first key: so a data set can be made larger at a given rate")
      ->capture_default_str();
  app.add_option("--ttl", o.ttl_s, "Seconds that setex and expire give a key")->capture_default_str()->check(CLI::Range(1u, 100'000'000u));
  app.add_option("--zipf-exponent", o.zipf_exponent, "Exponent of zipf; larger: fewer keys get most of the load")
      ->capture_default_str()->check(CLI::Range(0.1, 5.0));
  app.add_flag("--fill", o.fill, "Write every key that the commands use once, before the warm-up");
  app.add_flag("--fill-only", o.fill_only, "Do nothing after that; --connections and --pipeline hold for it");
  app.add_option("--fill-from", o.fill_from, "Begin to fill at this key, 0 is the first")->capture_default_str();
  app.add_option("--rate", o.rate, "Commands a second, over all connections (default: as many as the server can)")
      ->check(CLI::Range(1.0, 1e8));
  app.add_flag("--sleep", o.sleep, "With --rate: sleep until the next command is due or replies come, instead of looking all the time. For a load that\n"
               "shares its CPU with others; wake-ups are part of the latency then")->needs("--rate");
  app.add_option("--warmup", o.warmup_s, "Seconds of load before the measured window")->capture_default_str()->check(CLI::Range(0.0, 3600.0));
  app.add_option("--seconds", o.seconds, "Seconds of the measured window; it is longer if nothing was answered in it")->capture_default_str()->check(CLI::Range(0.01, 3600.0));
  app.add_option("--stall", o.stall_s, "Fail after so many seconds without any reply")->capture_default_str()->check(CLI::Range(0.1, 3600.0));
  app.add_option("--watch", o.watch_pid, "Also report the CPU time and the sleeps of all threads of this process in the window (its id)")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", o.seed, "Of keys, commands and moments")->capture_default_str();
  try {
    // CLI11 takes the arguments from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    *exit_text = app.help();
    return o;
  } catch (const CLI::ParseError& error) {
    return Invalid(std::string(error.what()) + "; see --help");
  }
  if (o.fill_only) o.fill = true;
  if (o.fill && o.fill_from >= o.keys) return Invalid("--fill-from must be less than --keys");
  if (o.first_key != 0 && o.distribution != "sequence") return Invalid("--first-key needs --distribution sequence");
  if (o.first_key >= o.keys) return Invalid("--first-key must be less than --keys");
  if (o.fill_from != 0 && !o.fill) return Invalid("--fill-from needs --fill or --fill-only");
  const size_t threads = o.cpus.empty() ? 1 : o.cpus.size();
  if (o.distribution == "sequence" && o.keys - o.first_key < threads) return Invalid("a sequence needs a key for each of the --cpus");
  if (o.connections < threads) return Invalid("there must be a connection for each of the --cpus");
  return o;
}

}  // namespace understudy::load
