// The data path's view of the role: may this command be served, may this reply leave?
//
// One writer, the admin thread (Publish after each change of the role machine; BlockForLoading is
// the one exception); any number of readers, the workers, which read atomics only and never wait.
// The lease and the pause are published as points in time, so that they end on time even if the
// admin thread does not run.
//
// A write is checked twice (FAILOVER.md section 5): Check() before it executes and MayFlush()
// before its reply is sent. Between the two a worker keeps the generation() that it read BEFORE
// Check(): it changes whenever the node leaves the primary role, so a reply of an earlier office is
// never sent.
//   const uint64_t generation = gate.generation();
//   if (gate.Check(true, now) != Admission::kServe) ... refuse or park ...; execute ...
//   before send: if (!gate.MayFlush(generation, clock.Mono())) close without sending
// With synchronous_replicas() > 0, read at the time of the flush, the reply also waits until
// Replication::SyncOffset() has reached the write's offset.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "common/clock.h"
#include "node/role/write_lease.h"

namespace understudy::role {

enum class Admission : uint8_t {
  kServe,
  kLoading,     // no role yet, or no whole data set
  kReadOnly,    // a write, and this node is not the primary
  kNoLease,     // a write, and the lease is lost
  kNoReplicas,  // a write, and there are fewer voters than synchronous replicas, or too few were heard of late
  kStale,       // a replica that is not to serve its data without its primary (replica-serve-stale-data)
  kPaused,      // a write during a switchover, at the primary or its target: hold it until RoleGate says otherwise
};

// The error reply for a refusal, without the leading '-' and the line end; empty for kServe and
// kPaused.
std::string_view ErrorText(Admission admission);

// What RoleMachine::Gate() publishes.
struct GateState {
  enum class Mode : uint8_t { kUnassigned, kReplica, kPrimary, kStandalone };
  Mode mode = Mode::kUnassigned;
  bool loading = false;       // a role, but no whole data set to serve it from
  bool enough_voters = true;  // R >= S, and S of them are heard; standalone: min-replicas-to-write
  bool stale = false;         // standalone: a replica must not serve data now
  uint32_t synchronous_replicas = 0;
  MonoTime lease_until;   // kForever with R = 0
  MonoTime paused_until;  // "never" = not paused
  uint64_t generation = 0;
  bool operator==(const GateState&) const = default;
};

class RoleGate {
 public:
  RoleGate() = default;
  RoleGate(const RoleGate&) = delete;
  RoleGate& operator=(const RoleGate&) = delete;

  // Serves everything at once, for ever: `understudy-node --standalone`. Called before workers
  // start.
  void ServeStandalone();

  // Admin thread only.
  void Publish(const GateState& state);

  // Any thread: while true every data command gets -LOADING, whatever is published. For the
  // replication, which empties the keyspace before the admin thread can know.
  void BlockForLoading(bool block) { loading_now_.store(block, std::memory_order_seq_cst); }

  // Workers.
  Admission Check(bool is_write, MonoTime now) const {
    const uint32_t word = word_.load(std::memory_order_acquire);
    const GateState::Mode mode = ModeOf(word);
    if (mode == GateState::Mode::kUnassigned || (word & kLoadingBit) != 0 ||
        loading_now_.load(std::memory_order_acquire))
      // A replica stays one when its data is whole: who wants to write should not wait for that (as Redis does).
      return is_write && mode == GateState::Mode::kReplica ? Admission::kReadOnly : Admission::kLoading;
    if (!is_write) return (word & kStaleBit) == 0 ? Admission::kServe : Admission::kStale;
    if (mode == GateState::Mode::kStandalone) {
      return (word & kEnoughVotersBit) != 0 ? Admission::kServe : Admission::kNoReplicas;
    }
    // A pause comes before role and lease: it is over soon and then they are looked at anew.
    if (now < paused_until()) return Admission::kPaused;
    if (mode == GateState::Mode::kReplica) return Admission::kReadOnly;
    if (now.ns >= lease_until_ns_.load(std::memory_order_acquire)) return Admission::kNoLease;
    if ((word & kEnoughVotersBit) == 0) return Admission::kNoReplicas;
    return Admission::kServe;
  }
  // May this node put something into the stream by itself: what expired, messages of clients?
  bool MayStream(MonoTime now) const {
    const Admission admission = Check(true, now);
    return admission == Admission::kServe ||
           (admission == Admission::kNoReplicas && mode() == GateState::Mode::kStandalone);
  }
  // May this node acknowledge writes now: in office, with its lease?
  bool InOffice(MonoTime now) const {
    const GateState::Mode mode = ModeOf(word_.load(std::memory_order_acquire));
    if (mode == GateState::Mode::kStandalone) return true;
    return mode == GateState::Mode::kPrimary &&
           now.ns < lease_until_ns_.load(std::memory_order_acquire);
  }
  // May replies be sent that acknowledge writes executed under `generation`?
  bool MayFlush(uint64_t generation, MonoTime now) const {
    const bool in_office = InOffice(now);
    return generation == generation_.load(std::memory_order_acquire) && in_office;
  }
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  uint32_t synchronous_replicas() const {
    return synchronous_replicas_.load(std::memory_order_acquire);
  }
  GateState::Mode mode() const { return ModeOf(word_.load(std::memory_order_acquire)); }
  // When a pause ends by itself; "never" if there is none. For the timer that wakes held
  // connections.
  MonoTime paused_until() const { return {paused_until_ns_.load(std::memory_order_acquire)}; }

 private:
  static constexpr uint32_t kModeMask = 3;
  static constexpr uint32_t kLoadingBit = 4;
  static constexpr uint32_t kEnoughVotersBit = 8;
  static constexpr uint32_t kStaleBit = 16;
  static GateState::Mode ModeOf(uint32_t word) {
    return static_cast<GateState::Mode>(word & kModeMask);
  }

  // One word, so that a reader never sees the mode of one state with the flags of another:
  // bits 0-1 mode, bit 2 loading, bit 3 enough voters, bit 4 stale.
  std::atomic<uint32_t> word_{0};
  std::atomic<bool> loading_now_{false};
  std::atomic<uint32_t> synchronous_replicas_{0};
  std::atomic<int64_t> lease_until_ns_{MonoTime{}.ns};
  std::atomic<int64_t> paused_until_ns_{MonoTime{}.ns};
  std::atomic<uint64_t> generation_{0};
};

}  // namespace understudy::role
