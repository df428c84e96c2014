// When a Pod may be made anew without asking the window.
#include "operator/plan/pod_template.h"
#include "operator/plan/objects.h"

#include <gtest/gtest.h>

namespace understudy::plan {
namespace {

struct Broken {
  NodeView view;
  failover::PodView process;
  Broken() {
    view.pod.emplace();
    view.pod->meta.uid = process.pod_uid = "uid";
    view.pod->waiting_reason = "CrashLoopBackOff";
  }
  bool Runs(const std::vector<control::Incarnation>& named = {}) const { return !NothingRuns(view, &process, named); }
};

TEST(NothingRuns, InAPodThatCannotStartAtAll) {
  Broken pod;
  EXPECT_FALSE(pod.Runs());
  pod.view.pod->waiting_reason = "ContainerCreating";
  EXPECT_FALSE(pod.Runs()) << "nothing ever did";
  pod.view.pod->restarts = 1;
  EXPECT_TRUE(pod.Runs()) << "its next process is about to";
  pod.view.pod->waiting_reason.clear();
  EXPECT_TRUE(pod.Runs());
  pod.view.pod->unschedulable = true;
  EXPECT_FALSE(pod.Runs());
}

TEST(NothingRuns, NotWhereAProcessRunsOrAnswers) {
  Broken running;
  running.view.pod->running = true;
  EXPECT_TRUE(running.Runs());
  Broken answers;
  answers.process.channel.up = true;
  answers.process.heard.emplace();
  EXPECT_TRUE(answers.Runs());
}

TEST(NothingRuns, OnlyIfTheEndOfEachProcessThatIsCountedOnStaysProven) {
  Broken pod;
  EXPECT_TRUE(pod.Runs({"first"}));
  pod.process.terminated = {"second"};
  EXPECT_TRUE(pod.Runs({"first"}));
  pod.process.terminated = {"second", "first"};
  EXPECT_FALSE(pod.Runs({"first"}));
  EXPECT_FALSE(pod.Runs({"first", "second"}));
}

TEST(NobodyAsked, ForAnImageThatIsOnlyTheOperatorsNewDefault) {
  PodTemplate pod;
  pod.in_force.image = "understudy:1";
  pod.wanted.image = "understudy:2";
  api::NodeSettings settings;
  EXPECT_TRUE(NobodyAsked(pod, settings));
  settings.image = "understudy:2";
  EXPECT_FALSE(NobodyAsked(pod, settings));
  settings.image.reset();
  pod.wanted.parameters = "hz 20";
  EXPECT_FALSE(NobodyAsked(pod, settings));
  pod.wanted = pod.in_force;
  pod.same_values = true;  // built otherwise
  EXPECT_TRUE(NobodyAsked(pod, settings));
}

TEST(Rejection, ContentsThatTheServerRefusedAreNotSentAgainBeforeTheirTime) {
  NodeView view;
  view.node.meta.name = "a";
  NodeObjects objects;
  objects.view = &view;
  const auto built = BuildNode(objects, {});
  ASSERT_TRUE(built.ok());
  std::map<std::string, Rejection> rejected;
  objects.rejected = &rejected;
  objects.now = MonoTime{1'000};
  rejected["a"] = {manifests::AppliedHash(*built), "spec.x: no", MonoTime{2'000}};
  EXPECT_EQ(std::string(BuildNode(objects, {}).status().message()), "the API server refuses its StatefulSet: spec.x: no");
  objects.settings.parameters["hz"] = "20";  // other contents
  EXPECT_TRUE(BuildNode(objects, {}).ok());
  objects.settings.parameters.clear();
  objects.now = MonoTime{2'000};
  EXPECT_TRUE(BuildNode(objects, {}).ok());
}

TEST(PodTemplate, OfAPodWithoutItsAnnotationNothingIsSaid) {
  Broken pod;
  const Json set = {{"spec", {{"template", {{"metadata", {{"annotations", {{api::kTemplateHashAnnotation, "h"}}}}}}}}}};
  EXPECT_FALSE(PodTemplateOf(pod.view, {&pod.process}, set).outdated);
  pod.view.pod->template_hash = "h";
  EXPECT_FALSE(PodTemplateOf(pod.view, {&pod.process}, set).outdated);
  pod.view.pod->template_hash = "other";
  EXPECT_TRUE(PodTemplateOf(pod.view, {&pod.process}, set).outdated);
}

TEST(PodTemplate, OfOtherCodeWithTheSameValuesDiffersInTheRest) {
  Broken pod;
  const std::string values = R"({"image":"i","parameters":"","resources":"","rest":"r"})";
  const Json set = {{"spec", {{"template", {{"metadata", {{"annotations", {{api::kTemplateHashAnnotation, "new"},
                                                                          {api::kTemplateValuesAnnotation, values}}}}}}}}}};
  pod.view.pod->template_hash = "old";
  pod.view.pod->meta.annotations[api::kTemplateValuesAnnotation] = values;
  const PodTemplate found = PodTemplateOf(pod.view, {&pod.process}, set);
  EXPECT_EQ(found.in_force.rest, "old");
  EXPECT_EQ(found.wanted.rest, "new");
  EXPECT_EQ(found.in_force.image, found.wanted.image);
}

}  // namespace
}  // namespace understudy::plan
