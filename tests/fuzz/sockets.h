// Sockets of fuzzers, on loopback. Each connection comes from an address of its own, so that no two
// are the same pair of addresses and ports however many there are in a minute.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/check.h"

namespace understudy::fuzz {

inline sockaddr_in Loopback(uint32_t number, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number);
  return address;
}

// Bound to a port of the kernel's choice, and listening.
inline int Listen(uint16_t* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0, 0);
  socklen_t size = sizeof address;
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(fd, 16) == 0);
  CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  *port = ntohs(address.sin_port);
  return fd;
}

// A client's end. Nothing blocks but to connect, which the kernel does alone.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    static uint32_t number = 0;
    number = number % 1'000'000 + 1;
    const sockaddr_in from = Loopback(number, 0), to = Loopback(0, port);
    CHECK(bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0);
    CHECK(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    CHECK(fcntl(fd_, F_SETFL, O_NONBLOCK) == 0);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // What does not fit is dropped: inputs are shorter than any buffer.
  void Send(std::string_view bytes) {
    const ssize_t ignored = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    (void)ignored;
  }
  void EndWrite() { shutdown(fd_, SHUT_WR); }
  // Adds what has arrived. False: the other side has ended it.
  bool Receive(std::string* out) {
    char buffer[16384];
    for (;;) {
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n < 0 && errno == EAGAIN) return true;
      if (n <= 0) return false;
      out->append(buffer, static_cast<size_t>(n));
    }
  }
  void Await() {
    pollfd wait{fd_, POLLIN, 0};
    poll(&wait, 1, 1);
  }

 private:
  const int fd_;
};

}  // namespace understudy::fuzz
