// The options of a World's processes: those in kLive change while it runs, and "wrong" is a value of none.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "operator/manifests/manifests.h"
#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

const std::set<std::string> kLive = {"maxclients", "maxmemory", "slowlog-max-len"};

}  // namespace

void World::StartOptions(const std::string& node, Process_* process) {
  process->declared.clear();
  control::Parameters started;
  const Json pod = *Get("Pod", node + "-0");
  const Json set = {{"spec", {{"template", {{"spec", pod.at("spec")}}}}}};
  for (const auto& [name, value] : manifests::ArgumentsOf(set)) {
    process->declared[name] = value;
    started.values.push_back({name, value});
  }
  process->options = process->declared;
  process->state.parameters = {};
  if (!process->old) process->state.parameters.taken = control::ParametersHash(started);
}

void World::Take(const OutgoingParameters& out) {
  ++parameters_sent_;
  for (auto& [node, process] : processes_) {
    if (process.pod_uid != out.pod_uid || process.state.incarnation != out.parameters.incarnation) continue;
    if (mute_[node]) return;
    ASSERT_FALSE(process.old) << node << " does not know the message and would close the channel";
    control::ParametersState& state = process.state.parameters;
    ASSERT_NE(state.taken, control::ParametersHash(out.parameters)) << node << " has these already";
    state = {.taken = control::ParametersHash(out.parameters)};
    const auto held = [&](const std::string& name) {
      const auto& hold = out.parameters.hold;
      return !kLive.contains(name) || std::find(hold.begin(), hold.end(), name) != hold.end();
    };
    std::map<std::string, std::string> wanted;
    for (const control::Parameter& one : out.parameters.values) {
      wanted[one.name] = one.value;
      const auto before = process.declared.find(one.name);
      const std::string from = before == process.declared.end() ? "" : before->second;
      if (from == one.value) continue;
      if (one.value == "wrong") {
        state.open.push_back({one.name, from, "argument couldn't be parsed"});
      } else if (held(one.name)) {
        state.open.push_back({one.name, from, ""});
      } else {
        process.declared[one.name] = process.options[one.name] = one.value;
      }
    }
    for (auto it = process.declared.begin(); it != process.declared.end();) {
      if (wanted.contains(it->first)) {
        ++it;
      } else if (held(it->first)) {
        state.open.push_back({it->first, it->second, ""});
        ++it;
      } else {
        process.options.erase(it->first);
        it = process.declared.erase(it);
      }
    }
  }
}

void World::SetOld(const std::string& node) {
  Process_& process = processes_.at(node);
  process.old = true;
  process.state.parameters = {};
}

std::string World::Option(const std::string& node, const std::string& name) {
  const auto& options = processes_.at(node).options;
  const auto it = options.find(name);
  return it == options.end() ? "" : it->second;
}

void World::SetOption(const std::string& node, const std::string& name, const std::string& value) {
  processes_.at(node).options[name] = value;
}

}  // namespace understudy::plan
