#include "node/command/client_filter.h"

#include <algorithm>
#include <charconv>

#include "node/command/acl.h"
#include "node/command/call_context.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

// All that a server of this kind may show, also what is never set here.
constexpr std::string_view kFlags = "NSMOPxbctuUreRBTIEAi";

bool ReadId(std::string_view text, uint64_t* id) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *id);
  return error == std::errc() && end == text.data() + text.size() && *id > 0;
}

std::optional<ClientType> ReadType(std::string_view type) {
  if (Is(type, "normal")) return ClientType::kNormal;
  if (Is(type, "pubsub")) return ClientType::kPubsub;
  if (Is(type, "master") || Is(type, "primary")) return ClientType::kPrimary;
  if (Is(type, "replica") || Is(type, "slave")) return ClientType::kReplica;
  return std::nullopt;
}

ClientType TypeOf(const Session& s) { return s.subscribed() ? ClientType::kPubsub : ClientType::kNormal; }

// "127.0.0.1:6379" and "[::1]:6379" without the port.
std::string_view IpOf(std::string_view address) {
  std::string_view ip = address.substr(0, address.rfind(':'));
  if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
  return ip;
}

bool HasAll(std::string_view flags, std::string_view wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](char c) { return flags.find(c) != std::string_view::npos; });
}
bool HasAny(std::string_view flags, std::string_view unwanted) {
  return flags.find_first_of(unwanted) != std::string_view::npos;
}

bool ReadAge(std::string_view text, std::string_view name, std::optional<int64_t>* out, Writer& reply) {
  int64_t seconds = 0;
  if (!ParseInt64(text, &seconds)) {
    reply.Error("ERR " + std::string(name) + " is not an integer or out of range");
  } else if (seconds < 1) {
    reply.Error("ERR " + std::string(name) + " should be greater than 0");
  } else {
    *out = seconds;
    return true;
  }
  return false;
}

enum class Read : uint8_t {
  kYes,
  kNo,
  kFailed
};  // kNo: there is no filter of that name; kFailed: the error is written

// One filter that may stand behind NOT-.
Read ReadTrait(const Acl& acl, std::string_view name, std::string_view value, ClientTraits* traits, Writer& reply) {
  if (Is(name, "type")) {
    traits->type = ReadType(value);
    if (traits->type) return Read::kYes;
    reply.Error("ERR Unknown client type '" + std::string(value) + "'");
    return Read::kFailed;
  }
  if (Is(name, "user")) {
    traits->user = value;
    if (acl.Find(value) != nullptr) return Read::kYes;
    reply.Error("ERR No such user '" + std::string(value) + "'");
    return Read::kFailed;
  }
  if (Is(name, "flags")) {
    traits->flags = value;
    if (!value.empty() && value.find_first_not_of(kFlags) == std::string_view::npos) return Read::kYes;
    reply.Error("ERR Unknown flags found in the provided filter: " + std::string(value));
    return Read::kFailed;
  }
  if (Is(name, "capa")) {
    traits->capable = true;
    if (value == "r") return Read::kYes;
    reply.Error("ERR Unknown capa found in the provided filter: " + std::string(value));
    return Read::kFailed;
  }
  if (Is(name, "db")) {
    int64_t db = 0;
    if (!ReadInt64(value, &db, reply)) return Read::kFailed;
    traits->db = db;
    return Read::kYes;
  }
  const std::pair<std::string_view, std::optional<std::string_view>*> texts[] = {
      {"addr", &traits->address}, {"laddr", &traits->local_address},   {"ip", &traits->ip},
      {"name", &traits->name},    {"lib-name", &traits->library_name}, {"lib-ver", &traits->library_version}};
  for (const auto& [word, text] : texts) {
    if (!Is(name, word)) continue;
    *text = value;
    return Read::kYes;
  }
  return Read::kNo;
}

bool IsFilter(std::string_view word) {
  if (word.size() > 4 && Is(word.substr(0, 4), "not-")) word.remove_prefix(4);
  constexpr std::string_view kNames[] = {"id", "type", "user",     "flags",   "capa",   "db",   "addr",  "laddr",
                                         "ip", "name", "lib-name", "lib-ver", "maxage", "idle", "skipme"};
  return std::any_of(std::begin(kNames), std::end(kNames), [&](std::string_view name) { return Is(word, name); });
}

// words[*i] is the first number; afterwards *i is behind the last. False after the error reply.
bool ReadIds(Args words, std::string_view bad_id, size_t* i, std::vector<uint64_t>* ids, Writer& reply) {
  const size_t first = *i;
  for (; *i < words.size() && (*i == first || !IsFilter(words[*i])); ++*i) {
    if (!ReadId(words[*i], &ids->emplace_back())) {
      reply.Error(bad_id);
      return false;
    }
  }
  return true;
}

}  // namespace

std::string FlagsOf(const Session& s) {
  std::string flags;
  if (s.monitors.load(std::memory_order_relaxed)) flags += 'O';
  if (s.subscribed()) flags += 'P';
  if (s.multi_commands.load(std::memory_order_relaxed) >= 0) flags += 'x';
  if (s.blocked.load(std::memory_order_relaxed)) flags += 'b';
  if (s.tracks.load(std::memory_order_relaxed)) flags += 't';
  if (s.redirect_broken.load(std::memory_order_relaxed)) flags += 'R';
  if (s.broadcasts.load(std::memory_order_relaxed)) flags += 'B';
  if (s.watch_dirty.load(std::memory_order_relaxed)) flags += 'd';
  if (s.connection.on_unix_socket()) flags += 'U';
  if (s.no_evict.load(std::memory_order_relaxed)) flags += 'e';
  if (s.no_touch.load(std::memory_order_relaxed)) flags += 'T';
  if (s.import_source.load(std::memory_order_relaxed)) flags += 'I';
  return flags.empty() ? "N" : flags;
}

bool ClientTraits::Hold(const Session& s, bool wanted) const {
  const auto fits = [&](bool given, bool same) { return !given || same == wanted; };
  const net::Connection& c = s.connection;
  const std::string& peer = c.peer_address();
  return fits(!ids.empty(), std::find(ids.begin(), ids.end(), c.id()) != ids.end()) &&
         fits(type.has_value(), TypeOf(s) == type) && fits(address.has_value(), peer == address) &&
         fits(local_address.has_value(), c.local_address() == local_address) &&
         fits(ip.has_value(), IpOf(peer) == ip) && fits(user.has_value(), s.user == user) &&
         fits(name.has_value(), s.name == name) && fits(library_name.has_value(), s.library_name == library_name) &&
         fits(library_version.has_value(), s.library_version == library_version) &&
         fits(db.has_value(), s.db.load(std::memory_order_relaxed) == db) &&
         fits(capable, s.takes_redirects.load(std::memory_order_relaxed)) &&
         fits(flags.has_value(),
              flags.has_value() && (wanted ? HasAll(FlagsOf(s), *flags) : HasAny(FlagsOf(s), *flags)));
}

bool ClientFilter::Matches(const Session& s, int64_t now_ms) const {
  const auto long_ago = [&](const std::atomic<int64_t>& at, const std::optional<int64_t>& least_s) {
    return !least_s || (now_ms - at.load(std::memory_order_relaxed)) / 1000 >= *least_s;
  };
  return wanted.Hold(s, true) && unwanted.Hold(s, false) && long_ago(s.created_ms, older_than_s) &&
         long_ago(s.last_command_ms, idle_for_s);
}

bool ReadClientFilter(const Acl& acl, Args words, std::string_view bad_id, ClientFilter* filter, Writer& reply) {
  for (size_t i = 0; i < words.size();) {
    std::string_view name = words[i];
    if (++i == words.size()) {
      reply.Error(resp::kSyntaxError);
      return false;
    }
    const bool negated = name.size() > 4 && Is(name.substr(0, 4), "not-");
    if (negated) name.remove_prefix(4);
    ClientTraits& traits = negated ? filter->unwanted : filter->wanted;
    if (Is(name, "id")) {
      if (!ReadIds(words, bad_id, &i, &traits.ids, reply)) return false;
      continue;
    }
    const std::string_view value = words[i++];
    switch (ReadTrait(acl, name, value, &traits, reply)) {
      case Read::kYes:
        continue;
      case Read::kFailed:
        return false;
      case Read::kNo:
        break;
    }
    if (!negated && Is(name, "skipme") && (Is(value, "yes") || Is(value, "no"))) {
      filter->skip_me = Is(value, "yes");
    } else if (!negated && Is(name, "maxage")) {
      if (!ReadAge(value, "maxage", &filter->older_than_s, reply)) return false;
    } else if (!negated && Is(name, "idle")) {
      if (!ReadAge(value, "idle", &filter->idle_for_s, reply)) return false;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

}  // namespace understudy::command
