#include <gmock/gmock.h>

#include "tests/unit/node/command/reply_words.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class GeoTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    EXPECT_EQ(Do("GEOADD sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"), ":2");
  }
};

// The values of Redis's documentation.
TEST_F(GeoTest, PlacesAreMeasured) {
  Expect({{"GEODIST sicily Palermo Catania", "\"166274.1516\""},
          {"GEODIST sicily Palermo Catania km", "\"166.2742\""},
          {"GEODIST sicily Palermo Catania MI", "\"103.3182\""},
          {"GEODIST sicily Palermo Catania ft", "\"545518.8700\""},
          {"GEODIST sicily Palermo Palermo", "\"0.0000\""},
          {"GEODIST sicily Palermo nowhere", "nil"},
          {"GEODIST none a b", "nil"},
          {"GEOHASH sicily Palermo nowhere Catania", "[\"sqc8b49rny0\", nil, \"sqdtr74hyu0\"]"},
          {"GEOHASH none a", "[nil]"},
          {"GEOHASH sicily", "[]"},
          {"GEOPOS sicily Palermo nowhere",
           "[[\"13.36138933897018433\", \"38.11555639549629859\"], nil]"},
          {"ZSCORE sicily Palermo", "\"3479099956230698\""},
          {"ZSCORE sicily Catania", "\"3479447370796909\""}});
  auto client = Connect(3);
  EXPECT_EQ(client->Do("GEOPOS sicily Palermo"), "[[,13.36138933897018433, ,38.11555639549629859]]");
  EXPECT_EQ(client->Do("GEODIST sicily Palermo Catania"), "\"166274.1516\"");
  ExpectError({"GEODIST sicily Palermo Catania parsec"}, "ERR unsupported unit provided. please use M, KM, FT, MI");
  ExpectError({"GEODIST sicily Palermo Catania km x"}, "ERR syntax error");
}

TEST_F(GeoTest, PlacesAreAddedAsMembersAre) {
  Expect({{"GEOADD sicily NX 1 1 Palermo", ":0"},
          {"GEOADD sicily XX CH 1 1 Palermo 2 2 nowhere", ":1"},
          {"ZCARD sicily", ":2"},
          {"GEOADD edge 180 85.05112878 a -180 -85.05112878 b", ":2"}});
  ExpectError({"GEOADD sicily 1 1 a 2", "GEOADD sicily CH NX XX", "GEOADD sicily NX XX 1 1 a", "GEOADD sicily NX XX CH"},
              "ERR syntax error");
  ExpectError({"GEOADD sicily x 1 a", "GEOADD sicily 1 1 a 1 nan b"}, "ERR value is not a valid float");
  ExpectError({"GEOADD sicily 180.5 1 a"}, "ERR invalid longitude,latitude pair 180.500000,1.000000");
  ExpectError({"GEOADD sicily 1 86 a"}, "ERR invalid longitude,latitude pair 1.000000,86.000000");
}

TEST_F(GeoTest, PlacesAreFoundInACircleOrABox) {
  Do("GEOADD sicily 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
  Expect({{"GEOSEARCH sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC", "[\"Catania\", \"Palermo\"]"},
          {"GEOSEARCH sicily FROMLONLAT 15 37 BYBOX 400 400 km DESC WITHDIST",
           "[[\"edge1\", \"279.7405\"], [\"edge2\", \"279.7403\"], [\"Palermo\", \"190.4424\"], [\"Catania\", \"56.4413\"]]"},
          {"GEOSEARCH sicily FROMMEMBER Palermo BYRADIUS 1 m WITHHASH WITHCOORD WITHDIST",
           "[[\"Palermo\", \"0.0000\", :3479099956230698, [\"13.36138933897018433\", \"38.11555639549629859\"]]]"},
          {"GEOSEARCH sicily FROMLONLAT 15 37 BYRADIUS 400 km COUNT 1", "[\"Catania\"]"},
          {"GEOSEARCH sicily FROMLONLAT 0 0 BYRADIUS 1 km", "[]"},
          {"GEOSEARCH none FROMMEMBER x BYRADIUS 1 km", "[]"},
          {"GEORADIUS sicily 15 37 200 km WITHDIST ASC", "[[\"Catania\", \"56.4413\"], [\"Palermo\", \"190.4424\"]]"},
          {"GEORADIUS_RO sicily 15 37 200 km DESC COUNT 1", "[\"Palermo\"]"},
          {"GEORADIUSBYMEMBER sicily Catania 200 km ASC COUNT 2", "[\"Catania\", \"Palermo\"]"},
          {"GEORADIUSBYMEMBER_RO none x oops km", "[]"}});
  EXPECT_EQ(WordsOf(Do("GEOSEARCH sicily FROMLONLAT 15 37 BYRADIUS 400 km COUNT 2 ANY")).size(), 2u);
  EXPECT_EQ(WordsOf(Do("GEOSEARCH sicily FROMLONLAT 15 37 BYRADIUS 400 km")).size(), 4u);
}

TEST_F(GeoTest, PlacesAreFoundInAPolygon) {
  const std::string kWest = " BYPOLYGON 4 13 38 14 38 14 39 13 39";
  Expect({{"GEOSEARCH sicily" + kWest, "[\"Palermo\"]"},
          {"GEOSEARCH sicily" + kWest + " WITHCOORD",
           "[[\"Palermo\", [\"13.36138933897018433\", \"38.11555639549629859\"]]]"},
          {"GEOSEARCH sicily BYPOLYGON 3 10 30 20 30 15 45 ASC", "[\"Catania\", \"Palermo\"]"},
          {"GEOSEARCH sicily BYPOLYGON 3 10 30 20 30 15 45 COUNT 1", "[\"Catania\"]"},
          {"GEOSEARCH sicily BYPOLYGON 3 13 30 14 30 10 31", "[]"},
          {"GEOSEARCHSTORE d sicily BYPOLYGON 3 10 30 20 30 15 45 DESC", ":2"},
          {"GEOSEARCHSTORE d sicily" + kWest + " STOREDIST", ":1"},
          {"ZRANGE d 0 -1", "[\"Palermo\"]"}});
  // From the middle of the corners, in metres.
  EXPECT_NEAR(std::stod(WordsOf(Do("ZSCORE d Palermo")).at(0)), 44'552.4, 0.1);
}

TEST_F(GeoTest, ASearchReachesOverTheEdgeOfTheMap) {
  Do("GEOADD fiji 179.9 -17 west -179.9 -17 east 180 -17 line 0 -17 far");
  const auto near = [&](const std::string& from, const std::string& radius) {
    return WordsOf(Do("GEOSEARCH fiji " + from + " BYRADIUS " + radius + " km"));
  };
  EXPECT_THAT(near("FROMMEMBER west", "50"), ::testing::UnorderedElementsAre("west", "east"));
  EXPECT_THAT(near("FROMLONLAT -179.99 -17", "30000"), ::testing::UnorderedElementsAre("west", "east", "far"));
  // The edge itself is beyond the last column: found from there only, as in Redis.
  EXPECT_THAT(near("FROMMEMBER line", "50"), ::testing::UnorderedElementsAre("line", "west"));
}

TEST_F(GeoTest, WhatIsFoundIsStored) {
  Expect({{"SET d text", "+OK"},
          {"GEOSEARCHSTORE d sicily FROMLONLAT 15 37 BYRADIUS 200 km", ":2"},
          {"ZRANGE d 0 -1 WITHSCORES", "[\"Palermo\", \"3479099956230698\", \"Catania\", \"3479447370796909\"]"},
          {"GEOSEARCHSTORE d sicily FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 STOREDIST", ":1"},
          {"GEORADIUS sicily 15 37 200 km STOREDIST e", ":2"},
          {"ZRANGE e 0 -1", "[\"Catania\", \"Palermo\"]"},
          {"GEORADIUSBYMEMBER sicily Catania 1 km STORE e", ":1"},
          {"ZRANGE e 0 -1 WITHSCORES", "[\"Catania\", \"3479447370796909\"]"},
          {"GEOSEARCHSTORE d none FROMMEMBER x BYRADIUS 1 km", ":0"},
          {"EXISTS d", ":0"},
          {"GEORADIUS sicily 0 0 1 m STORE e", ":0"},
          {"EXISTS e", ":0"}});
  EXPECT_EQ(Do("GEOSEARCHSTORE d sicily FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST"), ":2");
  EXPECT_NEAR(std::stod(WordsOf(Do("ZSCORE d Catania")).at(0)), 56.4412578701582, 1e-9);
}

TEST_F(GeoTest, SearchesThatMakeNoSenseAreRefused) {
  ExpectError({"GEOSEARCH sicily BYRADIUS 1 km ASC ASC ASC"},
              "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH");
  ExpectError({"geosearch sicily FROMLONLAT 1 1 ASC ASC"},
              "ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for geosearch");
  ExpectError({"GEOSEARCH sicily BYPOLYGON 2 1 1 2 2", "GEOSEARCH sicily BYPOLYGON 3 1 1 2 2", "GEOSEARCH sicily BYPOLYGON -1 1 1 2 2"},
              "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
  ExpectError({"GEOSEARCH sicily BYPOLYGON x 1 1 2 2 3 3"}, "ERR invalid number of vertices");
  ExpectError({"GEOSEARCH sicily BYPOLYGON 3 1 1 2 2 3 x"}, "ERR value is not a valid float");
  ExpectError({"GEOSEARCH sicily BYPOLYGON 3 1 1 2 2 3 3 BYBOX 1 1 km", "GEOSEARCH sicily BYRADIUS 1 km BYPOLYGON 3 1 1 2 2 3 3",
               "GEOSEARCH sicily BYPOLYGON 3 1 1 2 2 3 3 FROMLONLAT 1 1", "GEOSEARCH sicily FROMMEMBER Catania BYPOLYGON 3 1 1 2 2 3 3"},
              "ERR syntax error");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km ANY", "GEORADIUS sicily 1 1 1 km ANY"},
              "ERR the ANY argument requires COUNT argument");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km COUNT 0"}, "ERR COUNT must be > 0");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km COUNT x"}, "ERR value is not an integer or out of range");
  ExpectError({"GEOSEARCH sicily FROMMEMBER nowhere BYRADIUS 1 km", "GEORADIUSBYMEMBER sicily nowhere 1 km"},
              "ERR could not decode requested zset member");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS x km", "GEORADIUS sicily 1 1 x km"}, "ERR need numeric radius");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS -1 km"}, "ERR radius cannot be negative");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYBOX x 1 km"}, "ERR need numeric width");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYBOX 1 x km"}, "ERR need numeric height");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYBOX 1 -1 km"}, "ERR height or width cannot be negative");
  ExpectError({"GEOSEARCH sicily FROMLONLAT 1 1 BYBOX 1 1 km BYRADIUS 1 m", "GEOSEARCH sicily FROMMEMBER Catania FROMLONLAT 1 1 ASC",
               "GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km STORE d", "GEORADIUS_RO sicily 1 1 1 km STORE d",
               "GEORADIUS sicily 1 1 1 km STORE", "GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km STOREDIST",
               "GEORADIUS sicily 1 1 1 km FROMMEMBER a"},
              "ERR syntax error");
  ExpectError({"GEORADIUS sicily 1 1 1 km STORE d WITHDIST"},
              "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
  ExpectError({"GEOSEARCHSTORE d sicily FROMLONLAT 1 1 BYRADIUS 1 km WITHHASH"},
              "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
}

}  // namespace
}  // namespace understudy::command
