// The server as the role machine sees it: carries out changes of role, and brings replication's news to the
// admin thread. Under the operator only.
//
// Threads: control::DataPath on the admin thread; RoleEvents on the threads that their comments name.
#pragma once

#include "node/config/declaration.h"
#include "node/control/control_plane.h"
#include "node/control/data_path.h"
#include "node/server.h"

namespace understudy {

class ServerDataPath final : public control::DataPath, public RoleEvents {
 public:
  ServerDataPath(Server& server, config::Declaration& declaration) : server_(server), declaration_(declaration) {}
  // Before the server starts; plane must outlive the server's threads.
  void set_plane(control::ControlPlane* plane) { plane_ = plane; }

  role::ReplicationFacts Facts() override;
  role::RoleGate& gate() override { return server_.gate(); }
  Duration LongestTurn() override { return server_.LongestTurn(); }
  void BecomePrimary(const role::BecomePrimary& action, Done done) override;
  void ActUnder(const role::ActUnder& action, Done done) override;
  void BecomeReplica(const role::BecomeReplica& action, Done done) override;
  void BecomeStandalone(const role::BecomeStandalone& action, Done done) override;
  void Fence(const role::Fenced& action, Done done) override;
  void StopApplying(const role::StopApplying& action, Done done) override;
  void Demote(const role::Demote& action, Done done) override;
  void WakePausedClients() override { server_.WakePausedClients(); }
  void CheckHeldReplies() override { server_.OnAcks(); }
  void Declare(const control::Parameters& declared) override { declaration_.Take(declared); }
  const control::ParametersState& Declared() override { return declaration_.state(); }

  void OnLoading(bool loading) override;
  void OnChange() override { plane_->OnChange(); }

 private:
  Server& server_;
  config::Declaration& declaration_;
  control::ControlPlane* plane_ = nullptr;
};

}  // namespace understudy
