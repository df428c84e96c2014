// All users by name, and the text that holds them: the ACL file, a line "user NAME RULES" for each. Pure.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"
#include "node/acl/user.h"

namespace understudy::acl {

// Users are immutable: connections share them with the list.
using Users = std::map<std::string, std::shared_ptr<const User>, std::less<>>;

// source: the file's name, for the message, which tells all that is wrong, as Redis does. Without a line for it the
// default user is as in a new server.
Result<Users> ParseUsers(std::string_view text, std::string_view source, const Setting& setting);

std::string FormatUsers(const Users& users);

// "user NAME RULES": a line of the file, and of ACL LIST.
std::string FormatUser(const User& user);

}  // namespace understudy::acl
