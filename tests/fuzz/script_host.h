// A host for scripts: it knows no command, but answers some words with replies of every kind; and
// the words of Lua from which scripts are made up.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "node/script/host.h"

namespace understudy::fuzz {

class ScriptHost final : public script::Host {
 public:
  std::optional<std::string> Call(std::span<const std::string_view> words, int protocol, int,
                                  resp::Output& reply) override {
    constexpr std::string_view kReplies[] = {":1\r\n",
                                             "$2\r\nab\r\n",
                                             "$-1\r\n",
                                             "+OK\r\n",
                                             "-ERR no\r\n",
                                             "*2\r\n:1\r\n*1\r\n$0\r\n\r\n",
                                             "*-1\r\n",
                                             "%2\r\n+a\r\n:1\r\n_\r\n#t\r\n",
                                             "~2\r\n$1\r\na\r\n,1.5\r\n",
                                             "(123456789012345678901234567890\r\n",
                                             "=7\r\ntxt:abc\r\n",
                                             "|1\r\n+k\r\n*0\r\n:5\r\n",
                                             ",inf\r\n",
                                             "_\r\n"};
    if (words.size() > 2) return "ERR unknown command";
    size_t which = words.back().size();
    for (const char c : words.back()) which = which * 31 + static_cast<unsigned char>(c);
    reply.Append(kReplies[which % (protocol == 3 ? std::size(kReplies) : 7)]);
    return std::nullopt;
  }
  std::optional<bool> MayCall(std::span<const std::string_view> words) override {
    if (words[0].empty()) return std::nullopt;
    return words[0].size() % 2 == 0;
  }
  // A few hundred thousand instructions are enough for a script.
  bool Interrupt() override { return ++interrupts_ > 3; }

 private:
  int interrupts_ = 0;
};

// Where a script's reply goes: its beginning is kept, the rest of a huge one is not.
class CappedOutput final : public resp::Output {
 public:
  std::string_view view() const {
    return {buffer_.data(), static_cast<size_t>(cursor_ - buffer_.data())};
  }
  bool whole() const { return whole_; }

 private:
  static constexpr size_t kKept = 1 << 20;
  void Grow(size_t bytes) override {
    size_t used = buffer_.empty() ? 0 : static_cast<size_t>(cursor_ - buffer_.data());
    if (used > kKept) {
      used = 0;
      whole_ = false;
    }
    buffer_.resize(std::max(buffer_.size(), 2 * used + bytes + 1024));
    cursor_ = buffer_.data() + used;
    end_ = buffer_.data() + buffer_.size();
  }
  std::string buffer_;
  bool whole_ = true;
};

// One byte, one word: what is made up this way is Lua more often than letters are, and names what
// is dangerous.
inline std::string WordsOfLua(std::string_view bytes) {
  constexpr std::string_view kWords[] = {"and",
                                         "break",
                                         "do",
                                         "else",
                                         "elseif",
                                         "end",
                                         "false",
                                         "for",
                                         "function",
                                         "if",
                                         "in",
                                         "local",
                                         "nil",
                                         "not",
                                         "or",
                                         "repeat",
                                         "return",
                                         "then",
                                         "true",
                                         "until",
                                         "while",
                                         "+",
                                         "-",
                                         "*",
                                         "/",
                                         "%",
                                         "^",
                                         "#",
                                         "==",
                                         "~=",
                                         "<=",
                                         ">=",
                                         "<",
                                         ">",
                                         "=",
                                         "(",
                                         ")",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ";",
                                         ":",
                                         ",",
                                         ".",
                                         "..",
                                         "...",
                                         "\n",
                                         "\"\"",
                                         "'a'",
                                         "0",
                                         "1",
                                         "-1",
                                         "2",
                                         "1e308",
                                         "0/0",
                                         "1/0",
                                         "a",
                                         "b",
                                         "c",
                                         "f",
                                         "i",
                                         "k",
                                         "t",
                                         "v",
                                         "_G",
                                         "_VERSION",
                                         "KEYS",
                                         "ARGV",
                                         "assert",
                                         "collectgarbage",
                                         "error",
                                         "gcinfo",
                                         "getmetatable",
                                         "setmetatable",
                                         "ipairs",
                                         "pairs",
                                         "next",
                                         "load",
                                         "loadstring",
                                         "pcall",
                                         "xpcall",
                                         "rawequal",
                                         "rawget",
                                         "rawset",
                                         "select",
                                         "tonumber",
                                         "tostring",
                                         "type",
                                         "unpack",
                                         "string",
                                         "string.byte",
                                         "string.char",
                                         "string.dump",
                                         "string.find",
                                         "string.format",
                                         "string.gmatch",
                                         "string.gsub",
                                         "string.len",
                                         "string.lower",
                                         "string.match",
                                         "string.rep",
                                         "string.reverse",
                                         "string.sub",
                                         "table",
                                         "table.concat",
                                         "table.foreach",
                                         "table.foreachi",
                                         "table.getn",
                                         "table.insert",
                                         "table.maxn",
                                         "table.remove",
                                         "table.setn",
                                         "table.sort",
                                         "math",
                                         "math.floor",
                                         "math.random",
                                         "math.randomseed",
                                         "os.clock",
                                         "coroutine",
                                         "coroutine.create",
                                         "coroutine.resume",
                                         "coroutine.running",
                                         "coroutine.status",
                                         "coroutine.wrap",
                                         "coroutine.yield",
                                         "cjson",
                                         "cjson.encode",
                                         "cjson.decode",
                                         "cjson.null",
                                         "cjson.new()",
                                         "cmsgpack",
                                         "cmsgpack.pack",
                                         "cmsgpack.unpack",
                                         "cmsgpack.unpack_one",
                                         "cmsgpack.unpack_limit",
                                         "struct",
                                         "struct.pack",
                                         "struct.unpack",
                                         "struct.size",
                                         "bit",
                                         "bit.band",
                                         "bit.tohex",
                                         "bit.lshift",
                                         "redis",
                                         "server",
                                         "redis.call",
                                         "redis.pcall",
                                         "redis.error_reply",
                                         "redis.status_reply",
                                         "redis.sha1hex",
                                         "redis.log",
                                         "redis.setresp",
                                         "redis.set_repl",
                                         "redis.replicate_commands",
                                         "redis.breakpoint",
                                         "redis.debug",
                                         "redis.acl_check_cmd",
                                         "redis.register_function",
                                         "redis.REDIS_VERSION",
                                         "redis.LOG_WARNING",
                                         "__index",
                                         "__newindex",
                                         "__metatable",
                                         "__gc",
                                         "__mode",
                                         "__call",
                                         "__tostring",
                                         "__concat",
                                         "__eq",
                                         "__lt",
                                         "__len",
                                         "err",
                                         "ok",
                                         "map",
                                         "set",
                                         "double",
                                         "big_number",
                                         "verbatim_string",
                                         "format",
                                         "function()",
                                         "function(...)",
                                         "function(a,b)",
                                         "local a=",
                                         "local b=",
                                         "local t={}",
                                         "t[1]=",
                                         "return {",
                                         "a=a",
                                         "pcall(function()",
                                         "end)",
                                         "for i=1,9 do",
                                         "while a do",
                                         "if a then",
                                         "getmetatable(\"\")",
                                         "getmetatable(_G)",
                                         "error({err=",
                                         "error(redis)",
                                         "setmetatable({},",
                                         "{__index=",
                                         "{__call=",
                                         "{__gc=",
                                         "\"\\27Lua\"",
                                         "'%s%d'",
                                         "'%99.99f'",
                                         "'i4i8>c0s'",
                                         "'([^,]*)(%f[%w]%b())'",
                                         "'[1,{\"a\":null}]'",
                                         "\"\\146\\1\\129\\161a\\192\""};
  std::string script;
  for (const char byte : bytes) {
    script += kWords[static_cast<uint8_t>(byte) % std::size(kWords)];
    script += ' ';
  }
  return script;
}

}  // namespace understudy::fuzz
