// epoll and the eventfd with which other threads wake its owner. Edge-triggered for connections, level-
// triggered for listeners (an accept that is put off must be announced again).
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <span>

#include "common/result.h"

namespace understudy::net {

class EventLoop {
 public:
  EventLoop();  // CHECKs that the kernel has descriptors left: called at start only
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `data` comes back in epoll_event::data.ptr.
  Status AddConnection(int fd, void* data);
  Status AddListener(int fd, void* data);
  void Remove(int fd);

  // At most events.size() events; timeout_ms 0 = only look. Wake-ups are swallowed: data.ptr is never null.
  std::span<epoll_event> Wait(std::span<epoll_event> events, int timeout_ms);
  // Any thread: ends a Wait.
  void Wake();

 private:
  int epoll_ = -1;
  int wake_ = -1;
};

}  // namespace understudy::net
