#include "operator/kube/events.h"

#include <gtest/gtest.h>

#include "tests/unit/operator/kube/kube_test_env.h"

namespace understudy::kube {
namespace {

using test::Fault;

class EventRecorderTest : public testing::Test {
 protected:
  EventRecorderTest() {
    options_.instance = "operator-0";
    options_.retry_pause = Milliseconds(10);
  }
  static Event About(const std::string& name, const std::string& reason = "FailoverStarted") {
    return {.type = EventType::kWarning,
            .reason = reason,
            .action = "Failover",
            .note = "the primary is silent",
            .regarding = {.api_version = "cache.understudy.dev/v1alpha1",
                          .kind = "ReplicationGroup",
                          .name_space = "default",
                          .name = name,
                          .uid = "uid-" + name}};
  }
  Json Items() {
    return env_.server.store().List("/apis/events.k8s.io/v1/events", "", {}).body["items"];
  }

  KubeTestEnv env_;
  FakeClock clock_;
  std::unique_ptr<Transport> transport_ = MakeBeastTransport(env_.Context(env_.Plain()));
  Client client_{*transport_, env_.clock};
  EventRecorderOptions options_;
};

TEST_F(EventRecorderTest, WritesWhatKubectlShows) {
  EventRecorder recorder(client_, env_.clock, env_.registry, options_);
  recorder.Start();
  Event event = About("g");
  event.related = ObjectReference{
      .api_version = "v1", .kind = "Pod", .name_space = "default", .name = "g-001-0", .uid = "p"};
  event.note = std::string(1023, 'x') + "üü";
  recorder.Record(event);
  ASSERT_TRUE(recorder.Flush(env_.Soon()));
  const Json items = Items();
  ASSERT_EQ(items.size(), 1u);
  const Json& got = items[0];
  EXPECT_EQ(got["type"], "Warning");
  EXPECT_EQ(got["reason"], "FailoverStarted");
  EXPECT_EQ(got["action"], "Failover");
  EXPECT_EQ(got["reportingInstance"], "operator-0");
  EXPECT_EQ(got["regarding"]["uid"], "uid-g");
  EXPECT_EQ(got["related"]["name"], "g-001-0");
  EXPECT_EQ(got["note"], std::string(1023, 'x')) << "cut before a character that does not fit";
  EXPECT_EQ(got["metadata"]["namespace"], "default");
  EXPECT_EQ(got["metadata"]["name"].get<std::string>().rfind("g.", 0), 0u);
  EXPECT_NE(got["eventTime"].get<std::string>().find('.'), std::string::npos);
}

TEST_F(EventRecorderTest, RepeatedOnesBecomeASeries) {
  EventRecorder recorder(client_, env_.clock, env_.registry, options_);
  recorder.Start();
  for (int i = 0; i < 5; ++i) recorder.Record(About("g"));
  recorder.Record(About("other"));
  recorder.Record(About("g", "FailoverCompleted"));
  ASSERT_TRUE(recorder.Flush(env_.Soon()));
  EXPECT_EQ(Items().size(), 3u);
  int counted = 0;
  for (const Json& item : Items()) {
    if (!item.contains("series")) continue;
    ++counted;
    EXPECT_EQ(item["series"]["count"], 5) << "the flush tells the last count";
  }
  EXPECT_EQ(counted, 1);
  EXPECT_EQ(env_.server.CountRequests("PATCH", "events"), 2)
      << "the second occurrence and the flush";
}

TEST_F(EventRecorderTest, AnotherSentenceIsAnotherEvent) {
  EventRecorder recorder(client_, env_.clock, env_.registry, options_);
  recorder.Start();
  Event event = About("g");
  recorder.Record(event);
  event.note = "the primary ended";
  recorder.Record(event);
  ASSERT_TRUE(recorder.Flush(env_.Soon()));
  ASSERT_EQ(Items().size(), 2u);
  for (const Json& item : Items()) EXPECT_FALSE(item.contains("series"));
}

TEST_F(EventRecorderTest, SurvivesAnAbsentServerAndALostAnswer) {
  EventRecorder recorder(client_, env_.clock, env_.registry, options_);
  recorder.Start();
  env_.server.AddFault({.method = "POST", .times = 3, .status = 503});
  env_.server.AddFault({.method = "POST", .times = 1, .action = Fault::Action::kDropReply});
  recorder.Record(About("g"));
  ASSERT_TRUE(recorder.Flush(env_.Soon()));
  EXPECT_EQ(Items().size(), 1u) << "the repetition found its own object";
  EXPECT_NE(env_.registry.Text().find("understudy_events_sent_total 1"), std::string::npos);
}

TEST_F(EventRecorderTest, GivesUpWhatTheServerRefuses) {
  EventRecorder recorder(client_, env_.clock, env_.registry, options_);
  recorder.Start();
  env_.server.AddFault({.method = "POST", .status = 403, .reason = "Forbidden"});
  recorder.Record(About("g"));
  recorder.Record(About("h"));
  ASSERT_TRUE(recorder.Flush(env_.Soon()));
  EXPECT_EQ(Items().size(), 1u);
  EXPECT_NE(env_.registry.Text().find("understudy_events_dropped_total 1"), std::string::npos);
  // Not remembered as a series: the next one is tried as an object again.
  recorder.Record(About("g"));
  ASSERT_TRUE(recorder.Flush(env_.Soon()));
  EXPECT_EQ(Items().size(), 2u);
}

TEST_F(EventRecorderTest, IsBoundedWhileTheServerHangs) {
  EventRecorder recorder(client_, env_.clock, env_.registry, options_);
  // Not started: nothing leaves the queue.
  for (size_t i = 0; i < EventRecorder::kMaxQueued + 7; ++i)
    recorder.Record(About("g" + std::to_string(i)));
  EXPECT_NE(env_.registry.Text().find("understudy_events_dropped_total 7"), std::string::npos);
}

TEST_F(EventRecorderTest, ASeriesEndsAfterAPause) {
  // Not started, so that only the queue is looked at; the clock is moved by hand.
  EventRecorder recorder(client_, clock_, env_.registry, options_);
  recorder.Record(About("g"));
  clock_.Advance(Seconds(361));
  recorder.Record(About("g"));
  clock_.Advance(Seconds(1));
  recorder.Record(About("g"));
  // Started on a clock that stands still: what was queued is sent.
  recorder.Start();
  ASSERT_TRUE(env_.server.WaitForRequests("POST", "events", 2));
  ASSERT_TRUE(env_.server.WaitForRequests("PATCH", "events", 1));
}

}  // namespace
}  // namespace understudy::kube
