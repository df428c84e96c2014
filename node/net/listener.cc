#include "node/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace understudy::net {
namespace {

std::string Format(const sockaddr_storage& address) {
  if (address.ss_family == AF_UNIX) {
    return std::string(reinterpret_cast<const sockaddr_un&>(address).sun_path) + ":0";
  }
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof(text));
      return std::string(text) + ":" + std::to_string(ntohs(v6.sin6_port));
    }
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return "?:0";
}

Result<int> Open(const std::string& address, uint16_t port, int backlog, bool shared) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  bool only_v6 = true;
  if (address == "*") {
    v6->sin6_family = AF_INET6;
    v6->sin6_addr = in6addr_any;
    v6->sin6_port = htons(port);
    size = sizeof(*v6);
    only_v6 = false;
  } else if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    size = sizeof(*v4);
  } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    size = sizeof(*v6);
  } else {
    return Invalid("'" + address + "' is not an IP address; bind takes literal IPv4 or IPv6 addresses, or *");
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 && address == "*") return Open("0.0.0.0", port, backlog, shared);  // a machine without IPv6
  if (fd < 0) return Unavailable(std::string("socket: ") + strerror(errno));
  const int one = 1, v6_only = only_v6 ? 1 : 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));  // accepted sockets inherit it
  if (storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), size) != 0 || listen(fd, backlog) != 0) {
    const int error = errno;
    close(fd);
    return Unavailable("can't listen on " + address + " port " + std::to_string(port) + ": " + strerror(error));
  }
  return fd;
}

}  // namespace

Result<int> Listen(const std::string& address, uint16_t port, int backlog) {
  return Open(address, port, backlog, true);
}

Result<int> ListenLocal(const std::string& path, uint32_t mode, int backlog) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Invalid("'" + path + "' is too long for a Unix socket");
  path.copy(address.sun_path, path.size());
  const auto failed = [&](int fd) {
    const std::string why = strerror(errno);
    if (fd >= 0) close(fd);
    return Unavailable("can't listen on '" + path + "': " + why);
  };
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(fd);
  struct stat found {};
  if (stat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) unlink(path.c_str());
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || listen(fd, backlog) != 0 ||
      (mode != 0 && chmod(path.c_str(), mode) != 0)) {
    return failed(fd);
  }
  return fd;
}

Status CheckPortFree(const std::string& address, uint16_t port) {
  const Result<int> fd = Open(address, port, 1, false);
  if (!fd.ok()) return fd.status();
  close(*fd);
  return {};
}

uint16_t LocalPort(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

std::string PeerAddress(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "?:0";
  // The client's end of a Unix socket has no name: the server's is shown.
  return address.ss_family == AF_UNIX ? LocalAddress(fd) : Format(address);
}

std::string LocalAddress(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "?:0";
  return Format(address);
}

}  // namespace understudy::net
