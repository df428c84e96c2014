#include "node/types/geo.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace understudy::types::geo {
namespace {

constexpr int kMostSteps = 26;  // in each direction
constexpr double kEarthRadius = 6372797.560856;  // metres; the quadratic mean of WGS 84
constexpr double kRadiansPerDegree = std::numbers::pi / 180;

double Radians(double degrees) { return degrees * kRadiansPerDegree; }
double Degrees(double radians) { return radians / kRadiansPerDegree; }

// Bit i of the number becomes bit 2i.
uint64_t Spread(uint64_t bits) {
  bits = (bits | bits << 16) & 0x0000ffff0000ffff;
  bits = (bits | bits << 8) & 0x00ff00ff00ff00ff;
  bits = (bits | bits << 4) & 0x0f0f0f0f0f0f0f0f;
  bits = (bits | bits << 2) & 0x3333333333333333;
  return (bits | bits << 1) & 0x5555555555555555;
}

// The reverse; odd bits do not count.
uint64_t Gather(uint64_t bits) {
  bits &= 0x5555555555555555;
  bits = (bits | bits >> 1) & 0x3333333333333333;
  bits = (bits | bits >> 2) & 0x0f0f0f0f0f0f0f0f;
  bits = (bits | bits >> 4) & 0x00ff00ff00ff00ff;
  bits = (bits | bits >> 8) & 0x0000ffff0000ffff;
  return (bits | bits >> 16) & 0x00000000ffffffff;
}

// -limit to limit in 2^steps parts.
struct Scale {
  double limit;
  int steps;

  double parts() const { return static_cast<double>(uint64_t{1} << steps); }
  uint64_t PartOf(double value) const { return static_cast<uint64_t>((value + limit) / (2 * limit) * parts()); }
  double Begin(uint64_t part) const { return -limit + static_cast<double>(part) / parts() * (2 * limit); }
};

// The cell of a map with 2^steps by 2^steps of them.
struct Cell {
  int steps;
  uint64_t column, row;  // from the west, from the south

  static Cell Of(const Place& place, int steps) {
    return {steps, Scale{kMaxLongitude, steps}.PartOf(place.longitude), Scale{kMaxLatitude, steps}.PartOf(place.latitude)};
  }
  double west() const { return Scale{kMaxLongitude, steps}.Begin(column); }
  double east() const { return Scale{kMaxLongitude, steps}.Begin(column + 1); }
  double south() const { return Scale{kMaxLatitude, steps}.Begin(row); }
  double north() const { return Scale{kMaxLatitude, steps}.Begin(row + 1); }
  // One at the edge has the one at the opposite edge for a neighbour. Places on the very edge are in a column or row
  // of their own beyond it, which only they reach: nothing to wrap without a move.
  Cell Beside(int columns, int rows) const {
    const uint64_t mask = (uint64_t{1} << steps) - 1;
    const auto move = [mask](uint64_t from, int by) { return by == 0 ? from : (from + static_cast<uint64_t>(by)) & mask; };
    return {steps, move(column, columns), move(row, rows)};
  }
  uint64_t bits() const { return Spread(row) | Spread(column) << 1; }
  ScoreInterval Scores() const {
    const int rest = 2 * (kMostSteps - steps);
    return {bits() << rest, (bits() + 1) << rest};
  }
};

// The rectangle around an area, in degrees. Nearer to a pole a metre is more degrees of longitude, so its sides are
// measured at the corner that is nearer to one.
struct Bounds {
  double west, east, south, north;

  explicit Bounds(const Area& area) {
    if (area.shape == Area::Shape::kPolygon) {
      const auto [first, last] = std::ranges::minmax(area.corners, {}, &Place::longitude);
      west = first.longitude;
      east = last.longitude;
      const auto [lowest, highest] = std::ranges::minmax(area.corners, {}, &Place::latitude);
      south = lowest.latitude;
      north = highest.latitude;
      return;
    }
    const bool is_box = area.shape == Area::Shape::kBox;
    const double half_height = is_box ? area.height / 2 : area.radius;
    const double half_width = is_box ? area.width / 2 : area.radius;
    const Place& center = area.center;
    const double up = Degrees(half_height / kEarthRadius);
    const double widest = center.latitude < 0 ? center.latitude - up : center.latitude + up;
    const double aside = Degrees(half_width / kEarthRadius / std::cos(Radians(widest)));
    west = center.longitude - aside;
    east = center.longitude + aside;
    south = center.latitude - up;
    north = center.latitude + up;
  }
  bool HasLongitude(double longitude) const { return longitude >= west && longitude <= east; }
  Place middle() const { return {(west + east) / 2, (south + north) / 2}; }
};

// Metres from there within which all of the area is. middle: the center of a circle or box.
double Reach(const Area& area, const Bounds& bounds, const Place& middle) {
  switch (area.shape) {
    case Area::Shape::kCircle: return area.radius;
    case Area::Shape::kBox: return std::hypot(area.width / 2, area.height / 2);
    case Area::Shape::kPolygon: break;
  }
  const Place corners[] = {{bounds.west, bounds.north}, {bounds.east, bounds.north}, {bounds.west, bounds.south},
                           {bounds.east, bounds.south}};
  double reach = 0;
  for (const Place& corner : corners) reach = std::max(reach, Distance(middle, corner));
  return reach;
}

// How fine the cells may be so that three by three of them are likely to cover a circle.
int StepsFor(double radius, double latitude) {
  if (radius == 0) return kMostSteps;
  constexpr double kHalfEquator = 20037726.37;
  int steps = -1;
  for (; radius < kHalfEquator; radius *= 2) ++steps;
  if (std::fabs(latitude) > 66) --steps;
  if (std::fabs(latitude) > 80) --steps;
  return std::clamp(steps, 1, kMostSteps);
}

// Whether the cells around this one reach beyond all sides. Sides that are no numbers are reached.
bool Suffices(const Cell& cell, const Bounds& bounds) {
  return !(cell.Beside(0, 1).north() < bounds.north) && !(cell.Beside(0, -1).south() > bounds.south) &&
         !(cell.Beside(1, 0).east() < bounds.east) && !(cell.Beside(-1, 0).west() > bounds.west);
}

}  // namespace

bool IsOnMap(const Place& place) {
  return std::fabs(place.longitude) <= kMaxLongitude && std::fabs(place.latitude) <= kMaxLatitude;
}

uint64_t Encode(const Place& place) { return Cell::Of(place, kMostSteps).bits(); }

Place Decode(double score) {
  // Any number may be the score of what GEOADD did not add.
  const auto bits = std::fabs(score) < 0x1p63 ? static_cast<uint64_t>(static_cast<int64_t>(score)) : 0;
  const Cell cell{kMostSteps, Gather(bits >> 1), Gather(bits)};
  return {std::clamp((cell.west() + cell.east()) / 2, -kMaxLongitude, kMaxLongitude),
          std::clamp((cell.south() + cell.north()) / 2, -kMaxLatitude, kMaxLatitude)};
}

std::string HashText(const Place& place) {
  constexpr char kLetters[] = "0123456789bcdefghjkmnpqrstuvwxyz";
  constexpr int kWhole = 10;  // letters of five bits that 52 bits fill
  const uint64_t bits = Spread(Scale{90, kMostSteps}.PartOf(place.latitude)) |
                        Spread(Scale{180, kMostSteps}.PartOf(place.longitude)) << 1;
  std::string text;
  for (int i = 1; i <= kWhole; ++i) text += kLetters[bits >> (2 * kMostSteps - 5 * i) & 31];
  return text + kLetters[0];
}

double Distance(const Place& a, const Place& b) {
  const double v = std::sin((Radians(b.longitude) - Radians(a.longitude)) / 2);
  // Along a meridian it is simpler, and more exact.
  if (v == 0) return kEarthRadius * std::fabs(Radians(b.latitude) - Radians(a.latitude));
  const double u = std::sin((Radians(b.latitude) - Radians(a.latitude)) / 2);
  const double haversine = u * u + std::cos(Radians(a.latitude)) * std::cos(Radians(b.latitude)) * v * v;
  return 2 * kEarthRadius * std::asin(std::sqrt(haversine));
}

void Area::SetPolygon(std::vector<Place> new_corners) {
  shape = Shape::kPolygon;
  corners = std::move(new_corners);
  // The direction from the middle of the earth to all of them together.
  double x = 0, y = 0, z = 0;
  for (const Place& corner : corners) {
    const double longitude = Radians(corner.longitude), latitude = Radians(corner.latitude);
    x += std::cos(latitude) * std::cos(longitude);
    y += std::cos(latitude) * std::sin(longitude);
    z += std::sin(latitude);
  }
  center = {Degrees(std::atan2(y, x)), Degrees(std::atan2(z, std::sqrt(x * x + y * y)))};
}

std::optional<double> Area::DistanceIfIn(const Place& place) const {
  if (shape == Shape::kPolygon) {
    // A way from the place to the east crosses the sides an odd number of times.
    bool in = false;
    const Place* from = &corners.back();
    for (const Place& to : corners) {
      if ((to.latitude > place.latitude) != (from->latitude > place.latitude)) {
        const double crossed = (from->longitude - to.longitude) * (place.latitude - to.latitude) /
                                   (from->latitude - to.latitude) + to.longitude;
        if (place.longitude < crossed) in = !in;
      }
      from = &to;
    }
    if (!in) return std::nullopt;
    return Distance(center, place);
  }
  if (shape == Shape::kBox) {
    if (kEarthRadius * std::fabs(Radians(place.latitude) - Radians(center.latitude)) > height / 2) return std::nullopt;
    if (Distance(place, {center.longitude, place.latitude}) > width / 2) return std::nullopt;
    return Distance(center, place);
  }
  const double distance = Distance(center, place);
  if (distance > radius) return std::nullopt;
  return distance;
}

std::vector<ScoreInterval> Cover(const Area& area) {
  const Bounds bounds(area);
  // The center of a polygon around a pole may be off the map, that of a very wide one on the other side of the earth.
  const bool polygon = area.shape == Area::Shape::kPolygon;
  const bool aside = polygon && !(IsOnMap(area.center) && bounds.HasLongitude(area.center.longitude));
  const Place from = aside ? bounds.middle() : area.center;
  int steps = StepsFor(Reach(area, bounds, from), from.latitude);
  Cell middle = Cell::Of(from, steps);
  if (steps > 1 && !Suffices(middle, bounds)) middle = Cell::Of(from, --steps);
  // Cells on a side that the area does not reach are left out.
  const bool some = steps >= 2;
  const bool no_south = some && middle.south() < bounds.south, no_north = some && middle.north() > bounds.north;
  const bool no_west = some && middle.west() < bounds.west, no_east = some && middle.east() > bounds.east;
  constexpr int kDirections[][2] = {{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
  std::vector<ScoreInterval> intervals;
  for (const auto& [columns, rows] : kDirections) {
    if ((rows > 0 && no_north) || (rows < 0 && no_south)) continue;
    if ((columns > 0 && no_east) || (columns < 0 && no_west)) continue;
    const ScoreInterval interval = middle.Beside(columns, rows).Scores();
    // On a map of two by two cells east and west are the same.
    const bool known = std::any_of(intervals.begin(), intervals.end(),
                                   [&](const ScoreInterval& other) { return other.begin == interval.begin; });
    if (!known) intervals.push_back(interval);
  }
  return intervals;
}

}  // namespace understudy::types::geo
