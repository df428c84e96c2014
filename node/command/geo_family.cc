// Places as sorted sets (types/geo.h): added, measured, searched for.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "node/command/notify.h"
#include "node/command/sorted_set_access.h"
#include "node/command/sorted_set_add.h"
#include "node/command/store_result.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/types/geo.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::SortedSet;
namespace geo = types::geo;

// ---------------------------------------------------------------------------------------------- words

// words: longitude, latitude. False after the error reply.
bool ReadPlace(Args words, geo::Place* out, Writer& reply) {
  const auto longitude = types::ParseScore(words[0]);
  const auto latitude = longitude ? types::ParseScore(words[1]) : std::nullopt;
  if (!longitude || !latitude) {
    reply.Error(resp::kNotFloat);
    return false;
  }
  *out = {*longitude, *latitude};
  if (geo::IsOnMap(*out)) return true;
  char text[2 * 330];
  std::snprintf(text, sizeof text, "ERR invalid longitude,latitude pair %f,%f", *longitude, *latitude);
  reply.Error(text);
  return false;
}

// Metres in one of it. False after the error reply.
bool ReadUnit(std::string_view word, double* metres, Writer& reply) {
  constexpr std::pair<std::string_view, double> kUnits[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
  for (const auto& [name, value] : kUnits) {
    if (!Is(word, name)) continue;
    *metres = value;
    return true;
  }
  reply.Error("ERR unsupported unit provided. please use M, KM, FT, MI");
  return false;
}

// what: "numeric radius". False after the error reply.
bool ReadLength(std::string_view word, std::string_view what, double* out, Writer& reply) {
  const auto length = types::ParseScore(word);
  if (!length) {
    reply.Error("ERR need " + std::string(what));
    return false;
  }
  *out = *length;
  return true;
}

// Four digits behind the point, whatever the unit is.
void ReplyDistance(double distance, Writer& reply) {
  char text[330];
  const int size = std::snprintf(text, sizeof text, "%.4f", distance);
  reply.Bulk({text, static_cast<size_t>(size)});
}

void ReplyPlace(const geo::Place& place, Writer& reply) {
  reply.Array(2);
  reply.DoubleText(resp::FormatLongDouble(place.longitude));
  reply.DoubleText(resp::FormatLongDouble(place.latitude));
}

// ---------------------------------------------------------------------------------------------- one by one

void GeoAdd(CallContext& ctx, Args args, Writer& reply) {
  SortedSet::AddRule rule;
  bool count_changed = false;
  size_t at = 2;
  for (; at < args.size(); ++at) {
    if (Is(args[at], "nx")) {
      rule.only_new = true;
    } else if (Is(args[at], "xx")) {
      rule.only_existing = true;
    } else if (Is(args[at], "ch")) {
      count_changed = true;
    } else {
      break;
    }
  }
  const Args triples = args.subspan(at);
  if (triples.empty() || triples.size() % 3 != 0 || (rule.only_new && rule.only_existing)) {
    return reply.Error(resp::kSyntaxError);
  }
  std::vector<ScoredName> members;
  for (size_t i = 0; i < triples.size(); i += 3) {
    geo::Place place;
    if (!ReadPlace(triples.subspan(i, 2), &place, reply)) return;
    members.push_back({static_cast<double>(geo::Encode(place)), triples[i + 2]});
  }
  AddScored(ctx, args, rule, count_changed, members, reply);
}

std::optional<geo::Place> PlaceOf(const store::Entry* entry, std::string_view member) {
  const auto score = entry != nullptr ? entry->As<SortedSet>()->Score(member) : std::nullopt;
  if (!score) return std::nullopt;
  return geo::Decode(*score);
}

void GeoDist(CallContext& ctx, Args args, Writer& reply) {
  double unit = 1;
  if (args.size() > 5) return reply.Error(resp::kSyntaxError);
  if (args.size() == 5 && !ReadUnit(args[4], &unit, reply)) return;
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  const auto from = PlaceOf(entry, args[2]), to = PlaceOf(entry, args[3]);
  if (!from || !to) return reply.Null();
  ReplyDistance(geo::Distance(*from, *to) / unit, reply);
}

void GeoHash(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  reply.Array(args.size() - 2);
  for (const std::string_view member : args.subspan(2)) {
    const auto place = PlaceOf(entry, member);
    place ? reply.Bulk(geo::HashText(*place)) : reply.Null();
  }
}

void GeoPos(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  reply.Array(args.size() - 2);
  for (const std::string_view member : args.subspan(2)) {
    const auto place = PlaceOf(entry, member);
    place ? ReplyPlace(*place, reply) : reply.NullArray();
  }
}

// ---------------------------------------------------------------------------------------------- searching

enum class Order : uint8_t { kNone, kNearest, kFarthest };

// A command of the family, and what its arguments say.
struct Search {
  // The command.
  bool is_search = false;        // GEOSEARCH, GEOSEARCHSTORE: area by name, not by position
  bool is_search_store = false;
  bool may_store = false;        // STORE and STOREDIST with a key

  geo::Area area;       // without its center if that is a member of a key that is not there
  double unit = 1;      // metres in one of what distances are told in
  bool with_distance = false, with_hash = false, with_place = false;
  Order order = Order::kNone;
  int64_t count = 0;    // 0: all
  bool any = false;     // the first that are found will do
  bool from_member = false, from_place = false, by_radius = false, by_box = false;  // what GEOSEARCH was told
  bool by_polygon = false;
  std::string_view destination;  // of what is stored
  bool stores = false;
  bool store_distance = false;
};

struct Found {
  std::string member;
  double score;
  geo::Place place;
  double distance;
};

bool ReadRadius(Args words, Search* search, Writer& reply) {
  double radius = 0;
  if (!ReadLength(words[0], "numeric radius", &radius, reply)) return false;
  if (radius < 0) {
    reply.Error("ERR radius cannot be negative");
    return false;
  }
  if (!ReadUnit(words[1], &search->unit, reply)) return false;
  search->area.radius = radius * search->unit;
  return true;
}

bool ReadBox(Args words, Search* search, Writer& reply) {
  double width = 0, height = 0;
  if (!ReadLength(words[0], "numeric width", &width, reply)) return false;
  if (!ReadLength(words[1], "numeric height", &height, reply)) return false;
  if (width < 0 || height < 0) {
    reply.Error("ERR height or width cannot be negative");
    return false;
  }
  if (!ReadUnit(words[2], &search->unit, reply)) return false;
  search->area.shape = geo::Area::Shape::kBox;
  search->area.width = width * search->unit;
  search->area.height = height * search->unit;
  return true;
}

// words: number of corners, then their longitudes and latitudes, and what else follows. taken: how many of them.
bool ReadPolygon(Args words, size_t* taken, Search* search, Writer& reply) {
  int64_t corners = 0;
  if (!ParseInt64(words[0], &corners) || corners > INT32_MAX || corners < INT32_MIN) {
    reply.Error("ERR invalid number of vertices");
    return false;
  }
  if (corners < 3 || static_cast<size_t>(corners) > (words.size() - 1) / 2) {
    reply.Error("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
    return false;
  }
  std::vector<geo::Place> places(static_cast<size_t>(corners));
  *taken = 1;
  for (geo::Place& place : places) {
    if (!ReadPlace(words.subspan(*taken), &place, reply)) return false;
    *taken += 2;
  }
  search->area.SetPolygon(std::move(places));
  search->unit = 1;
  return true;
}

// The center is where a member is. entry: null if there is no key, which is no error.
bool ReadMember(const store::Entry* entry, std::string_view member, Search* search, Writer& reply) {
  if (entry == nullptr) return true;
  const auto place = PlaceOf(entry, member);
  if (!place) {
    reply.Error("ERR could not decode requested zset member");
    return false;
  }
  search->area.center = *place;
  return true;
}

enum class Taken : uint8_t { kYes, kNo, kError };

// Options that take no arguments, and COUNT.
Taken TakeCommonOption(Args options, size_t* at, Search* search, Writer& reply) {
  const std::string_view word = options[*at];
  const std::pair<std::string_view, bool*> flags[] = {{"withdist", &search->with_distance},
                                                      {"withhash", &search->with_hash},
                                                      {"withcoord", &search->with_place},
                                                      {"any", &search->any}};
  for (const auto& [name, flag] : flags) {
    if (!Is(word, name)) continue;
    *flag = true;
    return Taken::kYes;
  }
  if (Is(word, "asc") || Is(word, "desc")) {
    search->order = Is(word, "asc") ? Order::kNearest : Order::kFarthest;
    return Taken::kYes;
  }
  if (!Is(word, "count") || *at + 1 == options.size()) return Taken::kNo;
  if (!ReadInt64(options[++*at], &search->count, reply)) return Taken::kError;
  if (search->count > 0) return Taken::kYes;
  reply.Error("ERR COUNT must be > 0");
  return Taken::kError;
}

// Options by which GEOSEARCH tells the area.
Taken TakeAreaOption(const store::Entry* entry, Args options, size_t* at, Search* search, Writer& reply) {
  const std::string_view word = options[*at];
  const Args rest = options.subspan(*at + 1);
  const auto took = [&](bool ok, size_t words, bool* what) {
    *what = true;
    *at += words;
    return ok ? Taken::kYes : Taken::kError;
  };
  // The same one twice: the last counts.
  if (!search->from_place && !search->by_polygon && Is(word, "frommember") && !rest.empty()) {
    return took(ReadMember(entry, rest[0], search, reply), 1, &search->from_member);
  }
  if (!search->from_member && !search->by_polygon && Is(word, "fromlonlat") && rest.size() >= 2) {
    return took(ReadPlace(rest, &search->area.center, reply), 2, &search->from_place);
  }
  if (!search->by_box && !search->by_polygon && Is(word, "byradius") && rest.size() >= 2) {
    return took(ReadRadius(rest, search, reply), 2, &search->by_radius);
  }
  if (!search->by_radius && !search->by_polygon && Is(word, "bybox") && rest.size() >= 3) {
    return took(ReadBox(rest, search, reply), 3, &search->by_box);
  }
  const bool other_area = search->by_radius || search->by_box || search->from_member || search->from_place;
  if (!other_area && Is(word, "bypolygon") && rest.size() >= 2) {
    size_t words = 0;
    const bool ok = ReadPolygon(rest, &words, search, reply);
    return took(ok, words, &search->by_polygon);
  }
  return Taken::kNo;
}

// False after the error reply. entry: of the key that is searched.
bool ReadOptions(const store::Entry* entry, Args options, Search* search, Writer& reply) {
  for (size_t i = 0; i < options.size(); ++i) {
    Taken taken = TakeCommonOption(options, &i, search, reply);
    if (taken == Taken::kNo && search->is_search) taken = TakeAreaOption(entry, options, &i, search, reply);
    if (taken == Taken::kError) return false;
    if (taken == Taken::kYes) continue;
    const bool distance = Is(options[i], "storedist");
    if (search->is_search_store && distance) {
      search->store_distance = true;
    } else if (search->may_store && (distance || Is(options[i], "store")) && i + 1 < options.size()) {
      search->stores = true;
      search->destination = options[++i];
      search->store_distance = distance;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

// What does not go together. False after the error reply. command: as the client wrote it.
bool CheckOptions(const Search& search, std::string_view command, Writer& reply) {
  std::string error;
  if (search.stores && (search.with_distance || search.with_hash || search.with_place)) {
    error = std::string(search.is_search_store ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS") +
            " is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
  } else if (search.is_search && !search.from_member && !search.from_place && !search.by_polygon) {
    error = "exactly one of FROMMEMBER or FROMLONLAT can be specified for " + std::string(command);
  } else if (search.is_search && !search.by_radius && !search.by_box && !search.by_polygon) {
    error = "exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for " + std::string(command);
  } else if (search.any && search.count == 0) {
    error = "the ANY argument requires COUNT argument";
  } else {
    return true;
  }
  reply.Error("ERR " + error);
  return false;
}

std::vector<Found> Find(const SortedSet& set, const Search& search) {
  std::vector<Found> found;
  const size_t enough = search.any ? static_cast<size_t>(search.count) : SIZE_MAX;
  for (const geo::ScoreInterval& interval : geo::Cover(search.area)) {
    const types::ScoreRange range{{static_cast<double>(interval.begin), false},
                                  {static_cast<double>(interval.end), true}};
    set.Walk(set.RanksIn(range), false, [&](std::string_view member, double score) {
      const geo::Place place = geo::Decode(score);
      if (const auto distance = search.area.DistanceIfIn(place)) {
        found.push_back({std::string(member), score, place, *distance});
      }
      return found.size() < enough;
    });
    if (found.size() >= enough) break;
  }
  // The nearest are meant when only some are wanted.
  const Order order =
      search.order == Order::kNone && search.count > 0 && !search.any ? Order::kNearest : search.order;
  const size_t kept = search.count > 0 ? std::min(found.size(), static_cast<size_t>(search.count)) : found.size();
  if (order != Order::kNone) {
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(),
                      [order](const Found& a, const Found& b) {
                        if (a.distance == b.distance) return std::tie(a.score, a.member) < std::tie(b.score, b.member);
                        return order == Order::kNearest ? a.distance < b.distance : a.distance > b.distance;
                      });
  }
  found.resize(kept);
  return found;
}

void ReplyFound(const std::vector<Found>& found, const Search& search, Writer& reply) {
  const size_t options = search.with_distance + search.with_hash + search.with_place;
  reply.Array(found.size());
  for (const Found& f : found) {
    if (options > 0) reply.Array(options + 1);
    reply.Bulk(f.member);
    if (search.with_distance) ReplyDistance(f.distance / search.unit, reply);
    if (search.with_hash) reply.Integer(std::fabs(f.score) < 0x1p63 ? static_cast<int64_t>(f.score) : INT64_MIN);
    if (search.with_place) ReplyPlace(f.place, reply);
  }
}

void StoreFound(CallContext& ctx, Args args, const std::vector<Found>& found, const Search& search, Writer& reply) {
  const types::Limits limits = ctx.services.config.limits();
  SortedSet result;
  result.Expect(found.size(), 0, limits);
  for (const Found& f : found) {
    result.Add(f.member, search.store_distance ? f.distance / search.unit : f.score, limits);
  }
  const std::string_view event = search.is_search ? "geosearchstore" : "georadiusstore";
  const Key key = AnyKey(ctx, search.destination);
  if (StoreResult(ctx, key, std::move(result), config::kNotifySortedSet, event)) ctx.effects.Verbatim(ctx.db, args);
  reply.Integer(static_cast<int64_t>(found.size()));
}

// search: what is known before the options. entry: what is searched, of the right type.
void Run(CallContext& ctx, Args args, const store::Entry* entry, Args options, Search& search, Writer& reply) {
  if (!ReadOptions(entry, options, &search, reply) || !CheckOptions(search, args[0], reply)) return;
  std::vector<Found> found;
  if (entry != nullptr) found = Find(*entry->As<SortedSet>(), search);
  if (search.stores) return StoreFound(ctx, args, found, search, reply);
  ReplyFound(found, search, reply);
}

// GEORADIUS key longitude latitude radius unit ...
void Radius(CallContext& ctx, Args args, bool may_store, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  Search search{.may_store = may_store};
  if (!ReadPlace(args.subspan(2), &search.area.center, reply) || !ReadRadius(args.subspan(4), &search, reply)) return;
  Run(ctx, args, entry, args.subspan(6), search, reply);
}
void GeoRadius(CallContext& ctx, Args args, Writer& reply) { Radius(ctx, args, true, reply); }
void GeoRadiusRo(CallContext& ctx, Args args, Writer& reply) { Radius(ctx, args, false, reply); }

// GEORADIUSBYMEMBER key member radius unit ...
void RadiusByMember(CallContext& ctx, Args args, bool may_store, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  Search search{.may_store = may_store};
  // Without a key the radius is not looked at, as in Redis.
  if (!ReadMember(entry, args[2], &search, reply)) return;
  if (entry != nullptr && !ReadRadius(args.subspan(3), &search, reply)) return;
  Run(ctx, args, entry, args.subspan(5), search, reply);
}
void GeoRadiusByMember(CallContext& ctx, Args args, Writer& reply) { RadiusByMember(ctx, args, true, reply); }
void GeoRadiusByMemberRo(CallContext& ctx, Args args, Writer& reply) { RadiusByMember(ctx, args, false, reply); }

void GeoSearch(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  Search search{.is_search = true};
  Run(ctx, args, entry, args.subspan(2), search, reply);
}

void GeoSearchStore(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, AnyKey(ctx, args[2]));
  if (HasOtherType(entry, store::Type::kSortedSet, reply)) return;
  Search search{.is_search = true, .is_search_store = true};
  search.stores = true;
  search.destination = args[1];
  Run(ctx, args, entry, args.subspan(3), search, reply);
}

// The key, and that of the last STORE or STOREDIST.
bool FindRadiusKeys(Args args, std::vector<uint32_t>* indexes) {
  indexes->push_back(1);
  uint32_t destination = 0;
  for (uint32_t i = 5; i + 1 < args.size(); ++i) {
    if (Is(args[i], "store") || Is(args[i], "storedist")) destination = ++i;
  }
  if (destination != 0) indexes->push_back(destination);
  return true;
}

// clang-format off
constexpr KeyForm kRadiusForms[] = {{KeyForm::Kind::kWord, 6, "STORE"}, {KeyForm::Kind::kWord, 6, "STOREDIST"}};
constexpr KeyForm kRadiusByMemberForms[] = {{KeyForm::Kind::kWord, 5, "STORE"}, {KeyForm::Kind::kWord, 5, "STOREDIST"}};
constexpr KeySpec kOne{1, 1, 1}, kStore{1, 2, 1, nullptr, KeyAccess::kRead}, kRadius{1, 1, 1, FindRadiusKeys, KeyAccess::kOverwrite, nullptr, nullptr, kRadiusForms};
constexpr KeySpec kRadiusByMember{1, 1, 1, FindRadiusKeys, KeyAccess::kOverwrite, nullptr, nullptr, kRadiusByMemberForms};
const Row kRows[] = {
  {"geoadd", -5, kWrite | kDenyOom, kOne, KeyAccess::kUpdate, "@geo", "geo", "3.2.0", "Adds places to a sorted set, or changes where they are.", "key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]", GeoAdd},
  {"geodist", -4, kReadonly, kOne, KeyAccess::kRead, "@geo", "geo", "3.2.0", "Tells how far two places are from each other.", "key member1 member2 [M|KM|FT|MI]", GeoDist},
  {"geohash", -2, kReadonly, kOne, KeyAccess::kRead, "@geo", "geo", "3.2.0", "Tells the geohashes of places.", "key [member [member ...]]", GeoHash},
  {"geopos", -2, kReadonly, kOne, KeyAccess::kRead, "@geo", "geo", "3.2.0", "Tells where places are.", "key [member [member ...]]", GeoPos},
  {"geosearch", -7, kReadonly, kOne, KeyAccess::kRead, "@geo", "geo", "6.2.0", "Finds the places in a circle, box or polygon.", "key [FROMMEMBER member|FROMLONLAT longitude latitude] BYRADIUS radius M|KM|FT|MI|BYBOX width height M|KM|FT|MI|BYPOLYGON num-vertices longitude latitude [longitude latitude ...] [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]", GeoSearch},
  {"geosearchstore", -8, kWrite | kDenyOom, kStore, KeyAccess::kOverwrite, "@geo", "geo", "6.2.0", "Finds the places in a circle, box or polygon and stores them.", "destination source [FROMMEMBER member|FROMLONLAT longitude latitude] BYRADIUS radius M|KM|FT|MI|BYBOX width height M|KM|FT|MI|BYPOLYGON num-vertices longitude latitude [longitude latitude ...] [ASC|DESC] [COUNT count [ANY]] [STOREDIST]", GeoSearchStore},
  {"georadius", -6, kWrite | kDenyOom, kRadius, KeyAccess::kRead, "@geo", "geo", "3.2.0", "Finds the places around a point.", "key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]", GeoRadius},
  {"georadius_ro", -6, kReadonly, kOne, KeyAccess::kRead, "@geo", "geo", "3.2.10", "Finds the places around a point, without storing them.", "key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]", GeoRadiusRo},
  {"georadiusbymember", -5, kWrite | kDenyOom, kRadiusByMember, KeyAccess::kRead, "@geo", "geo", "3.2.0", "Finds the places around one of them.", "key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]", GeoRadiusByMember},
  {"georadiusbymember_ro", -5, kReadonly, kOne, KeyAccess::kRead, "@geo", "geo", "3.2.10", "Finds the places around one of them, without storing them.", "key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]", GeoRadiusByMemberRo},
};
// clang-format on

}  // namespace

std::span<const Row> GeoCommands() { return kRows; }

}  // namespace understudy::command
