// What a running script asks of the rest of the node. The command folder implements it.
//
// Thread: the one that runs the script.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "node/resp/output.h"

namespace understudy::script {

class Host {
 public:
  // Where the effects of a command go: redis.set_repl.
  static constexpr int kToAof = 1, kToReplicas = 2, kToAll = 3;

  // redis.call. Writes the reply in that protocol and returns nothing, or returns why the command may not run: an error
  // with its code, nothing is written then. Either error is counted. The words may go once it returns.
  virtual std::optional<std::string> Call(std::span<const std::string_view> words, int protocol, int replicate_to,
                                          resp::Output& reply) = 0;
  // redis.acl_check_cmd; nothing: there is no such command.
  virtual std::optional<bool> MayCall(std::span<const std::string_view> words) = 0;
  // Every thousandth of a second or so of a script that runs; true ends it (SCRIPT KILL).
  virtual bool Interrupt() = 0;

 protected:
  ~Host() = default;
};

}  // namespace understudy::script
