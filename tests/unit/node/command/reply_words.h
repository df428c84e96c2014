// The words of a reply as RespClient prints it.
#pragma once

#include <string>
#include <vector>

namespace understudy::command {

// All bulk strings in it, without nesting. For texts without quotes.
inline std::vector<std::string> WordsOf(const std::string& reply) {
  std::vector<std::string> words;
  for (size_t at = 0; (at = reply.find('"', at)) != std::string::npos;) {
    const size_t end = reply.find('"', at + 1);
    words.push_back(reply.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return words;
}

}  // namespace understudy::command
