// ValueReader: reads one collection from RDB, element by element, in every form that Redis and Valkey have written.
//
// So a reader of a stream needs to hold no more than one element that is not complete, however large the value is. All
// that comes from outside is checked: a compact form that is damaged, an element that is there twice, a score that is
// none is one error in the cursor. Forms that are not ours become ours. Pure but for memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "node/persist/rdb_cursor.h"
#include "node/store/collection.h"
#include "node/types/encoding.h"
#include "node/types/hash.h"
#include "node/types/list.h"
#include "node/types/set.h"
#include "node/types/sorted_set.h"
#include "node/types/stream_rdb.h"

namespace understudy::persist {

class ValueReader {
 public:
  // Whether it reads that type of record. version: of the file; what 22 and more mean depends on whose it is.
  static bool Reads(uint8_t type, int version);
  // limits: of compact encodings. max_string_bytes: of an element, or of a compact form.
  ValueReader(uint8_t type, const types::Limits& limits, size_t max_string_bytes);

  bool done() const { return done_; }
  // Reads the next element if all of it is there. False: bytes are missing, or the cursor has an error. In the first
  // case nothing was taken: it may be called again with the same bytes and more behind them.
  bool Step(RdbCursor& cursor);
  // When it is done. None if the value has no elements and is no stream: such a key does not
  // exist.
  store::Collection Take();

 private:
  bool Begin(RdbCursor& cursor);
  bool Element(RdbCursor& cursor);
  bool StreamPiece(RdbCursor& cursor);
  bool Blob(RdbCursor& cursor, std::string_view bytes);
  bool AddField(std::string_view name, std::string_view value, int64_t expire_ms);
  bool AddScored(std::string_view member, double score);
  bool AddNode(RdbCursor& cursor, uint64_t kind, std::string_view bytes);
  bool ReadZiplist(std::string_view bytes);
  bool ReadListpackWithExpiry(std::string_view bytes);

  const uint8_t type_;
  types::Limits limits_;
  const size_t max_string_bytes_;
  bool begun_ = false, done_ = false;
  uint64_t left_ = 0;    // elements
  uint64_t count_ = 0;   // elements in all
  int64_t base_ms_ = 0;  // kTypeHashMetadata
  std::string decoded_[2];
  std::optional<types::Hash> hash_;
  std::optional<types::List> list_;
  std::optional<types::Set> set_;
  std::optional<types::SortedSet> sorted_set_;
  std::optional<types::StreamBuilder> stream_;
};

}  // namespace understudy::persist
