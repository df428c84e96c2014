// Executes the commands of a primary's stream on a replica, for the replication thread.
//
// Implements replication::ApplySink; the contract is there. No admission, no reply, no effects: the stream's
// bytes go into this node's log as they are. A group between MULTI and EXEC is applied under one set of shard
// locks, so that readers never see half of it. A command that answers an error means that the two sides' data
// differ: the first one ends the group, and the node must copy the data anew.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "node/command/blocking.h"
#include "node/command/effects.h"
#include "node/command/table.h"
#include "node/replication/apply_sink.h"
#include "node/resp/output.h"

namespace understudy::command {

struct Services;
struct WorkerStats;

class ApplySink final : public replication::ApplySink {
 public:
  ApplySink();
  ~ApplySink() override;
  // Before the first Apply. services must outlive this object.
  void set_services(Services* services);

  Status Apply(std::span<const replication::Record> records, replication::CommitToLog& commit) override;

 private:
  Result<const Row*> Resolve(const replication::Record& record) const;
  Status Execute(std::span<const replication::Record> records, replication::CommitToLog& commit);
  Status Run(std::span<const replication::Record> records, const Blocking::Held& held, replication::CommitToLog& commit);

  Services* services_ = nullptr;
  std::unique_ptr<WorkerStats> stats_;  // handlers count into it; not shown
  Effects effects_;
  resp::DiscardOutput discard_;
  std::vector<const Row*> rows_;
  std::vector<uint32_t> shards_, indexes_;
  Blocking::Served served_;  // clients that waited: what they read
};

}  // namespace understudy::command
