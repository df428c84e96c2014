#include "operator/kube/lease_machine.h"

#include <gtest/gtest.h>

#include <optional>

namespace understudy::kube {
namespace {

using Request = LeaseOutput::Request;

// One Lease object as the API server keeps it.
struct FakeLease {
  std::optional<LeaseRecord> record;
  int version = 0;

  LeaseRead Read(MonoTime sent_at) const {
    if (!record) return {.outcome = LeaseRead::Outcome::kMissing, .sent_at = sent_at};
    return {.outcome = LeaseRead::Outcome::kFound,
            .record = *record,
            .resource_version = std::to_string(version),
            .sent_at = sent_at};
  }
  LeaseWritten Write(const LeaseOutput& wanted, MonoTime sent_at) {
    const bool fits = wanted.request == Request::kCreate
                          ? !record
                          : record && wanted.resource_version == std::to_string(version);
    if (!fits) return {.outcome = LeaseWritten::Outcome::kConflict, .sent_at = sent_at};
    record = wanted.record;
    return {.outcome = LeaseWritten::Outcome::kWritten,
            .resource_version = std::to_string(++version),
            .sent_at = sent_at};
  }
};

// A candidate, run by hand on a clock of its own.
class Candidate {
 public:
  Candidate(std::string name, FakeLease& lease)
      : machine_({.identity = std::move(name)}), lease_(lease) {
    machine_.SetEligible(true);
  }

  // Steps until it waits. Answers take `latency`; without an answer a request fails at its
  // deadline.
  void RunUntilItWaits(MonoTime& now, Duration latency = {}) { Do(LeaseTick{}, now, latency); }
  bool Due(MonoTime now) const { return now >= wait_until_; }

  LeaseMachine& machine() { return machine_; }
  MonoTime wait_until() const { return wait_until_; }
  int failing = 0;               // so many requests get no answer
  bool stop_at_loss = false;     // without a network it would go on asking for ever
  std::vector<std::string> log;  // "acquired <term>", "lost <reason>", "read", "write <holder>"
  std::vector<std::string> TakeLog() { return std::exchange(log, {}); }

 private:
  void Do(LeaseInput input, MonoTime& now, Duration latency) {
    for (;;) {
      const std::string term = "t" + std::to_string(++terms_);
      const LeaseOutput out =
          machine_.Step(input, now, {1'700'000'000'000 + now.ns / 1'000'000}, 0.5, term);
      if (out.lost) log.push_back("lost " + out.lost_reason);
      if (out.acquired) log.push_back("acquired " + machine_.term());
      if (out.request == Request::kWait || (stop_at_loss && out.lost)) {
        wait_until_ = out.request == Request::kWait ? out.until : now;
        return;
      }
      EXPECT_GT(out.until, now) << "a request needs time";
      const MonoTime sent_at = now;
      const bool read = out.request == Request::kRead;
      log.push_back(read ? "read" : "write " + out.record.holder);
      if (failing > 0) {
        --failing;
        now = out.until;
        input = read ? LeaseInput(LeaseRead{.sent_at = sent_at})
                     : LeaseInput(LeaseWritten{.sent_at = sent_at});
        continue;
      }
      input = read ? LeaseInput(lease_.Read(sent_at)) : LeaseInput(lease_.Write(out, sent_at));
      now = now + latency;
    }
  }

  LeaseMachine machine_;
  FakeLease& lease_;
  MonoTime wait_until_;
  int terms_ = 0;
};

class LeaseMachineTest : public testing::Test {
 protected:
  using Log = std::vector<std::string>;
  // Moves the time on to when the candidate wants to run next, and runs it.
  void Next(Candidate& candidate, Duration latency = {}) {
    now_ = std::max(now_, candidate.wait_until());
    candidate.RunUntilItWaits(now_, latency);
  }

  FakeLease lease_;
  MonoTime now_{1'000'000'000'000};
};

TEST(LeaseConfigTest, KeepsTheRatiosThatSafetyNeeds) {
  EXPECT_TRUE(CheckLeaseConfig({.identity = "a"}).ok());
  EXPECT_FALSE(CheckLeaseConfig({.identity = ""}).ok());
  EXPECT_FALSE(CheckLeaseConfig({.identity = "a", .lease_duration = Milliseconds(4999)}).ok());
  EXPECT_FALSE(CheckLeaseConfig({.identity = "a", .retry_period = Milliseconds(3500)}).ok());
  EXPECT_FALSE(CheckLeaseConfig({.identity = "a", .retry_period = {}}).ok());
}

TEST_F(LeaseMachineTest, CreatesTheLeaseAndRenewsItWithoutReading) {
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  EXPECT_EQ(a.TakeLog(), (Log{"read", "write a", "acquired t3"}));
  EXPECT_EQ(a.machine().valid_until(), now_ + Seconds(4));
  EXPECT_EQ(lease_.record->duration_s, 6);
  EXPECT_EQ(lease_.record->transitions, 0);
  EXPECT_EQ(lease_.record->acquire_time, lease_.record->renew_time);
  EXPECT_NE(lease_.record->renew_time.find('.'), std::string::npos) << "MicroTime";
  const LeaseRecord before = *lease_.record;
  EXPECT_EQ(a.wait_until(), now_ + Seconds(1));
  Next(a);
  EXPECT_EQ(a.TakeLog(), Log{"write a"});
  EXPECT_EQ(lease_.record->acquire_time, before.acquire_time);
  EXPECT_GT(lease_.record->renew_time, before.renew_time);
  EXPECT_EQ(a.machine().term(), "t3") << "a renewal keeps the term";
}

TEST_F(LeaseMachineTest, LeadershipCountsFromTheSendOfTheRenewal) {
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  now_ = a.wait_until();
  const MonoTime sent = now_;
  a.RunUntilItWaits(now_, Milliseconds(800));
  EXPECT_EQ(now_, sent + Milliseconds(800));
  EXPECT_EQ(a.machine().valid_until(), sent + Seconds(4));
}

TEST_F(LeaseMachineTest, AnAnswerThatComesTooLateProlongsNothing) {
  LeaseMachine machine({.identity = "a"});
  machine.SetEligible(true);
  const auto step = [&](const LeaseInput& input) {
    return machine.Step(input, now_, {}, 0.5, "t");
  };
  (void)step(LeaseTick{});
  (void)step(LeaseRead{.outcome = LeaseRead::Outcome::kMissing, .sent_at = now_});
  const MonoTime sent = now_;
  now_ = now_ + Seconds(4);
  const auto out = step(LeaseWritten{
      .outcome = LeaseWritten::Outcome::kWritten, .resource_version = "1", .sent_at = sent});
  EXPECT_FALSE(out.acquired);
  EXPECT_FALSE(machine.leading());
}

TEST_F(LeaseMachineTest, ACandidateWaitsTheWholeDurationAfterItSawTheLastChange) {
  Candidate a("a", lease_), b("b", lease_);
  a.RunUntilItWaits(now_);
  // b sees the record late; a is gone from now on.
  now_ = now_ + Milliseconds(900);
  b.RunUntilItWaits(now_);
  const MonoTime seen = now_;
  while (!b.machine().leading()) {
    ASSERT_LT(now_, seen + Seconds(10));
    Next(b);
  }
  EXPECT_EQ(now_, seen + Seconds(6)) << "and not later";
  EXPECT_EQ(lease_.record->transitions, 1);
  EXPECT_EQ(lease_.record->holder, "b");
  EXPECT_EQ(b.machine().predecessors_until(), seen + Seconds(5)) << "1.25 times the renew deadline";
}

TEST_F(LeaseMachineTest, AFreedLeaseSaysNothingOfHowLongAgoItsHolderStopped) {
  Candidate a("a", lease_), b("b", lease_);
  a.RunUntilItWaits(now_);
  b.RunUntilItWaits(now_);
  now_ = now_ + Seconds(1);
  a.machine().SetEligible(false);
  a.RunUntilItWaits(now_);
  while (!b.machine().leading()) Next(b);
  EXPECT_EQ(b.machine().predecessors_until(), b.machine().acquired_at());
}

TEST_F(LeaseMachineTest, ADeletedLeaseMayHaveALeaderThatDoesNotKnowItYet) {
  Candidate a("a", lease_), b("b", lease_);
  a.RunUntilItWaits(now_);
  const MonoTime promised = a.machine().valid_until();
  lease_.record.reset();
  b.RunUntilItWaits(now_);
  ASSERT_TRUE(b.machine().leading());
  EXPECT_GE(b.machine().predecessors_until(), promised);
}

TEST_F(LeaseMachineTest, AStoppedLeaderHasLostBeforeAnotherLeads) {
  Candidate a("a", lease_), b("b", lease_);
  a.RunUntilItWaits(now_);
  b.RunUntilItWaits(now_);
  for (int i = 0; i < 20; ++i) {
    Candidate& next = a.wait_until() <= b.wait_until() ? a : b;
    Next(next, Milliseconds(20));
  }
  ASSERT_TRUE(a.machine().leading());
  ASSERT_FALSE(b.machine().leading());
  const MonoTime promised =
      a.machine().valid_until();  // a is stopped here (SIGSTOP) and keeps to this
  while (!b.machine().leading()) Next(b, Milliseconds(20));
  EXPECT_GE(now_.ns, promised.ns);
  EXPECT_GE((now_ - promised).ms(), 900) << "a margin for clock rates remains";
  // a comes back: it knows at once, before it asks anybody.
  a.TakeLog();
  a.RunUntilItWaits(now_);
  ASSERT_GE(a.log.size(), 2u);
  EXPECT_EQ(a.log[0], "lost no renewal succeeded within the renew deadline");
  EXPECT_EQ(a.log[1], "read");
  EXPECT_FALSE(a.machine().leading());
  EXPECT_TRUE(a.machine().term().empty());
}

TEST_F(LeaseMachineTest, LostRenewalsEndTheLeadershipInTime) {
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  const MonoTime promised = a.machine().valid_until();
  a.failing = 1000;
  a.stop_at_loss = true;
  a.TakeLog();
  while (a.machine().leading()) {
    Next(a);
    ASSERT_LE(now_, promised) << "no request may outlast the promise";
  }
  EXPECT_EQ(now_, promised);
  const Log log = a.TakeLog();
  EXPECT_EQ(log[0], "write a");
  EXPECT_GE(std::count(log.begin(), log.end(), "read"), 1) << "there was time for a second attempt";
  // The network is back and nobody took the lease: led again under another term, as a new
  // acquisition.
  a.failing = 0;
  const std::string acquired_before = lease_.record->acquire_time;
  while (!a.machine().leading()) Next(a);
  EXPECT_NE(a.machine().term(), "t3");
  EXPECT_NE(lease_.record->acquire_time, acquired_before);
  EXPECT_EQ(lease_.record->transitions, 1);
}

TEST_F(LeaseMachineTest, ARenewalWhoseAnswerWasLostIsFoundAgain) {
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  // It was carried out all the same: the version is another one.
  ++lease_.version;
  a.failing = 1;
  a.TakeLog();
  Next(a);
  EXPECT_EQ(a.TakeLog(), (Log{"write a", "read", "write a"}));
  EXPECT_TRUE(a.machine().leading());
}

TEST_F(LeaseMachineTest, AConflictOfTheLeaderIsLookedAtAtOnce) {
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  ++lease_.version;  // somebody labelled the object
  a.TakeLog();
  Next(a);
  EXPECT_EQ(a.TakeLog(), (Log{"write a", "read", "write a"}));
  EXPECT_TRUE(a.machine().leading());
  // Somebody really took it.
  lease_.record->holder = "thief";
  ++lease_.version;
  Next(a);
  EXPECT_EQ(a.TakeLog(), (Log{"write a", "read", "lost the lease was taken by thief"}));
}

TEST_F(LeaseMachineTest, OfTwoCandidatesOneWins) {
  Candidate a("a", lease_), b("b", lease_);
  lease_.record = LeaseRecord{.transitions = 4};
  lease_.version = 9;
  // Both read the free lease before either writes.
  const auto read = [&](LeaseMachine& m) {
    (void)m.Step(LeaseTick{}, now_, {}, 0.5, "x");
    return m.Step(lease_.Read(now_), now_, {}, 0.5, "x");
  };
  const auto from_a = read(a.machine()), from_b = read(b.machine());
  EXPECT_TRUE(a.machine().Step(lease_.Write(from_a, now_), now_, {}, 0.5, "ta").acquired);
  const auto lost_race = b.machine().Step(lease_.Write(from_b, now_), now_, {}, 0.5, "tb");
  EXPECT_FALSE(lost_race.acquired);
  EXPECT_EQ(lost_race.request, Request::kWait) << "no hot loop";
  EXPECT_FALSE(b.machine().leading());
  EXPECT_EQ(lease_.record->holder, "a");
  EXPECT_EQ(lease_.record->transitions, 5);
}

TEST_F(LeaseMachineTest, WithdrawingTellsFirstAndThenFreesTheLease) {
  Candidate a("a", lease_), b("b", lease_);
  a.RunUntilItWaits(now_);
  b.RunUntilItWaits(now_);
  a.TakeLog();
  a.machine().SetEligible(false);
  a.RunUntilItWaits(now_);
  EXPECT_EQ(a.TakeLog(), (Log{"lost withdrawn", "write "}));
  EXPECT_TRUE(a.machine().released());
  EXPECT_EQ(lease_.record->holder, "");
  EXPECT_EQ(lease_.record->duration_s, 1);
  const MonoTime freed = now_;
  Next(b);
  EXPECT_TRUE(b.machine().leading());
  EXPECT_LE((now_ - freed).ms(), 400) << "no waiting for the lease duration";
}

TEST_F(LeaseMachineTest, AReleaseIsRepeatedUntilItIsCertain) {
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  ++lease_.version;
  a.failing = 1;
  a.machine().SetEligible(false);
  a.TakeLog();
  a.RunUntilItWaits(now_);
  EXPECT_EQ(a.TakeLog(), (Log{"lost withdrawn", "write ", "read", "write "}));
  EXPECT_TRUE(a.machine().released());
}

TEST_F(LeaseMachineTest, AReleaseNeverFreesTheLeaseOfAnother) {
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  lease_.record->holder = "b";
  ++lease_.version;
  a.machine().SetEligible(false);
  a.RunUntilItWaits(now_);
  EXPECT_TRUE(a.machine().released());
  EXPECT_EQ(lease_.record->holder, "b");
}

TEST_F(LeaseMachineTest, AnIneligibleCandidateAsksNothing) {
  Candidate a("a", lease_);
  a.machine().SetEligible(false);
  a.RunUntilItWaits(now_);
  EXPECT_EQ(a.TakeLog(), Log{});
  EXPECT_GT(a.wait_until(), now_ + Seconds(3600));
}

TEST_F(LeaseMachineTest, ALongerLeaseOfTheHolderIsRespected) {
  lease_.record = LeaseRecord{.holder = "other", .duration_s = 60, .renew_time = "x"};
  lease_.version = 1;
  Candidate a("a", lease_);
  a.RunUntilItWaits(now_);
  const MonoTime seen = now_;
  while (!a.machine().leading()) Next(a);
  EXPECT_EQ(now_, seen + Seconds(60));
}

// Random latencies, losses and stops: never two leaders by their own promises.
TEST_F(LeaseMachineTest, NeverTwoLeadersAtATime) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    uint64_t state = seed * 0x9E3779B97F4A7C15ULL;
    const auto random = [&state](uint64_t bound) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      return state % bound;
    };
    FakeLease lease;
    struct Runner {
      LeaseMachine machine;
      LeaseInput input = LeaseTick{};
      MonoTime due;              // when `input` arrives
      bool carried_out = false;  // of the request in flight
    };
    std::vector<Runner> runners;
    for (const char* name : {"a", "b", "c"}) {
      runners.push_back({.machine = LeaseMachine({.identity = name}), .due = MonoTime{1}});
      runners.back().machine.SetEligible(true);
    }
    MonoTime now{1};
    int acquisitions = 0;
    for (int i = 0; i < 600; ++i) {
      size_t next = 0;
      for (size_t r = 1; r < runners.size(); ++r) {
        if (runners[r].due < runners[next].due) next = r;
      }
      Runner& runner = runners[next];
      now = std::max(now, runner.due);
      if (random(60) == 0) runner.machine.SetEligible(random(2) == 0);
      const LeaseOutput out =
          runner.machine.Step(runner.input, now, {now.ns / 1'000'000}, 0.5, "t");
      acquisitions += out.acquired ? 1 : 0;
      int leaders = 0;
      for (const Runner& r : runners) {
        leaders += r.machine.leading() && now < r.machine.valid_until() ? 1 : 0;
      }
      ASSERT_LE(leaders, 1) << "seed " << seed << " step " << i;
      // One that was stopped still takes itself for the leader, for as long as it promised.
      for (const Runner& r : runners) {
        if (!out.acquired || &r == &runner || !r.machine.leading()) continue;
        ASSERT_LE(r.machine.valid_until().ns, runner.machine.predecessors_until().ns)
            << "seed " << seed << " step " << i;
      }
      const Duration pause =
          random(25) == 0 ? Seconds(static_cast<int64_t>(random(9))) : Duration{};
      if (out.request == Request::kWait) {
        runner.input = LeaseTick{};
        runner.due = std::min(out.until, now + Seconds(5)) + pause;
        continue;
      }
      // The server acts at once, at the end of the flight or never; the answer may get lost.
      const Duration flight = Milliseconds(static_cast<int64_t>(random(400)));
      const bool lost_request = random(8) == 0;
      const bool lost_answer = random(8) == 0;
      if (out.request == Request::kRead) {
        runner.input =
            lost_request ? LeaseInput(LeaseRead{.sent_at = now}) : LeaseInput(lease.Read(now));
      } else {
        LeaseWritten answer{.sent_at = now};
        if (!lost_request) {
          const LeaseWritten real = lease.Write(out, now);
          if (!lost_answer) answer = real;
        }
        runner.input = answer;
      }
      runner.due =
          (lost_request || lost_answer ? out.until : std::min(now + flight, out.until)) + pause;
    }
    EXPECT_GT(acquisitions, 0) << "seed " << seed;
  }
}

}  // namespace
}  // namespace understudy::kube
