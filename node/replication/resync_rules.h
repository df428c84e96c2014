// Who may go on with the stream where it stopped, and who needs everything anew. Pure.
//
// Primary's side: a replica names the history id it knows and the first byte it wants (counted from 1, as
// PSYNC does). It may go on if the id is ours, or an older one that still vouches for that position, and the
// log reaches back that far. Replica's side: what the answer to PSYNC means. Source: Redis's PSYNC2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "node/replication/log.h"

namespace understudy::replication {

struct LogView {
  bool active = false;  // records are kept at all
  uint64_t first = 0;   // the oldest byte that is there
  uint64_t end = 0;
  History history;
};

struct ResyncDecision {
  bool partial = false;
  uint64_t position = 0;  // partial: the next byte to send, counted from 0
  std::string reason;     // otherwise: why not, for the log
  // Otherwise, if the replica's history is known here: where it parted from ours. What the replica holds
  // beyond it exists nowhere else.
  std::optional<uint64_t> parted_at;
};

ResyncDecision DecideResync(const LogView& log, std::string_view replid, int64_t wanted_offset);

// What a full copy has; REPLCONF rdb-filter-only asks for less than all.
struct CopyContent {
  bool keys = true;
  bool functions = true;
  bool operator==(const CopyContent&) const = default;
};

// The newest RDB that a replica reads, of those that we write. own_node: it said hello. version: what it said of itself
// with REPLCONF; Valkey does, and one that says nothing may be an old Redis, unless it says rdb-only: that is redis-cli,
// whose file is as SAVE would write it, with functions, which the old version has not.
int RdbVersionFor(bool own_node, bool rdb_only, std::string_view version);

bool IsReplid(std::string_view text);  // 40 hex digits

struct PsyncAnswer {
  enum class Kind : uint8_t {
    kContinue,
    kFullCopy,
    kLeaveVotersFirst,  // own nodes: a full copy is needed, but not while this node is a voter
    kError,             // the primary said no; text says what
  };
  Kind kind = Kind::kError;
  std::string replid;   // kContinue: may be empty (unchanged)
  uint64_t offset = 0;  // kFullCopy: of the copy
  bool beside = false;  // kFullCopy from an own node: keep what is held until the copy is whole
  std::optional<uint64_t> parted_at;  // kFullCopy from an own node: ResyncDecision::parted_at
  std::string text;
};

// What a primary answers before a full copy, without line end. own_node: says also what to do with what is held.
std::string FormatFullResync(const std::string& replid, uint64_t offset, bool own_node, bool beside,
                             std::optional<uint64_t> parted_at);
// line: without line end. kInternal for what no primary may answer.
Result<PsyncAnswer> ParsePsyncAnswer(std::string_view line);

// What an own primary says instead of starting a full copy for a voter.
inline constexpr std::string_view kLeaveVotersFirstError =
    "-NEEDSFULLCOPY a voter must leave the voters before it drops its data";

}  // namespace understudy::replication
