// FUNCTION LOAD, RESTORE and DUMP: a library is taken whole or not at all; what is dumped is
// restored as the same.
#include <memory>

#include "node/persist/function_dump.h"
#include "node/persist/rdb_writer.h"
#include "node/script/function_libraries.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script_host.h"

extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1:max_allocation_size_mb=64";
}

namespace understudy::script {
namespace {

struct State {
  Interpreter interpreter{Interpreter::Kind::kFunctions};
  FunctionLibraries libraries{interpreter};
};

std::string Dump(const FunctionLibraries& libraries) {
  std::vector<std::string_view> codes;
  for (const auto& [name, library] : libraries.libraries()) codes.push_back(library.code);
  return persist::DumpFunctions(codes);
}

void Load(State& state, const std::string& code) {
  const size_t before = state.libraries.library_count();
  const Result<std::string> name = state.libraries.Load(code, true);
  if (!name.ok()) {
    CHECK(!name.status().message().empty() && state.libraries.library_count() == before);
    return;
  }
  const auto library = state.libraries.libraries().find(*name);
  CHECK(library != state.libraries.libraries().end() && library->second.code == code);
  CHECK(!library->second.functions.empty());
  for (const auto& [function, details] : library->second.functions) {
    CHECK(state.libraries.Find(function) != nullptr);
    fuzz::ScriptHost host;
    fuzz::CappedOutput out;
    resp::Writer reply(out, 2);
    const std::string_view keys[] = {"key"};
    state.interpreter.Run(details.ref, {host, function, keys, {}}, reply);
    CHECK(!out.view().empty());
  }
  const std::string dump = Dump(state.libraries);
  const Result<std::vector<std::string>> codes = persist::ParseFunctions(dump);
  CHECK(codes.ok());
  CHECK(state.libraries.Restore(*codes, FunctionLibraries::Policy::kFlush).ok());
  CHECK(Dump(state.libraries) == dump);
  CHECK(state.libraries.Delete(*name).ok() && state.libraries.library_count() == before);
}

}  // namespace
}  // namespace understudy::script

// First byte: l, a library as it is; w, one whose body is bytes that are words of Lua; d, a dump
// without its end.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::script;
  if (size > 2000) return -1;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  const std::string_view rest = in.Rest();
  if (how == 'd') {
    std::string payload(rest);
    (void)persist::ParseFunctions(payload).ok();
    persist::AppendDumpEnd(payload, persist::kRdbVersion);
    (void)persist::ParseFunctions(payload).ok();
    return 0;
  }
  if ((how != 'l' && how != 'w') || rest.find("sparse") != std::string_view::npos) return -1;
  static std::unique_ptr<State> state;
  static int runs = 0;
  if (state == nullptr || ++runs % 500 == 0 || state->interpreter.bytes() > 64 << 20)
    state = std::make_unique<State>();
  Load(*state, how == 'l' ? std::string(rest)
                          : "#!lua name=fuzz\nredis.register_function('f', function(keys, args) " +
                                fuzz::WordsOfLua(rest) + " end)");
  return 0;
}
