// What replication asks of the rest of the node. Replication sits above the commands and below nobody that
// executes, so it calls back through these interfaces, which `main` hands over.
//
//   Record     one command as it goes into, or comes out of, the replication stream
//   ApplySink  executes records of the primary's stream on a replica
//   Hooks      barriers with the workers, and news for the role machine
//
// Threads: everything here is called on the replication thread, with no lock held, but where it says so.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace understudy::replication {

// argv are the words of one command, verbatim; db is the database that it runs in; encoded are its bytes in the
// stream if the caller has them already. Views, never stored.
struct Record {
  int db = 0;
  std::span<const std::string_view> argv;
  std::string_view encoded = {};
};

// Puts the raw bytes of what was just executed into this node's own log. Called by ApplySink while the shard
// locks of the executed commands are still held, so that a snapshot's cut sees both or neither.
class CommitToLog {
 public:
  virtual ~CommitToLog() = default;
  virtual void Commit() = 0;
};

class ApplySink {
 public:
  virtual ~ApplySink() = default;
  // Executes one command, or all commands between MULTI and EXEC at once, as a trusted client: no ACL, no
  // lease, no memory limit, no reply, keys that have expired are still there (View::kRaw), nothing goes to
  // Replication::Append. Takes the locks of all shards that `records` touch, executes, calls `commit`
  // exactly once under those locks, frees them.
  // kInvalid: a command is unknown, or its words or database are wrong; found before anything was executed,
  // `commit` was not called. kInternal: an execution failed half way; the data is no longer the primary's and
  // the node must copy it anew.
  virtual Status Apply(std::span<const Record> records, CommitToLog& commit) = 0;
};

class Hooks {
 public:
  virtual ~Hooks() = default;

  // Functions are part of the data. The codes of their libraries, for a full copy (on its thread); and all of them
  // replaced by what a full copy brought. With all shards locked.
  virtual std::vector<std::string> Functions() = 0;
  virtual Status ReplaceFunctions(const std::vector<std::string>& codes) = 0;

  // Calls `done` (on any thread) when every worker has ended the turn that it was in: nobody still executes a
  // command that was admitted before this call. Does not wait itself.
  virtual void DrainWorkers(std::function<void()> done) = 0;
  // Calls `done` (on any thread) when threads other than worker 0 may touch the keyspace
  // (Keyspace::SetShared). One UnshareKeyspace for each ShareKeyspace. Neither waits.
  virtual void ShareKeyspace(std::function<void()> done) = 0;
  virtual void UnshareKeyspace() = 0;

  // From the return of OnLoading(true) until OnLoading(false) no new data command is admitted (-LOADING).
  virtual void OnLoading(bool loading) = 0;
  // Link state, completeness, a replica's being in sync, or the acknowledged configuration changed: worth a
  // heartbeat at once. At most a few times a second for one reason.
  virtual void OnChange() = 0;
  // Whether this node may acknowledge writes now. A keepalive that a primary without its lease put into the stream
  // would part it from its successor's history, and cost it a full copy.
  virtual bool InOffice() = 0;
  // Replication::state() tells of now again: whenever something changed, and some times a second.
  virtual void OnFigures() {}
  // SyncOffset() or what CountAcked() counts grew: flush held replies, look at WAIT again.
  virtual void OnAcks() = 0;
  // --standalone: REPLICAOF made this node a replica (true) or a primary (false). From the return of
  // OnReplicaOf(true) no new write is admitted.
  virtual void OnReplicaOf(bool replica) = 0;
};

}  // namespace understudy::replication
