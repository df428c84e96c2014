#include "tests/support/resp_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "node/resp/parser.h"

namespace understudy::test {

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  if (!resp::SplitInline(text, &words)) std::abort();
  return words;
}

std::string EncodeCommand(const std::vector<std::string>& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& w : words) out += "$" + std::to_string(w.size()) + "\r\n" + w + "\r\n";
  return out;
}

RespClient::RespClient(uint16_t port, const std::string& address) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    close(fd_);
    fd_ = -1;
    closed_ = true;
    return;
  }
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

RespClient::~RespClient() { Close(); }

void RespClient::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  closed_ = true;
}

void RespClient::ShutdownWrite() { shutdown(fd_, SHUT_WR); }

std::string RespClient::Do(std::string_view command) { return Do(SplitWords(command)); }

std::string RespClient::Do(const std::vector<std::string>& words) {
  Send(words);
  return Read();
}

void RespClient::Send(const std::vector<std::string>& words) { SendRaw(EncodeCommand(words)); }

void RespClient::SendRaw(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) {
      closed_ = true;
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool RespClient::Fill(int timeout_ms) {
  if (fd_ < 0) return false;
  pollfd p{fd_, POLLIN, 0};
  if (poll(&p, 1, timeout_ms) <= 0) return false;
  char bytes[65536];
  const ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
  if (n <= 0) {
    closed_ = true;
    return false;
  }
  buffer_.append(bytes, static_cast<size_t>(n));
  return true;
}

bool RespClient::ReadLine(std::string* line, int timeout_ms) {
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!Fill(timeout_ms)) return false;
  }
  *line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return true;
}

std::string RespClient::Read(int timeout_ms) {
  std::string line;
  if (!ReadLine(&line, timeout_ms)) return closed_ ? "closed" : "timeout";
  const char type = line.empty() ? '?' : line[0];
  const std::string rest = line.empty() ? "" : line.substr(1);
  const auto elements = [&](int64_t n, std::string_view between) {
    std::string out;
    for (int64_t i = 0; i < n; ++i) {
      if (i > 0) out += (between == ": " && i % 2 == 1) ? ": " : ", ";
      out += Read(timeout_ms);
    }
    return out;
  };
  const bool counted = std::string_view("$=*~>%|").find(type) != std::string_view::npos;
  int64_t count = 0;
  if (counted && std::from_chars(rest.data(), rest.data() + rest.size(), count).ec != std::errc()) {
    return "malformed: " + line;
  }
  switch (type) {
    case '+': case '-': case ':': case ',': case '#': case '(':
      return line;
    case '_':
      return "nil";
    case '$': case '=': {
      if (count < 0) return "nil";
      std::string value = ReadRaw(static_cast<size_t>(count) + 2, timeout_ms);
      if (value.size() != static_cast<size_t>(count) + 2) return closed_ ? "closed" : "timeout";
      value.resize(value.size() - 2);
      return type == '=' ? "=" + value : "\"" + value + "\"";
    }
    case '*':
      return count < 0 ? "nil" : "[" + elements(count, ", ") + "]";
    case '~':
      return "~[" + elements(count, ", ") + "]";
    case '>':
      return ">[" + elements(count, ", ") + "]";
    case '%':
      return "{" + elements(count * 2, ": ") + "}";
    case '|': {
      const std::string attributes = elements(count * 2, ": ");
      return "|{" + attributes + "} " + Read(timeout_ms);
    }
    default:
      return "malformed: " + line;
  }
}

std::string RespClient::ReadRaw(size_t bytes, int timeout_ms) {
  while (buffer_.size() < bytes) {
    if (!Fill(timeout_ms)) break;
  }
  std::string out = buffer_.substr(0, bytes);
  buffer_.erase(0, out.size());
  return out;
}

std::string RespClient::ReadRawUntilClosed(int timeout_ms) {
  while (Fill(timeout_ms)) {
  }
  return closed_ ? std::move(buffer_) : "timeout after: " + buffer_;
}

}  // namespace understudy::test
