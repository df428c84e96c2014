// When a Pod may be made anew without asking the window.
#include "operator/plan/pod_template.h"
#include "operator/plan/objects.h"

#include <gtest/gtest.h>

#include "common/exit_code.h"

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
  rejected["a"] = {manifests::AppliedHash(*built), "the API server refuses its Pod: no", true, MonoTime{2'000}};
  EXPECT_EQ(std::string(BuildNode(objects, {}).status().message()), "the API server refuses its Pod: no");
  objects.settings.parameters["hz"] = "20";  // other contents
  EXPECT_TRUE(BuildNode(objects, {}).ok());
  objects.settings.parameters.clear();
  objects.now = MonoTime{2'000};
  EXPECT_TRUE(BuildNode(objects, {}).ok());
}

TEST(PodTemplate, ParametersThatItsProcessCouldNotStartWithAreRefused) {
  NodeView view;
  view.node.meta.name = "a";
  view.stateful_set.emplace();
  view.stateful_set->meta.uid = "set";
  view.pod.emplace();
  view.pod->last_terminated =
      api::Termination{"understudy-node: 'nosuch' is not an option", kBadConfigurationExit, "Error"};
  NodeObjects objects;
  objects.view = &view;
  objects.settings.parameters["nosuch"] = "1";
  const Json built = *BuildNode(objects, {});
  view.pod->template_hash = manifests::TemplateHashOf(built);
  EXPECT_EQ(PodTemplateOf(view, {}, built).live.refused,
            "its process can't be started with its parameters: 'nosuch' is not an option");
  objects.settings.parameters.clear();
  EXPECT_EQ(PodTemplateOf(view, {}, *BuildNode(objects, {})).live.refused, "") << "they are corrected";
}

TEST(PodTemplate, ANewOneIsTriedBeforeThePodGoes) {
  NodeView view;
  view.node.meta.name = "a";
  view.stateful_set.emplace();
  view.stateful_set->meta.uid = "set";
  view.pod.emplace();
  view.pod->meta.name = "a-0";
  NodeObjects objects;
  objects.view = &view;
  std::vector<Action> actions;
  const PodTemplate pod_template = PodTemplateOf(view, {}, *BuildNode(objects, {}));
  ReplacePod(view, pod_template, &actions);
  ASSERT_EQ(actions.size(), 1u);
  const Json pod = manifests::PodOf(std::get<DeleteObject>(actions[0]).successor);
  EXPECT_EQ(pod["metadata"]["name"], "a-0");
  EXPECT_EQ(pod["metadata"]["ownerReferences"][0]["uid"], "set");
  EXPECT_EQ(pod["metadata"]["annotations"][api::kTemplateHashAnnotation], manifests::TemplateHashOf(pod_template.stateful_set));
  EXPECT_EQ(pod["spec"]["containers"], pod_template.stateful_set["spec"]["template"]["spec"]["containers"]);
}

TEST(PodTemplate, AMissingPodIsTriedOnceItIsMissedAndNowAndThen) {
  LoneView view;
  view.node.node.meta.name = "a";
  view.node.node.meta.uid = "u";
  view.node.stateful_set.emplace();
  NodeObjects objects;
  objects.view = &view.node;
  const Json built = *BuildNode(objects, {});
  api::StatefulSet& set = *view.node.stateful_set;
  set.meta.uid = "set";
  set.meta.annotations = {{api::kOwnerUidAnnotation, "u"}};
  set.template_hash = manifests::TemplateHashOf(built);
  const WallTime created{1'760'000'000'000};
  set.meta.created = created;
  view.node.node.status.conditions.Set(api::kReady, api::Truth::kFalse, api::reason::kCreating, "", 1, created);
  Plan plan;
  const auto tries = [&](int64_t seconds) {
    plan.actions.clear();
    const PodTemplate pod_template = PodTemplateOf(view.node, {}, built);
    TryMissingPod(view.node, pod_template, MonoTime{} + Seconds(1000 + seconds), {created.unix_ms + seconds * 1000}, &plan);
    return plan.actions.size();
  };
  EXPECT_EQ(tries(5), 0u);
  EXPECT_EQ(tries(10), 1u);
  EXPECT_EQ(JsonString(manifests::PodOf(std::get<TryPod>(plan.actions[0]).stateful_set)["metadata"], "name"), "a-0");
  EXPECT_EQ(tries(20), 0u);
  EXPECT_EQ(tries(40), 1u);
  view.node.pod.emplace();
  EXPECT_EQ(tries(80), 0u);
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
