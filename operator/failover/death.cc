#include "operator/failover/death.h"

#include <algorithm>
#include <optional>

namespace understudy::failover {
namespace {

using control::NodeRef;

// Same Pod: by UID. By name it would be wrong: after a forced deletion the old process may go on.
bool SamePod(const Turn& turn, const PodView& pod, const NodeRef& node) {
  return turn.on(Rule::kPodUid) ? pod.pod_uid == node.pod_uid : pod.member == node.name;
}

std::optional<std::string> KubeletsWord(const Turn& turn, const NodeRef& node) {
  for (const PodView& pod : turn.view.pods) {
    if (pod.pod_uid == node.pod_uid && Has(pod.terminated, node.incarnation)) {
      return "the kubelet says that its container terminated";
    }
  }
  return std::nullopt;
}

// Another incarnation answers from the same Pod, over a channel begun after this one was known: the
// admin port is a lock that one process per Pod holds. An older channel may still deliver late
// words of a predecessor, which prove nothing; such a channel is opened anew.
std::optional<std::string> Successor(Turn& turn, const NodeRef& node, MonoTime known_since) {
  for (const PodView& pod : turn.view.pods) {
    if (!SamePod(turn, pod, node) || !pod.heard ||
        pod.heard->state.incarnation == node.incarnation) {
      continue;
    }
    if (pod.channel.begun_at > known_since && pod.heard->at > pod.channel.begun_at) {
      return "a later process answers from its Pod";
    }
    if (pod.channel.up && !Has(turn.out.reconnect, pod.pod_uid)) {
      turn.out.reconnect.push_back(pod.pod_uid);
    }
  }
  return std::nullopt;
}

bool VoterSawItEnd(const Turn& turn, const NodeRef& node) {
  for (const control::Configuration& c : turn.state.configurations) {
    for (const NodeRef& voter : c.voters) {
      const control::NodeState* words = turn.Words(voter.incarnation);
      if (words && voter.incarnation != node.incarnation && Has(words->ended, node.incarnation)) {
        return true;
      }
    }
  }
  return false;
}

std::optional<std::string> Lifeline(const Turn& turn, const NodeRef& node) {
  for (const LifelineEnd& end : turn.view.lifelines) {
    if (end.incarnation != node.incarnation || end.refused_begun_at == MonoTime{}) continue;
    if (!turn.on(Rule::kRefused)) return "a connection to it was refused";
    // Network policies answer RST for living Pods, and addresses are re-used: neither half is
    // enough, nor one observer.
    if (end.ended_by_fin_at == MonoTime{} || end.refused_begun_at <= end.ended_by_fin_at) continue;
    if (VoterSawItEnd(turn, node)) {
      return "its lifelines to the operator and to a voter ended and new connections are refused";
    }
  }
  return std::nullopt;
}

bool Speaks(const Turn& turn, const NodeRef& node) {
  const PodView* pod = turn.PodHearing(node.incarnation);
  return pod && turn.Hears(*pod);
}

// Believed unless the process is speaking at this moment; and by nobody who can't tell yet whether it speaks, as a new
// leader that has not heard it. The annotation is not believed where it was there while the process spoke.
std::optional<std::string> AdministratorsWord(Turn& turn, const NodeRef& node) {
  std::optional<std::string> word;
  if (Has(turn.view.confirmed_dead, node.incarnation) && !Has(turn.state.void_words, node.incarnation)) {
    word = "an administrator confirmed it by annotation";
  } else if (!node.node_name.empty() && Has(turn.view.nodes_out_of_service, node.node_name)) {
    word = "its node is out of service";
  }
  if (!word || !turn.view.me.leads || Speaks(turn, node)) return std::nullopt;
  const MonoTime can_tell = turn.view.me.acquired_at + kRecent;
  if (turn.HeardAt(node.incarnation) != MonoTime{} || turn.now >= can_tell) return word;
  turn.WakeAt(can_tell);
  return std::nullopt;
}

// What an administrator said of it does not hold any more: it speaks, or nothing but a void word says so.
bool Refuted(Turn& turn, const NodeRef& node) {
  return Speaks(turn, node) || (Has(turn.state.void_words, node.incarnation) && !AdministratorsWord(turn, node));
}

void UpdateKnown(Turn& turn) {
  std::vector<Memory::Known> known;
  auto add = [&](const NodeRef& node, MonoTime since) {
    for (const Memory::Known& k : known) {
      if (k.node.incarnation == node.incarnation) return;
    }
    for (const Memory::Known& k : turn.memory.known) {
      if (k.node.incarnation == node.incarnation) since = k.since;
    }
    known.push_back({node, since});
  };
  for (const NodeRef& node : NamedNodes(turn.state)) add(node, turn.now);
  for (const PodView& pod : turn.view.pods) {
    if (pod.heard) add(turn.RefOf(pod), turn.now);
  }
  turn.memory.known = std::move(known);
}

void UpdateDeaths(Turn& turn) {
  std::vector<Death> deaths;
  for (const Memory::Known& k : turn.memory.known) {
    const Death* death = turn.DeathOf(k.node.incarnation);
    if (death && !(death->said && Refuted(turn, k.node))) {
      deaths.push_back(*death);
      continue;
    }
    std::optional<std::string> why = KubeletsWord(turn, k.node);
    if (!why) why = Successor(turn, k.node, k.since);
    if (!why) why = Lifeline(turn, k.node);
    const bool seen = why.has_value();
    if (!why) why = AdministratorsWord(turn, k.node);
    // What a running failover was decided on holds until it has ended, whoever found the proof.
    const std::optional<Failover>& fo = turn.state.failover;
    if (!why && fo && !fo->proof.empty() && fo->old.incarnation == k.node.incarnation) {
      why = fo->proof;
    }
    if (why) deaths.push_back({k.node.incarnation, *why, turn.now, !seen});
  }
  turn.memory.deaths = std::move(deaths);
}

void UpdateLastWords(Turn& turn) {
  const NodeRef& primary = turn.state.failover ? turn.state.failover->old : turn.state.primary;
  Memory::LastWords& last = turn.memory.primary;
  if (last.incarnation != primary.incarnation) last = {primary.incarnation, 0, {}, {}};
  const PodView* pod = turn.PodHearing(primary.incarnation);
  if (!pod || pod->heard->at <= last.at) return;
  last.offset = pod->heard->state.offset;
  last.at = pod->heard->at;
  last.wall = {turn.wall.unix_ms - (turn.now - pod->heard->at).ms()};
}

}  // namespace

void RememberFacts(Turn& turn) {
  UpdateKnown(turn);
  UpdateDeaths(turn);
  UpdateLastWords(turn);
}

void NoteVoidWords(Turn& turn) {
  std::vector<std::string> words;
  for (const std::string& word : turn.state.void_words) {
    if (Has(turn.view.confirmed_dead, word)) words.push_back(word);
  }
  for (const Memory::Known& k : turn.memory.known) {
    const std::string& word = k.node.incarnation;
    if (!Has(turn.view.confirmed_dead, word) || Has(words, word) || turn.Dead(word) || !Speaks(turn, k.node)) continue;
    words.push_back(word);
    turn.Note(true, "ConfirmDeadIgnored", "annotation cache.understudy.dev/confirm-dead names " + word + ", but " +
                                              k.node.name + " answers: that counts for nothing, also later; remove it");
  }
  if (words == turn.state.void_words) return;
  if (!turn.out.persist) turn.out.persist = turn.state;
  turn.out.persist->void_words = std::move(words);
}

}  // namespace understudy::failover
