// recv and send without the C library's points of cancellation: with several threads these cost two atomic
// operations a call, a percent of a command. Nobody cancels threads here.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

namespace understudy::net {

inline ssize_t Receive(int fd, char* to, size_t size) {
  return syscall(SYS_recvfrom, fd, to, size, MSG_DONTWAIT, nullptr, nullptr);
}
inline ssize_t Send(int fd, const char* from, size_t size) {
  return syscall(SYS_sendto, fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);
}

}  // namespace understudy::net
