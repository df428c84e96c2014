// Listening sockets.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace understudy::net {

// A non-blocking TCP socket that listens on `address` (a literal IPv4 or IPv6 address, "*" = all of both) and
// `port` (0 = any). With SO_REUSEPORT, so that each worker has its own.
Result<int> Listen(const std::string& address, uint16_t port, int backlog);
// A non-blocking Unix socket at `path`, in the place of one that was left there. mode: its permissions, 0 = as the
// umask has them.
Result<int> ListenLocal(const std::string& path, uint32_t mode, int backlog);
// Does nobody else listen there? With SO_REUSEPORT a second process of the same user would not notice.
Status CheckPortFree(const std::string& address, uint16_t port);
uint16_t LocalPort(int fd);
// "127.0.0.1:5000", "[::1]:5000", "/path:0" of a Unix socket; "?:0" if the socket has none any more.
std::string PeerAddress(int fd);
std::string LocalAddress(int fd);

}  // namespace understudy::net
