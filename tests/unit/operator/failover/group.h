// A replication group as the leading operator sees it, for table tests of the machine: "a" is
// primary, "b", "c", ... are its replicas; everything is quiet until a test changes it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "operator/failover/machine.h"

namespace understudy::failover {

class Group {
 public:
  explicit Group(int replicas = 2, uint32_t s = 0) {
    view.spec.group_uid = "uid";
    view.spec.synchronous_replicas = s;
    view.spec.first_primary = view.spec.primary_cluster_id = "a";
    view.me.leads = true;
    view.me.acquired_at = now - Seconds(100);
    view.me.valid_until = now + Seconds(1'000'000);
    view.me.term = state.term = "mine";
    view.me.last_grant = now - Milliseconds(100);
    for (int i = 0; i <= replicas; ++i) Add(std::string(1, static_cast<char>('a' + i)));
    control::Configuration c;
    c.number = c.epoch = 1;
    c.primary = Ref("a");
    c.synchronous_replicas = s;
    for (int i = 1; i <= replicas; ++i)
      c.voters.push_back(Ref(std::string(1, static_cast<char>('a' + i))));
    state.epoch = 1;
    state.primary = c.primary;
    state.configurations = {c};
    state.dataset = "data";
    state.handled_primary_cluster_id = "a";
    view.endpoint_pod_uid = Pod("a").pod_uid;
    for (PodView& p : view.pods) Settle(p.member, 1);
    Pass(10);
  }

  GroupState state;
  View view;
  MonoTime now{1'000'000'000'000};
  WallTime wall{1'800'000'000'000};

  // A member with a Pod and a process that was never ordered.
  void Add(const std::string& name) {
    view.members.push_back({.name = name});
    PodView p;
    p.member = name;
    p.pod_uid = "pod-" + name;
    p.address = "10.0.0.1";
    p.node_name = "host-" + name;
    p.zone = "zone-" + name;
    p.ever_started = p.running = true;
    view.pods.push_back(p);
    Start(name, name + "1");
  }

  // A new process in that Pod, heard over a new channel.
  void Start(const std::string& name, const std::string& incarnation) {
    PodView& p = Pod(name);
    p.channel = {true, now, now + Milliseconds(1), {}};
    control::NodeState s;
    s.pod_uid = p.pod_uid;
    s.incarnation = incarnation;
    p.heard = Heard{s, now + Milliseconds(1)};
    p.answer.reset();
  }

  // Where the state says it should be, in `epoch`, with the whole data.
  void Settle(const std::string& name, uint64_t epoch) {
    control::NodeState& s = Node(name);
    s.group = "uid";
    s.epoch = s.role_epoch = epoch;
    s.in_office = s.complete = true;
    s.dataset = "data";
    s.keys = 10;
    s.offset = 100;
    s.last_record_epoch = epoch;
    const control::Configuration& c = state.configurations.back();
    if (c.primary.name == name) {
      s.role = control::Role::kPrimary;
      s.configuration = s.configuration_acked = c.number;
      s.synchronous_replicas = c.synchronous_replicas;
      s.lease_ms = c.lease_ms;
      s.lease_held = true;
      s.acks.clear();
      for (const PodView& p : view.pods) {
        if (p.member != name) s.acks.push_back({p.heard->state.incarnation, 100, true, false, 0});
      }
    } else {
      s.role = control::Role::kReplica;
      s.primary = c.primary.incarnation;
      s.link = control::LinkState::kUp;
      s.last_granted_ms_ago = -1;
    }
  }

  PodView& Pod(const std::string& name) {
    for (PodView& p : view.pods) {
      if (p.member == name && p.exists) return p;
    }
    ADD_FAILURE() << "no Pod " << name;
    return view.pods.front();
  }
  Member& MemberOf(const std::string& name) {
    for (Member& m : view.members) {
      if (m.name == name) return m;
    }
    ADD_FAILURE() << "no member " << name;
    return view.members.front();
  }
  control::NodeState& Node(const std::string& name) { return Pod(name).heard->state; }
  control::ReplicaAck& Ack(const std::string& name) {
    for (control::ReplicaAck& a : Node(state.primary.name).acks) {
      if (a.incarnation == Node(name).incarnation) return a;
    }
    Node(state.primary.name).acks.push_back({Node(name).incarnation, 100, true, false, 0});
    return Node(state.primary.name).acks.back();
  }
  control::NodeRef Ref(const std::string& name) {
    const PodView& p = Pod(name);
    return {p.member, p.pod_uid, p.heard->state.incarnation, p.node_name, p.address};
  }

  // Time passes; those in `silent` say nothing.
  void Pass(int64_t ms, const std::vector<std::string>& silent = {}) {
    now = now + Milliseconds(ms);
    wall.unix_ms += ms;
    for (PodView& p : view.pods) {
      if (std::find(silent.begin(), silent.end(), p.member) == silent.end() && p.channel.up)
        p.heard->at = now;
    }
  }
  void Silence(const std::string& name) { Pod(name).heard->at = now - Seconds(5); }
  // Its own link to the primary is down.
  void Unlink(const std::string& name) { Node(name).link = control::LinkState::kConnecting; }
  // The kubelet says that its process ended.
  void Die(const std::string& name) {
    PodView& p = Pod(name);
    p.terminated.push_back(p.heard->state.incarnation);
    p.channel.up = false;
    p.running = false;
  }

  Decision Decide() {
    view.fresh_nonce = ++nonce_;
    view.fresh_dataset = "fresh";
    Decision d = failover::Decide(state, view, now, wall);
    view.memory = d.memory;
    EXPECT_FALSE(d.persist && (!d.orders.empty() || d.endpoint || !d.force_delete.empty()))
        << "persist before act";
    return d;
  }
  // What it says when the patience for proofs is over; those in `silent` say nothing meanwhile.
  Decision DecideAfterPatience(const std::vector<std::string>& silent) {
    const Decision d = Decide();
    EXPECT_FALSE(d.findings.waiting_for_proof) << "most proofs come by themselves";
    Pass(kProofPatience.ms(), silent);
    return Decide();
  }
  // Expects a write and takes it over.
  Decision Persist() {
    Decision d = Decide();
    EXPECT_TRUE(d.persist.has_value());
    if (d.persist) {
      EXPECT_NE(*d.persist, state);
      state = *d.persist;
    }
    return d;
  }
  // A takeover is running; everybody who is connected (but `silent`) is fenced and answers its
  // question.
  void FenceAndAnswer(const std::vector<std::string>& silent = {}) {
    const uint64_t e = state.failover->epoch;
    auto speaks = [&](const PodView& p) {
      return p.channel.up && std::find(silent.begin(), silent.end(), p.member) == silent.end();
    };
    for (PodView& p : view.pods) {
      if (!speaks(p) || p.heard->state.group != "uid") continue;
      p.heard->state.epoch = std::max(p.heard->state.epoch, e);
      p.heard->state.in_office = p.heard->state.role_epoch >= e;
      p.heard->at = now;
    }
    (void)Decide();
    Answer(silent);
  }
  void Answer(const std::vector<std::string>& silent = {}) {
    for (PodView& p : view.pods) {
      if (!p.channel.up || std::find(silent.begin(), silent.end(), p.member) != silent.end())
        continue;
      if (p.heard->state.group != "uid") continue;
      p.answer = p.heard;
      p.answer->state.nonce = view.memory.nonce;
      p.answer->at = now;
    }
  }
  // The winner says that it is primary of the running transition.
  void TakeOffice(const std::string& name) {
    const control::Configuration& c = state.configurations.back();
    control::NodeState& s = Node(name);
    s.role = control::Role::kPrimary;
    s.epoch = s.role_epoch = s.last_record_epoch = c.epoch;
    s.in_office = s.lease_held = true;
    s.configuration = c.number;
    s.synchronous_replicas = c.synchronous_replicas;
    s.lease_ms = c.lease_ms;
    s.configuration_acked = c.synchronous_replicas == 0 ? c.number : 0;
    s.acks.clear();
    Pod(name).heard->at = now;
  }

  static std::vector<control::Order> To(const Decision& d, const std::string& pod_uid) {
    std::vector<control::Order> orders;
    for (const OutgoingOrder& o : d.orders) {
      if (o.pod_uid == pod_uid) orders.push_back(o.order);
    }
    return orders;
  }
  static bool Orders(const Decision& d, const std::string& name, control::OrderKind kind) {
    for (const control::Order& o : To(d, "pod-" + name)) {
      if (o.kind == kind) return true;
    }
    return false;
  }

 private:
  uint64_t nonce_ = 1000;
};

}  // namespace understudy::failover
