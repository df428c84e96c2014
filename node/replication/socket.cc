#include "node/replication/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/fmt/fmt.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace understudy::replication {

bool IsIpAddress(const std::string& text) {
  in6_addr address;  // the larger one
  return inet_pton(AF_INET, text.c_str(), &address) == 1 || inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

namespace {

// Its size; 0: ip is none.
socklen_t MakeAddress(const std::string& ip, uint16_t port, sockaddr_storage* address) {
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(address); inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof *v4;
  }
  if (auto* v6 = reinterpret_cast<sockaddr_in6*>(address); inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
  }
  return 0;
}

}  // namespace

Result<int> StartConnect(const std::string& ip, uint16_t port, const std::string& source) {
  sockaddr_storage address{}, own{};
  const socklen_t size = MakeAddress(ip, port, &address), own_size = MakeAddress(source, 0, &own);
  if (size == 0) return Invalid(fmt::format("'{}' is not an IP address", ip));
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Unavailable(fmt::format("no socket: {}", std::strerror(errno)));
  SetNoDelay(fd);
  if (own_size > 0 && bind(fd, reinterpret_cast<sockaddr*>(&own), own_size) != 0) {
    const Status status = Unavailable(fmt::format("can't connect from '{}': {}", source, std::strerror(errno)));
    close(fd);
    return status;
  }
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 && errno != EINPROGRESS) {
    const Status status = Unavailable(fmt::format("connecting failed: {}", std::strerror(errno)));
    close(fd);
    return status;
  }
  return fd;
}

Status ConnectResult(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  return error == 0 ? Status() : Unavailable(fmt::format("connecting failed: {}", std::strerror(error)));
}

void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // a socket pair of a test has no such option
}

std::string PeerAddress(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char text[INET6_ADDRSTRLEN] = "?";
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    if (address.ss_family == AF_INET) {
      inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(&address)->sin_addr, text, sizeof text);
    } else if (address.ss_family == AF_INET6) {
      const in6_addr& v6 = reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr;
      if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
      } else {
        inet_ntop(AF_INET6, &v6, text, sizeof text);
      }
    }
  }
  return text;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace understudy::replication
