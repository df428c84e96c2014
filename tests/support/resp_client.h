// A small RESP client for tests: blocking, with a time limit on every read.
//
// Replies are compared as text, one notation for all types: +OK  -ERR text  :1  "bulk"  nil  [a, b]  {k: v}
// ~[set]  >[push]  ,1.5  #t  =txt:verbatim  (bignum). A lost connection reads as "closed", silence as "timeout".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::test {

std::vector<std::string> SplitWords(std::string_view text);
std::string EncodeCommand(const std::vector<std::string>& words);

class RespClient {
 public:
  explicit RespClient(uint16_t port, const std::string& address = "127.0.0.1");
  ~RespClient();
  RespClient(const RespClient&) = delete;
  RespClient& operator=(const RespClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // Words split as in a shell, with quotes; sent as an array; the reply as text.
  std::string Do(std::string_view command);
  std::string Do(const std::vector<std::string>& words);
  void Send(const std::vector<std::string>& words);
  void SendRaw(std::string_view bytes);  // all of it, or the process aborts
  std::string Read(int timeout_ms = 5000);
  // What arrives until the other side closes, at most `timeout_ms`.
  std::string ReadRawUntilClosed(int timeout_ms = 5000);
  std::string ReadRaw(size_t bytes, int timeout_ms = 5000);
  void ShutdownWrite();
  void Close();

 private:
  bool Fill(int timeout_ms);
  bool ReadLine(std::string* line, int timeout_ms);

  int fd_ = -1;
  std::string buffer_;
  bool closed_ = false;
};

}  // namespace understudy::test
