#include "node/script/function_libraries.h"

#include <gtest/gtest.h>

namespace understudy::script {
namespace {

std::string Library(const std::string& name, const std::string& body) { return "#!lua name=" + name + "\n" + body; }
std::string Registering(const std::string& function) {
  return "redis.register_function('" + function + "', function() end)";
}

class FunctionLibrariesTest : public ::testing::Test {
 protected:
  std::string Load(const std::string& name, const std::string& body, const Interpreter::Bounds& bounds = {}) {
    const Result<std::string> loaded = libraries_.Load(Library(name, body), true, bounds);
    return loaded.ok() ? "loaded" : std::string(loaded.status().message());
  }
  std::string Restore(const std::vector<std::string>& codes, FunctionLibraries::Policy policy) {
    const Status restored = libraries_.Restore(codes, policy, {});
    return restored.ok() ? "restored" : std::string(restored.message());
  }

  Interpreter interpreter_{Interpreter::Kind::kFunctions};
  FunctionLibraries libraries_{interpreter_};
};

// The primary took it, so its replicas and who loads its data must, however slow they are.
TEST_F(FunctionLibrariesTest, OnlyWhatComesFromClientsIsBounded) {
  const std::string slow = "local t = os.clock() while os.clock() - t < 0.6 do end " + Registering("f");
  EXPECT_EQ(Load("l", slow, {.timed = true}), "Error registering functions: ERR FUNCTION LOAD timeout");
  EXPECT_EQ(Load("l", slow), "loaded");
  const std::string large = "local t = {} for i = 1, 100000 do t[i] = {} end " + Registering("f");
  EXPECT_EQ(Load("l", large, {.most_bytes = 1 << 20}), "Error registering functions: not enough memory");
  EXPECT_EQ(Load("l", large), "loaded");
}

TEST_F(FunctionLibrariesTest, NamesOfFunctionsDifferInMoreThanTheirCase) {
  EXPECT_EQ(Load("a", Registering("f")), "loaded");
  EXPECT_EQ(libraries_.Find("F"), libraries_.Find("f"));
  EXPECT_NE(libraries_.Find("f"), nullptr);
  EXPECT_EQ(Load("b", Registering("F")), "Function F already exists");
  EXPECT_EQ(Load("a", Registering("F")), "loaded");
  EXPECT_NE(libraries_.Find("f"), nullptr);
  EXPECT_EQ(libraries_.libraries().size(), 1u);
}

TEST_F(FunctionLibrariesTest, LibrariesAreRestoredAllOrNone) {
  using Policy = FunctionLibraries::Policy;
  ASSERT_EQ(Load("a", Registering("f")), "loaded");
  ASSERT_EQ(Load("b", Registering("g")), "loaded");
  const std::string c = Library("c", Registering("h")), other_f = Library("d", Registering("F"));
  EXPECT_EQ(Restore({c, other_f}, Policy::kAppend), "Function F already exists");
  EXPECT_EQ(Restore({c, Library("a", Registering("x"))}, Policy::kAppend), "Library a already exists");
  EXPECT_EQ(Restore({c, Library("e", Registering("H"))}, Policy::kFlush), "Function H already exists");
  EXPECT_EQ(Restore({c, "#!lua name=e\nx"}, Policy::kFlush).substr(0, 24), "Error compiling function");
  EXPECT_EQ(libraries_.function_count(), 2u);
  EXPECT_EQ(libraries_.Find("h"), nullptr);
  // A library that is replaced gives its names up.
  EXPECT_EQ(Restore({other_f, Library("a", Registering("x"))}, Policy::kReplace), "restored");
  EXPECT_EQ(libraries_.function_count(), 3u);
  EXPECT_NE(libraries_.Find("f"), nullptr);
  EXPECT_EQ(Restore({c}, Policy::kFlush), "restored");
  EXPECT_EQ(libraries_.function_count(), 1u);
  EXPECT_EQ(libraries_.Find("f"), nullptr);
  libraries_.Clear();
  EXPECT_EQ(libraries_.bytes(), 0u);
}

}  // namespace
}  // namespace understudy::script
