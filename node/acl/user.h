// A user: whether he may log in, with which passwords, and what he may do (selectors).
//
// Rules are applied one by one as ACL SETUSER gives them; Describe() prints them in the form that ACL LIST, the ACL
// file and `user` lines of redis.conf share, and a new user to whom that is applied is equal to this one. Once a user
// is known to connections he is not changed any more: a changed copy takes his place. Source: Redis 7.2. Pure.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/acl/selector.h"

namespace understudy::acl {

inline constexpr std::string_view kDefaultUser = "default";

class User {
 public:
  // As ACL SETUSER with no rules makes him: off, and nothing is allowed.
  User(std::string name, const Setting& setting);
  // on nopass ~* &* +@all
  static User Default(const Setting& setting);

  // One rule; an empty one does nothing. Changes nothing if it fails; messages are Redis's, without "ERR ".
  // kNotFound: it names a command or category that does not exist.
  Status Apply(const Setting& setting, std::string_view rule);
  // Words of ACL SETUSER, up to the first that fails; the message names it.
  Status ApplyAll(const Setting& setting, std::span<const std::string_view> words);
  // requirepass; empty = no password is asked for.
  void SetOnlyPassword(std::string_view password);

  const std::string& name() const { return name_; }
  bool enabled() const { return enabled_; }
  bool no_password() const { return no_password_; }
  // A connection is his without AUTH, if he is the default user.
  bool open() const { return enabled_ && no_password_; }
  // May he log in with it? Takes the same time whatever the difference is.
  bool MayLogIn(std::string_view password) const;

  // Is there a database in which he may not do what he may elsewhere?
  bool restricted_to_databases() const { return restricted_to_databases_; }
  // He may do everything: nothing needs to be asked.
  bool everything() const { return everything_; }
  // Whatever the arguments of the command are.
  bool AllowsAnyArguments(uint32_t command) const;
  Verdict Check(const Request& request) const;
  // For commands whose arguments lead to keys that can't be known before (SORT BY): one selector must allow the
  // command, and this access to all keys.
  bool AllowsAllKeys(const Request& request, Access access) const;
  // For what is no command of its own: a selector allows the channel.
  bool AllowsChannel(std::string_view channel, bool pattern) const;

  // "on", "nopass", ...
  std::vector<std::string_view> Flags() const;
  // SHA-256, 64 hex digits each.
  std::span<const std::string> passwords() const { return passwords_; }
  // The root selector first.
  std::span<const Selector> selectors() const { return selectors_; }
  std::string Describe() const;

  friend bool operator==(const User& a, const User& b) {
    return a.name_ == b.name_ && a.enabled_ == b.enabled_ && a.no_password_ == b.no_password_ &&
           a.skips_checks_ == b.skips_checks_ && a.passwords_ == b.passwords_ && a.selectors_ == b.selectors_;
  }

 private:
  Status ApplyPassword(std::string_view rule);
  Status AddSelector(const Setting& setting, std::string_view rule);
  void Reset(const Setting& setting);

  std::string name_;
  const CommandList* commands_;  // outlives all users
  bool enabled_ = false;
  bool no_password_ = false;
  bool skips_checks_ = false;  // skip-sanitize-payload: shown only, what RESTORE is given is checked always
  bool everything_ = false;    // of one of selectors_
  bool restricted_to_databases_ = false;  // the same
  std::vector<std::string> passwords_;
  std::vector<Selector> selectors_;
};

// Words in which each selector, "(+get" "~k)", is one again: "(+get ~k)".
// first_open: if the error is that a selector has no end, the index of the word with which it begins.
Result<std::vector<std::string>> JoinSelectors(std::span<const std::string_view> words, size_t* first_open);

// Subscribers that are closed because their user's rules changed: those that listen to something that the user had and
// has no more. Redis closes nobody if the channels of `after` include all rules of `before`.
struct Subscriptions {
  std::span<const std::string_view> channels, patterns;  // channels: sharded ones, too
};
bool LosesChannels(const User& before, const User& after, const Subscriptions& subscriptions);

}  // namespace understudy::acl
