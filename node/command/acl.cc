#include "node/command/acl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "common/log.h"
#include "node/command/call_context.h"
#include "node/command/client_registry.h"
#include "node/config/config.h"
#include "node/config/config_file.h"
#include "node/pubsub/channels.h"

namespace understudy::command {
namespace {

// A log of refusals must not be a way to make the server keep large keys.
constexpr size_t kMostObjectBytes = 1024;

acl::Access AccessBits(KeyAccess access) {
  switch (access) {
    case KeyAccess::kNone:
    case KeyAccess::kLook:
      return 0;
    case KeyAccess::kRead:
    case KeyAccess::kReadCached:
      return acl::kReads;
    case KeyAccess::kOverwrite:
    case KeyAccess::kRemove:
    case KeyAccess::kInsert:
    case KeyAccess::kUpdate:
    case KeyAccess::kCreate:
    case KeyAccess::kDelete:
      return acl::kWrites;
    case KeyAccess::kReadWrite:
    case KeyAccess::kTake:
    case KeyAccess::kMerge:
      break;
  }
  return acl::kReads | acl::kWrites;
}

// The databases that a command names beside the connection's own, or uses instead of it. Those that are none are left
// out.
std::vector<acl::DatabaseUse> DatabasesOf(const Row& row, Args args, DatabaseOf database, bool has_keys) {
  std::vector<acl::DatabaseUse> out;
  const auto name = [&](size_t i) {
    int64_t number = 0;
    if (i < args.size() && ParseInt64(args[i], &number) && number >= 0 && number < database.count) {
      out.push_back({static_cast<int>(number), static_cast<uint32_t>(i)});
    }
  };
  if (row.name == "select" || row.name == "swapdb") {
    for (size_t i = 1; i < args.size(); ++i) name(i);
  } else if (row.name == "flushall") {
    out.push_back({acl::kAllDatabases, 0});
  } else if (has_keys || (CategoriesOf(row) & acl::CategoryByName("keyspace")) != 0) {
    out.push_back({database.current, 0});
    if (row.name == "move") name(2);
    for (size_t i = 3; row.name == "copy" && i + 1 < args.size(); ++i) {
      if (Is(args[i], "db")) name(i + 1);
    }
  }
  return out;
}

// The keys, channels and databases of a command. Arguments that make no sense name none: the handler finds the error.
struct Names {
  std::vector<acl::KeyUse> keys;
  std::vector<acl::ChannelUse> channels;
  std::vector<acl::DatabaseUse> databases;

  Names(const acl::User& user, const Row& row, Args args, DatabaseOf database) : Names(row, args) {
    if (user.restricted_to_databases()) databases = DatabasesOf(row, args, database, !keys.empty());
  }
  acl::Request request(const Row& row, Args args) const { return {row.index, args, keys, channels, databases}; }

 private:
  Names(const Row& row, Args args) {
    std::vector<uint32_t> indexes;
    if (FindKeys(row, args, &indexes)) {
      for (const uint32_t i : indexes) {
        keys.push_back({args[i], AccessBits(AccessTo(row, args, i == indexes[0])), i});
      }
    }
    if (row.channels == Channels::kNone) return;
    const size_t end = row.channels == Channels::kFirst ? std::min<size_t>(args.size(), 2) : args.size();
    for (size_t i = 1; i < end; ++i) {
      channels.push_back({args[i], row.channels == Channels::kAllPatterns, static_cast<uint32_t>(i)});
    }
  }
};

// A file that can't be read to its end is no list of users: who is missing in it would be let in or kept out.
Result<std::string> ReadWhole(const std::string& path) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : 1;
  while (n > 0 || (fd >= 0 && n < 0 && errno == EINTR)) {
    char bytes[65536];
    n = read(fd, bytes, sizeof bytes);
    if (n > 0) text.append(bytes, static_cast<size_t>(n));
  }
  const std::string why = strerror(errno);
  if (fd >= 0) close(fd);
  if (n < 0) return NotFound("Error loading ACLs, opening file '" + path + "': " + why);
  return text;
}

// Has the session subscriptions that its user lost?
bool LosesChannels(const Session& session, const acl::User& before) {
  const auto names = [&](pubsub::Kind kind) { return pubsub::Channels::NamesOf(*session.subscriber, kind); };
  const std::vector<std::string> patterns = names(pubsub::Kind::kPattern);
  std::vector<std::string> channels = names(pubsub::Kind::kChannel);
  for (std::string& name : names(pubsub::Kind::kShardChannel)) channels.push_back(std::move(name));
  const std::vector<std::string_view> channel_views(channels.begin(), channels.end());
  const std::vector<std::string_view> pattern_views(patterns.begin(), patterns.end());
  return acl::LosesChannels(before, *session.acl_user, {channel_views, pattern_views});
}

}  // namespace

Acl::Acl(const Table& table) : commands_(ListCommands(table)) { Put(acl::User::Default({commands_})); }

acl::Setting Acl::setting() const {
  return {commands_, config_ != nullptr && config_->new_users_have_channels.load(std::memory_order_relaxed)};
}

Status Acl::Start(const config::Config& config) {
  config_ = &config;
  FollowPassword(config.password());
  std::set<std::string_view> known;
  for (const std::vector<std::string>& line : config.users) {
    const std::string& name = line[0];
    const std::string where = "user " + name;
    if (!known.insert(name).second) {
      return Invalid(where + ": Duplicate user found. A user can only be defined once in config files");
    }
    if (acl::HasSpaces(name)) return Invalid(where + ": Usernames can't contain spaces or null characters");
    const std::vector<std::string_view> rules(line.begin() + 1, line.end());
    acl::User user(name, setting());
    const Status status = user.ApplyAll(setting(), rules);
    if (!status.ok()) return status.Prefixed(where);
    std::lock_guard lock(mutex_);
    Put(std::move(user));
  }
  return config.acl_file.empty() ? Status() : LoadFile();
}

// ---------------------------------------------------------------------------------------------- sessions

void Acl::Open(Session& session, ClientRegistry& clients) const {
  session.acl_version = version();
  session.acl_user = Find(acl::kDefaultUser);
  session.authenticated = session.acl_user->open();
  session.unrestricted = session.authenticated && session.acl_user->everything();
  session.connection.set_trusted(session.authenticated);
  if (session.user == acl::kDefaultUser) return;
  clients.Update(session, [](Session& s) { s.user = acl::kDefaultUser; });
}

bool Acl::LogIn(Session& session, std::string_view name, std::string_view password, ClientRegistry& clients) const {
  const uint64_t seen = version();
  std::shared_ptr<const acl::User> user = Find(name);
  if (user == nullptr || !user->MayLogIn(password)) return false;
  session.acl_version = seen;
  session.authenticated = true;
  session.unrestricted = user->everything();
  session.acl_user = std::move(user);
  session.connection.set_trusted(true);
  clients.Update(session, [&](Session& s) { s.user = name; });
  return true;
}

void Acl::Refresh(Session& session) const {
  session.acl_version = version();
  const std::shared_ptr<const acl::User> before = std::exchange(session.acl_user, Find(session.user));
  const bool changed = session.acl_user != nullptr && session.acl_user != before;
  if (changed && session.subscribed() && LosesChannels(session, *before)) session.connection.CloseAfterFlush();
  if (session.acl_user == nullptr) {
    // A reply that is on its way (to DELUSER itself, say) still leaves.
    if (!session.connection.closing()) session.connection.Close();
    session.acl_user = Find(acl::kDefaultUser);
    session.authenticated = false;
  } else if (!session.authenticated) {
    // Not logged in means the default user, who may need no password any more.
    session.authenticated = session.acl_user->open();
  }
  session.unrestricted = session.authenticated && session.acl_user->everything();
  session.connection.set_trusted(session.authenticated);
}

// ---------------------------------------------------------------------------------------------- users

void Acl::Put(acl::User user) {
  std::string name = user.name();
  users_[std::move(name)] = std::make_shared<const acl::User>(std::move(user));
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const acl::User> Acl::Find(std::string_view name) const {
  std::lock_guard lock(mutex_);
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second;
}

acl::Users Acl::users() const {
  std::lock_guard lock(mutex_);
  return users_;
}

Status Acl::SetUser(std::string_view name, std::span<const std::string_view> rules) {
  if (acl::HasSpaces(name)) return Invalid("Usernames can't contain spaces or null characters");
  const acl::Setting now = setting();
  std::lock_guard lock(mutex_);
  const auto found = users_.find(name);
  acl::User changed = found == users_.end() ? acl::User(std::string(name), now) : *found->second;
  RETURN_IF_ERROR(changed.ApplyAll(now, rules));
  Put(std::move(changed));
  return {};
}

size_t Acl::Remove(std::span<const std::string_view> names) {
  std::lock_guard lock(mutex_);
  size_t removed = 0;
  for (const std::string_view name : names) {
    CHECK(name != acl::kDefaultUser);
    const auto found = users_.find(name);
    if (found == users_.end()) continue;
    users_.erase(found);
    ++removed;
  }
  if (removed > 0) version_.fetch_add(1, std::memory_order_release);
  return removed;
}

void Acl::FollowPassword(const std::string& password) {
  std::lock_guard lock(mutex_);
  if (password == default_password_) return;
  default_password_ = password;
  acl::User changed = *users_.find(acl::kDefaultUser)->second;
  changed.SetOnlyPassword(password);
  Put(std::move(changed));
}

Status Acl::LoadFile() {
  const std::string& path = config_->acl_file;
  std::lock_guard file_lock(file_mutex_);
  const Result<std::string> text = ReadWhole(path);
  if (!text.ok()) return text.status();
  Result<acl::Users> users = acl::ParseUsers(*text, path, setting());
  if (!users.ok()) return users.status();
  std::lock_guard lock(mutex_);
  users_ = *std::move(users);
  version_.fetch_add(1, std::memory_order_release);
  return {};
}

// A file that is not there as a whole would be a server without users: it takes the old one's place when it is.
Status Acl::SaveFile() const {
  std::lock_guard file_lock(file_mutex_);
  const Status status = config::ReplaceFile(config_->acl_file, acl::FormatUsers(users()));
  if (status.ok()) return {};
  LOG_WARN("ACL SAVE: {}", status.message());
  return Unavailable("There was an error trying to save the ACLs. Please check the server logs for more information");
}

// ---------------------------------------------------------------------------------------------- refusals

void Acl::NoteDenial(acl::DenialLog::Entry entry, int64_t now_ms) {
  auto& counter = entry.reason == "auth"      ? counters_.auth
                  : entry.reason == "command" ? counters_.command
                  : entry.reason == "key"     ? counters_.key
                  : entry.reason == "database" ? counters_.database
                                               : counters_.channel;
  counter.fetch_add(1, std::memory_order_relaxed);
  const auto most = static_cast<size_t>(config_->acl_log_entries.load(std::memory_order_relaxed));
  std::lock_guard lock(log_mutex_);
  log_.Add(std::move(entry), now_ms, most);
}

std::vector<acl::DenialLog::Entry> Acl::Denials() const {
  std::lock_guard lock(log_mutex_);
  return {log_.entries().begin(), log_.entries().end()};
}

void Acl::ClearDenials() {
  std::lock_guard lock(log_mutex_);
  log_.Clear();
}

void Acl::ResetCounters() {
  for (auto* counter : {&counters_.auth, &counters_.command, &counters_.key, &counters_.channel, &counters_.database}) {
    *counter = 0;
  }
}

// ---------------------------------------------------------------------------------------------- permissions

acl::Verdict CheckPermission(const acl::User& user, const Row& row, Args args, DatabaseOf database) {
  if (user.AllowsAnyArguments(row.index)) return {};
  const Names names(user, row, args, database);
  return user.Check(names.request(row, args));
}

bool MayRunOrdinary(const acl::User& user, const Row& row, Args args, int database) {
  const auto first = static_cast<uint32_t>(row.keys.first);
  const acl::KeyUse key{args[first], AccessBits(AccessTo(row, args, true)), first};
  const acl::DatabaseUse use{database, 0};
  return user.Check({row.index, args, {&key, 1}, {}, {&use, 1}}).allowed();
}

bool MayAccessAllKeys(const Session& session, const Row& row, Args args, acl::Access access) {
  if (session.unrestricted) return true;
  const int db = session.db.load(std::memory_order_relaxed);
  const Names names(*session.acl_user, row, args, {db, db + 1});
  return session.acl_user->AllowsAllKeys(names.request(row, args), access);
}

bool ChannelAllowed(const Session& session, std::string_view channel, bool pattern) {
  return session.unrestricted || session.acl_user->AllowsChannel(channel, pattern);
}

std::string DenialText(const acl::Verdict& verdict, const acl::User& user, std::string_view command, Args args,
                       bool told_names) {
  const std::string who = "User " + user.name() + " has no permissions to ";
  if (verdict.denial == acl::Denial::kCommand) return who + "run the '" + std::string(command) + "' command";
  if (verdict.denial == acl::Denial::kDatabase) {
    if (!told_names) return "No permissions to access database";
    const std::string database = verdict.argument > 0 ? "database " + std::string(args[verdict.argument]) : "the database";
    return who + "access " + database;
  }
  const std::string what = verdict.denial == acl::Denial::kKey ? "key" : "channel";
  if (!told_names) return "No permissions to access a " + what;
  return who + "access the '" + std::string(args[verdict.argument]) + "' " + what;
}

acl::DenialLog::Entry DenialEntry(const acl::Verdict& verdict, std::string_view context, std::string_view command,
                                  Args args, std::string_view user) {
  acl::DenialLog::Entry entry;
  entry.reason = verdict.denial == acl::Denial::kCommand ? "command"
                 : verdict.denial == acl::Denial::kKey      ? "key"
                 : verdict.denial == acl::Denial::kDatabase ? "database"
                                                            : "channel";
  entry.context = context;
  entry.object =
      (verdict.argument == 0 ? command : args[verdict.argument]).substr(0, kMostObjectBytes);
  entry.user = user;
  return entry;
}

}  // namespace understudy::command
