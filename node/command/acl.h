// The users of this node, and what its clients may do: rules (acl/), who is logged in, what was refused.
//
// A user is immutable; a change puts another in his place under the lock and then raises version(). A session keeps its
// user and the version it saw; the dispatcher compares the two before a connection's commands of a turn and after each
// that is not an ordinary one, and lets Refresh() read the user anew. So an ordinary command costs nothing for it: a
// session whose user may do everything says so in one flag (Session::unrestricted).
// Any thread, but what takes a Session: its worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/acl/denial_log.h"
#include "node/acl/user_list.h"
#include "node/command/session.h"
#include "node/command/table.h"

namespace understudy::config {
class Config;
}

namespace understudy::command {

struct CallContext;
class ClientRegistry;

class Acl {
 public:
  explicit Acl(const Table& table);

  // Reads the users that `config` gives: requirepass, `user` lines, aclfile. Before workers start; config must outlive
  // this object. An error is one sentence.
  Status Start(const config::Config& config);

  // ---- Sessions: their worker ------------------------------------------------------------------------------
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  // A new client, or one that is as new (RESET): the default user, logged in if he needs no password.
  void Open(Session& session, ClientRegistry& clients) const;
  // AUTH. False: refused, and the session is as it was.
  bool LogIn(Session& session, std::string_view name, std::string_view password, ClientRegistry& clients) const;
  // The session's user changed perhaps. One that is no more closes the connection.
  void Refresh(Session& session) const;

  // ---- Users -----------------------------------------------------------------------------------------------
  std::shared_ptr<const acl::User> Find(std::string_view name) const;
  acl::Users users() const;
  const acl::CommandList& commands() const { return commands_; }
  // ACL SETUSER: all rules or none. The message is Redis's, without "ERR ".
  Status SetUser(std::string_view name, std::span<const std::string_view> rules);
  // How many of them there were.
  size_t Remove(std::span<const std::string_view> names);
  // requirepass; nothing happens unless it changed since the last call.
  void FollowPassword(const std::string& password);
  // ACL LOAD and ACL SAVE; the message is Redis's, without "ERR ".
  Status LoadFile();
  Status SaveFile() const;

  // ---- Refusals --------------------------------------------------------------------------------------------
  // entry: without count, id and times.
  void NoteDenial(acl::DenialLog::Entry entry, int64_t now_ms);
  std::vector<acl::DenialLog::Entry> Denials() const;
  void ClearDenials();
  struct Counters {
    std::atomic<uint64_t> auth{0}, command{0}, key{0}, channel{0}, database{0};
  };
  const Counters& counters() const { return counters_; }
  void ResetCounters();

 private:
  acl::Setting setting() const;
  // mutex_ is held.
  void Put(acl::User user);

  const acl::CommandList commands_;
  const config::Config* config_ = nullptr;
  std::atomic<uint64_t> version_{1};
  mutable std::mutex mutex_;
  acl::Users users_;               // mutex_; the default user is always among them
  std::string default_password_;   // mutex_; requirepass as it was followed last
  mutable std::mutex file_mutex_;  // one LoadFile or SaveFile at a time; taken before mutex_
  mutable std::mutex log_mutex_;
  acl::DenialLog log_;  // log_mutex_
  Counters counters_;
};

// The database of a connection, and how many there are.
struct DatabaseOf {
  int current, count;
};
// May the user run it? args: with the name.
acl::Verdict CheckPermission(const acl::User& user, const Row& row, Args args, DatabaseOf database);
// The same for a row with one key position and no channels, without a list of them.
bool MayRunOrdinary(const acl::User& user, const Row& row, Args args, int database);
// May the session's user read (write) whatever key there is, by this command?
bool MayAccessAllKeys(const Session& session, const Row& row, Args args, acl::Access access);
// May the session's user listen or publish there? pattern: as in PSUBSCRIBE.
bool ChannelAllowed(const Session& session, std::string_view channel, bool pattern);

// What is wrong, as ACL DRYRUN tells it: with the name of the key or channel, which clients are not told (told_names).
std::string DenialText(const acl::Verdict& verdict, const acl::User& user, std::string_view command, Args args,
                       bool told_names);
// An entry for it. context: "toplevel", "multi". The session's last_command is the command that was refused.
acl::DenialLog::Entry DenialEntry(const acl::Verdict& verdict, std::string_view context, std::string_view command,
                                  Args args, std::string_view user);

}  // namespace understudy::command
