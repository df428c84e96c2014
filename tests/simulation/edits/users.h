// Users: edits of CacheClusters, ReadReplicas and ReplicationGroups at random, each one that the CRDs' rules and
// the admission policy let through, and an administrator who confirms deaths that are true.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/json.h"

namespace understudy::edits {

class Simulation;

class Users {
 public:
  explicit Users(Simulation& simulation) : simulation_(simulation) {}

  // Two groups with a few nodes.
  void Begin();
  // One edit.
  void Edit();
  // What condition WaitingForProofOfDeath asks for, if the process has really ended.
  void ConfirmDeaths();

 private:
  struct Node {
    std::string kind;
    std::string name;
  };

  bool TryEdit();
  void Write(const std::string& kind, const std::string& name, Json spec, const std::string& what);
  void Create(const std::string& kind, const std::string& name, Json spec);
  void Remove(const std::string& kind, const std::string& name);

  bool CreateNode();
  bool DeleteNode();
  bool CreateGroup();
  bool DeleteGroup();
  bool Join(const Node& node);
  bool Promote(const Node& node);
  bool Discard(const Node& node);
  bool EditNodeSettings(const Node& node);
  bool EditPrimary(const std::string& group);
  bool AskForSwitchover(const std::string& group);
  bool EditGroup(const std::string& group);
  bool EditWhen(const std::string& kind, const std::string& name);

  std::vector<Node> Nodes() const;
  std::vector<std::string> Groups() const;
  const Json& Spec(const std::string& kind, const std::string& name) const;
  std::string AnyNodeName();
  std::string AnyGroupName();
  std::string AnyWindow();
  Json AnySettings(Json settings);
  bool Chance(int percent);

  Simulation& simulation_;
};

}  // namespace understudy::edits
