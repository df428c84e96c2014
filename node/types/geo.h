// Places on the earth as scores of a sorted set, so that what is near has scores that are near: GEOADD and its like.
//
// Longitude (-180 to 180) and latitude (-85.05112878 to 85.05112878, where the Mercator square ends) are each cut into
// 2^26 steps; the bits of both numbers in turn, longitude first, are a score of 52 bits, which a double holds exactly.
// All places that agree in the first bits are one range of scores: a cell. A search covers its area with a cell and
// those around it, reads their ranges, and measures each place in them.
//
//     +----+----+----+      cells of one size: as many steps in each direction; those at an edge of the map go on
//     | NW | N  | NE |      at the opposite one
//     +----+----+----+
//     | W  |  x | E  |
//     +----+----+----+
//
// Distances are those on a sphere. Pure. Source: Redis 7.2's geo commands (behaviour: cells, their order, radius);
// polygons: Valkey 9's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace understudy::types::geo {

inline constexpr double kMaxLongitude = 180;
inline constexpr double kMaxLatitude = 85.05112878;

struct Place {
  double longitude = 0;
  double latitude = 0;
};

// Of this map: neither out of range nor NaN.
bool IsOnMap(const Place& place);

// place: on the map.
uint64_t Encode(const Place& place);
// The middle of the smallest cell. Scores that are none of a place give one, too: whole numbers of 52 bits count.
Place Decode(double score);

// 11 letters, the last of them always '0': the standard geohash, which counts latitudes from -90 to 90.
std::string HashText(const Place& place);

// Metres.
double Distance(const Place& a, const Place& b);

// What a search covers: a circle of that radius or a box, in metres, or a polygon.
struct Area {
  enum class Shape : uint8_t { kCircle, kBox, kPolygon };

  Place center;
  Shape shape = Shape::kCircle;
  double radius = 0;
  double width = 0, height = 0;
  std::vector<Place> corners;  // of a polygon, at least three; its sides are straight on the map of degrees

  // A polygon around the middle of its corners.
  void SetPolygon(std::vector<Place> new_corners);

  // From the center to a place that is in the area.
  std::optional<double> DistanceIfIn(const Place& place) const;
};

// Scores from `begin` up to, but without, `end`.
struct ScoreInterval {
  uint64_t begin, end;
};
// In which all places of the area are: up to nine, none twice. They come in an order in which the places of a reply
// come that nobody asked to be sorted.
std::vector<ScoreInterval> Cover(const Area& area);

}  // namespace understudy::types::geo
