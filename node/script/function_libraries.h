// Libraries of functions: FUNCTION LOAD, FCALL. Part of the data: replicated, and in every copy of it.
//
// A change is made whole or not at all: a library is run apart from those that are there, and takes its place only if
// it registered functions whose names nobody else has. Threads: as Interpreter; the counts by any.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "node/script/interpreter.h"

namespace understudy::script {

class FunctionLibraries {
 public:
  struct Function {
    std::string description;
    bool has_description = false;
    uint32_t flags = 0;  // flags.h
    Interpreter::Ref ref = 0;
  };
  struct Library {
    std::string code;
    std::map<std::string, Function, std::less<>> functions;
  };
  using Libraries = std::map<std::string, Library, std::less<>>;
  // What Restore does with libraries that are there.
  enum class Policy { kAppend, kReplace, kFlush };

  explicit FunctionLibraries(Interpreter& interpreter) : interpreter_(interpreter) {}
  ~FunctionLibraries();

  // The library's name. Messages are Redis's, without "ERR ".
  Result<std::string> Load(std::string_view code, bool replace, const Interpreter::Bounds& bounds);
  Status Delete(std::string_view name);
  void Clear();
  // All or nothing.
  Status Restore(const std::vector<std::string>& codes, Policy policy, const Interpreter::Bounds& bounds);

  // In any case: names that differ in nothing else are one function.
  const Function* Find(std::string_view function) const;
  const Libraries& libraries() const { return libraries_; }

  size_t library_count() const { return library_count_.load(std::memory_order_relaxed); }
  size_t function_count() const { return function_count_.load(std::memory_order_relaxed); }
  // Of the texts and names.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  Result<Library> Run(std::string_view body, std::string_view code, const Interpreter::Bounds& bounds);
  struct Place {
    std::string_view library;
    const Function* function;
  };
  // By name in lower case. Views into the libraries.
  using Index = std::unordered_map<std::string, Place>;
  static Index IndexOf(const Libraries& libraries);
  static Status CheckNames(const Index& others, const Library& library, std::string_view name);
  void Release(Library& library);
  void Release(Libraries& libraries);
  // After each change.
  void Count();

  Interpreter& interpreter_;
  Libraries libraries_;
  Index by_name_;
  std::atomic<size_t> library_count_{0}, function_count_{0}, bytes_{0};
};

}  // namespace understudy::script
