// Scripts for EVAL: whatever they do, they end, give one reply, and leave the globals that all
// scripts share as they were.
#include <cstring>
#include <memory>

#include "node/script/interpreter.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script_host.h"

// Lua has no bound of its own; a script that wants more is told that there is no more.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1:max_allocation_size_mb=64";
}

namespace understudy::script {
namespace {

// All names that a script sees, two levels deep, with their types; and that they can't be written.
constexpr std::string_view kWhatIsThere = R"(
local lines = {}
local function note(prefix, t)
  for k, v in pairs(t) do lines[#lines + 1] = prefix .. tostring(k) .. ':' .. type(v) end
end
note('', _G)
for k, v in pairs(_G) do
  if type(v) == 'table' and k ~= '_G' and k ~= 'KEYS' and k ~= 'ARGV' then
    note(k .. '.', v)
    for _, name in ipairs({'err', 'source', 'line', '1'}) do
      local ok, found = pcall(function() return v[name] end)
      if ok and found ~= nil then lines[#lines + 1] = k .. ' has ' .. name end
    end
    if pcall(function() v.new_name = 1 end) then lines[#lines + 1] = k .. ' is open' end
  end
end
for _, name in ipairs({'source', 'line', 'err', 'a', 'b', 'c', 'f', 'i', 'k', 't', 'v'}) do
  if pcall(function() return _G[name] end) then lines[#lines + 1] = 'global ' .. name end
end
note('string metatable.', getmetatable(''))
if pcall(function() new_global = 1 end) then lines[#lines + 1] = 'globals are open' end
lines[#lines + 1] = ('x'):upper() .. tostring(#{1, 2}) .. tostring(1 == 1.0) .. cjson.encode({1}) .. struct.size('i')
table.sort(lines)
return table.concat(lines, ' '))";

class State {
 public:
  State() { before_ = WhatIsThere(); }

  // False: it does not compile.
  bool Run(std::string_view code, int protocol) {
    const Result<Interpreter::Ref> ref = interpreter_.Compile(code);
    if (!ref.ok()) {
      CHECK(!ref.status().message().empty());
      return false;
    }
    CHECK(!code.starts_with('\x1b'));
    fuzz::CappedOutput out;
    Call(*ref, protocol, out);
    if (out.whole()) CheckReply(out.view());
    CHECK(WhatIsThere() == before_);
    return true;
  }
  size_t bytes() const { return interpreter_.bytes(); }

 private:
  void Call(Interpreter::Ref ref, int protocol, resp::Output& out) {
    fuzz::ScriptHost host;
    resp::Writer reply(out, protocol);
    const std::string_view keys[] = {"key"}, arguments[] = {"1", std::string_view("a\0b", 3), ""};
    interpreter_.Run(ref, {host, "name", keys, arguments}, reply);
    interpreter_.Release(ref);
  }
  std::string WhatIsThere() {
    const Result<Interpreter::Ref> ref = interpreter_.Compile(kWhatIsThere);
    CHECK(ref.ok());
    fuzz::CappedOutput out;
    Call(*ref, 2, out);
    CHECK(out.view().starts_with('$'));
    return std::string(out.view());
  }

  // One value and nothing behind it.
  static void CheckReply(std::string_view reply) {
    size_t left = 1;
    while (left > 0) {
      --left;
      const size_t end = reply.find("\r\n");
      CHECK(end != std::string_view::npos && end > 0);
      const std::string line(reply.substr(1, end - 1));
      const char type = reply[0];
      reply.remove_prefix(end + 2);
      CHECK(std::strchr("+-:$*%~#,(=_", type) != nullptr);
      const long n = std::strtol(line.c_str(), nullptr, 10);
      if ((type == '$' || type == '=') && n >= 0) {
        CHECK(reply.size() >= static_cast<size_t>(n) + 2 &&
              reply.substr(static_cast<size_t>(n), 2) == "\r\n");
        reply.remove_prefix(static_cast<size_t>(n) + 2);
      } else if ((type == '*' || type == '~') && n > 0) {
        left += static_cast<size_t>(n);
      } else if (type == '%') {
        left += static_cast<size_t>(2 * n);
      }
    }
    CHECK(reply.empty());
  }

  Interpreter interpreter_{Interpreter::Kind::kEval};
  std::string before_;
};

}  // namespace
}  // namespace understudy::script

// First byte: l, Lua as it is; w, bytes that are words of Lua; in upper case: for RESP3.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::script;
  if (size > 2000) return -1;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  if (how == 0 || std::strchr("lLwW", how) == nullptr) return -1;
  const std::string_view rest = in.Rest();
  const std::string code = how == 'l' || how == 'L' ? std::string(rest) : fuzz::WordsOfLua(rest);
  // What is asked for here is gigabytes of "null", which is not for a test.
  if (code.find("sparse") != std::string::npos) return -1;
  static std::unique_ptr<State> state;
  static int runs = 0;
  if (state == nullptr || ++runs % 500 == 0 || state->bytes() > 64 << 20)
    state = std::make_unique<State>();
  state->Run(code, how == 'L' || how == 'W' ? 3 : 2);
  return 0;
}
