#include "node/config/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "node/config/option_table.h"

namespace understudy::config {
namespace {

Status Load(Config& config, const std::vector<std::string>& arguments) { return config.Load(arguments); }

std::string Get(const Config& config, std::string_view pattern) {
  std::string out;
  const std::string_view patterns[] = {pattern};
  for (const auto& [name, value] : config.Get(patterns)) out += name + "=" + value + ";";
  return out;
}

Status Set(Config& config, std::vector<std::pair<std::string_view, std::string_view>> changes, bool managed = false) {
  return config.Set(changes, {.managed = managed});
}

TEST(Config, ReadsFlagsLikeRedisServer) {
  Config c;
  ASSERT_TRUE(Load(c, {"--standalone", "--port", "7000", "--workers", "3", "--bind", "127.0.0.1", "::1", "--maxmemory",
                       "10mb", "--save", ""}).ok());
  EXPECT_TRUE(c.standalone);
  EXPECT_EQ(c.port, 7000);
  EXPECT_EQ(c.workers, 3u);
  EXPECT_EQ(c.bind, (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_EQ(c.max_memory_bytes, 10 * 1024 * 1024);
  EXPECT_EQ(c.admin_port, 0) << "standalone has none unless it is asked for";
}

TEST(Config, ReadsAFileAndLetsTheCommandLineWin) {
  const std::string path = ::testing::TempDir() + "/understudy_config_test.conf";
  std::ofstream(path) << "# comment\n\n  port 7001\nrequirepass \"se cret\"\ntimeout 5\nclient-output-buffer-limit normal "
                         "1mb 512kb 10\n";
  Config c;
  ASSERT_TRUE(Load(c, {path, "--standalone", "yes", "--timeout", "9"}).ok());
  EXPECT_EQ(c.port, 7001);
  EXPECT_EQ(c.password(), "se cret");
  EXPECT_EQ(c.timeout_s, 9);
  EXPECT_EQ(c.normal_limit().hard_bytes, 1 << 20);
  EXPECT_EQ(c.normal_limit().soft_bytes, 512 << 10);
  EXPECT_EQ(c.normal_limit().soft_s, 10);
  std::filesystem::remove(path);
}

TEST(Config, ALineOfAFileMayHaveNoWords) {
  Config c;
  ASSERT_TRUE(c.LoadText(std::string_view("\v\f\n\0port\n \r\ntimeout 5", 21), "file").ok());
  EXPECT_EQ(c.timeout_s, 5);
}

TEST(Config, EveryMistakeIsOneSentenceThatNamesIt) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"--nonsense", "1"}, "'nonsense' is not an option; understudy-node --help lists them all"},
      {{"--port", "0"}, "--port: argument must be between 1 and 65535 inclusive"},
      {{"--port", "x"}, "--port: argument couldn't be parsed into an integer"},
      {{"--port"}, "--port: wrong number of arguments: it takes N"},
      {{"--port", "1", "2"}, "--port: wrong number of arguments: it takes N"},
      {{"--shards", "3"}, "--shards: argument must be a power of two"},
      {{"--maxmemory", "1xb"}, "--maxmemory: argument must be a memory value"},
      {{"--maxmemory-policy", "lru"},
       "--maxmemory-policy: argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, "
       "volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction"},
      {{"--maxmemory-samples", "0"}, "--maxmemory-samples: argument must be between 1 and 64 inclusive"},
      {{"--maxmemory-clients", "101%"},
       "--maxmemory-clients: percentage argument must be less or equal to 100"},
      {{"--unixsocketperm", "789"}, "--unixsocketperm: argument couldn't be parsed into an octal number"},
      {{"--activerehashing", "maybe"}, "--activerehashing: argument must be 'yes' or 'no'"},
      {{"--shutdown-on-sigterm", "save soon"},
       "--shutdown-on-sigterm: argument(s) must be one of the following: default, save, nosave, now, force"},
      {{"--shutdown-on-sigterm", "save", "nosave"},
       "--shutdown-on-sigterm: shutdown options SAVE and NOSAVE can't be used simultaneously"},
      {{"--rename-command", "get"}, "--rename-command: wrong number of arguments: it takes a name and a new name"},
      {{"--port", "--standalone"}, "--port: argument couldn't be parsed into an integer"},
      {{"--lazyfree-lazy-expire", "maybe"}, "--lazyfree-lazy-expire: argument must be 'yes' or 'no'"},
      {{"--replica-ignore-maxmemory", "no"},
       "--replica-ignore-maxmemory: argument must be 'yes': a replica holds what its primary holds"},
      {{"--appendonly", "yes"}, "--appendonly: argument must be 'no': this server keeps no append-only file"},
      {{"--standalone", "--save", "60"}, "--save: Invalid save parameters"},
      {{"--standalone", "--save", "0", "1"}, "--save: Invalid save parameters"},
      {{"--save", "60", "1"}, "save points are allowed only with --standalone: in a group replicas keep the data"},
      {{"--dbfilename", "a/b"}, "--dbfilename: dbfilename can't be a path, just a filename"},
      {{"--standalone", "maybe"}, "--standalone: argument must be 'yes' or 'no'"},
      {{"--standalone", "yes", "extra"}, "--standalone: wrong number of arguments: it takes "},
      {{"--admin-port", "0"}, "admin-port 0 is allowed only with --standalone"},
      {{"--replicaof", "127.0.0.1", "1"}, "replicaof is allowed only with --standalone"},
      {{"/nowhere/redis.conf"}, "can't read the configuration file '/nowhere/redis.conf'"},
      {{"--client-output-buffer-limit", "master", "1", "1", "1"},
       "--client-output-buffer-limit: Invalid client class 'master' in buffer limit configuration: it may be normal, "
       "replica or pubsub."},
      {{"--notify-keyspace-events", "KQ"},
       "--notify-keyspace-events: Invalid event class character. Use 'Ag$lshzxeKEtmdn'."},
  };
  for (const auto& [arguments, message] : cases) {
    Config c;
    EXPECT_EQ(Load(c, arguments).message(), message);
  }
  Config c;
  EXPECT_EQ(c.LoadText("port 1\nfoo bar\n", "a.conf").message(),
            "a.conf, line 2: 'foo' is not an option; understudy-node --help lists them all");
  EXPECT_EQ(c.LoadText("dir \"x\n", "a.conf").message(), "a.conf, line 1: quotes don't match");
}

TEST(Config, CommandLinesAreReadAsRedisServerReadsThem) {
  Config c;
  ASSERT_TRUE(Load(c, {"--standalone", "--port 7000", "--proc-title-template", "--my--title", "--save", "--maxmemory '1mb'",
                       "--shutdown-on-sigint", "nosave", "force", "now", "--save"}).ok());
  EXPECT_TRUE(c.standalone);
  EXPECT_EQ(c.port, 7000);
  EXPECT_EQ(c.max_memory_bytes, 1 << 20);
  EXPECT_EQ(Get(c, "proc-title-template"), "proc-title-template=--my--title;");
  EXPECT_EQ(Get(c, "shutdown-on-sigint"), "shutdown-on-sigint=nosave now force;");
}

TEST(Config, FilesIncludeOthers) {
  const std::string path = ::testing::TempDir() + "/understudy_config_test_include.conf", other = path + ".other";
  std::ofstream(path) << "timeout 1\ninclude " << other << "\ninclude " << path << ".no*\ntcp-backlog 5\n";
  std::ofstream(other) << "timeout 2\ntcp-backlog 4\n";
  Config c;
  ASSERT_TRUE(Load(c, {path, "--standalone"}).ok());
  EXPECT_EQ(c.timeout_s, 2);
  EXPECT_EQ(c.tcp_backlog, 5);
  std::ofstream(other) << "include " << path << "\n";
  EXPECT_EQ(Load(c, {path}).message(), "configuration files include each other more than 8 deep: '" + other + "'");
  std::filesystem::remove(path);
  std::filesystem::remove(other);
}

TEST(Config, OptionsWithoutEffectKeepTheirValues) {
  Config c;
  EXPECT_EQ(Get(c, "appendfsync"), "appendfsync=everysec;");
  ASSERT_TRUE(Load(c, {"--standalone", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "1kb"}).ok());
  EXPECT_EQ(Get(c, "appendfsync"), "appendfsync=always;");
  EXPECT_EQ(Get(c, "auto-aof-rewrite-min-size"), "auto-aof-rewrite-min-size=1024;");
  EXPECT_TRUE(Set(c, {{"slave-lazy-flush", "no"}}).ok());
  EXPECT_EQ(Get(c, "*-lazy-flush"), "replica-lazy-flush=no;slave-lazy-flush=no;");
  EXPECT_FALSE(Set(c, {{"appendfsync", "sometimes"}}).ok());
  EXPECT_FALSE(Set(c, {{"always-show-logo", "yes"}}).ok()) << "only at the start";
}

TEST(Config, GetMatchesPatternsAndAliases) {
  Config c;
  EXPECT_EQ(Get(c, "maxmemory*"),
            "maxmemory=0;maxmemory-clients=0;maxmemory-eviction-tenacity=10;maxmemory-policy=noeviction;"
            "maxmemory-samples=5;");
  EXPECT_TRUE(Load(c, {"--standalone", "--maxmemory", "100mb", "--maxmemory-clients", "5%", "--maxmemory-policy", "Volatile-LRU"}).ok());
  EXPECT_EQ(Get(c, "maxmemory-[cp]*"), "maxmemory-clients=5%;maxmemory-policy=volatile-lru;");
  EXPECT_EQ(c.max_clients_memory_bytes(), 5 << 20);
  Config in_a_group, told;
  EXPECT_TRUE(Load(in_a_group, {"--maxmemory", "100mb"}).ok());
  EXPECT_EQ(in_a_group.max_clients_memory_bytes(), 50 << 20);
  EXPECT_TRUE(Load(told, {"--maxmemory", "100mb", "--maxmemory-clients", "0"}).ok());
  EXPECT_EQ(told.max_clients_memory_bytes(), 0);
  EXPECT_EQ(Get(c, "PORT"), "port=6379;");
  EXPECT_EQ(Get(c, "repl-ping-slave-period"), "repl-ping-slave-period=10;");
  EXPECT_EQ(Get(c, "nothing"), "");
}

TEST(Config, SavePointsAddUpInTheFileAndTheCommandLineStartsAnew) {
  const auto points = [](const std::vector<std::string>& arguments) {
    Config c;
    EXPECT_TRUE(Load(c, arguments).ok());
    return Get(c, "save");
  };
  EXPECT_EQ(points({"--standalone"}), "save=3600 1 300 100 60 10000;");
  EXPECT_EQ(points({}), "save=;") << "an operator's node saves nothing by itself";
  for (const std::vector<std::string>& none : {std::vector<std::string>{"--save", ""}, {"--save"}}) {
    std::vector<std::string> arguments = {"--standalone"};
    arguments.insert(arguments.end(), none.begin(), none.end());
    EXPECT_EQ(points(arguments), "save=;");
  }
  const std::string path = ::testing::TempDir() + "/understudy_save_points.conf";
  std::ofstream(path) << "save 900 1\nsave 300 10 60 100\n";
  EXPECT_EQ(points({path, "--standalone"}), "save=900 1 300 10 60 100;");
  EXPECT_EQ(points({path, "--standalone", "--save", "5 1", "--save", "6", "2"}), "save=5 1 6 2;");
  std::filesystem::remove(path);
  Config c;
  ASSERT_TRUE(Load(c, {"--standalone"}).ok());
  EXPECT_TRUE(Set(c, {{"save", "1 2"}}).ok());
  EXPECT_EQ(Get(c, "save"), "save=1 2;");
  EXPECT_EQ(Set(c, {{"save", "1 2 3"}}).message(),
            "CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters");
  EXPECT_TRUE(Set(c, {{"save", ""}}).ok());
  EXPECT_EQ(Get(c, "save"), "save=;");
  EXPECT_FALSE(Set(c, {{"save", "1 2"}, {"timeout", "x"}}).ok());
  EXPECT_EQ(Get(c, "save"), "save=;") << "put back";
}

TEST(Config, WhereFilesLieIsProtected) {
  Config c;
  ASSERT_TRUE(Load(c, {"--standalone", "--dir", "/tmp/."}).ok());
  EXPECT_EQ(c.dir(), "/tmp");
  const std::pair<std::string_view, std::string_view> change[] = {{"dir", "/"}};
  EXPECT_EQ(c.Set(change, {.may_set_protected = false}).message(),
            "CONFIG SET failed (possibly related to argument 'dir') - can't set protected config");
  EXPECT_TRUE(c.Set(change, {}).ok());
  EXPECT_EQ(c.dir(), "/");
  EXPECT_EQ(Set(c, {{"dir", "/nowhere"}}).message(),
            "CONFIG SET failed (possibly related to argument 'dir') - No such file or directory");
  EXPECT_EQ(Set(c, {{"dir", "/dev/null"}}).message(),
            "CONFIG SET failed (possibly related to argument 'dir') - Not a directory");
}

TEST(Config, SetChangesAllOrNone) {
  Config c;
  int changes = 0;
  c.OnChange([&] { ++changes; });
  ASSERT_TRUE(Set(c, {{"timeout", "7"}, {"maxmemory", "1gb"}}).ok());
  EXPECT_EQ(c.timeout_s, 7);
  EXPECT_EQ(c.max_memory_bytes, 1LL << 30);
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(Set(c, {{"timeout", "8"}, {"client-output-buffer-limit", "normal 1 2 3"}, {"maxmemory", "oops"}}).message(),
            "CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value");
  EXPECT_EQ(c.timeout_s, 7);
  EXPECT_EQ(c.normal_limit().hard_bytes, 0);
  EXPECT_EQ(changes, 1);
}

TEST(Config, SetRefusesWhatCantBeSet) {
  Config c;
  EXPECT_EQ(Set(c, {{"port", "1"}}).message(),
            "CONFIG SET failed (possibly related to argument 'port') - can't set immutable config");
  EXPECT_EQ(Set(c, {{"foo", "1"}}).message(), "Unknown option or number of arguments for CONFIG SET - 'foo'");
  EXPECT_EQ(Set(c, {{"timeout", "1"}, {"TIMEOUT", "2"}}).message(),
            "CONFIG SET failed (possibly related to argument 'TIMEOUT') - duplicate parameter");
  EXPECT_EQ(Set(c, {{"maxmemory", "1mb"}}, true).message(),
            "CONFIG SET failed (possibly related to argument 'maxmemory') - it is managed by the Understudy operator: "
            "change the object instead");
  EXPECT_TRUE(Set(c, {{"timeout", "1"}}, true).ok());
}

TEST(Config, HelpNamesEveryOption) {
  const std::string help = Config::Help();
  for (const Option& option : Options()) {
    const bool bare = option.takes.empty() || (option.flags & kTakenOnly);
    EXPECT_NE(help.find("--" + std::string(option.name) + (bare ? "" : " ")), std::string::npos)
        << option.name;
  }
}

TEST(Config, MemoryUnitsAreRediss) {
  EXPECT_EQ(*ParseMemory("1k"), 1000);
  EXPECT_EQ(*ParseMemory("1KB"), 1024);
  EXPECT_EQ(*ParseMemory("2gb"), 2LL << 30);
  EXPECT_EQ(*ParseMemory("17"), 17);
  EXPECT_FALSE(ParseMemory("").ok());
  EXPECT_FALSE(ParseMemory("9999999999gb").ok());
}

}  // namespace
}  // namespace understudy::config
