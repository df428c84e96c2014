// What must hold before a command runs: one list, in Redis's order, so that of two reasons the same one is told.
#include "common/clock.h"
#include "node/command/dispatch.h"
#include "node/command/dispatch_state.h"
#include "node/command/notify.h"
#include "node/command/saver.h"
#include "node/command/script_host.h"
#include "node/config/config.h"
#include "node/pubsub/channels.h"
#include "node/resp/errors.h"
#include "node/role/role_gate.h"

namespace understudy::command {
namespace {

constexpr Duration kSnapshotPressureStep = Milliseconds(1);
constexpr Duration kCrowdedStep = Milliseconds(1);  // a worker hands out its mail in every turn

// A Service may lead to the former primary for a second after its EndpointSlice was changed (FAILOVER.md section 8), and
// longer in a large cluster.
constexpr Duration kServicesFollow = Seconds(10);

}  // namespace

// Such a client would be refused for as long as it keeps its connection: it came through a Service that leads elsewhere
// by now, or will in a moment.
bool Dispatcher::CameLate(const Session& session) const {
  const int64_t closed_ms = clients_closed_ms_.load(std::memory_order_relaxed);
  return session.created_ms.load(std::memory_order_relaxed) < closed_ms + kServicesFollow.ms();
}

acl::Verdict Dispatcher::CheckAndNote(Session& session, const Row& row, Args args, std::string_view context) {
  const int db = session.transaction ? session.transaction->db : session.db.load(std::memory_order_relaxed);
  const acl::Verdict verdict = CheckPermission(*session.acl_user, row, args, {db, services_->keyspace.databases()});
  if (verdict.allowed()) return verdict;
  session.last_command.store(row.index, std::memory_order_relaxed);
  const int64_t now_ms = session.connection.worker().wall_ms();
  acl::DenialLog::Entry entry =
      DenialEntry(verdict, context, table_.FullName(row.index), args, session.acl_user->name());
  entry.client = DescribeClient(session, table_, now_ms);
  acl_.NoteDenial(std::move(entry), now_ms);
  return verdict;
}

std::string Dispatcher::Forbidden(Session& session, const Row& row, Args args) {
  const acl::Verdict verdict = CheckAndNote(session, row, args, session.transaction ? "multi" : "toplevel");
  if (verdict.allowed()) return {};
  return "NOPERM " + DenialText(verdict, *session.acl_user, table_.FullName(row.index), args, false);
}

acl::Verdict Dispatcher::CheckInScript(Session& session, const Row& row, Args args) {
  return CheckAndNote(session, row, args, "lua");
}

std::string Dispatcher::ForbiddenInExec(Session& session, const Row& row, Args args) {
  std::string error =
      "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is "
      "no longer allowed for the following reason: ";
  switch (CheckAndNote(session, row, args, "multi").denial) {
    case acl::Denial::kNone:
      return {};
    case acl::Denial::kCommand:
      return error + "no permission to execute the command or subcommand";
    case acl::Denial::kKey:
      return error + "no permission to touch the specified keys";
    case acl::Denial::kDatabase:
      return error + "no permission to access the database";
    case acl::Denial::kChannel:
      break;
  }
  return error + "no permission to access one of the channels used as arguments to the command";
}

bool Dispatcher::Admit(WorkerState& state, Session& session, const Row& row, Args args, resp::Writer& reply) {
  uint32_t flags = row.flags;
  if ((flags & kRunsQueue) && session.transaction) {  // EXEC does what its queue does
    flags |= session.transaction->flags & (kWrite | kDenyOom | kMayReplicate | kRunsScript);
    if (session.transaction->needs_role) flags &= ~kLoading;
  }
  const auto refuse = [&](std::string_view error) {
    Reject(state, session, &row, error, reply);
    return false;
  };
  // In a group a replica proves itself by the key of its role's epoch, and nobody else is let further (Engine::Attach):
  // users' rules must not keep a group from replicating.
  const bool own_handshake = (flags & kHandshake) && !services_->standalone;
  if (!session.authenticated && !(flags & kNoAuth) && !own_handshake) [[unlikely]] return refuse(resp::kNoAuth);
  if ((flags & kForTests) && !Allows(services_->config.debug_command, session.connection)) {
    return refuse(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a "
        "local connection, otherwise you need to set this option in the configuration file, and then restart the "
        "server.");
  }
  if (session.only_listens && !(flags & kWhenSubscribed)) [[unlikely]] {
    return refuse("ERR Can't execute '" + table_.FullName(row.index) +
                  "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context");
  }
  if (session.monitors.load(std::memory_order_relaxed) && (flags & (kWrite | kReadonly | kMayReplicate))) [[unlikely]] {
    return refuse("ERR Replica can't interact with the keyspace");
  }
  if (session.transaction && (flags & kNoMulti)) return refuse("ERR Command not allowed inside a transaction");
  if (!session.unrestricted && !own_handshake) [[unlikely]] {
    if (const std::string error = Forbidden(session, row, args); !error.empty()) return refuse(error);
  }
  if (state.busy && !(flags & kAllowBusy)) [[unlikely]] return refuse(BusyText());
  // A queue takes memory whatever its commands do. A script is told that there is none when it wants to write.
  if (flags & kRunsScript) {
    const Room room = TakeMemory(state, session, row, args);
    state.out_of_memory = room == Room::kNo;
    if (room == Room::kNo && (flags & kDenyOom)) return refuse(resp::kOutOfMemory);
    if (room == Room::kLater) [[unlikely]] {
      ParkUntil(state, session, state.worker->now() + state.room_wait);
      return false;
    }
  } else if (!state.busy && ((flags & kDenyOom) || (session.transaction && !(flags & kImmediate)))) {
    const Room room = TakeMemory(state, session, row, args);
    if (room == Room::kNo) [[unlikely]] return refuse(resp::kOutOfMemory);
    if (room == Room::kLater) [[unlikely]] {
      ParkUntil(state, session, state.worker->now() + state.room_wait);
      return false;
    }
  }

  const bool writes = (flags & kWrite) != 0;
  if (services_->keyspace.WritesFail() && (writes || row.name == "ping")) [[unlikely]] return refuse(resp::kDiskError);
  // Whoever waits for the end of the start asks by PING; a copy from a primary must not mix with what is loaded.
  if (services_->saver.loading() && ((flags & kNoAsyncLoading) || row.name == "ping")) return refuse(resp::kLoading);
  const bool may_write = writes || (flags & kRunsScript) != 0;
  const bool streams = (flags & kMayReplicate) != 0;
  // A transaction's scripts were looked at when they were queued.
  const auto pauses = [&] {
    return streams && (!(row.flags & kRunsScript) || !SaysItWritesNothing(*services_, row, args));
  };
  // What goes into the stream of a primary stays out of it while writes do.
  if (streams && services_->gate.Check(true, state.worker->now()) == role::Admission::kPaused && pauses()) [[unlikely]] {
    ParkUntil(state, session, services_->gate.paused_until());
    return false;
  }
  if ((streams || (writes && Notifies(*services_, ~0u))) && services_->channels.Crowded()) [[unlikely]] {
    ParkUntil(state, session, state.worker->now() + kCrowdedStep);
    return false;
  }
  if (!(flags & kLoading)) {
    state.generation = services_->gate.generation();
    const role::Admission admission = services_->gate.Check(writes, state.worker->now());
    if (admission == role::Admission::kPaused) {
      ParkUntil(state, session, services_->gate.paused_until());
      return false;
    }
    const bool served =
        admission == role::Admission::kServe || (admission == role::Admission::kStale && (flags & kStale));
    if (!served) [[unlikely]] {
      refuse(role::ErrorText(admission));
      if (admission == role::Admission::kReadOnly && CameLate(session)) session.connection.CloseAfterFlush();
      return false;
    }
  }
  if (const ClientPause paused = pause(state.worker->wall_ms()); paused != ClientPause::kNone) [[unlikely]] {
    if (paused == ClientPause::kAll || writes || pauses()) {
      const int64_t left_ms = pause_until_ms_.load(std::memory_order_relaxed) - state.worker->wall_ms();
      ParkUntil(state, session, state.worker->now() + Milliseconds(left_ms + 1));
      return false;
    }
  }
  // A snapshot whose receiver is slow is about to run out of room for overwritten data.
  if (may_write && services_->keyspace.WritersShouldWait()) [[unlikely]] {
    ParkUntil(state, session, state.worker->now() + kSnapshotPressureStep);
    return false;
  }
  if (session.blocked.load(std::memory_order_relaxed)) session.blocked.store(false, std::memory_order_relaxed);
  return true;
}

}  // namespace understudy::command
