// What waits and what may start, with a clock that is moved by hand.
#include "operator/plan/deferral.h"

#include <gtest/gtest.h>

namespace understudy::plan {
namespace {

const MaintenanceWindow kWindow = *ParseMaintenanceWindow("sun:05:00-sun:06:00");

WallTime At(const std::string& text) {
  WallTime time;
  EXPECT_TRUE(ParseRfc3339(text, &time)) << text;
  return time;
}
const WallTime kThursday = At("2026-11-26T12:00:00Z");
const WallTime kOpening = At("2026-11-29T05:00:00Z");

DeferrableStep Image(const std::string& from, const std::string& to, Duration needed = Seconds(600)) {
  return {"image", from, to, needed};
}

TEST(Deferral, RecordsWhatWaitsAndUntilWhen) {
  Deferral deferral(kWindow, false, kThursday);
  EXPECT_FALSE(deferral.Due(Image("a", "b")));
  EXPECT_FALSE(deferral.Due({"Promote", "g", "", Seconds(60)}));
  ASSERT_EQ(deferral.Values().size(), 2u);
  EXPECT_EQ(deferral.Values()[1], (api::PendingModification{"image", "a", "b", kOpening, "WaitingForMaintenanceWindow"}));
  EXPECT_EQ(PendingText(deferral.Values()), "Promote, image until Sun 05:00Z");
  EXPECT_EQ(deferral.changes_at(), kOpening);
}

TEST(Deferral, IsTheSameAMomentLaterAndInAnotherProcess) {
  Deferral one(kWindow, false, kThursday), other(kWindow, false, {kThursday.unix_ms + 86'399'123});
  one.Due(Image("a", "b"));
  other.Due(Image("a", "b"));
  EXPECT_EQ(one.Values(), other.Values());
}

TEST(Deferral, LetsAStepStartOnlyIfItCanEndInsideTheWindow) {
  const auto due = [](int64_t after_opening_ms, Duration needed) {
    Deferral deferral(kWindow, false, {kOpening.unix_ms + after_opening_ms});
    return deferral.Due(Image("a", "b", needed));
  };
  EXPECT_FALSE(due(-1, Seconds(600)));
  EXPECT_TRUE(due(0, Seconds(600)));
  EXPECT_TRUE(due(50 * 60'000, Seconds(600))) << "ends with the window";
  EXPECT_FALSE(due(50 * 60'000 + 1, Seconds(600)));
  EXPECT_TRUE(due(59 * 60'000, Seconds(60)));
  EXPECT_FALSE(due(60 * 60'000, Duration{})) << "half open";
  EXPECT_FALSE(due(0, Seconds(3601))) << "longer than the window";
}

TEST(Deferral, WhatNoLongerFitsWaitsForTheNextWindow) {
  Deferral deferral(kWindow, false, {kOpening.unix_ms + 55 * 60'000});
  EXPECT_FALSE(deferral.Due(Image("a", "b")));
  EXPECT_EQ(deferral.Values()[0].not_before, At("2026-12-06T05:00:00Z"));
}

TEST(Deferral, SaysWhenItsAnswerChanges) {
  Deferral deferral(kWindow, false, kOpening);
  EXPECT_TRUE(deferral.Due(Image("a", "b")));
  const WallTime changes = *deferral.changes_at();
  EXPECT_EQ(changes.unix_ms, kOpening.unix_ms + 50 * 60'000 + 1);
  EXPECT_TRUE(Deferral(kWindow, false, {changes.unix_ms - 1}).Due(Image("a", "b")));
  EXPECT_FALSE(Deferral(kWindow, false, changes).Due(Image("a", "b")));
}

TEST(Deferral, ApplyImmediatelyLetsEverythingPassThatWaited) {
  Deferral deferral(kWindow, true, kThursday);
  EXPECT_TRUE(deferral.Due(Image("a", "b")));
  EXPECT_TRUE(deferral.Due({"resources", "", "limits cpu=1", Seconds(600)}));
  EXPECT_EQ(PendingText(deferral.Values()), "image, resources now");
  EXPECT_FALSE(deferral.changes_at().has_value());
}

TEST(Deferral, AnEditBackLeavesNothingAndANewerOneReplaces) {
  Deferral back(kWindow, false, kThursday);
  EXPECT_FALSE(back.Due(Image("a", "a")));
  EXPECT_TRUE(back.Values().empty());
  EXPECT_EQ(*back.InForce("image"), "a");
  EXPECT_EQ(back.InForce("Promote"), nullptr);
  EXPECT_EQ(PendingText(back.Values()), "");
  Deferral newer(kWindow, false, kThursday);
  newer.Due(Image("a", "c"));
  ASSERT_EQ(newer.Values().size(), 1u);
  EXPECT_EQ(newer.Values()[0].to, "c");
}

TEST(Deferral, AMovedWindowHoldsAtOnce) {
  const WallTime now = kThursday;
  EXPECT_TRUE(Deferral(*ParseMaintenanceWindow("thu:11:30-thu:13:00"), false, now).Due(Image("a", "b")));
  Deferral later(*ParseMaintenanceWindow("fri:11:30-fri:13:00"), false, now);
  EXPECT_FALSE(later.Due(Image("a", "b")));
  EXPECT_EQ(PendingText(later.Values()), "image until Fri 11:30Z");
}

TEST(Deferral, WhatDisturbsNobodyIsNotDeferred) {
  Deferral deferral(kWindow, false, kThursday);
  DeferrableStep step = Image("a", "b");
  step.harmless = true;
  EXPECT_TRUE(deferral.Due(step));
  EXPECT_FALSE(deferral.changes_at().has_value());
}

TEST(Deferral, AStepThatIsDueCanWaitForSomethingElse) {
  Deferral deferral(kWindow, true, kThursday);
  deferral.Due(Image("a", "b"));
  deferral.Hold("image", api::reason::kWaitingForMembers, "waits until r1 is in sync");
  EXPECT_EQ(deferral.entries()[0].why, "waits until r1 is in sync");
  EXPECT_EQ(deferral.Values()[0].reason, "WaitingForMembers");
  EXPECT_EQ(deferral.Values()[0].not_before, WallTime{});
}

TEST(Deferral, ANodesOwnWishesWinOverItsGroups) {
  api::ReplicationGroup group;
  group.meta.uid = "group";
  api::CacheNode node;
  node.meta.uid = "node";
  EXPECT_EQ(*DeferralOf(group, kThursday).window(), DefaultMaintenanceWindow("group"));
  EXPECT_EQ(*DeferralOf(node, &group, kThursday).window(), DefaultMaintenanceWindow("group")) << "the group's";
  EXPECT_EQ(*DeferralOf(node, nullptr, kThursday).window(), DefaultMaintenanceWindow("node"));
  group.spec.preferred_maintenance_window = "mon:01:00-mon:02:00";
  EXPECT_EQ(DeferralOf(node, &group, kThursday).window()->Text(), "mon:01:00-mon:02:00");
  node.spec.preferred_maintenance_window = "tue:01:00-tue:02:00";
  EXPECT_EQ(DeferralOf(node, &group, kThursday).window()->Text(), "tue:01:00-tue:02:00");

  const auto immediately = [&] { return DeferralOf(node, &group, kThursday).Due(Image("a", "b")); };
  EXPECT_FALSE(immediately());
  group.spec.apply_immediately = true;
  EXPECT_TRUE(immediately());
  node.spec.apply_immediately = false;
  EXPECT_FALSE(immediately());
  group.spec.apply_immediately = false;
  node.spec.apply_immediately = true;
  EXPECT_TRUE(immediately());
}

TEST(PendingText, PutsFirstWhatIsDueThenBySoonest) {
  const api::PendingModifications pending = {{"Promote", "", "", kOpening, ""},
                                             {"image", "", "", kOpening, ""},
                                             {"parameters", "", "", {}, ""},
                                             {"resources", "", "", At("2026-11-28T02:30:00Z"), ""}};
  EXPECT_EQ(PendingText(pending), "parameters now; resources until Sat 02:30Z; Promote, image until Sun 05:00Z");
}

TEST(PendingModification, ReadsBackAsItWasWritten) {
  const api::PendingModifications pending = {{"image", "a", "b", kOpening, "WaitingForMaintenanceWindow"},
                                             {"parameters", "", "hz=20", {}, "ApplyingModifications"}};
  EXPECT_EQ(api::ParsePendingModifications(api::PendingModificationsJson(pending)), pending);
  EXPECT_TRUE(api::ParsePendingModifications(nullptr).empty());
}

}  // namespace
}  // namespace understudy::plan
