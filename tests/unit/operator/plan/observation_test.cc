// Why a node cannot work, in the words of whoever knows.
#include "operator/plan/observation.h"

#include <gtest/gtest.h>

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
  const auto fault = FaultOf(view, nullptr);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->reason, api::reason::kContainerFailing);
  EXPECT_EQ(fault->message, "its process ends at once with exit code 1: understudy-node: 'nosuch' is not an option");
  view.pod->waiting_reason.clear();  // between two starts
  view.pod->running = true;
  EXPECT_EQ(FaultOf(view, nullptr)->message, fault->message);
}

TEST(Fault, AProcessThatWasKilledAndStartsAgainIsNone) {
  NodeView view = Node();
  view.pod->running = true;
  view.pod->last_terminated = api::Termination{"0123456789abcdef0123456789abcdef", 137, "Error"};
  EXPECT_FALSE(FaultOf(view, nullptr));
}

TEST(Fault, TheKubeletsReasonIsGivenWhenTheProcessLeftNoWords) {
  NodeView view = Node();
  view.pod->waiting_reason = "ImagePullBackOff";
  view.pod->waiting_message = "no such image";
  EXPECT_EQ(FaultOf(view, nullptr)->message, "the kubelet says ImagePullBackOff: no such image");
  view.pod->last_terminated = api::Termination{"done", 0, "Completed"};
  EXPECT_EQ(FaultOf(view, nullptr)->message, "the kubelet says ImagePullBackOff: no such image");
}

TEST(Fault, WithoutAPodItSaysWhereToLook) {
  NodeView view = Node();
  view.pod.reset();
  EXPECT_NE(FaultOf(view, nullptr)->message.find("events of StatefulSet a"), std::string::npos);
}

}  // namespace
}  // namespace understudy::plan
