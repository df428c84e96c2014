#include "operator/plan/placement.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>

#include "operator/api/meta.h"

namespace understudy::plan {
namespace {

using api::Node;
using Nodes = std::vector<const Node*>;

// One thing that is asked of each Node.
struct Constraint {
  std::function<bool(const Node&)> holds;
  std::string whom;                              // the Nodes that it leaves: "no Node <in zone a> ..."
  std::function<std::string(const Nodes&)> lacks;  // what none of these does: "no Node <is in zone a>"
};

const Json& Items(const Json& object, const char* key) {
  static const Json kEmpty = Json::array();
  const Json& value = JsonAt(object, key);
  return value.is_array() ? value : kEmpty;
}

std::string Joined(const std::set<std::string>& words) {
  constexpr size_t kMost = 8;
  std::string text;
  size_t told = 0;
  for (const std::string& word : words) {
    if (told++ == kMost) return text + ", ...";
    text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

// -- labels

std::optional<int64_t> Integer(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// An item of matchExpressions or matchFields.
struct Requirement {
  std::string key, op;
  std::vector<std::string> values;

  explicit Requirement(const Json& item) : key(JsonString(item, "key")), op(JsonString(item, "operator")) {
    for (const Json& value : Items(item, "values")) {
      if (!value.is_string()) op.clear();  // the API server's to refuse
      values.push_back(api::IntOrString(value));
    }
  }
  // value: the label's; nullptr: there is no such label.
  bool Holds(const std::string* value) const {
    const auto among = [&] { return std::find(values.begin(), values.end(), *value) != values.end(); };
    if (op == "In") return value != nullptr && among();
    if (op == "NotIn") return value == nullptr || !among();
    if (op == "Exists") return value != nullptr;
    if (op == "DoesNotExist") return value == nullptr;
    const bool greater = op == "Gt";
    if ((!greater && op != "Lt") || values.size() != 1) return true;  // not understood
    const std::optional<int64_t> bound = Integer(values.front());
    if (!bound) return true;
    const std::optional<int64_t> number = value == nullptr ? std::nullopt : Integer(*value);
    return number && (greater ? *number > *bound : *number < *bound);
  }
};

const std::string* LabelOf(const Node& node, const std::string& key) {
  const auto it = node.meta.labels.find(key);
  return it == node.meta.labels.end() ? nullptr : &it->second;
}

// One of the alternatives in nodeSelectorTerms; one that asks for nothing matches nothing.
struct Term {
  std::vector<Requirement> labels, fields;

  explicit Term(const Json& term) {
    for (const Json& item : Items(term, "matchExpressions")) labels.emplace_back(item);
    for (const Json& item : Items(term, "matchFields")) fields.emplace_back(item);
  }
  bool Holds(const Node& node) const {
    if (labels.empty() && fields.empty()) return false;
    return std::all_of(labels.begin(), labels.end(),
                       [&](const Requirement& one) { return one.Holds(LabelOf(node, one.key)); }) &&
           std::all_of(fields.begin(), fields.end(), [&](const Requirement& one) {
             return one.key != "metadata.name" || one.Holds(&node.meta.name);
           });
  }
};

void AddZone(const std::string& zone, std::vector<Constraint>* all) {
  if (zone.empty()) return;
  const auto lacks = [zone](const Nodes& nodes) {
    std::set<std::string> zones;
    for (const Node* node : nodes) zones.insert(node->zone);
    zones.erase("");
    if (zones.empty()) return "is in zone " + zone + "; none has the label topology.kubernetes.io/zone";
    return "is in zone " + zone + "; there are Nodes in zone" + (zones.size() == 1 ? " " : "s ") + Joined(zones);
  };
  all->push_back({[zone](const Node& node) { return node.zone == zone; }, "in zone " + zone, lacks});
}

void AddNodeSelector(const Json& spec, std::vector<Constraint>* all) {
  const std::map<std::string, std::string> labels = api::ParseStringMap(JsonAt(spec, "nodeSelector"));
  if (labels.empty()) return;
  std::string text;
  for (const auto& [key, value] : labels) text += (text.empty() ? "" : ", ") + key + "=" + value;
  text = (labels.size() == 1 ? "the label " : "the labels ") + text + " of nodeSelector";
  const auto holds = [labels](const Node& node) {
    return std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
      const std::string* value = LabelOf(node, label.first);
      return value != nullptr && *value == label.second;
    });
  };
  all->push_back({holds, "with " + text, [text](const Nodes&) { return "has " + text; }});
}

void AddNodeAffinity(const Json& spec, std::vector<Constraint>* all) {
  const Json& required =
      JsonAt(JsonAt(JsonAt(spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution");
  if (!required.is_object()) return;
  std::vector<Term> terms;
  for (const Json& term : Items(required, "nodeSelectorTerms")) terms.emplace_back(term);
  if (terms.empty()) return;
  const auto holds = [terms](const Node& node) {
    return std::any_of(terms.begin(), terms.end(), [&](const Term& term) { return term.Holds(node); });
  };
  all->push_back({holds, "that matches the required nodeAffinity",
                  [](const Nodes&) -> std::string { return "matches what nodeAffinity of affinity requires"; }});
}

// -- taints

constexpr const char* kCordonKey = "node.kubernetes.io/unschedulable";

// Put there for a state that passes by itself, a kubelet that is silent or just started: such a Node may come back.
bool Passes(const api::Taint& taint) {
  static const std::set<std::string, std::less<>> kPassing = {
      "node.kubernetes.io/not-ready",     "node.kubernetes.io/unreachable",  "node.kubernetes.io/memory-pressure",
      "node.kubernetes.io/disk-pressure", "node.kubernetes.io/pid-pressure", "node.kubernetes.io/network-unavailable",
      "node.cloudprovider.kubernetes.io/uninitialized"};
  return kPassing.contains(taint.key);
}

struct Toleration {
  std::string key, op, value, effect;

  explicit Toleration(const Json& item)
      : key(JsonString(item, "key")),
        op(JsonString(item, "operator")),
        value(JsonString(item, "value")),
        effect(JsonString(item, "effect")) {}
  bool Covers(const api::Taint& taint) const {
    if (!effect.empty() && effect != taint.effect) return false;
    if (!key.empty() && key != taint.key) return false;
    return op.empty() || op == "Equal" ? value == taint.value : true;
  }
};

// Of the taints that keep the Pod away; nullptr: none does.
const api::Taint* Untolerated(const Node& node, const std::vector<Toleration>& tolerations) {
  for (const api::Taint& taint : node.taints) {
    if ((taint.effect != "NoSchedule" && taint.effect != "NoExecute") || Passes(taint)) continue;
    const bool tolerated = std::any_of(tolerations.begin(), tolerations.end(),
                                       [&](const Toleration& one) { return one.Covers(taint); });
    if (!tolerated) return &taint;
  }
  return nullptr;
}

void AddTaints(const Json& spec, std::vector<Constraint>* all) {
  std::vector<Toleration> tolerations;
  for (const Json& item : Items(spec, "tolerations")) tolerations.emplace_back(item);
  const auto cordoned = [tolerations](const Node& node) {
    const api::Taint cordon = {kCordonKey, "", "NoSchedule"};
    return node.unschedulable && std::none_of(tolerations.begin(), tolerations.end(),
                                              [&](const Toleration& one) { return one.Covers(cordon); });
  };
  const auto holds = [tolerations, cordoned](const Node& node) {
    return !cordoned(node) && Untolerated(node, tolerations) == nullptr;
  };
  const auto lacks = [tolerations, cordoned](const Nodes& nodes) {
    bool any_cordoned = false;
    std::set<std::string> taints;
    for (const Node* node : nodes) {
      const api::Taint* taint = Untolerated(*node, tolerations);
      if (cordoned(*node) || (taint != nullptr && taint->key == kCordonKey)) {
        any_cordoned = true;
      } else if (taint != nullptr) {
        taints.insert(taint->key + (taint->value.empty() ? "" : "=" + taint->value) + ":" + taint->effect);
      }
    }
    std::string text = "takes it: each ";
    if (any_cordoned) text += taints.empty() ? "is cordoned" : "is cordoned or ";
    if (!taints.empty()) text += "has a taint that tolerations leave out (" + Joined(taints) + ")";
    return text;
  };
  all->push_back({holds, "without other taints than those tolerated", lacks});
}

// -- resources, in thousandths

bool IsBytes(const std::string& name) {
  return name == "memory" || name == "ephemeral-storage" || name.starts_with("hugepages-");
}

std::string Decimal(long double value) {
  const int64_t hundredths = static_cast<int64_t>(value * 100);
  std::string text = std::to_string(hundredths / 100);
  if (hundredths % 100 == 0) return text;
  text += "." + std::to_string(100 + hundredths % 100).substr(1);
  if (text.back() == '0') text.pop_back();
  return text;
}

std::string AmountText(const std::string& name, int64_t millis) {
  if (!IsBytes(name)) return Decimal(static_cast<long double>(millis) / 1000);
  long double value = static_cast<long double>(millis) / 1000;
  std::string unit;
  for (const char* next : {"Ki", "Mi", "Gi", "Ti"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return Decimal(value) + unit;
}

// "64 CPUs", "64Gi of memory".
std::string ResourceText(const std::string& name, const std::string& amount) {
  if (name == "cpu") return amount + (amount == "1" ? " CPU" : " CPUs");
  return amount + " of " + name;
}

using Amounts = std::map<std::string, int64_t>;

int64_t Sum(int64_t a, int64_t b) { return a > INT64_MAX - b ? INT64_MAX : a + b; }

// The API server gives a container the limit where it requests nothing.
Amounts RequestsOf(const Json& container) {
  Amounts amounts;
  const Json& resources = JsonAt(container, "resources");
  for (const char* which : {"limits", "requests"}) {
    const Json& list = JsonAt(resources, which);
    if (!list.is_object()) continue;
    for (const auto& [name, value] : list.items()) {
      amounts.erase(name);
      if (const auto amount = api::ParseQuantityMillis(api::IntOrString(value)); amount.ok() && *amount > 0) {
        amounts[name] = *amount;
      }
    }
  }
  return amounts;
}

void Add(const Amounts& more, Amounts* sum) {
  for (const auto& [name, amount] : more) (*sum)[name] = Sum((*sum)[name], amount);
}

void Raise(const Amounts& least, Amounts* amounts) {
  for (const auto& [name, amount] : least) (*amounts)[name] = std::max((*amounts)[name], amount);
}

// The containers run at once, beside the init containers that go on; each other init container runs before them,
// beside those of the former that come before it.
Amounts RequestsOfPod(const Json& spec) {
  Amounts at_once, go_on, at_start;
  for (const Json& container : Items(spec, "containers")) Add(RequestsOf(container), &at_once);
  for (const Json& container : Items(spec, "initContainers")) {
    Amounts own = RequestsOf(container);
    if (JsonString(container, "restartPolicy") == "Always") {
      Add(own, &go_on);
      continue;
    }
    Add(go_on, &own);
    Raise(own, &at_start);
  }
  Add(go_on, &at_once);
  Raise(at_start, &at_once);
  return at_once;
}

const int64_t* AllocatableOf(const Node& node, const std::string& name) {
  for (const auto& [resource, amount] : node.allocatable) {
    if (resource == name) return &amount;
  }
  return nullptr;
}

void AddResources(const Json& spec, const Fleet& fleet, std::vector<Constraint>* all) {
  for (const auto& [name, asked] : RequestsOfPod(spec)) {
    // An extended one that no Node lists may come from elsewhere: a device class, a scheduler's extender.
    const bool extended = name.find('/') != std::string::npos;
    if (extended && std::none_of(fleet.nodes.begin(), fleet.nodes.end(), [&](const auto& node) {
          return AllocatableOf(*node, name) != nullptr;
        })) {
      continue;
    }
    const auto has = [name](const Node& node) {
      const int64_t* amount = AllocatableOf(node, name);
      return amount == nullptr ? 0 : *amount;
    };
    const auto holds = [has, asked](const Node& node) { return node.allocatable.empty() || has(node) >= asked; };
    const auto lacks = [name, asked, has](const Nodes& nodes) {
      int64_t largest = 0;
      for (const Node* node : nodes) largest = std::max(largest, has(*node));
      std::string text = AmountText(name, asked), most = AmountText(name, largest);
      if (text == most) {  // rounded
        text = std::to_string((asked + 999) / 1000);
        most = std::to_string(largest / 1000);
      }
      return "has " + ResourceText(name, text) + " for it: the largest has " + most;
    };
    all->push_back({holds, "with " + ResourceText(name, AmountText(name, asked)), lacks});
  }
}

}  // namespace

bool IsHeldBack(const api::CacheNodeStatus& status) {
  const api::Condition* accepted = status.conditions.Find(api::kAccepted);
  return accepted != nullptr && accepted->status == api::Truth::kFalse &&
         accepted->reason == api::reason::kUnschedulable;
}

std::string WhyNoNodeTakes(const Json& stateful_set, const std::string& zone, const Fleet& fleet) {
  const Json& spec = JsonAt(JsonAt(JsonAt(stateful_set, "spec"), "template"), "spec");
  std::vector<Constraint> all;
  AddZone(zone, &all);
  AddNodeSelector(spec, &all);
  AddNodeAffinity(spec, &all);
  AddTaints(spec, &all);
  AddResources(spec, fleet, &all);
  const auto takes = [&](const auto& node) {
    return std::all_of(all.begin(), all.end(), [&](const Constraint& one) { return one.holds(*node); });
  };
  if (fleet.nodes.empty() || std::any_of(fleet.nodes.begin(), fleet.nodes.end(), takes)) return "";

  // One that rules out all by itself says most; else they are told as they narrow the choice down.
  Nodes left;
  for (const auto& node : fleet.nodes) left.push_back(node.get());
  for (const Constraint& one : all) {
    if (std::none_of(left.begin(), left.end(), [&](const Node* node) { return one.holds(*node); })) {
      return "no Node " + one.lacks(left);
    }
  }
  std::string who = "no Node";
  for (const Constraint& one : all) {
    Nodes next;
    std::copy_if(left.begin(), left.end(), std::back_inserter(next), [&](const Node* node) { return one.holds(*node); });
    if (next.empty()) return who + " " + one.lacks(left);
    if (next.size() < left.size()) who += " " + one.whom;
    left = std::move(next);
  }
  return "";
}

}  // namespace understudy::plan
