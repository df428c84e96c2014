// Which clients CLIENT LIST shows and CLIENT KILL closes: "ID 1 2 TYPE normal NOT-NAME x".
//
// A client has to fit every filter. Of one that is given twice the last counts, but numbers of ID
// add up. Source: Redis 7.2 for the filters that it has and their error texts, Valkey 9 for the
// others (NAME, IDLE, FLAGS, DB, LIB-NAME, LIB-VER, IP, CAPA, and each with NOT-).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "node/command/session.h"
#include "node/command/table.h"

namespace understudy::resp {
class Writer;
}

namespace understudy::command {

class Acl;

// Replicas and primaries leave the workers: no client here is one.
enum class ClientType : uint8_t { kNormal, kPubsub, kPrimary, kReplica };

// What a client has to have, or with NOT- must not have. Views: of the command's arguments.
struct ClientTraits {
  std::vector<uint64_t> ids;
  std::optional<ClientType> type;
  std::optional<std::string_view> address, local_address, ip, user, name, library_name, library_version, flags;
  std::optional<int64_t> db;
  bool capable = false;  // of redirects

  // wanted: true for what it has to have.
  bool Hold(const Session& s, bool wanted) const;
};

struct ClientFilter {
  ClientTraits wanted, unwanted;
  std::optional<int64_t> older_than_s, idle_for_s;
  bool skip_me = false;

  bool Matches(const Session& s, int64_t now_ms) const;
};

// words: "<filter> <value> ...". bad_id: the error of an ID that is none. False after the error
// reply. Views of words are kept.
bool ReadClientFilter(const Acl& acl, Args words, std::string_view bad_id, ClientFilter* filter, resp::Writer& reply);

// "N", "xP" ..., as CLIENT LIST shows them.
std::string FlagsOf(const Session& s);

}  // namespace understudy::command
