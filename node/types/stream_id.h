// StreamId: the ID of a stream's entry, milliseconds and a sequence number, and the forms in which commands give one.
//
//   5-3, 5      XDEL, XACK, XREAD, MINID, ...: a missing sequence number is 0     ParseStreamId
//   *, 5-*, 5   XADD: what is left out is chosen by the stream (NextId)           ParseNewStreamId
//   $, 5-3      XREAD, XGROUP: $ is the stream's last ID                          ParseStreamPosition
//   -, (5-3, +  ranges; ( excludes the ID itself                                  ParseRangeStart, ParseRangeEnd
//
// Numbers are decimal and may have leading zeros. Errors have the texts of Redis. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace understudy::types {

struct StreamId {
  uint64_t ms = 0;
  uint64_t seq = 0;

  // Room for the longest text, as PrintTo needs it.
  static constexpr size_t kMaxText = 41;
  // Of the form that RDB files have.
  static constexpr size_t kBytes = 16;

  auto operator<=>(const StreamId&) const = default;
  bool zero() const { return ms == 0 && seq == 0; }
  std::string ToString() const;
  std::string_view PrintTo(char (&buffer)[kMaxText]) const;
  // Both numbers big-endian, so that bytes compare as IDs do.
  void Store(char* out) const;
  static StreamId Load(const char* bytes);
};

inline constexpr StreamId kMinStreamId{0, 0};
inline constexpr StreamId kMaxStreamId{UINT64_MAX, UINT64_MAX};

// The next and the previous ID; false, and nothing changed, if there is none.
bool Increment(StreamId* id);
bool Decrement(StreamId* id);

// What XADD was given.
struct NewStreamId {
  StreamId id;              // what is given of it
  bool auto_ms = false;     // *
  bool auto_seq = false;    // ms-*, and *
  // 0-0, which no entry has.
  bool impossible() const { return !auto_seq && id.zero(); }
};

// $ or an ID.
struct StreamPosition {
  bool last = false;
  StreamId id;
  StreamId Resolve(StreamId last_id) const { return last ? last_id : id; }
};

// kInvalid for all of them: "ERR Invalid stream ID specified as stream command argument", or another as noted.
Result<StreamId> ParseStreamId(std::string_view text, uint64_t missing_seq = 0);
Result<NewStreamId> ParseNewStreamId(std::string_view text);
Result<StreamPosition> ParseStreamPosition(std::string_view text);
// The first and the last ID that is in the range. Nothing behind or before an excluded ID: "ERR invalid start ID for
// the interval", "ERR invalid end ID for the interval".
Result<StreamId> ParseRangeStart(std::string_view text);
Result<StreamId> ParseRangeEnd(std::string_view text);

}  // namespace understudy::types
