// One replica of this node, from PSYNC on: what it was sent, what it acknowledged.
//
//   kWaitCopy -> kSendCopy -> kWaitFirstAck -> kOnline       full copy
//   kOnline                                                  partial resynchronisation
//
// The stream waits for the first REPLCONF ACK after a copy: in the diskless form ($EOF:) nothing else tells
// that the replica has read the end mark. Behind a copy whose length was told it goes on at once. Nothing is copied per replica: chunks and log blocks are shared.
// Replication thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/result.h"
#include "node/replication/full_copy.h"
#include "node/replication/input_buffer.h"
#include "node/replication/log.h"
#include "node/replication/replication.h"
#include "node/resp/parser.h"

namespace understudy::replication {

class ReplicaLink {
 public:
  enum class State : uint8_t { kWaitCopy, kSendCopy, kWaitFirstAck, kOnline };

  // Owns fd. leftover: what was read after PSYNC.
  ReplicaLink(int fd, std::string leftover, ReplicaHandshake handshake, MonoTime now);
  ~ReplicaLink();
  ReplicaLink(const ReplicaLink&) = delete;
  ReplicaLink& operator=(const ReplicaLink&) = delete;

  // Goes on from the reader's position.
  void StartPartial(const std::string& replid, std::unique_ptr<Log::Reader> reader);
  // Waits for a copy; `beside` and `parted_at` are told to own nodes.
  void WaitForCopy(bool beside, std::optional<uint64_t> parted_at);
  // The copy can be sent. length: if the replica must know it; otherwise the copy ends with a mark.
  void StartCopy(const Log::Cut& cut, std::unique_ptr<Log::Reader> reader, std::optional<uint64_t> length,
                 std::string end_mark);
  // The answer to PSYNC is an error; the link ends then.
  void SendError(std::string_view line);

  // An error ends the link and says why.
  Status Read(MonoTime now);
  // Sends what can be sent now. copy: the one this link receives; not used in other states.
  Status Send(MonoTime now, const FullCopy* copy);
  // Time-outs, limits, keep-alive.
  Status Tick(MonoTime now, const Settings& settings);

  int fd() const { return fd_; }
  State state() const { return state_; }
  const ReplicaHandshake& handshake() const { return handshake_; }
  const std::string& ip() const { return ip_; }
  std::string Name() const;  // for logs
  // Something can be sent and the socket takes it. stream: what was appended to the log counts.
  bool HasWork(const FullCopy* copy, bool stream) const;
  bool wants_write() const { return wants_write_; }
  void set_writable() { wants_write_ = false; }
  bool registered_for_write = false;  // what epoll was told

  bool has_acked() const { return has_acked_; }
  uint64_t acked() const { return acked_; }
  MonoTime last_ack() const { return last_ack_; }
  MonoTime last_read() const { return last_read_; }
  uint64_t pending_bytes() const { return reader_ ? reader_->pending_bytes() : 0; }
  uint64_t next_chunk() const { return next_chunk_; }
  // This link's part of the copy is done.
  bool copy_done() const { return state_ != State::kWaitCopy && state_ != State::kSendCopy; }

 private:
  enum class Sent : uint8_t { kAll, kBlocked };
  Result<Sent> SendText(MonoTime now);
  Result<Sent> SendCopy(MonoTime now, const FullCopy& copy);
  Result<Sent> SendStream(MonoTime now);
  Status ParseInput(MonoTime now);
  Status OnCommand(std::span<const std::string_view> argv, MonoTime now);

  const int fd_;
  const ReplicaHandshake handshake_;
  std::string ip_;
  State state_ = State::kWaitCopy;

  InputBuffer in_;
  resp::Arguments arguments_;
  std::unique_ptr<resp::Partial> partial_;

  std::string text_;            // lines to send before anything else
  size_t text_sent_ = 0;
  std::unique_ptr<Log::Reader> reader_;
  std::string end_mark_;        // empty: the replica knows the copy's length
  bool mark_queued_ = false;
  bool beside_ = false;
  std::optional<uint64_t> parted_at_;
  uint64_t next_chunk_ = 0;
  std::shared_ptr<const std::string> chunk_;  // being sent
  size_t chunk_sent_ = 0;
  bool wants_write_ = false;    // the socket's buffer is full

  bool has_acked_ = false;
  uint64_t acked_ = 0;
  MonoTime last_ack_, last_read_, last_sent_, last_keepalive_;
  MonoTime over_soft_limit_since_;
};

}  // namespace understudy::replication
