#include <cstdio>
#include <string>
#include <vector>

#include "operator/process.h"

int main(int argc, char** argv) {
  std::string exit_text;
  const auto options = understudy::ParseOperatorOptions({argv + 1, argv + argc}, &exit_text);
  if (!exit_text.empty()) {
    std::fputs(exit_text.c_str(), stdout);
    return 0;
  }
  if (!options.ok()) {
    std::fprintf(stderr, "understudy-operator: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  const understudy::Status status = understudy::RunOperator(*options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "understudy-operator: %s\n", std::string(status.message()).c_str());
  return 1;
}
