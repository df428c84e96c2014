// Why a node cannot work, in the words of whoever knows.
#include "operator/plan/observation.h"

#include <gtest/gtest.h>

#include "common/exit_code.h"

namespace understudy::plan {
namespace {

NodeView Node() {
  NodeView view;
  view.node.meta.name = "a";
  view.stateful_set.emplace();
  view.pod.emplace();
  view.pod->phase = "Running";
  return view;
}

TEST(Fault, AProcessThatEndsBeforeItHadAnIncarnationIsQuoted) {
  NodeView view = Node();
  view.pod->restarts = 3;
  view.pod->waiting_reason = "CrashLoopBackOff";
  view.pod->last_terminated = api::Termination{"starting\nunderstudy-node: 'nosuch' is not an option\n", 1, "Error"};
  const auto fault = FaultOf(view, nullptr, {});
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->reason, api::reason::kContainerFailing);
  EXPECT_EQ(fault->message, "its process ends at once with exit code 1: understudy-node: 'nosuch' is not an option");
  view.pod->waiting_reason.clear();  // between two starts
  view.pod->running = true;
  EXPECT_EQ(FaultOf(view, nullptr, {})->message, fault->message);
}

TEST(RefusedConfiguration, IsWhatAProcessSaidWhenItCouldNotStartWithIt) {
  NodeView view = Node();
  const auto ended = [&view](const char* words, int exit_code) {
    view.pod->last_terminated = api::Termination{words, exit_code, "Error"};
    return RefusedConfiguration(view, nullptr);
  };
  EXPECT_EQ(ended("starting\nunderstudy-node: 'nosuch' is not an option\n", kBadConfigurationExit),
            "'nosuch' is not an option");
  EXPECT_EQ(ended("understudy-node: port 6379 is in use", 1), "");
  EXPECT_EQ(ended("0123456789abcdef0123456789abcdef", kBadConfigurationExit), "") << "it ran";
  ended("understudy-node: 'nosuch' is not an option", kBadConfigurationExit);
  failover::PodView process;
  process.heard.emplace();
  EXPECT_NE(RefusedConfiguration(view, &process), "");
  process.channel.up = true;
  EXPECT_EQ(RefusedConfiguration(view, &process), "") << "another one runs";
  view.pod.reset();
  EXPECT_EQ(RefusedConfiguration(view, nullptr), "");
}

TEST(Fault, AProcessThatWasKilledAndStartsAgainIsNone) {
  NodeView view = Node();
  view.pod->running = true;
  view.pod->last_terminated = api::Termination{"0123456789abcdef0123456789abcdef", 137, "Error"};
  EXPECT_FALSE(FaultOf(view, nullptr, {}));
}

TEST(Fault, TheKubeletsReasonIsGivenWhenTheProcessLeftNoWords) {
  NodeView view = Node();
  view.pod->waiting_reason = "ImagePullBackOff";
  view.pod->waiting_message = "no such image";
  EXPECT_EQ(FaultOf(view, nullptr, {})->message, "the kubelet says ImagePullBackOff: no such image");
  view.pod->last_terminated = api::Termination{"done", 0, "Completed"};
  EXPECT_EQ(FaultOf(view, nullptr, {})->message, "the kubelet says ImagePullBackOff: no such image");
}

TEST(Fault, WithoutAPodForLongItSaysSinceWhenAndWhereToLook) {
  NodeView view = Node();
  view.pod.reset();
  view.stateful_set->meta.name = "a";
  view.stateful_set->meta.ns = "default";
  view.stateful_set->meta.created = {1'760'000'000'000};
  const WallTime created = view.stateful_set->meta.created, later = {created.unix_ms + 10'000};
  EXPECT_EQ(FaultOf(view, nullptr, later)->message, "its Pod is being created") << "nobody has missed it yet";
  view.node.status.conditions.Set(api::kReady, api::Truth::kFalse, api::reason::kCreating, "", 1, created);
  EXPECT_EQ(FaultOf(view, nullptr, created)->message, "its Pod is being created");
  EXPECT_EQ(MoreIsSaidAt(view, created), later);
  EXPECT_EQ(FaultOf(view, nullptr, later)->reason, api::reason::kCreating);
  EXPECT_EQ(FaultOf(view, nullptr, later)->message,
            "it has no Pod since 2025-10-09T08:53:20Z: Kubernetes makes none for its StatefulSet, whose events say why: "
            "kubectl describe statefulset a -n default");
  // A Pod that went after days.
  const WallTime went = {created.unix_ms + 500'000};
  view.node.status.conditions.Set(api::kReady, api::Truth::kTrue, api::reason::kAvailable, "", 1, later);
  view.node.status.conditions.Set(api::kReady, api::Truth::kFalse, api::reason::kCreating, "", 1, went);
  EXPECT_EQ(FaultOf(view, nullptr, went)->message, "its Pod is being created");
  EXPECT_EQ(MoreIsSaidAt(view, went), (WallTime{went.unix_ms + 10'000}));
}

TEST(Fault, AContainerThatIsNotCreatedForLongSaysSinceWhenAndWhereToLook) {
  NodeView view = Node();
  view.pod->meta.name = "a-0";
  view.pod->meta.ns = "default";
  view.pod->phase = "Pending";
  view.pod->waiting_reason = "ContainerCreating";
  view.pod->accepted_at = {1'760'000'000'000};
  const WallTime soon = {view.pod->accepted_at.unix_ms + 9'999}, later = {view.pod->accepted_at.unix_ms + 10'000};
  EXPECT_FALSE(FaultOf(view, nullptr, soon));
  EXPECT_EQ(MoreIsSaidAt(view, soon), later);
  EXPECT_EQ(FaultOf(view, nullptr, later)->reason, api::reason::kCreating);
  EXPECT_EQ(FaultOf(view, nullptr, later)->message,
            "its container has been in ContainerCreating since 2025-10-09T08:53:20Z; the events say why: "
            "kubectl describe pod a-0 -n default");
  EXPECT_FALSE(MoreIsSaidAt(view, later));
  view.pod->accepted_at = {};  // no kubelet has it yet
  EXPECT_FALSE(FaultOf(view, nullptr, later));
  EXPECT_FALSE(MoreIsSaidAt(view, later));
}

TEST(NeverRan, OnlyWhereNoContainerOfThePodWasEverStarted) {
  api::Pod pod;
  EXPECT_FALSE(NeverRan(pod, nullptr)) << "the kubelet has not said anything";
  pod.waiting_reason = "ContainerCreating";
  EXPECT_TRUE(NeverRan(pod, nullptr));
  failover::PodView process;
  EXPECT_TRUE(NeverRan(pod, &process));
  process.heard.emplace();
  EXPECT_FALSE(NeverRan(pod, &process));
  for (int i = 0; i < 3; ++i) {
    api::Pod ran = pod;
    if (i == 0) ran.restarts = 1;
    if (i == 1) ran.last_terminated.emplace();
    if (i == 2) ran.running = true;
    EXPECT_FALSE(NeverRan(ran, nullptr)) << i;
  }
}

}  // namespace
}  // namespace understudy::plan
