// A real server in the test's process, on a port of the kernel's choice, and clients for it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "node/config/config.h"
#include "node/server.h"
#include "tests/support/resp_client.h"
#include "tests/support/temp_directory.h"

namespace understudy::command {

using test::RespClient;

class ServerTest : public ::testing::Test {
 protected:
  // arguments: as on the command line, after --standalone.
  void StartServer(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"--standalone", "--bind", "127.0.0.1", "--enable-debug-command", "yes",
                                         "--enable-protected-configs", "yes", "--dir", dir_.path(), "--save", ""});
    config_ = std::make_unique<config::Config>();
    const Status loaded = config_->Load(arguments);
    ASSERT_TRUE(loaded.ok()) << loaded.ToString();
    config_->port = 0;
    if (config_->workers == 0) config_->workers = 1;
    server_ = std::make_unique<Server>(*config_, clock_, std::string(32, 'a'), [this] { ++exits_; });
    const Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started.ToString();
    const Status data = LoadData();
    ASSERT_TRUE(data.ok()) << data.ToString();
  }
  Status LoadData() {
    const auto loaded = std::make_shared<std::promise<Status>>();
    server_->Load([loaded](Status status) { loaded->set_value(std::move(status)); });
    return loaded->get_future().get();
  }
  void SetUp() override {
    StartServer();
    c_ = Connect();
  }

  std::unique_ptr<RespClient> Connect(int protocol = 2) {
    auto client = std::make_unique<RespClient>(server_->port());
    EXPECT_TRUE(client->connected());
    if (protocol == 3) {
      EXPECT_EQ(client->Do("HELLO 3").front(), '{');
    }
    return client;
  }
  std::string Do(std::string_view command) { return c_->Do(command); }

  // Commands and replies, one after the other.
  void Expect(const std::vector<std::pair<std::string, std::string>>& exchange) {
    for (const auto& [command, reply] : exchange) EXPECT_EQ(Do(command), reply) << command;
  }
  template <typename F>
  bool Eventually(F condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  // Every command answers `error` when it is sent with these arguments.
  void ExpectError(const std::vector<std::string>& commands, const std::string& error) {
    for (const std::string& command : commands) EXPECT_EQ(Do(command), "-" + error) << command;
  }

  test::TempDirectory dir_;
  SystemClock clock_;
  std::atomic<int> exits_{0};  // how often the process would have ended
  std::unique_ptr<config::Config> config_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<RespClient> c_;
};

}  // namespace understudy::command
