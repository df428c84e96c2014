#include "operator/kube/client.h"

#include <gtest/gtest.h>

#include "tests/unit/operator/kube/kube_test_env.h"

namespace understudy::kube {
namespace {

using test::Fault;

class ClientTest : public testing::Test {
 protected:
  Json Make(const std::string& name, const std::string& value) {
    auto made = client_.CreateOwned(kConfigMaps, ConfigMap(name, value), env_.Soon());
    CHECK(made.ok() && made->created);
    return made->object;
  }

  KubeTestEnv env_;
  std::unique_ptr<Transport> transport_ = MakeBeastTransport(env_.Context(env_.Plain()));
  Client client_{*transport_, env_.clock};
};

TEST(ResourcePath, KnowsGroupsScopesAndSubresources) {
  EXPECT_EQ(ObjectPath(kPods, "ns", "a"), "/api/v1/namespaces/ns/pods/a");
  EXPECT_EQ(ObjectPath(kReplicationGroups, "ns", "a", "status"),
            "/apis/cache.understudy.dev/v1alpha1/namespaces/ns/replicationgroups/a/status");
  EXPECT_EQ(ObjectPath(kNodes, "", "n"), "/api/v1/nodes/n");
  EXPECT_EQ(CollectionPath(kPods, ""), "/api/v1/pods");
  EXPECT_EQ(Encode("a=b,c in (d)"), "a%3Db%2Cc%20in%20%28d%29");
}

TEST(ResourceVersions, AreOrderedByLengthThenText) {
  EXPECT_TRUE(NotOlder("10", "9"));
  EXPECT_TRUE(NotOlder("10", "10"));
  EXPECT_FALSE(NotOlder("9", "10"));
  EXPECT_TRUE(NotOlder("123456789012345678901234567890", "99999999999999999999"));
  for (const char* bad : {"", "0", "012", "1a", "-1"}) {
    EXPECT_FALSE(IsResourceVersion(bad)) << bad;
    EXPECT_FALSE(NotOlder(bad, "1")) << bad;
    EXPECT_FALSE(NotOlder("1", bad)) << bad;
  }
}

TEST(HttpStatuses, BecomeCodesWithTheServersSentence) {
  const std::string body = R"({"kind":"Status","reason":"Because","message":"it is so"})";
  const Request request{.method = "GET", .path = "/api/v1/pods?limit=1"};
  const std::pair<int, Code> cases[] = {
      {400, Code::kInvalid},     {401, Code::kDenied},      {403, Code::kDenied},
      {404, Code::kNotFound},    {409, Code::kConflict},    {410, Code::kExpired},
      {415, Code::kInvalid},     {422, Code::kInvalid},     {429, Code::kUnavailable},
      {500, Code::kUnavailable}, {503, Code::kUnavailable}, {504, Code::kUnavailable},
      {302, Code::kInternal}};
  for (const auto& [http_status, code] : cases) {
    EXPECT_EQ(StatusOfAnswer(request, http_status, body).code(), code) << http_status;
  }
  EXPECT_EQ(StatusOfAnswer(request, 409, body).message(),
            "GET /api/v1/pods: 409 Because: it is so");
  EXPECT_EQ(StatusOfAnswer(request, 502, "<html>").message(), "GET /api/v1/pods: 502: <html>");
  EXPECT_EQ(WordsOfAnswer(StatusOfAnswer(request, 409, body).message()), "it is so");
  EXPECT_EQ(WordsOfAnswer(StatusOfAnswer(request, 422, R"({"reason": "Invalid", "message": "a: b: c"})").message()), "a: b: c");
  EXPECT_EQ(WordsOfAnswer("no connection"), "no connection");
}

TEST_F(ClientTest, ReadsWhatItWrote) {
  Make("a", "1");
  const auto got = client_.Get(kConfigMaps, "default", "a", env_.Soon());
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ((*got)["data"]["key"], "1");
  EXPECT_EQ(client_.Get(kConfigMaps, "default", "b", env_.Soon()).status().code(), Code::kNotFound);
  EXPECT_EQ(client_.Create(kConfigMaps, ConfigMap("a", "2"), env_.Soon()).status().code(),
            Code::kConflict);
}

TEST_F(ClientTest, TriesACreationWithoutCarryingItOut) {
  EXPECT_TRUE(client_.TryCreate(kConfigMaps, ConfigMap("a", "1"), env_.Soon()).ok());
  EXPECT_EQ(client_.Get(kConfigMaps, "default", "a", env_.Soon()).status().code(), Code::kNotFound);
  Make("a", "1");
  EXPECT_EQ(client_.TryCreate(kConfigMaps, ConfigMap("a", "2"), env_.Soon()).code(), Code::kConflict);
  env_.server.AddFault({.method = "POST", .status = 403, .reason = "Forbidden"});
  EXPECT_EQ(client_.TryCreate(kConfigMaps, ConfigMap("b", "1"), env_.Soon()).code(), Code::kDenied);
}

TEST_F(ClientTest, ListsInPagesAndBySelector) {
  for (const char* name : {"a", "b", "c"}) {
    Json object = ConfigMap(name, "1");
    object["metadata"]["labels"]["odd"] = std::string(name) == "b" ? "no" : "yes";
    ASSERT_TRUE(client_.Create(kConfigMaps, object, env_.Soon()).ok());
  }
  const auto page = client_.List(kConfigMaps, "", {.limit = 2}, env_.Soon());
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_EQ((*page)["items"].size(), 2u);
  const std::string token = JsonString((*page)["metadata"], "continue");
  const auto rest =
      client_.List(kConfigMaps, "", {.limit = 2, .continue_token = token}, env_.Soon());
  ASSERT_TRUE(rest.ok()) << rest.status().ToString();
  EXPECT_EQ((*rest)["items"].size(), 1u);
  const auto odd = client_.List(kConfigMaps, "default", {.label_selector = "odd=yes"}, env_.Soon());
  EXPECT_EQ((*odd)["items"].size(), 2u);
  env_.server.store().Compact();
  EXPECT_EQ(client_.List(kConfigMaps, "", {.continue_token = token}, env_.Soon()).status().code(),
            Code::kExpired);
}

TEST_F(ClientTest, ReplacesOnlyTheVersionItRead) {
  Json object = Make("a", "1");
  object["data"]["key"] = "2";
  const auto put = client_.Put(kConfigMaps, object, "", env_.Soon());
  ASSERT_TRUE(put.ok()) << put.status().ToString();
  EXPECT_EQ(client_.Put(kConfigMaps, object, "", env_.Soon()).status().code(), Code::kConflict);
}

TEST_F(ClientTest, PatchesByMergeAndByOperations) {
  Make("a", "1");
  const auto merged =
      client_.MergePatch(kConfigMaps, "default", "a", {{"data", {{"more", "2"}}}}, "", env_.Soon());
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  EXPECT_EQ((*merged)["data"], Json({{"key", "1"}, {"more", "2"}}));
  const Json test_and_remove = {{{"op", "test"}, {"path", "/data/more"}, {"value", "2"}},
                                {{"op", "remove"}, {"path", "/data/more"}}};
  EXPECT_TRUE(
      client_.JsonPatch(kConfigMaps, "default", "a", test_and_remove, "", env_.Soon()).ok());
  EXPECT_EQ(client_.JsonPatch(kConfigMaps, "default", "a", test_and_remove, "", env_.Soon())
                .status()
                .code(),
            Code::kInvalid);
}

TEST_F(ClientTest, DeletesOnlyTheObjectItMeans) {
  const Json object = Make("a", "1");
  EXPECT_EQ(
      client_.Delete(kConfigMaps, "default", "a", {.uid = "another"}, env_.Soon()).status().code(),
      Code::kConflict);
  const auto deleted = client_.Delete(
      kConfigMaps, "default", "a",
      {.uid = object["metadata"]["uid"], .propagation = "Background", .grace_seconds = 0},
      env_.Soon());
  ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
  EXPECT_EQ(client_.Delete(kConfigMaps, "default", "a", {}, env_.Soon()).status().code(),
            Code::kNotFound);
  const auto body = ParseJson(env_.server.Requests()[2].body);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ((*body)["gracePeriodSeconds"], 0);
  EXPECT_EQ((*body)["propagationPolicy"], "Background");
}

TEST_F(ClientTest, AppliesStatusWithAVersionAndWritesNothingWhenNothingChanges) {
  Json group = {{"apiVersion", "cache.understudy.dev/v1alpha1"},
                {"kind", "ReplicationGroup"},
                {"metadata", {{"name", "g"}, {"namespace", "default"}}},
                {"spec", Json::object()}};
  env_.server.store().Set("/apis/cache.understudy.dev/v1alpha1/replicationgroups", group);
  Json status = group;
  status.erase("spec");
  status["status"] = {{"phase", "creating"}, {"epoch", 1}};
  const auto first =
      client_.Apply(kReplicationGroups, status, {.subresource = "status"}, env_.Soon());
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  const std::string version = (*first)["metadata"]["resourceVersion"];
  status["metadata"]["resourceVersion"] = version;
  const auto same =
      client_.Apply(kReplicationGroups, status, {.subresource = "status"}, env_.Soon());
  EXPECT_EQ((*same)["metadata"]["resourceVersion"], version);
  status["status"] = {{"phase", "available"}};
  const auto next =
      client_.Apply(kReplicationGroups, status, {.subresource = "status"}, env_.Soon());
  EXPECT_EQ((*next)["status"], Json({{"phase", "available"}})) << "a field left out goes";
  status["status"] = {{"phase", "modifying"}};
  EXPECT_EQ(client_.Apply(kReplicationGroups, status, {.subresource = "status"}, env_.Soon())
                .status()
                .code(),
            Code::kConflict)
      << "the version is stale";
}

TEST_F(ClientTest, FirstWriteLooksWhoseTheExistingObjectIs) {
  Json foreign = ConfigMap("a", "theirs");
  env_.server.store().Set("/api/v1/configmaps", foreign, "somebody");
  const auto found = client_.CreateOwned(kConfigMaps, ConfigMap("a", "ours"), env_.Soon());
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_FALSE(found->created);
  EXPECT_EQ(found->object["data"]["key"], "theirs");
}

TEST_F(ClientTest, FirstWriteWhoseAnswerWasLostFindsItsOwnObject) {
  env_.server.AddFault({.method = "POST", .action = Fault::Action::kDropReply});
  Json object = ConfigMap("a", "ours");
  object["metadata"]["annotations"]["owner-uid"] = "u1";
  // A fresh connection: the transport must not repeat by itself, the caller comes back.
  EXPECT_EQ(client_.CreateOwned(kConfigMaps, object, env_.Soon()).status().code(),
            Code::kUnavailable);
  const auto again = client_.CreateOwned(kConfigMaps, object, env_.Soon());
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_FALSE(again->created);
  EXPECT_EQ(again->object["metadata"]["annotations"]["owner-uid"], "u1");
}

TEST_F(ClientTest, AReplayedPostIsRecognisedAsOurs) {
  // On a kept connection the transport repeats a POST whose answer was lost: the second one is 409.
  ASSERT_TRUE(client_.List(kConfigMaps, "", {}, env_.Soon()).ok());
  env_.server.AddFault({.method = "POST", .action = Fault::Action::kDropReply});
  const auto made = client_.CreateOwned(kConfigMaps, ConfigMap("a", "ours"), env_.Soon());
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_FALSE(made->created);
  EXPECT_EQ(made->object["data"]["key"], "ours");
  EXPECT_EQ(env_.server.CountRequests("POST", "configmaps"), 2);
}

TEST_F(ClientTest, FirstApplyLetsLaterAppliesDropFields) {
  const Json created = Make("a", "1");
  EXPECT_TRUE(HasOwnUpdateEntry(created));
  Json desired = ConfigMap("a", "1");
  desired["data"]["more"] = "2";
  desired["metadata"]["uid"] = created["metadata"]["uid"];
  const auto applied = client_.FirstApply(kConfigMaps, desired, env_.Soon());
  ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  EXPECT_FALSE(HasOwnUpdateEntry(*applied)) << applied->dump();
  // Both the field of the POST and that of the apply can go now.
  desired["data"] = {{"other", "3"}};
  const auto later = client_.Apply(kConfigMaps, desired, {}, env_.Soon());
  ASSERT_TRUE(later.ok()) << later.status().ToString();
  EXPECT_EQ((*later)["data"], Json({{"other", "3"}}));
}

TEST_F(ClientTest, FirstApplyItselfDropsAFieldOfThePost) {
  const Json created = Make("a", "1");
  Json desired = ConfigMap("a", "1");
  desired["metadata"]["uid"] = created["metadata"]["uid"];
  desired["data"] = {{"other", "3"}};
  const auto applied = client_.FirstApply(kConfigMaps, desired, env_.Soon());
  ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  EXPECT_EQ((*applied)["data"], Json({{"other", "3"}}));
  EXPECT_FALSE(HasOwnUpdateEntry(*applied)) << applied->dump();
}

TEST_F(ClientTest, WithoutTheFirstApplyAFieldOfThePostStays) {
  // What FirstApply is for; if this fails the fake no longer shows kubernetes#99003.
  Make("a", "1");
  Json desired = ConfigMap("a", "1");
  ASSERT_TRUE(client_.Apply(kConfigMaps, desired, {}, env_.Soon()).ok());
  desired["data"] = {{"other", "3"}};
  const auto later = client_.Apply(kConfigMaps, desired, {}, env_.Soon());
  EXPECT_EQ((*later)["data"], Json({{"key", "1"}, {"other", "3"}}));
}

TEST_F(ClientTest, AppliesWithAUidNeverTouchAForeignObject) {
  Json object = ConfigMap("a", "1");
  object["metadata"]["uid"] = "gone";
  EXPECT_EQ(client_.Apply(kConfigMaps, object, {}, env_.Soon()).status().code(), Code::kConflict);
  env_.server.store().Set("/api/v1/configmaps", ConfigMap("a", "theirs"), "somebody");
  EXPECT_EQ(client_.Apply(kConfigMaps, object, {}, env_.Soon()).status().code(), Code::kInvalid);
}

TEST_F(ClientTest, RepeatsOnlyWhatTheServerAskedToRepeat) {
  env_.server.AddFault({.times = 2, .status = 429, .headers = {{"Retry-After", "0"}}});
  EXPECT_EQ(client_.Get(kConfigMaps, "default", "a", env_.Soon()).status().code(), Code::kNotFound);
  EXPECT_EQ(env_.server.Requests().size(), 3u);
  env_.server.AddFault({.status = 500});
  EXPECT_EQ(client_.Get(kConfigMaps, "default", "a", env_.Soon()).status().code(),
            Code::kUnavailable);
  EXPECT_EQ(env_.server.Requests().size(), 4u);
  env_.server.AddFault({.times = 100, .status = 503, .headers = {{"Retry-After", "0"}}});
  EXPECT_EQ(client_.Get(kConfigMaps, "default", "a", env_.Soon()).status().code(),
            Code::kUnavailable);
  EXPECT_EQ(env_.server.Requests().size(), 14u) << "ten attempts at most";
}

TEST_F(ClientTest, ARetryAfterBeyondTheDeadlineIsTheAnswer) {
  env_.server.AddFault({.status = 429, .headers = {{"Retry-After", "60"}}});
  const auto got = client_.Get(kConfigMaps, "default", "a", env_.Soon());
  EXPECT_EQ(got.status().code(), Code::kUnavailable);
  EXPECT_EQ(env_.server.Requests().size(), 1u);
}

TEST_F(ClientTest, StopEndsTheWaitForARetryAfter) {
  env_.server.AddFault({.times = 100, .status = 429, .headers = {{"Retry-After", "20"}}});
  std::thread stopper([&] {
    EXPECT_TRUE(env_.server.WaitForRequests("GET", "configmaps", 1));
    client_.Stop();
  });
  const auto got = client_.Get(kConfigMaps, "default", "a", env_.Soon());
  EXPECT_EQ(got.status().code(), Code::kUnavailable);
  stopper.join();
}

}  // namespace
}  // namespace understudy::kube
