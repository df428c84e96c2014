// A WebSocket client connection on somebody's io_context: no thread of its own, so that one process
// can hold tens of thousands. It tells exactly how a connection ended, because that is evidence
// (FAILOVER.md section 4): FIN without a WebSocket close is the end of the peer's process, RST or a
// time-out is not, and a refusal counts only if it came by RST (an ICMP answer looks the same in
// errno, so the socket's error queue is asked). This side sends nothing by itself apart from
// answers to pings and close frames, so a connection on which the peer only sends stays free of
// unread bytes over there.
//
// Threads: callbacks run on the connection's strand, one at a time; on_end is the last one and
// comes exactly once. The methods may be called by any thread and call no handler themselves.
// Times: connect_timeout covers TCP and the upgrade. common/http_server.h makes the other end of
// such connections.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace understudy::ws {

enum class EndCause {
  kFin,          // open, and the peer's kernel ended it with FIN, without a WebSocket close frame
  kReset,        // open, ended with RST
  kClosed,       // open, and the peer said goodbye with a close frame; the message is its reason
  kSilent,       // no answer in time: connecting, or bytes sent were never acknowledged
  kRefused,      // not open: answered by RST
  kUnreachable,  // not open: no route, ICMP, out of ports, ...
  kRejected,     // not open: HTTP answer other than 101, or not HTTP
  kProtocol,     // a frame that breaks the protocol or the size limit
  kClosedByUs,   // Close() or Goodbye()
};
const char* EndCauseName(EndCause cause);

struct End {
  EndCause cause = EndCause::kClosedByUs;
  std::string message;  // one sentence
  MonoTime begun_at;    // when this connection attempt began
  bool was_open = false;
};

struct Options {
  std::string address;  // literal IP, IPv6 without brackets
  uint16_t port = 0;
  std::string path;
  Duration connect_timeout = Seconds(1);
  Duration unacknowledged_timeout = Seconds(5);  // TCP_USER_TIMEOUT
  Duration keepalive = Seconds(15);  // an idle connection is probed: is there still a peer?
  size_t max_message_bytes = 64 * 1024;
  size_t max_queued_bytes = 1 << 20;  // more unsent: the connection is ended (kSilent)
};

struct Handlers {
  std::function<void()> on_open;
  std::function<void(std::string_view message)> on_message;
  std::function<void(const End&)> on_end;
};

// An open or opening connection, either end.
class Channel {
 public:
  virtual ~Channel() = default;
  // Queues one binary message; dropped after the end.
  virtual void Send(std::string message) = 0;
  // Sends what is queued, then a close frame with `reason` (at most 120 bytes of it), then ends;
  // the other side gets kClosed. on_end(kClosedByUs) follows.
  virtual void Goodbye(std::string reason) = 0;
  // Ends it without a goodbye; on_end(kClosedByUs) follows.
  virtual void Close() = 0;
  // Bytes queued that the kernel has not taken yet.
  virtual size_t queued_bytes() const = 0;
  // Of the peer, "10.0.0.7" or "fd00::7".
  virtual std::string peer_address() const = 0;
};

class Client : public Channel {
 public:
  // clock must outlive the connection. The connection keeps itself alive until on_end has returned.
  static std::shared_ptr<Client> Connect(boost::asio::io_context& io, const Clock& clock,
                                         Options options, Handlers handlers);
  virtual MonoTime begun_at() const = 0;
};

}  // namespace understudy::ws
