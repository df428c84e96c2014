#include "operator/watch/cache.h"

#include <gtest/gtest.h>

namespace understudy::watch {
namespace {

struct Thing {
  std::string name, group, value;
};

Json Doc(const std::string& name, const std::string& version, const std::string& value,
         const std::string& group = "g", const std::string& uid = "") {
  return {{"metadata",
           {{"name", name},
            {"namespace", "ns"},
            {"uid", uid.empty() ? "uid-" + name : uid},
            {"resourceVersion", version}}},
          {"group", group},
          {"value", value}};
}

class CacheTest : public testing::Test {
 protected:
  CacheTest() {
    cache_.AddIndex("group", [](const Thing& t) { return std::vector<std::string>{t.group}; });
    cache_.AddHandler([this](const Change<Thing>& change) {
      const auto text = [](const std::shared_ptr<const Thing>& t) { return t ? t->value : "-"; };
      log_.push_back(change.key + " " + text(change.before) + ">" + text(change.after) +
                     (change.after ? "" : " last " + text(change.last_state)) +
                     (change.final_state_unknown ? " unknown" : "") +
                     (change.initial ? " initial" : ""));
    });
  }
  static Result<Thing> Project(const Json& j) {
    if (JsonString(j, "value") == "bad") return Invalid("value may not be bad");
    return Thing{JsonString(JsonAt(j, "metadata"), "name"), JsonString(j, "group"),
                 JsonString(j, "value")};
  }
  std::vector<std::string> TakeLog() { return std::exchange(log_, {}); }
  void Sync(const std::vector<Json>& docs, const std::string& version) {
    cache_.ClearStaged();
    for (const Json& doc : docs) cache_.Stage(doc);
    cache_.Commit(version);
  }
  std::vector<std::string> Names(const std::string& group) {
    std::vector<std::string> out;
    for (const auto& thing : cache_.Find("group", group)) out.push_back(thing->name);
    return out;
  }
  using Log = std::vector<std::string>;

  Cache<Thing> cache_{Project};
  Log log_;
};

TEST_F(CacheTest, ShowsNothingBeforeTheFirstStateIsComplete) {
  cache_.Stage(Doc("a", "1", "x"));
  EXPECT_EQ(cache_.Get("ns/a"), nullptr);
  EXPECT_FALSE(cache_.Synced());
  cache_.Commit("5");
  EXPECT_TRUE(cache_.Synced());
  EXPECT_EQ(cache_.Get("ns/a")->value, "x");
  EXPECT_EQ(TakeLog(), Log{"ns/a ->x initial"});
}

TEST_F(CacheTest, HandlersGetOldNewAndLastState) {
  Sync({}, "1");
  cache_.Upsert(Doc("a", "2", "x"));
  cache_.Upsert(Doc("a", "3", "y"));
  cache_.Remove(Doc("a", "4", "z"));
  EXPECT_EQ(TakeLog(), (Log{"ns/a ->x", "ns/a x>y", "ns/a y>- last z"}));
  EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(CacheTest, ANewStateTellsWhatVanishedUnseen) {
  Sync({Doc("a", "1", "x"), Doc("b", "2", "y"), Doc("c", "3", "z")}, "5");
  TakeLog();
  Sync({Doc("b", "2", "y"), Doc("c", "8", "zz"), Doc("d", "9", "w")}, "10");
  EXPECT_EQ(TakeLog(), (Log{"ns/a x>- last x unknown", "ns/c z>zz", "ns/d ->w"}))
      << "an unchanged object is no change";
}

TEST_F(CacheTest, AnObjectMadeAgainIsTwoChanges) {
  Sync({Doc("a", "1", "x", "g", "u1")}, "5");
  TakeLog();
  Sync({Doc("a", "8", "y", "g", "u2")}, "10");
  EXPECT_EQ(TakeLog(), (Log{"ns/a x>- last x unknown", "ns/a ->y"}));
}

TEST_F(CacheTest, IndicesFollowTheValues) {
  Sync({Doc("a", "1", "x", "g1"), Doc("b", "2", "y", "g1")}, "5");
  EXPECT_EQ(Names("g1"), (Log{"a", "b"}));
  cache_.Upsert(Doc("a", "6", "x", "g2"));
  EXPECT_EQ(Names("g1"), Log{"b"});
  EXPECT_EQ(Names("g2"), Log{"a"});
  cache_.Remove(Doc("a", "7", "x", "g2"));
  EXPECT_EQ(Names("g2"), Log{});
  EXPECT_EQ(Names("none"), Log{});
}

TEST_F(CacheTest, ADocumentThatCannotBeReadKeepsTheLastGoodValue) {
  Sync({Doc("a", "1", "x")}, "5");
  TakeLog();
  cache_.Upsert(Doc("a", "6", "bad"));
  EXPECT_EQ(cache_.Get("ns/a")->value, "x");
  Sync({Doc("a", "6", "bad")}, "7");
  EXPECT_EQ(cache_.Get("ns/a")->value, "x");
  cache_.Upsert(Doc("b", "8", "bad"));
  EXPECT_EQ(cache_.Get("ns/b"), nullptr);
  EXPECT_EQ(TakeLog(), Log{});
}

TEST_F(CacheTest, OwnWritesAreWaitedForAndSeenBeforeTheHandlerRuns) {
  Sync({Doc("a", "5", "x")}, "5");
  bool caught_up_in_handler = false;
  cache_.AddHandler([&](const Change<Thing>& c) { caught_up_in_handler = cache_.CaughtUp(c.key); });
  cache_.Wrote("ns/a", "7");
  EXPECT_FALSE(cache_.CaughtUp("ns/a"));
  EXPECT_TRUE(cache_.CaughtUp("ns/b"));
  cache_.Upsert(Doc("a", "6", "theirs"));
  EXPECT_FALSE(cache_.CaughtUp("ns/a"));
  EXPECT_FALSE(caught_up_in_handler);
  cache_.Upsert(Doc("a", "7", "ours"));
  EXPECT_TRUE(cache_.CaughtUp("ns/a"));
  EXPECT_TRUE(caught_up_in_handler);
}

TEST_F(CacheTest, OwnWritesThatWereSeenAlreadyOrOvertakenAreNotWaitedFor) {
  Sync({Doc("a", "5", "x")}, "5");
  cache_.Wrote("ns/a", "5");
  EXPECT_TRUE(cache_.CaughtUp("ns/a"));
  cache_.Wrote("ns/a", "9");
  cache_.Wrote("ns/a", "8");
  cache_.Upsert(Doc("a", "8", "x"));
  EXPECT_FALSE(cache_.CaughtUp("ns/a")) << "the newest of several counts";
  cache_.Progress("10");
  EXPECT_TRUE(cache_.CaughtUp("ns/a")) << "a bookmark beyond it tells the same";
  cache_.Wrote("ns/a", "12");
  cache_.Remove(Doc("a", "13", "x"));
  EXPECT_TRUE(cache_.CaughtUp("ns/a")) << "somebody deleted it afterwards";
}

TEST_F(CacheTest, OwnDeletionsAreWaitedFor) {
  Sync({Doc("a", "5", "x", "g", "u1")}, "5");
  cache_.Deleted("ns/a", "u1");
  EXPECT_FALSE(cache_.CaughtUp("ns/a"));
  cache_.Upsert(Doc("a", "6", "y", "g", "u1"));
  EXPECT_FALSE(cache_.CaughtUp("ns/a"));
  cache_.Remove(Doc("a", "7", "y", "g", "u1"));
  EXPECT_TRUE(cache_.CaughtUp("ns/a"));
  cache_.Deleted("ns/a", "u1");
  EXPECT_TRUE(cache_.CaughtUp("ns/a")) << "it is gone already";
  cache_.Upsert(Doc("a", "8", "z", "g", "u2"));
  cache_.Deleted("ns/a", "u2");
  cache_.Upsert(Doc("a", "10", "z", "g", "u3"));
  EXPECT_TRUE(cache_.CaughtUp("ns/a")) << "another object has the name now";
}

TEST_F(CacheTest, ARestoredClusterIsNotWaitedForForEver) {
  Sync({Doc("a", "500", "x")}, "500");
  cache_.Wrote("ns/a", "600");
  Sync({Doc("a", "90", "old")}, "100");
  EXPECT_TRUE(cache_.CaughtUp("ns/a"));
  EXPECT_EQ(cache_.Get("ns/a")->value, "old");
}

TEST_F(CacheTest, KeysNameTheNamespaceWhereThereIsOne) {
  EXPECT_EQ(ObjectKey("ns", "a"), "ns/a");
  EXPECT_EQ(ObjectKey("", "node-1"), "node-1");
}

}  // namespace
}  // namespace understudy::watch
