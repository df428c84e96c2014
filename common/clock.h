// Time, as an argument. Pure code never asks for the time: it is handed a MonoTime (durations, leases,
// time-outs) or a WallTime (what people and Redis TTLs see). Only `main` and I/O edges own a Clock.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <string>

namespace understudy {

// A length of time in nanoseconds, signed.
struct Duration {
  int64_t ns = 0;
  constexpr auto operator<=>(const Duration&) const = default;
  constexpr int64_t ms() const { return ns / 1'000'000; }
  constexpr int64_t us() const { return ns / 1'000; }
  constexpr double seconds() const { return static_cast<double>(ns) / 1e9; }
  constexpr Duration operator+(Duration o) const { return {ns + o.ns}; }
  constexpr Duration operator-(Duration o) const { return {ns - o.ns}; }
  constexpr Duration operator*(double f) const { return {static_cast<int64_t>(static_cast<double>(ns) * f)}; }
};
constexpr Duration Nanoseconds(int64_t n) { return {n}; }
constexpr Duration Microseconds(int64_t n) { return {n * 1'000}; }
constexpr Duration Milliseconds(int64_t n) { return {n * 1'000'000}; }
constexpr Duration Seconds(int64_t n) { return {n * 1'000'000'000}; }

// A point on CLOCK_BOOTTIME, which goes on while the machine is suspended (FAILOVER.md section 5 needs
// that). Comparable within one machine and boot only. The default value is "never": before everything.
struct MonoTime {
  int64_t ns = INT64_MIN / 4;
  constexpr auto operator<=>(const MonoTime&) const = default;
  constexpr MonoTime operator+(Duration d) const { return {ns + d.ns}; }
  constexpr MonoTime operator-(Duration d) const { return {ns - d.ns}; }
  constexpr Duration operator-(MonoTime o) const { return {ns - o.ns}; }
};

// Unix time in milliseconds.
struct WallTime {
  int64_t unix_ms = 0;
  constexpr auto operator<=>(const WallTime&) const = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime Mono() const = 0;
  virtual WallTime Wall() const = 0;
};

// The machine's clocks. Any thread.
class SystemClock final : public Clock {
 public:
  MonoTime Mono() const override;
  WallTime Wall() const override;
};

// A clock that tests move by hand. Any thread.
class FakeClock final : public Clock {
 public:
  MonoTime Mono() const override { return {mono_ns_.load()}; }
  WallTime Wall() const override { return {wall_ms_.load()}; }
  void Advance(Duration d) {
    mono_ns_ += d.ns;
    wall_ms_ += d.ms();
  }

 private:
  std::atomic<int64_t> mono_ns_{1'000'000'000};
  std::atomic<int64_t> wall_ms_{1'700'000'000'000};
};

// A point in time until which a piece of work may take; passed on instead of separate time-outs.
struct Deadline {
  MonoTime at;
  static Deadline In(const Clock& clock, Duration d) { return {clock.Mono() + d}; }
  Duration Left(MonoTime now) const { return at > now ? at - now : Duration{}; }
  bool Passed(MonoTime now) const { return now >= at; }
};

// RFC 3339 in UTC. Seconds ("2026-01-02T03:04:05Z") as Kubernetes' Time, or microseconds as MicroTime.
std::string FormatRfc3339(WallTime t);
std::string FormatRfc3339Micro(WallTime t);
// Unix milliseconds of an RFC 3339 time with "Z" or an offset; false if it is not one.
bool ParseRfc3339(const std::string& text, WallTime* out);

}  // namespace understudy
