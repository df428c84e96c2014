#include "operator/watch/watcher.h"

#include <gtest/gtest.h>

#include "operator/watch/cache.h"
#include "tests/support/fake_api_server.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_certificates.h"

namespace understudy::watch {
namespace {

using test::Fault;

constexpr const char* kCollection = "/api/v1/configmaps";

Json ConfigMap(const std::string& name, const std::string& value,
               const Json& labels = Json::object()) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"namespace", "ns"}, {"labels", labels}}},
          {"data", {{"key", value}}}};
}

// A cache of ConfigMap values with its watcher, whose changes can be awaited.
class Follower {
 public:
  Follower(const test::FakeApiServer& server, std::shared_ptr<kube::Credentials> credentials,
           const Clock& clock, metrics::Registry& registry, WatcherOptions options = Fast(),
           WatchSpec spec = {.resource = kube::kConfigMaps})
      : context_{.credentials = std::move(credentials), .clock = clock, .registry = registry},
        transport_(kube::MakeBeastTransport(context_)),
        streams_(kube::MakeBeastStream(context_)),
        client_(*transport_, clock),
        cache_([](const Json& j) -> Result<std::string> {
          return JsonString(JsonAt(j, "data"), "key");
        }),
        watcher_(std::move(spec), client_, *streams_, clock, cache_, options) {
    (void)server;
    cache_.AddHandler([this](const Change<std::string>& change) {
      std::lock_guard lock(mutex_);
      if (!change.after) ++deletions_;
      unknown_ += change.final_state_unknown ? 1 : 0;
      changed_.notify_all();
    });
    watcher_.Start();
  }
  static WatcherOptions Fast() {
    return {.timing = {.first_pause = Milliseconds(5),
                       .longest_pause = Milliseconds(50),
                       .very_short = Milliseconds(1),
                       .resync_gap = Milliseconds(1)}};
  }
  // Waits until the cache shows `value` under ns/name; empty: nothing.
  bool WaitFor(const std::string& name, const std::string& value) {
    const auto shows = [&] {
      const auto got = cache_.Get("ns/" + name);
      return got ? *got == value : value.empty();
    };
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), shows);
  }
  bool WaitSynced() { return cache_.WaitSynced(Seconds(30)); }
  int deletions() {
    std::lock_guard lock(mutex_);
    return deletions_;
  }
  int unknown() {
    std::lock_guard lock(mutex_);
    return unknown_;
  }
  Cache<std::string>& cache() { return cache_; }
  Watcher& watcher() { return watcher_; }

 private:
  kube::TransportContext context_;
  std::unique_ptr<kube::Transport> transport_;
  std::unique_ptr<kube::StreamTransport> streams_;
  kube::Client client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int deletions_ = 0;  // mutex_
  int unknown_ = 0;    // mutex_
  Cache<std::string> cache_;
  Watcher watcher_;
};

class WatcherTest : public testing::Test {
 protected:
  void Serve(test::FakeServerOptions options = {}) { server_.emplace(options); }
  std::shared_ptr<kube::Credentials> Credentials(kube::CredentialFiles files = {}) {
    auto made = kube::Credentials::Explicit(
        {.tls = false, .host = "127.0.0.1", .port = server_->port()}, std::move(files), clock_);
    CHECK(made.ok());
    return *made;
  }
  std::unique_ptr<Follower> Follow(WatcherOptions options = Follower::Fast(),
                                   WatchSpec spec = {.resource = kube::kConfigMaps}) {
    return std::make_unique<Follower>(*server_, Credentials(), clock_, registry_, options, spec);
  }
  void Set(const std::string& name, const std::string& value, const Json& labels = Json::object()) {
    server_->store().Set(kCollection, ConfigMap(name, value, labels));
  }
  void Delete(const std::string& name) {
    EXPECT_EQ(server_->store().Delete({kCollection, "ns", name, ""}, Json::object()).status, 200);
  }

  SystemClock clock_;
  metrics::Registry registry_;
  std::optional<test::FakeApiServer> server_;
};

TEST_F(WatcherTest, LearnsTheStateAndFollowsItInOneStream) {
  Serve();
  Set("a", "1");
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  Set("a", "2");
  Set("b", "1");
  ASSERT_TRUE(follower->WaitFor("a", "2"));
  ASSERT_TRUE(follower->WaitFor("b", "1"));
  Delete("a");
  ASSERT_TRUE(follower->WaitFor("a", ""));
  EXPECT_EQ(follower->unknown(), 0);
  EXPECT_EQ(server_->CountRequests("GET", "watch=1"), 1);
  EXPECT_EQ(server_->Requests().size(), 1u) << "no list was needed";
}

TEST_F(WatcherTest, ListsInPagesWhereTheServerCannotSendTheState) {
  Serve({.watch_list = false});
  for (int i = 0; i < 1100; ++i) Set("n" + std::to_string(i), "1");
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitSynced());
  EXPECT_EQ(follower->cache().size(), 1100u);
  EXPECT_EQ(server_->CountRequests("GET", "limit=500"), 3);
  Set("n0", "2");
  ASSERT_TRUE(follower->WaitFor("n0", "2"));
}

TEST_F(WatcherTest, ListsWholeWhenAPageExpired) {
  Serve({.watch_list = false});
  for (int i = 0; i < 600; ++i) Set("n" + std::to_string(i), "1");
  server_->AddFault({.path = "continue=", .status = 410, .reason = "Expired"});
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitSynced());
  EXPECT_EQ(follower->cache().size(), 600u);
  EXPECT_EQ(server_->CountRequests("GET", "continue="), 1);
}

TEST_F(WatcherTest, TakesTheStateAgainAfter410AndTellsWhatVanished) {
  Serve();
  Set("a", "1");
  Set("b", "1");
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitFor("b", "1"));
  // While we are away one object goes, one changes, and history is forgotten.
  server_->Pause();
  Delete("a");
  Set("b", "2");
  server_->store().Compact();
  server_->Resume();
  ASSERT_TRUE(follower->WaitFor("a", ""));
  ASSERT_TRUE(follower->WaitFor("b", "2"));
  EXPECT_EQ(follower->deletions(), 1);
  EXPECT_EQ(follower->unknown(), 1);
  EXPECT_GE(server_->CountRequests("GET", "sendInitialEvents"), 2);
}

TEST_F(WatcherTest, AnswersA410InsideTheStream) {
  Serve();
  Set("a", "1");
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  server_->store().Compact();
  ASSERT_TRUE(server_->WaitForRequests("GET", "sendInitialEvents", 2));
  Set("a", "2");
  ASSERT_TRUE(follower->WaitFor("a", "2"));
}

TEST_F(WatcherTest, WatchesAgainFromTheLastVersionAfterACut) {
  Serve();
  Set("a", "1");
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  server_->CloseConnections();
  Set("a", "2");
  ASSERT_TRUE(follower->WaitFor("a", "2"));
  EXPECT_EQ(server_->CountRequests("GET", "sendInitialEvents"), 1) << "no second full state";
}

TEST_F(WatcherTest, SurvivesACutInTheMiddleOfALine) {
  Serve();
  Set("a", "1");
  server_->AddFault({.path = "sendInitialEvents", .action = Fault::Action::kCut, .after_lines = 2});
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  Set("a", "2");
  ASSERT_TRUE(follower->WaitFor("a", "2"));
}

TEST_F(WatcherTest, ACutDuringTheInitialStateShowsNothing) {
  Serve();
  Set("a", "1");
  Set("b", "1");
  server_->AddFault({.path = "sendInitialEvents", .action = Fault::Action::kCut, .after_lines = 1});
  server_->AddFault({.path = "sendInitialEvents", .action = Fault::Action::kHang});
  auto follower = Follow();
  ASSERT_TRUE(server_->WaitForRequests("GET", "sendInitialEvents", 2));
  EXPECT_EQ(follower->cache().size(), 0u);
  EXPECT_FALSE(follower->cache().Synced());
}

TEST_F(WatcherTest, CutsASilentStreamAndWatchesAgain) {
  Serve();
  Set("a", "1");
  server_->AddFault({.path = "&resourceVersion=", .action = Fault::Action::kSilent});
  server_->AddFault({.path = "sendInitialEvents", .action = Fault::Action::kEnd, .after_lines = 3});
  WatcherOptions options = Follower::Fast();
  options.stream.max_silence = Milliseconds(300);
  auto follower = Follow(options);
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  ASSERT_TRUE(server_->WaitForRequests("GET", "&resourceVersion=", 2));
  Set("a", "2");
  ASSERT_TRUE(follower->WaitFor("a", "2"));
  EXPECT_EQ(server_->CountRequests("GET", "sendInitialEvents"), 1);
}

TEST_F(WatcherTest, RespectsA429AndDoesNotList) {
  Serve();
  Set("a", "1");
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  server_->AddFault(
      {.path = "watch=1", .times = 2, .status = 429, .headers = {{"Retry-After", "0"}}});
  server_->CloseConnections();
  ASSERT_TRUE(server_->WaitForRequests("GET", "&resourceVersion=", 3));
  Set("a", "2");
  ASSERT_TRUE(follower->WaitFor("a", "2"));
  EXPECT_EQ(server_->CountRequests("GET", "sendInitialEvents"), 1);
  EXPECT_EQ(server_->CountRequests("GET", "limit="), 0);
}

TEST_F(WatcherTest, AvoidsALineThatIsTooLongOrNoEvent) {
  for (const std::string& line : {std::string(5 << 20, 'x'), std::string("{\"type\":\"ODD\"}")}) {
    Serve();
    Set("a", "1");
    server_->AddFault({.path = "sendInitialEvents",
                       .action = Fault::Action::kInject,
                       .after_lines = 2,
                       .line = line});
    auto follower = Follow();
    ASSERT_TRUE(follower->WaitFor("a", "1"));
    ASSERT_TRUE(server_->WaitForRequests("GET", "limit=500", 1));
    Set("a", "2");
    ASSERT_TRUE(follower->WaitFor("a", "2"));
  }
}

TEST_F(WatcherTest, GoesOnWithARotatedToken) {
  Serve();
  test::TempDirectory files;
  server_->RequireToken("old");
  Set("a", "1");
  auto credentials = Credentials({.token_file = files.Write("token", "old")});
  Follower follower(*server_, credentials, clock_, registry_);
  ASSERT_TRUE(follower.WaitFor("a", "1"));
  server_->RequireToken("new");
  server_->CloseConnections();
  files.Write("token", "new");
  Set("a", "2");
  ASSERT_TRUE(follower.WaitFor("a", "2"));
}

TEST_F(WatcherTest, ASelectorTurnsChangesIntoArrivalsAndDepartures) {
  Serve();
  Set("a", "1", {{"mine", "yes"}});
  Set("b", "1");
  auto follower = Follow(
      Follower::Fast(),
      {.resource = kube::kConfigMaps, .name_space = "ns", .label_selector = "mine in (yes,sure)"});
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  Set("b", "2", {{"mine", "sure"}});
  ASSERT_TRUE(follower->WaitFor("b", "2"));
  Set("a", "2", {{"mine", "no"}});
  ASSERT_TRUE(follower->WaitFor("a", ""));
}

TEST_F(WatcherTest, TwoWatchersSeeTheSameWhileWritersRace) {
  Serve();
  auto first = Follow();
  auto second = Follow();
  std::vector<std::thread> writers;
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 50; ++i) {
        const std::string name = "n" + std::to_string((w + i) % 5);
        Set(name, std::to_string(w * 1000 + i));
        if (i % 7 == 0) {
          (void)server_->store().Delete({kCollection, "ns", name, ""}, Json::object());
        }
        if (w == 0 && i % 20 == 19) server_->CloseConnections();
      }
    });
  }
  for (auto& writer : writers) writer.join();
  Set("end", "end");
  ASSERT_TRUE(first->WaitFor("end", "end"));
  ASSERT_TRUE(second->WaitFor("end", "end"));
  const Json all = server_->store().List(kCollection, "", {}).body["items"];
  for (Follower* follower : {first.get(), second.get()}) {
    EXPECT_EQ(follower->cache().size(), all.size());
    for (const Json& item : all) {
      const auto got = follower->cache().Get(ObjectKeyOf(item));
      ASSERT_NE(got, nullptr) << item.dump();
      EXPECT_EQ(*got, item["data"]["key"]);
    }
  }
}

TEST_F(WatcherTest, StopsPromptlyWhileStreamingAndWhilePausing) {
  Serve();
  auto streaming = Follow();
  ASSERT_TRUE(streaming->WaitSynced());
  MonoTime begin = clock_.Mono();
  streaming->watcher().Stop();
  EXPECT_LT(clock_.Mono() - begin, Seconds(2));

  WatcherOptions slow;
  slow.timing.first_pause = Seconds(30);
  server_->AddFault({.path = "watch=1", .times = 100, .action = Fault::Action::kDropRequest});
  const int before = server_->CountRequests("GET", "watch=1");
  auto pausing = Follow(slow);
  ASSERT_TRUE(server_->WaitForRequests("GET", "watch=1", before + 1));
  begin = clock_.Mono();
  pausing->watcher().Stop();
  EXPECT_LT(clock_.Mono() - begin, Seconds(5));
}

TEST_F(WatcherTest, ReadsItsOwnWrites) {
  Serve();
  Set("a", "1");
  auto follower = Follow();
  ASSERT_TRUE(follower->WaitFor("a", "1"));
  // Nothing arrives for a moment; meanwhile we write.
  server_->AddFault({.path = "watch=1", .action = Fault::Action::kHang});
  server_->CloseConnections();
  ASSERT_TRUE(server_->WaitForRequests("GET", "watch=1", 2));
  follower->cache().Wrote(server_->store().Set(kCollection, ConfigMap("a", "2")));
  EXPECT_FALSE(follower->cache().CaughtUp("ns/a"));
  server_->CloseConnections();
  ASSERT_TRUE(follower->WaitFor("a", "2"));
  EXPECT_TRUE(follower->cache().CaughtUp("ns/a"));
}

}  // namespace
}  // namespace understudy::watch
