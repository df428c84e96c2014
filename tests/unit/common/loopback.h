// For tests of servers and channels on loopback: an io_context with its thread, events that can be
// awaited, and a plain blocking socket that can send anything.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/crypto.h"

namespace understudy {

// Values put by other threads, in their order.
template <typename T>
class Mailbox {
 public:
  void Put(T value) {
    std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  // The next value, or nothing after the time-out (a failure for most callers).
  std::optional<T> Take(std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    // The system clock: ThreadSanitizer of g++ 12 does not know the wait for the other one.
    const auto until = std::chrono::system_clock::now() + timeout;
    if (!changed_.wait_until(lock, until, [&] { return !values_.empty(); })) return std::nullopt;
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

class IoThread {
 public:
  IoThread() : work_(io.get_executor()), thread_([this] { io.run(); }) {}
  ~IoThread() { Stop(); }
  void Stop() {
    work_.reset();
    io.stop();
    if (thread_.joinable()) thread_.join();
  }
  boost::asio::io_context io;

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

class PlainSocket {
 public:
  explicit PlainSocket(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~PlainSocket() { close(fd_); }
  PlainSocket(const PlainSocket&) = delete;
  PlainSocket& operator=(const PlainSocket&) = delete;

  bool connected() const { return connected_; }
  void Send(std::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Everything until the other side closes; waits at most 10 s for each piece.
  std::string ReadAll() {
    std::string out;
    while (ReadSome(&out)) {
    }
    return out;
  }
  // Until `text` was seen.
  std::string ReadUntil(std::string_view text) {
    std::string out;
    while (out.find(text) == std::string::npos && ReadSome(&out)) {
    }
    return out;
  }
  bool ReadSome(std::string* out) {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, 10'000) <= 0) {
      ADD_FAILURE() << "nothing came for 10 s after '" << *out << "'";
      return false;
    }
    char buffer[4096];
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    out->append(buffer, static_cast<size_t>(n));
    return true;
  }

 private:
  int fd_;
  bool connected_ = false;
};

// Bound to a free port on loopback (or to `port` of `address`); nobody listens yet.
inline int BoundSocket(uint16_t* port, const char* address = "127.0.0.1") {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(*port);
  inet_pton(AF_INET, address, &at.sin_addr);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  socklen_t size = sizeof at;
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  *port = ntohs(at.sin_port);
  return fd;
}

// Accepts one connection and answers its upgrade to WebSocket by hand; -1 if it can't. For what a
// server built on a library would not do: never read, reset the connection.
inline int AcceptWebSocket(int listener) {
  const int fd = accept(listener, nullptr, nullptr);
  std::string request;
  char buffer[2048];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n <= 0) return -1;
    request.append(buffer, static_cast<size_t>(n));
  }
  const std::string name = "Sec-WebSocket-Key: ";
  const size_t at = request.find(name) + name.size();
  const std::string key =
      request.substr(at, request.find("\r\n", at) - at) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::string hash(20, '\0');
  EVP_Digest(key.data(), key.size(), reinterpret_cast<unsigned char*>(hash.data()), nullptr,
             EVP_sha1(), nullptr);
  const std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
      "Upgrade\r\nSec-WebSocket-Accept: " +
      crypto::Base64(hash) + "\r\n\r\n";
  return write(fd, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size()) ? fd : -1;
}

}  // namespace understudy
