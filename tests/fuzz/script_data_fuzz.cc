// cjson, cmsgpack and struct on data from outside: what is read is written, and read as the same.
#include <string>

#include "node/script/interpreter.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script_host.h"

namespace understudy::script {
namespace {

// ARGV[1]: which; ARGV[2]: a format, for struct; ARGV[3]: the data. "same", "refused", or what is
// wrong.
constexpr std::string_view kScript = R"(
local function same(a, b, depth)
  if type(a) ~= type(b) then return false end
  if type(a) ~= 'table' then return a == b or (a ~= a and b ~= b) or (type(a) == 'number' and math.abs(a - b) <= math.abs(a) * 1e-12) end
  for k, v in pairs(a) do
    -- A key that is a number is written with 14 digits, and a text then.
    if type(k) == 'string' and not same(v, b[k]) then return false end
  end
  return true
end
local which, format, data = ARGV[1], ARGV[2], ARGV[3]
if which == 'json' then
  local ok, value = pcall(cjson.decode, data)
  if not ok then return 'refused' end
  local ok, text = pcall(cjson.encode, value)
  if not ok then return text:find('excessive') or text:find('must not be NaN') or text:find('Cannot serialise') and 'refused' or text end
  return same(value, cjson.decode(text)) and 'same' or 'differs: ' .. text
elseif which == 'pack' then
  local ok, value = pcall(cmsgpack.unpack_one, data)
  if not ok then return 'refused' end
  local position, value = cmsgpack.unpack_one(data)
  local text = cmsgpack.pack(value)
  local again = cmsgpack.unpack(text)
  if cmsgpack.pack(again) ~= text and type(value) ~= 'table' then return 'differs' end
  pcall(cmsgpack.unpack, data)
  pcall(cmsgpack.unpack_limit, data, #format, #format % 3)
  return 'same'
else
  pcall(struct.pack, format, 1, -1, data, 2.5, data, 1e300)
  pcall(struct.size, format)
  pcall(struct.unpack, format, data, #format % 5)
  local values = {pcall(struct.unpack, format, data)}
  if not values[1] then return 'refused' end
  return 'same'
end)";

}  // namespace
}  // namespace understudy::script

// First byte: j, m or s. For struct: a line with the format, then the data.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::script;
  if (size > 8000) return -1;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  if (how != 'j' && how != 'm' && how != 's') return -1;
  const std::string format(how == 's' ? in.Line() : "");
  const std::string rest(in.Rest());
  const std::string_view arguments[] = {how == 'j'   ? "json"
                                        : how == 'm' ? "pack"
                                                     : "struct",
                                        format, rest};
  static Interpreter* const interpreter = new Interpreter(Interpreter::Kind::kEval);
  static const Interpreter::Ref ref = *interpreter->Compile(kScript);
  fuzz::ScriptHost host;
  fuzz::CappedOutput out;
  resp::Writer reply(out, 2);
  interpreter->Run(ref, {host, "name", {}, arguments}, reply);
  CHECK(out.view() == "$4\r\nsame\r\n" || out.view() == "$7\r\nrefused\r\n" ||
        out.view().starts_with(":"));
  return 0;
}
