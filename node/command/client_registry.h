// All clients of all workers, for CLIENT LIST, INFO and KILL, from any thread.
//
// One list and one lock per worker, taken when a client comes or goes, changes its name, or is listed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "node/command/session.h"

namespace understudy::resp {
class Writer;
}

namespace understudy::command {

struct CallContext;
class Table;

class ClientRegistry {
 public:
  explicit ClientRegistry(uint32_t workers);

  void Add(Session& session);
  void Remove(Session& session);
  // Calls visit for every client, in the order of their ids, under its worker's lock: it may read everything
  // of a Session that is not marked as the worker's own.
  void ForEach(const std::function<void(Session&)>& visit) const;
  // Those of one worker, on it.
  void ForEachOf(net::Worker& worker, const std::function<void(Session&)>& visit) const;
  // Changes texts of a session that others may be reading.
  void Update(Session& session, const std::function<void(Session&)>& change);
  size_t size() const;
  // The worker of a client that is connected.
  std::optional<uint32_t> WorkerOf(uint64_t id) const;

 private:
  struct alignas(64) PerWorker {
    mutable std::mutex mutex;
    std::map<uint64_t, Session*> sessions;  // mutex
  };
  std::vector<std::unique_ptr<PerWorker>> workers_;
};

// One client as CLIENT LIST shows it, without line end. Under the registry's lock, or on the client's worker.
std::string DescribeClient(const Session& session, const Table& table, int64_t now_ms);
// Closes the clients that match, the asking one after its reply; tells how many.
size_t CloseClients(CallContext& ctx, const std::function<bool(const Session&)>& matches);
// Clients that listen to channels which their changed users may not use any more are closed.
void CloseRevokedSubscribers(CallContext& ctx);
// Answers `text` (RESP) when clients that were closed before this are gone, also those of other workers: who closed
// them finds none of them any more. In a transaction, and where this client is closed itself, at once.
void ReplyWhenClosed(CallContext& ctx, std::string text, resp::Writer& reply);

}  // namespace understudy::command
