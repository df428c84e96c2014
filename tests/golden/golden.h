// Golden files: the exact text that something is built into, kept beside the tests and reviewed as a diff.
//
// UPDATE_GOLDEN=1 in the environment writes what is built now instead of comparing (target golden-update).
// Tests run in the root of the sources.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace understudy::golden {

inline void ExpectGolden(const std::string& name, const std::string& text) {
  const std::filesystem::path path = std::filesystem::path("tests/golden") / name;
  if (const char* update = std::getenv("UPDATE_GOLDEN"); update != nullptr && std::string(update) == "1") {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return;
  }
  std::ifstream in(path);
  std::stringstream kept;
  kept << in.rdbuf();
  ASSERT_TRUE(in.good() || in.eof()) << path << " is missing; make it with UPDATE_GOLDEN=1";
  EXPECT_EQ(kept.str(), text) << path << " differs; if that is meant, run the test with UPDATE_GOLDEN=1";
}

}  // namespace understudy::golden
