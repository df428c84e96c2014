#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/support/temp_directory.h"
#include "tests/support/test_certificates.h"
#include "tests/unit/operator/kube/kube_test_env.h"

namespace understudy::kube {
namespace {

using Cause = StreamEnd::Cause;
using test::Fault;

class Lines final : public LineSink {
 public:
  void OnOpen() override {
    std::lock_guard lock(mutex_);
    opened_ = true;
    changed_.notify_all();
  }
  void OnLine(std::string_view line) override {
    std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
    changed_.notify_all();
  }
  bool WaitOpen() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return opened_; });
  }
  bool WaitLines(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return lines_.size() >= count; });
  }
  std::vector<std::string> lines() {
    std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool opened_ = false;
  std::vector<std::string> lines_;
};

const Request kWatch{
    .method = "GET",
    .path = "/api/v1/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=300"};
const Request kWatchNoBookmarks{.method = "GET",
                                .path = "/api/v1/configmaps?watch=1&timeoutSeconds=300"};

TEST(BeastStream, DeliversLinesUntilTheServerEndsTheStream) {
  KubeTestEnv env;
  env.server.store().Set("/api/v1/configmaps", ConfigMap("a", "1"));
  env.server.AddFault({.action = Fault::Action::kEnd, .after_lines = 2});
  auto stream = MakeBeastStream(env.Context(env.Plain()));
  Lines lines;
  const StreamEnd end = stream->Stream(kWatch, {}, lines, {});
  EXPECT_EQ(end.cause, Cause::kEof) << end.message;
  ASSERT_EQ(lines.lines().size(), 2u);
  EXPECT_EQ((*ParseJson(lines.lines()[0]))["type"], "ADDED");
  EXPECT_EQ((*ParseJson(lines.lines()[1]))["type"], "BOOKMARK");
}

TEST(BeastStream, StopsPromptlyInEveryPhase) {
  for (const auto action : {Fault::Action::kSilent, Fault::Action::kHang}) {
    KubeTestEnv env;
    env.server.AddFault({.action = action});
    auto stream = MakeBeastStream(env.Context(env.Plain()));
    Lines lines;
    std::stop_source stop;
    StreamEnd end;
    std::thread thread([&] { end = stream->Stream(kWatch, {}, lines, stop.get_token()); });
    ASSERT_TRUE(env.server.WaitForRequests("GET", "configmaps", 1));
    if (action == Fault::Action::kSilent) {
      ASSERT_TRUE(lines.WaitOpen());
    }
    const MonoTime begin = env.clock.Mono();
    stop.request_stop();
    thread.join();
    EXPECT_LT(env.clock.Mono() - begin, Seconds(2));
    EXPECT_EQ(end.cause, Cause::kStopped);
  }
}

TEST(BeastStream, ReportsACutInTheMiddleOfALine) {
  KubeTestEnv env;
  env.server.store().Set("/api/v1/configmaps", ConfigMap("a", "1"));
  env.server.store().Set("/api/v1/configmaps", ConfigMap("b", "1"));
  env.server.AddFault({.action = Fault::Action::kCut, .after_lines = 1});
  auto stream = MakeBeastStream(env.Context(env.Plain()));
  Lines lines;
  const StreamEnd end = stream->Stream(kWatch, {}, lines, {});
  EXPECT_EQ(end.cause, Cause::kBroken);
  EXPECT_EQ(lines.lines().size(), 1u) << "half a line must not be delivered";
}

TEST(BeastStream, CutsASilentStream) {
  KubeTestEnv env({.bookmark_interval_ms = 60'000});
  auto stream = MakeBeastStream(env.Context(env.Plain()));
  Lines lines;
  const StreamEnd end = stream->Stream(kWatch, {.max_silence = Milliseconds(100)}, lines, {});
  EXPECT_EQ(end.cause, Cause::kSilent);
}

TEST(BeastStream, StaysOpenWhileBookmarksCome) {
  KubeTestEnv env({.bookmark_interval_ms = 20});
  env.server.AddFault({.action = Fault::Action::kEnd, .after_lines = 20});
  auto stream = MakeBeastStream(env.Context(env.Plain()));
  Lines lines;
  // 20 bookmarks take longer than the limit on silence.
  const StreamEnd end = stream->Stream(kWatch, {.max_silence = Milliseconds(350)}, lines, {});
  EXPECT_EQ(end.cause, Cause::kEof) << end.message;
  EXPECT_EQ(lines.lines().size(), 20u);
}

TEST(BeastStream, ReportsAnErrorAnswerWithItsBodyAndRetryAfter) {
  KubeTestEnv env;
  env.server.AddFault(
      {.status = 429, .reason = "TooManyRequests", .headers = {{"Retry-After", "7"}}});
  auto stream = MakeBeastStream(env.Context(env.Plain()));
  Lines lines;
  const StreamEnd end = stream->Stream(kWatch, {}, lines, {});
  ASSERT_EQ(end.cause, Cause::kHttpError) << end.message;
  EXPECT_EQ(end.http_status, 429);
  EXPECT_EQ(end.retry_after, Seconds(7));
  EXPECT_EQ((*ParseJson(end.body))["reason"], "TooManyRequests");
}

TEST(BeastStream, TellsARefusedConnectionFromABrokenOne) {
  KubeTestEnv env;
  auto stream = MakeBeastStream(env.Context(env.Plain()));
  Lines lines;
  env.server.Pause();
  EXPECT_EQ(stream->Stream(kWatch, {}, lines, {}).cause, Cause::kRefused);
  env.server.Resume();
  env.server.AddFault({.action = Fault::Action::kDropRequest});
  EXPECT_EQ(stream->Stream(kWatch, {}, lines, {}).cause, Cause::kBroken);
}

TEST(BeastStream, CarriesLongLinesAndRefusesHugeOnes) {
  KubeTestEnv env;
  const std::string big(1 << 20, 'x');
  env.server.store().Set("/api/v1/configmaps", ConfigMap("a", big));
  env.server.AddFault({.times = 1, .action = Fault::Action::kEnd, .after_lines = 1});
  auto stream = MakeBeastStream(env.Context(env.Plain()));
  Lines lines;
  EXPECT_EQ(stream->Stream(kWatch, {}, lines, {}).cause, Cause::kEof);
  ASSERT_EQ(lines.lines().size(), 1u);
  EXPECT_EQ((*ParseJson(lines.lines()[0]))["object"]["data"]["key"], big);

  env.server.AddFault(
      {.action = Fault::Action::kInject, .after_lines = 0, .line = std::string(5 << 20, 'y')});
  Lines none;
  const StreamEnd end = stream->Stream(kWatch, {}, none, {});
  EXPECT_EQ(end.cause, Cause::kMalformed);
  EXPECT_TRUE(none.lines().empty());
}

TEST(BeastStream, TakesARotatedTokenAtOnceAfter401) {
  KubeTestEnv env;
  test::TempDirectory files;
  auto stream =
      MakeBeastStream(env.Context(env.Plain({.token_file = files.Write("token", "old")})));
  files.Write("token", "new");
  env.server.RequireToken("new");
  env.server.AddFault({.action = Fault::Action::kEnd, .after_lines = 1});
  Lines lines;
  EXPECT_EQ(stream->Stream(kWatch, {}, lines, {}).cause, Cause::kEof);
  EXPECT_EQ(env.server.Requests().size(), 2u);
}

TEST(BeastStream, WorksOverMutualTls) {
  test::TestAuthority authority;
  const auto server_cert = authority.Issue("server", "IP:127.0.0.1");
  const auto client_cert = authority.Issue("operator", "");
  KubeTestEnv env({.tls = test::FakeServerTls{server_cert.certificate, server_cert.key,
                                              authority.certificate()}});
  test::TempDirectory files;
  auto credentials =
      Credentials::Explicit({.tls = true, .host = "127.0.0.1", .port = env.server.port()},
                            {.ca_file = files.Write("ca", authority.certificate()),
                             .certificate_file = files.Write("cert", client_cert.certificate),
                             .key_file = files.Write("key", client_cert.key)},
                            env.clock);
  ASSERT_TRUE(credentials.ok());
  env.server.store().Set("/api/v1/configmaps", ConfigMap("a", "1"));
  auto stream = MakeBeastStream(env.Context(*credentials));
  Lines lines;
  std::stop_source stop;
  StreamEnd end;
  std::thread thread([&] { end = stream->Stream(kWatchNoBookmarks, {}, lines, stop.get_token()); });
  EXPECT_TRUE(lines.WaitLines(1));
  env.server.store().Set("/api/v1/configmaps", ConfigMap("a", "2"));
  EXPECT_TRUE(lines.WaitLines(2));
  stop.request_stop();
  thread.join();
  EXPECT_EQ(end.cause, Cause::kStopped);
  EXPECT_EQ((*ParseJson(lines.lines()[1]))["object"]["data"]["key"], "2");
}

TEST(BeastStream, ReachesAnIpv6Literal) {
  KubeTestEnv env({.address = "::1"});
  auto credentials = Credentials::Explicit({.tls = false, .host = "::1", .port = env.server.port()},
                                           {}, env.clock);
  ASSERT_TRUE(credentials.ok());
  env.server.AddFault({.action = Fault::Action::kEnd, .after_lines = 1});
  auto stream = MakeBeastStream(env.Context(*credentials));
  Lines lines;
  EXPECT_EQ(stream->Stream(kWatch, {}, lines, {}).cause, Cause::kEof);
  EXPECT_EQ(env.server.Requests()[0].headers.at("host"),
            "[::1]:" + std::to_string(env.server.port()));
}

}  // namespace
}  // namespace understudy::kube
