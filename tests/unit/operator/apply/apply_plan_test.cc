// What PlanApplier writes, in which order, and where it stops, seen as the API server sees it.
#include "operator/apply/apply_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <mutex>
#include <vector>

namespace understudy::apply {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Answers 200 with an empty object unless a path is told to answer something else.
class ScriptedServer final : public kube::Transport {
 public:
  Result<kube::Response> Send(const kube::Request& request, Deadline) override {
    std::lock_guard lock(mutex_);
    requests_.push_back(request);
    if (on_request) on_request(request);
    for (const auto& [part, response] : answers_) {
      if (request.path.find(part) != std::string::npos) return response;
    }
    return kube::Response{.status = 200, .body = R"({"metadata": {"name": "answered"}})", .headers = {}};
  }
  void Answer(const std::string& part_of_path, int status, const std::string& message) {
    answers_.emplace_back(part_of_path,
                          kube::Response{.status = status,
                                         .body = Json{{"kind", "Status"}, {"message", message}}.dump(),
                                         .headers = {}});
  }
  void AnswerObject(const std::string& part_of_path, const Json& object) {
    answers_.emplace_back(part_of_path, kube::Response{.status = 200, .body = object.dump(), .headers = {}});
  }
  // "PATCH pods/x" of each request so far: what is written, without group and version.
  std::vector<std::string> Seen() {
    std::lock_guard lock(mutex_);
    std::vector<std::string> seen;
    for (const kube::Request& r : requests_) {
      const std::string path = r.path.substr(0, r.path.find('?'));
      seen.push_back(r.method + " " + path.substr(path.find("/namespaces/ns/") + 15));
    }
    return seen;
  }
  std::string Query(size_t index) { return requests_.at(index).path; }
  void Clear() {
    answers_.clear();
    requests_.clear();
  }
  Json Body(size_t index) { return Json::parse(requests_.at(index).body); }

  std::function<void(const kube::Request&)> on_request;

 private:
  std::mutex mutex_;
  std::vector<kube::Request> requests_;
  std::vector<std::pair<std::string, kube::Response>> answers_;
};

class PlanApplierTest : public testing::Test {
 protected:
  Result<PlanApplier::Outcome> Apply(const plan::Plan& plan) { return applier_.Apply("group-uid", plan, acquired_at_); }
  static api::ObjectRef Ref(const std::string& kind, const std::string& name) {
    const bool ours = kind == "ReplicationGroup" || kind == "ReadReplica" || kind == "CacheCluster";
    return {ours ? "cache.understudy.dev/v1alpha1" : kind == "StatefulSet" ? "apps/v1" : "v1", kind, "ns", name, "uid-" + name, "7"};
  }
  static plan::StatusWrite Write(const std::string& kind, const std::string& name) {
    return {Ref(kind, name), {{"phase", "available"}}};
  }
  static Json Object(const std::string& kind, const std::string& name) {
    const api::ObjectRef ref = Ref(kind, name);
    return {{"apiVersion", ref.api_version},
            {"kind", kind},
            {"metadata", {{"name", name}, {"namespace", "ns"}, {"uid", ref.uid}}}};
  }

  SystemClock clock_;
  metrics::Registry registry_;
  ScriptedServer server_;
  kube::Client client_{server_, clock_};
  kube::EventRecorder events_{client_, clock_, registry_, {.instance = "test"}};  // not started: what is recorded waits
  crypto::SigningKey signing_ = *crypto::SigningKey::Generate();
  nodes::OperatorKey key_{signing_};
  const MonoTime acquired_at_ = clock_.Mono();
  kube::Leadership leadership_{
      .leading = true, .term = "t", .acquired_at = acquired_at_, .valid_until = acquired_at_ + Seconds(3600)};
  nodes::NodeTable nodes_{{.identity = "test", .leadership = [this] { return leadership_; }, .matters = [](const control::NodeState&, const control::NodeState&) { return false; }}, key_, clock_, registry_};
  std::vector<std::string> written_;
  PlanApplier applier_{client_,
                       nodes_,
                       events_,
                       clock_,
                       {.leadership = [this] { return leadership_; },
                        .written = [this](const kube::Resource& resource, const Json& object) {
                          written_.push_back(std::string(resource.plural) + " " + JsonString(JsonAt(object, "metadata"), "name"));
                        }}};
};

TEST_F(PlanApplierTest, WhatIsToBePersistedIsWrittenAloneAndThePlanIsMadeAnew) {
  plan::Plan plan;
  plan.persist = {Write("ReplicationGroup", "g"), Write("CacheCluster", "a")};
  plan.actions = {plan::DeleteObject{Ref("Pod", "p")}};
  plan.statuses = {Write("ReadReplica", "r")};
  const auto outcome = Apply(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(outcome->next, PlanApplier::Next::kAgain);
  EXPECT_THAT(server_.Seen(), ElementsAre("PATCH replicationgroups/g/status", "PATCH cacheclusters/a/status"));
  EXPECT_THAT(written_, ElementsAre("replicationgroups answered", "cacheclusters answered")) << "before the watch shows it";
  const Json body = server_.Body(0);
  EXPECT_EQ(body["metadata"], (Json{{"name", "g"}, {"namespace", "ns"}, {"uid", "uid-g"}, {"resourceVersion", "7"}}));
  EXPECT_EQ(body["status"], (Json{{"phase", "available"}}));
}

TEST_F(PlanApplierTest, AConflictEndsThePlanBeforeAnythingElse) {
  server_.Answer("replicationgroups/g/status", 409, "the object has been modified");
  plan::Plan plan;
  plan.persist = {Write("ReplicationGroup", "g"), Write("CacheCluster", "a")};
  EXPECT_EQ(Apply(plan).status().code(), Code::kConflict);
  EXPECT_THAT(server_.Seen(), ElementsAre("PATCH replicationgroups/g/status"));
  EXPECT_THAT(written_, IsEmpty());
}

TEST_F(PlanApplierTest, ActionsComeInTheirOrderAndStatusesAfterThem) {
  plan::Plan plan;
  plan.statuses = {Write("ReplicationGroup", "g")};
  plan.actions = {plan::ApplyObject{Object("Service", "s")}, plan::CreateObject{Object("ConfigMap", "c")},
                  plan::LabelPod{Ref("Pod", "p"), {{"reader", "true"}, {"old", std::nullopt}}},
                  plan::SetFinalizers{Ref("ReadReplica", "r"), {"f"}}};
  const auto outcome = Apply(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(outcome->next, PlanApplier::Next::kWait);
  EXPECT_THAT(server_.Seen(), ElementsAre("PATCH services/s", "POST configmaps", "PATCH pods/p", "PATCH readreplicas/r",
                                          "PATCH replicationgroups/g/status"));
  EXPECT_EQ(server_.Body(2), (Json{{"metadata", {{"uid", "uid-p"}, {"labels", {{"reader", "true"}, {"old", nullptr}}}}}}));
  EXPECT_EQ(server_.Body(3), (Json{{"metadata", {{"uid", "uid-r"}, {"resourceVersion", "7"}, {"finalizers", {"f"}}}}}));
}

TEST_F(PlanApplierTest, AnActionThatFailsEndsThePlan) {
  server_.Answer("configmaps", 500, "no");
  plan::Plan plan;
  plan.actions = {plan::CreateObject{Object("ConfigMap", "c")}, plan::DeleteObject{Ref("Pod", "p")}};
  plan.statuses = {Write("ReplicationGroup", "g")};
  EXPECT_EQ(Apply(plan).status().code(), Code::kUnavailable);
  EXPECT_THAT(server_.Seen(), ElementsAre("POST configmaps"));
}

TEST_F(PlanApplierTest, APodGetsTheGraceOfThePlanAndPreconditions) {
  plan::Plan plan;
  plan::DeleteObject quick{Ref("Pod", "quick"), 1};
  plan.actions = {quick, plan::DeleteObject{Ref("Pod", "own")}, plan::ForceDeletePod{Ref("Pod", "lost")}};
  ASSERT_TRUE(Apply(plan).ok());
  ASSERT_THAT(server_.Seen(), ElementsAre("DELETE pods/quick", "DELETE pods/own", "DELETE pods/lost"));
  EXPECT_EQ(server_.Body(0)["gracePeriodSeconds"], 1);
  EXPECT_EQ(server_.Body(0)["preconditions"], (Json{{"uid", "uid-quick"}, {"resourceVersion", "7"}}));
  EXPECT_EQ(server_.Body(0)["propagationPolicy"], "Background");
  EXPECT_FALSE(server_.Body(1).contains("gracePeriodSeconds")) << "its own";
  EXPECT_EQ(server_.Body(2)["gracePeriodSeconds"], 0);
}

TEST_F(PlanApplierTest, WhatIsGoneOrAnotherNeedsNoDeletionAndNoLabel) {
  server_.Answer("pods/gone", 404, "not found");
  server_.Answer("pods/another", 409, "the UID in the precondition does not match");
  server_.Answer("readreplicas/gone", 404, "not found");
  plan::Plan plan;
  plan.actions = {plan::DeleteObject{Ref("Pod", "gone")}, plan::DeleteObject{Ref("Pod", "another")},
                  plan::LabelPod{Ref("Pod", "gone"), {}}, plan::LabelPod{Ref("Pod", "another"), {}},
                  plan::SetFinalizers{Ref("ReadReplica", "gone"), {}}};
  plan.statuses = {Write("ReplicationGroup", "g")};
  EXPECT_TRUE(Apply(plan).ok());
  EXPECT_EQ(server_.Seen().back(), "PATCH replicationgroups/g/status");
}

TEST_F(PlanApplierTest, AFinalizerListThatWasChangedMeanwhileIsLookedAtAnew) {
  server_.Answer("readreplicas/r", 409, "the object has been modified");
  plan::Plan plan;
  plan.actions = {plan::SetFinalizers{Ref("ReadReplica", "r"), {}}};
  EXPECT_EQ(Apply(plan).status().code(), Code::kConflict);
}

TEST_F(PlanApplierTest, NothingIsMadeForAnObjectThatIsGoneBeforeItsFinalizerIsThere) {
  server_.Answer("readreplicas/gone", 404, "not found");
  plan::Plan plan;
  plan.actions = {plan::SetFinalizers{Ref("ReadReplica", "gone"), {std::string(api::kFinalizer)}},
                  plan::CreateObject{Object("StatefulSet", "gone")}};
  plan.statuses = {Write("ReplicationGroup", "g")};
  EXPECT_EQ(Apply(plan).status().code(), Code::kConflict) << "observed again";
  EXPECT_THAT(server_.Seen(), ElementsAre("PATCH readreplicas/gone"));
}

TEST_F(PlanApplierTest, NothingIsMadeForAnObjectThatIsGoneOrAnother) {
  server_.Answer("cacheclusters/gone", 404, "not found");
  server_.Answer("cacheclusters/broken", 500, "no");
  server_.AnswerObject("cacheclusters/here", Object("CacheCluster", "here"));
  const auto made_for = [&](const std::string& name) {
    plan::Plan plan;
    plan.actions = {plan::ConfirmExists{Ref("CacheCluster", name)}, plan::CreateObject{Object("Service", name)}};
    return Apply(plan).status().code();
  };
  EXPECT_EQ(made_for("gone"), Code::kConflict);
  EXPECT_EQ(made_for("another"), Code::kConflict) << "it has no such UID";
  EXPECT_EQ(made_for("broken"), Code::kUnavailable);
  EXPECT_THAT(written_, IsEmpty());
  EXPECT_EQ(made_for("here"), Code::kOk);
  EXPECT_THAT(server_.Seen(), ElementsAre("GET cacheclusters/gone", "GET cacheclusters/another", "GET cacheclusters/broken",
                                          "GET cacheclusters/here", "POST services"));
  EXPECT_THAT(written_, ElementsAre("cacheclusters here", "services answered"));
}

TEST_F(PlanApplierTest, AStatefulSetThatTheServerRefusesIsTold) {
  server_.Answer("statefulsets", 422,
                 R"(StatefulSet.apps "a" is invalid: spec.template.spec.containers[0].resources: Invalid value: "gpus": must be)");
  plan::Plan plan;
  plan.actions = {plan::CreateObject{Object("StatefulSet", "a")}, plan::DeleteObject{Ref("Pod", "p")}};
  const auto outcome = Apply(plan);
  ASSERT_TRUE(outcome.ok()) << "it is no fault to be tried again: the plan is made with it";
  EXPECT_EQ(outcome->next, PlanApplier::Next::kRejected);
  EXPECT_EQ(outcome->rejected_name, "a");
  EXPECT_EQ(outcome->rejection.message, R"(the API server refuses its StatefulSet: spec.template.spec.containers[0].resources: Invalid value: "gpus": must be)");
  EXPECT_GT(outcome->rejection.until, clock_.Mono() + kRejectedFor * 0.5);
  EXPECT_EQ(server_.Seen().size(), 1u);
}

// A StatefulSet as plans have it, and the deletion of the Pod that it is to replace.
Json SetWithPod(const std::string& name) {
  return {{"apiVersion", "apps/v1"},
          {"kind", "StatefulSet"},
          {"metadata", {{"name", name}, {"namespace", "ns"}, {"uid", "set"}, {"annotations", {{api::kHashAnnotation, "h"}}}}},
          {"spec",
           {{"serviceName", name + "-node"},
            {"template",
             {{"metadata", {{"labels", {{"l", "1"}}}}}, {"spec", {{"priorityClassName", "none"}}}}}}}};
}
plan::DeleteObject Replace(const std::string& name) {
  return {{"v1", "Pod", "ns", name + "-0", "uid", "7"}, -1, SetWithPod(name)};
}

TEST_F(PlanApplierTest, AStatefulSetWhosePodTheServerRefusesIsNotWritten) {
  server_.Answer("/pods?", 403, R"(pods "a-0" is forbidden: no PriorityClass with name none was found)");
  plan::Plan plan;
  plan.actions = {plan::ApplyObject{SetWithPod("a")}, plan::DeleteObject{Ref("Pod", "p")}};
  const auto outcome = Apply(plan);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->next, PlanApplier::Next::kRejected);
  EXPECT_EQ(outcome->rejected_name, "a");
  EXPECT_EQ(outcome->rejection.message, "the API server refuses its Pod: no PriorityClass with name none was found");
  EXPECT_EQ(outcome->rejection.hash, "h");
  EXPECT_TRUE(outcome->rejection.waits) << "for that class";
  EXPECT_THAT(server_.Seen(), ElementsAre("POST pods"));
  EXPECT_THAT(server_.Query(0), HasSubstr("dryRun=All"));
  const Json pod = server_.Body(0);
  EXPECT_EQ(pod["metadata"]["name"], "a-0");
  EXPECT_EQ(pod["metadata"]["ownerReferences"][0]["uid"], "set") << "there are policies against Pods of nobody";
  EXPECT_EQ(pod["spec"]["priorityClassName"], "none");
}

TEST_F(PlanApplierTest, APodStaysWhileTheServerRefusesTheNextOne) {
  const auto stays = [this](int status, const std::string& words) {
    server_.Clear();
    server_.Answer("/pods?", status, words);
    plan::Plan plan;
    plan.actions = {Replace("a")};
    const auto outcome = Apply(plan);
    EXPECT_TRUE(outcome.ok()) << words;
    EXPECT_EQ(outcome->next, PlanApplier::Next::kRejected) << words;
    EXPECT_THAT(server_.Seen(), ElementsAre("POST pods")) << words;
    return outcome->rejection.message;
  };
  EXPECT_EQ(stays(403, R"(pods "a-0" is forbidden: error looking up service account ns/x: serviceaccount "x" not found)"),
            R"(the API server refuses its Pod: error looking up service account ns/x: serviceaccount "x" not found)");
  EXPECT_EQ(stays(422, R"(Pod "a-0" is invalid: spec.x: Invalid value)"),
            "the API server refuses its Pod: spec.x: Invalid value");
  stays(400, R"(admission webhook "w" denied the request: no)");
  stays(500, R"(Internal error occurred: failed calling webhook "w": no endpoints)");
}

TEST_F(PlanApplierTest, APodIsReplacedWhereNothingSpeaksAgainstTheNextOne) {
  const auto replaced = [this](int status, const std::string& words) {
    server_.Clear();
    server_.Answer("/pods?", status, words);
    plan::Plan plan;
    plan.actions = {Replace("a")};
    const auto outcome = Apply(plan);
    EXPECT_TRUE(outcome.ok()) << words;
    EXPECT_EQ(outcome->next, PlanApplier::Next::kWait) << words;
    EXPECT_THAT(server_.Seen(), ElementsAre("POST pods", "DELETE pods/a-0")) << words;
  };
  replaced(201, "");
  replaced(409, R"(pods "a-0" already exists)");
  replaced(403, R"(pods "a-0" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3)");
  replaced(403, R"(pods is forbidden: User "understudy" cannot create resource "pods")");
  replaced(400, R"(admission webhook "w" does not support dry run)");
}

TEST_F(PlanApplierTest, AMissingPodThatTheServerRefusesIsTold) {
  server_.Answer("/pods?", 403, R"(pods "a-0" is forbidden: no PriorityClass with name none was found)");
  plan::Plan plan;
  plan.actions = {plan::TryPod{SetWithPod("a")}};
  auto outcome = Apply(plan);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->rejection.message, "the API server refuses its Pod: no PriorityClass with name none was found");
  server_.Clear();
  outcome = Apply(plan);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->next, PlanApplier::Next::kWait);
  EXPECT_THAT(server_.Seen(), ElementsAre("POST pods")) << "and nothing else";
}

TEST_F(PlanApplierTest, APodStaysWithoutAnAnswerAboutTheNextOne) {
  server_.Answer("/pods?", 503, "etcdserver: leader changed");
  plan::Plan plan;
  plan.actions = {Replace("a")};
  EXPECT_EQ(Apply(plan).status().code(), Code::kUnavailable);
  EXPECT_THAT(server_.Seen(), ElementsAre("POST pods"));
  server_.Clear();
  server_.Answer("/pods?", 503, "etcdserver: leader changed");
  plan.actions = {plan::ApplyObject{SetWithPod("a")}};
  EXPECT_TRUE(Apply(plan).ok()) << "a template alone ends nothing";
}

TEST_F(PlanApplierTest, ARefusalOfAnythingElseIsAFault) {
  server_.Answer("services/s", 422, "spec.ports: Required value");
  plan::Plan plan;
  plan.actions = {plan::ApplyObject{Object("Service", "s")}};
  EXPECT_EQ(Apply(plan).status().code(), Code::kInvalid);
}

TEST_F(PlanApplierTest, NothingIsWrittenByAProcessThatDoesNotLead) {
  plan::Plan plan;
  plan.persist = {Write("ReplicationGroup", "g")};
  leadership_.leading = false;
  EXPECT_EQ(Apply(plan).status().code(), Code::kDenied);
  leadership_.leading = true;
  leadership_.acquired_at = acquired_at_ + Milliseconds(1);  // it leads again: the plan is of an earlier leadership
  EXPECT_EQ(Apply(plan).status().code(), Code::kDenied);
  leadership_.acquired_at = acquired_at_;
  leadership_.valid_until = clock_.Mono();
  EXPECT_EQ(Apply(plan).status().code(), Code::kDenied);
  EXPECT_THAT(server_.Seen(), IsEmpty());
}

TEST_F(PlanApplierTest, LeadershipThatIsLostInTheMiddleStopsTheRest) {
  plan::Plan plan;
  plan.actions = {plan::DeleteObject{Ref("Pod", "one")}, plan::DeleteObject{Ref("Pod", "two")}};
  plan.statuses = {Write("ReplicationGroup", "g")};
  server_.on_request = [this](const kube::Request&) { leadership_.leading = false; };
  EXPECT_EQ(Apply(plan).status().code(), Code::kDenied);
  EXPECT_THAT(server_.Seen(), ElementsAre("DELETE pods/one"));
}

TEST_F(PlanApplierTest, AGroupIsReadAnewOrIsGone) {
  EXPECT_TRUE(applier_.ReadGroup("ns", "g").ok());
  EXPECT_THAT(written_, ElementsAre("replicationgroups answered"));
  server_.Answer("replicationgroups/gone", 404, "not found");
  EXPECT_EQ(applier_.ReadGroup("ns", "gone").code(), Code::kNotFound);
}

}  // namespace
}  // namespace understudy::apply
