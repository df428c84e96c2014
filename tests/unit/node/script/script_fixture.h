// An interpreter of its own, and a host that knows a few commands.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "node/script/interpreter.h"

namespace understudy::script {

class TestHost final : public Host {
 public:
  std::optional<std::string> Call(std::span<const std::string_view> words, int, int, resp::Output& reply) override {
    calls.emplace_back(words.begin(), words.end());
    const auto answer = answers.find(std::string(words[0]));
    if (answer == answers.end()) return "Unknown Redis command called from script";
    reply.Append(answer->second);
    return std::nullopt;
  }
  std::optional<bool> MayCall(std::span<const std::string_view>) override { return true; }
  bool Interrupt() override { return ++interrupts > most_interrupts; }

  std::map<std::string, std::string> answers;  // command -> reply as it is sent
  std::vector<std::vector<std::string>> calls;
  int interrupts = 0, most_interrupts = 1'000'000;
};

class InterpreterTest : public ::testing::Test {
 protected:
  // The reply as it is sent.
  std::string Eval(std::string_view code, int protocol = 2) {
    const Result<Interpreter::Ref> ref = interpreter_.Compile(code);
    if (!ref.ok()) return "-" + std::string(ref.status().message());
    resp::StringOutput out;
    resp::Writer reply(out, protocol);
    interpreter_.Run(*ref, {host_, "H", {}, arguments_, most_bytes_}, reply);
    interpreter_.Release(*ref);
    return std::string(out.view());
  }
  // The text of a script that returns one; for errors what follows "-".
  std::string Text(std::string_view code) {
    const std::string reply = Eval(code);
    if (reply.front() == '$') {
      const size_t at = reply.find("\r\n") + 2;
      return reply.substr(at, reply.size() - at - 2);
    }
    return reply.substr(1, reply.size() - 3);
  }
  // The error of an expression that raises one, without the place.
  std::string Error(std::string_view expression) {
    return Text("local ok, e = pcall(function() return " + std::string(expression) + " end) return tostring(e)");
  }
  void ExpectTexts(const std::vector<std::pair<std::string, std::string>>& expressions) {
    for (const auto& [expression, text] : expressions) {
      EXPECT_EQ(Text("return " + expression), text) << expression;
    }
  }
  void ExpectErrors(const std::vector<std::pair<std::string, std::string>>& expressions) {
    for (const auto& [expression, text] : expressions) {
      EXPECT_EQ(Error(expression), "user_script:1: " + text) << expression;
    }
  }

  Interpreter interpreter_{Interpreter::Kind::kEval};
  TestHost host_;
  std::vector<std::string_view> arguments_;
  size_t most_bytes_ = SIZE_MAX;
};

}  // namespace understudy::script
