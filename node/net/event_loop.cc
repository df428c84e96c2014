#include "node/net/event_loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <string>

namespace understudy::net {

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(epoll_ >= 0 && wake_ >= 0);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
}

EventLoop::~EventLoop() {
  close(wake_);
  close(epoll_);
}

Status EventLoop::AddConnection(int fd, void* data) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = data;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return Unavailable(std::string("epoll_ctl: ") + strerror(errno));
}

Status EventLoop::AddListener(int fd, void* data) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = data;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return Unavailable(std::string("epoll_ctl: ") + strerror(errno));
}

void EventLoop::Remove(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

std::span<epoll_event> EventLoop::Wait(std::span<epoll_event> events, int timeout_ms) {
  const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
  size_t kept = 0;
  for (int i = 0; i < n; ++i) {
    if (events[static_cast<size_t>(i)].data.ptr == nullptr) {
      uint64_t count;
      [[maybe_unused]] const ssize_t r = read(wake_, &count, sizeof(count));
    } else {
      events[kept++] = events[static_cast<size_t>(i)];
    }
  }
  return events.first(kept);
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t r = write(wake_, &one, sizeof(one));
}

}  // namespace understudy::net
