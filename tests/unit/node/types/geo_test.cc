#include "node/types/geo.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace understudy::types::geo {
namespace {

const Place kPalermo{13.361389, 38.115556}, kCatania{15.087269, 37.502669};

TEST(Geo, ScoresAreRediss) {
  EXPECT_EQ(Encode(kPalermo), 3479099956230698u);
  EXPECT_EQ(Encode(kCatania), 3479447370796909u);
  EXPECT_EQ(Encode({-180, -kMaxLatitude}), 0u);
  EXPECT_EQ(Encode({0, 0}), uint64_t{3} << 50);
}

TEST(Geo, AScoreIsAPlaceWithinHalfAMetre) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> longitude(-180, 180), latitude(-85, 85);
  for (int i = 0; i < 10'000; ++i) {
    const Place place{longitude(random), latitude(random)};
    const uint64_t score = Encode(place);
    ASSERT_LT(score, uint64_t{1} << 52);
    const Place decoded = Decode(static_cast<double>(score));
    ASSERT_LT(Distance(place, decoded), 0.5);
    ASSERT_EQ(Encode(decoded), score);
  }
}

TEST(Geo, AnyScoreIsAPlaceOnTheMap) {
  for (const double score : {-1.0, 0.5, 1e18, 1e300, -1e300, HUGE_VAL, -HUGE_VAL, 4503599627370496.0}) {
    EXPECT_TRUE(IsOnMap(Decode(score))) << score;
  }
}

TEST(Geo, TheMapEndsBeforeThePoles) {
  EXPECT_TRUE(IsOnMap({180, 85.05112878}));
  EXPECT_TRUE(IsOnMap({-180, -85.05112878}));
  EXPECT_FALSE(IsOnMap({180.0001, 0}));
  EXPECT_FALSE(IsOnMap({0, 85.0512}));
  EXPECT_FALSE(IsOnMap({NAN, 0}));
  EXPECT_FALSE(IsOnMap({0, NAN}));
}

// Those of geohash.org, but for the last letter.
TEST(Geo, HashesAreTheStandardOnes) {
  EXPECT_EQ(HashText(Decode(3479099956230698)), "sqc8b49rny0");
  EXPECT_EQ(HashText({-5.6, 42.6}), "ezs42e44yx0");
  EXPECT_EQ(HashText({10.40744, 57.64911}), "u4pruydqqv0");
}

TEST(Geo, DistancesAreThoseOnASphere) {
  EXPECT_NEAR(Distance(kPalermo, kCatania), 166274.2, 1);
  EXPECT_NEAR(Distance({0, 0}, {180, 0}), M_PI * 6372797.560856, 1e-3);
  EXPECT_NEAR(Distance({10, -20}, {10, 20}), M_PI * 6372797.560856 * 40 / 180, 1e-3);
  EXPECT_EQ(Distance(kPalermo, kPalermo), 0);
}

TEST(Geo, AreasKnowWhatIsInThem) {
  const Area circle{.center = {0, 0}, .radius = 112'000};
  EXPECT_TRUE(circle.DistanceIfIn({1, 0}));
  EXPECT_FALSE(circle.DistanceIfIn({1, 0.5}));
  const Area box{.center = {0, 0}, .shape = Area::Shape::kBox, .width = 224'000, .height = 100'000};
  EXPECT_TRUE(box.DistanceIfIn({1, 0.4}));
  EXPECT_FALSE(box.DistanceIfIn({1, 0.5}));
  EXPECT_FALSE(box.DistanceIfIn({1.1, 0}));
  EXPECT_DOUBLE_EQ(*box.DistanceIfIn({1, 0.4}), Distance({0, 0}, {1, 0.4}));
}

// Whatever the area is, and wherever: also at the edges of the map.
TEST(Geo, ACoverHasAllPlacesOfAnAreaOnce) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> longitude(-180, 180), latitude(-80, 80), exponent(0, 6.5), part(-1, 1);
  int inside = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double size = std::pow(10, exponent(random));
    Area area{.center = {longitude(random), latitude(random)}, .radius = size};
    if (i % 2 == 0) area.shape = Area::Shape::kBox;
    area.width = size;
    area.height = size * std::fabs(part(random));
    const std::vector<ScoreInterval> cover = Cover(area);
    ASSERT_LE(cover.size(), 9u);
    const double degrees = size / 111'000;
    Place place{area.center.longitude + degrees * part(random) / std::cos(area.center.latitude * M_PI / 180),
                area.center.latitude + degrees * part(random)};
    place.longitude = std::remainder(place.longitude, 360);
    if (!IsOnMap(place)) continue;
    const uint64_t score = Encode(place);
    if (!area.DistanceIfIn(Decode(static_cast<double>(score)))) continue;
    ++inside;
    int times = 0;
    for (const ScoreInterval& interval : cover) times += score >= interval.begin && score < interval.end;
    ASSERT_EQ(times, 1) << area.center.longitude << " " << area.center.latitude << " " << size << " " << (i % 2)
                        << ": " << place.longitude << " " << place.latitude;
  }
  EXPECT_GT(inside, 3'000);
}

TEST(Geo, APolygonHasWhatIsBetweenItsSides) {
  Area area;
  area.SetPolygon({{0, 0}, {10, 0}, {10, 10}, {5, 2}, {0, 10}});
  EXPECT_NEAR(area.center.longitude, 5, 0.1);
  EXPECT_NEAR(area.center.latitude, 4.4, 0.1);
  EXPECT_TRUE(area.DistanceIfIn({1, 5}));
  EXPECT_TRUE(area.DistanceIfIn({9, 5}));
  EXPECT_FALSE(area.DistanceIfIn({5, 5}));
  EXPECT_FALSE(area.DistanceIfIn({-1, 5}));
  EXPECT_FALSE(area.DistanceIfIn({11, 5}));
  EXPECT_DOUBLE_EQ(*area.DistanceIfIn({5, 1}), Distance(area.center, {5, 1}));
  // What two parts of it cover is outside.
  area.SetPolygon({{0, 0}, {10, 10}, {0, 10}, {10, 0}});
  EXPECT_TRUE(area.DistanceIfIn({5, 1}));
  EXPECT_FALSE(area.DistanceIfIn({1, 5}));
}

TEST(Geo, ACoverHasAllPlacesOfAPolygonOnce) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> longitude(-180, 180), latitude(-85, 85), exponent(-4, 2.5), part(-1, 1);
  int inside = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double degrees = std::pow(10, exponent(random));
    const Place around{longitude(random), latitude(random)};
    const auto near = [&] {
      return Place{std::clamp(around.longitude + degrees * part(random), -180.0, 179.9999),
                   std::clamp(around.latitude + degrees * part(random), -85.0, 85.0)};
    };
    Area area;
    area.SetPolygon({near(), near(), near(), near(), near()});
    const std::vector<ScoreInterval> cover = Cover(area);
    for (int tried = 0; tried < 4; ++tried) {
      const uint64_t score = Encode(near());
      if (!area.DistanceIfIn(Decode(static_cast<double>(score)))) continue;
      ++inside;
      int times = 0;
      for (const ScoreInterval& interval : cover) times += score >= interval.begin && score < interval.end;
      ASSERT_EQ(times, 1) << i << ": " << around.longitude << " " << around.latitude << " " << degrees;
    }
  }
  EXPECT_GT(inside, 5'000);
}

TEST(Geo, APolygonIsSearchedFromItsMiddleOnThoughThatIsOutside) {
  Area area;
  area.SetPolygon({{-100, 40}, {0, 45}, {100, 40}});
  EXPECT_GT(area.center.latitude, 70);
  const std::vector<ScoreInterval> cover = Cover(area);
  EXPECT_GE(Encode(area.center), cover.front().begin);
  EXPECT_LT(Encode(area.center), cover.front().end);
}

TEST(Geo, ASmallAreaIsLookedForInAFewScores) {
  uint64_t scores = 0;
  for (const ScoreInterval& interval : Cover({.center = kPalermo, .radius = 100})) scores += interval.end - interval.begin;
  EXPECT_LT(scores, uint64_t{1} << 26);
  scores = 0;
  for (const ScoreInterval& interval : Cover({.center = kPalermo, .radius = 1e8})) scores += interval.end - interval.begin;
  EXPECT_EQ(scores, uint64_t{1} << 52);
}

}  // namespace
}  // namespace understudy::types::geo
