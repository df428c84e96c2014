import io.lettuce.core.AclSetuserArgs;
import io.lettuce.core.ClientOptions;
import io.lettuce.core.Consumer;
import io.lettuce.core.GeoArgs;
import io.lettuce.core.GeoSearch;
import io.lettuce.core.HGetExArgs;
import io.lettuce.core.KillArgs;
import io.lettuce.core.Limit;
import io.lettuce.core.LettuceFutures;
import io.lettuce.core.Range;
import io.lettuce.core.ReadFrom;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.RedisReadOnlyException;
import io.lettuce.core.RedisURI;
import io.lettuce.core.ScanArgs;
import io.lettuce.core.ScanIterator;
import io.lettuce.core.ScriptOutputType;
import io.lettuce.core.SetArgs;
import io.lettuce.core.TrackingArgs;
import io.lettuce.core.XAddArgs;
import io.lettuce.core.XAutoClaimArgs;
import io.lettuce.core.XGroupCreateArgs;
import io.lettuce.core.XReadArgs;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.async.RedisAsyncCommands;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.masterreplica.MasterReplica;
import io.lettuce.core.protocol.CommandType;
import io.lettuce.core.protocol.ProtocolVersion;
import io.lettuce.core.pubsub.RedisPubSubAdapter;
import io.lettuce.core.pubsub.StatefulRedisPubSubConnection;
import io.lettuce.core.support.ConnectionPoolSupport;
import io.lettuce.core.support.caching.CacheAccessor;
import io.lettuce.core.support.caching.CacheFrontend;
import io.lettuce.core.support.caching.ClientSideCaching;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;

/** What applications do with Lettuce, against a primary, its replica and a node with a password. */
final class Checks {
  private static final Duration WAIT = Duration.ofSeconds(Check.WAIT_S);

  private static RedisURI.Builder at(int port) {
    return RedisURI.builder().withHost("127.0.0.1").withPort(port).withTimeout(WAIT);
  }

  private static RedisClient client(RedisURI uri, ProtocolVersion protocol) {
    RedisClient client = RedisClient.create(uri);
    client.setOptions(ClientOptions.builder().protocolVersion(protocol).build());
    return client;
  }

  private static StatefulRedisConnection<String, String> connection(int port, ProtocolVersion protocol) {
    return client(at(port).build(), protocol).connect();
  }

  private static RedisCommands<String, String> commands() {
    return connection(Check.PRIMARY, ProtocolVersion.RESP3).sync();
  }

  private static void connects() {
    RedisClient client = client(at(Check.PRIMARY).withDatabase(2).withClientName("smoke").build(), ProtocolVersion.RESP3);
    RedisCommands<String, String> r = client.connect().sync();
    Check.equal(r.ping(), "PONG");
    Check.equal(r.clientGetname(), "smoke");
    Check.equal(r.clientInfo().contains("lib-name=Lettuce"), true);
    Check.equal(r.set("k", "v", SetArgs.Builder.ex(100)), "OK");
    Check.equal(List.of(r.get("k"), r.exists("none"), r.ttl("k") > 0), List.of("v", 0, true));
    String large = "x".repeat(5_000_000);
    r.set("large", large);
    Check.equal(r.get("large").equals(large), true);
    client.shutdown();
  }

  private static void password() {
    for (ProtocolVersion protocol : List.of(ProtocolVersion.RESP2, ProtocolVersion.RESP3)) {
      Check.refused(() -> connection(Check.LOCKED, protocol).sync().ping(), "NOAUTH ");
      Check.refused(() -> client(at(Check.LOCKED).withPassword("wrong".toCharArray()).build(), protocol).connect(),
          "WRONGPASS invalid username-password pair or user is disabled.");
      Check.equal(client(at(Check.LOCKED).withPassword("secret".toCharArray()).build(), protocol).connect().sync().ping(), "PONG");
    }
    Check.equal(RedisClient.create("redis://:secret@127.0.0.1:" + Check.LOCKED + "/3").connect().sync().clientInfo().contains("db=3"), true);
  }

  private static void aclUser() {
    RedisCommands<String, String> r = commands();
    Check.equal(r.aclSetuser("reader", AclSetuserArgs.Builder.reset().on().addPassword("word").keyPattern("app:*").addCommand(CommandType.GET)
        .addCommand(CommandType.PING).addCommand(CommandType.CLIENT).addCommand(CommandType.HELLO)), "OK");
    for (ProtocolVersion protocol : List.of(ProtocolVersion.RESP2, ProtocolVersion.RESP3)) {
      RedisCommands<String, String> own = client(at(Check.PRIMARY).withAuthentication("reader", "word".toCharArray()).build(), protocol).connect().sync();
      Check.equal(own.get("app:x"), null);
      Check.refused(() -> own.get("other"), "NOPERM No permissions to access a key");
      Check.refused(() -> own.set("app:x", "1"), "NOPERM User reader has no permissions to run the 'set' command");
    }
    Check.equal(r.aclDeluser("reader"), 1);
  }

  private static void resp3() {
    for (ProtocolVersion protocol : List.of(ProtocolVersion.RESP2, ProtocolVersion.RESP3)) {
      RedisCommands<String, String> r = connection(Check.PRIMARY, protocol).sync();
      r.del("h3", "z3");
      Check.equal(r.hset("h3", Map.of("a", "1")), 1);
      Check.equal(r.hgetall("h3"), Map.of("a", "1"));
      r.zadd("z3", 1.5, "m");
      Check.equal(r.zscore("z3", "m"), 1.5);
      Check.equal(r.configGet("maxmemory"), Map.of("maxmemory", "0"));
      Check.equal(r.clientInfo().contains("resp=" + (protocol == ProtocolVersion.RESP2 ? 2 : 3)), true);
    }
  }

  private static void pipeline() throws Exception {
    StatefulRedisConnection<String, String> connection = connection(Check.PRIMARY, ProtocolVersion.RESP3);
    RedisAsyncCommands<String, String> r = connection.async();
    connection.setAutoFlushCommands(false);
    List<RedisFuture<String>> answers = new ArrayList<>();
    for (int n = 0; n < 1000; n++) {
      r.set("p:" + n, "" + n);
      answers.add(r.get("p:" + n));
    }
    RedisFuture<Long> wrong = r.lpush("p:1", "1");
    connection.flushCommands();
    Check.equal(LettuceFutures.awaitAll(WAIT, answers.toArray(new RedisFuture<?>[0])), true);
    for (int n = 0; n < 1000; n++) {
      Check.equal(answers.get(n).get(), n);
    }
    Check.refused(wrong::get, "WRONGTYPE Operation against a key holding the wrong kind of value");
  }

  private static void transaction() {
    RedisCommands<String, String> r = commands(), other = commands();
    r.set("counter", "1");
    r.watch("counter");
    other.set("counter", "5");
    r.multi();
    r.incr("counter");
    Check.equal(r.exec().wasDiscarded(), true);
    r.watch("counter");
    r.multi();
    r.incr("counter");
    r.get("counter");
    var answers = r.exec();
    Check.equal(answers.wasDiscarded(), false);
    Check.equal(answers.stream().toList(), List.of(6, "6"));
  }

  private static void pubSub() throws Exception {
    for (ProtocolVersion protocol : List.of(ProtocolVersion.RESP2, ProtocolVersion.RESP3)) {
      BlockingQueue<String> heard = new LinkedBlockingQueue<>();
      StatefulRedisPubSubConnection<String, String> subscriber = client(at(Check.PRIMARY).build(), protocol).connectPubSub();
      subscriber.addListener(new RedisPubSubAdapter<>() {
        @Override
        public void message(String channel, String message) {
          heard.add(channel + " " + message);
        }

        @Override
        public void message(String pattern, String channel, String message) {
          heard.add(pattern + " " + channel + " " + message);
        }

        @Override
        public void smessage(String channel, String message) {
          heard.add("shard " + channel + " " + message);
        }
      });
      subscriber.sync().subscribe("news");
      subscriber.sync().psubscribe("n*");
      subscriber.sync().ssubscribe("part");
      RedisCommands<String, String> r = commands();
      Check.equal(List.of(r.publish("news", "hello"), r.spublish("part", "s")), List.of(2, 1));
      Set<String> three = new TreeSet<>();
      for (int n = 0; n < 3; n++) {
        three.add(String.valueOf(heard.poll(Check.WAIT_S, TimeUnit.SECONDS)));
      }
      Check.equal(three, "[n* news hello, news hello, shard part s]");
      subscriber.sync().unsubscribe("news");
      subscriber.close();
    }
  }

  private static void blockingPop() throws Exception {
    RedisCommands<String, String> r = commands();
    StatefulRedisConnection<String, String> waiting = connection(Check.PRIMARY, ProtocolVersion.RESP3);
    var popped = waiting.async().blpop(Check.WAIT_S, "jobs", "more");
    Check.until(() -> r.info("clients").contains("blocked_clients:1\r"));
    r.rpush("jobs", "one");
    Check.equal(popped.get(Check.WAIT_S, TimeUnit.SECONDS), "KeyValue[jobs, one]");
    Check.equal(waiting.sync().blpop(0.01, "jobs"), null);
  }

  private static void scripts() {
    RedisCommands<String, String> r = commands();
    r.scriptFlush();
    r.del("sum");
    String add = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
    String[] keys = {"sum"};
    Check.refused(() -> r.evalsha(r.digest(add), ScriptOutputType.INTEGER, keys, "1"), "NOSCRIPT No matching script.");
    Long first = r.eval(add, ScriptOutputType.INTEGER, keys, "3");
    Long second = r.evalsha(r.digest(add), ScriptOutputType.INTEGER, keys, "4");
    Check.equal(List.of(first, second), List.of(3, 7));
    Check.equal(r.functionLoad("#!lua name=smoke\nredis.register_function{function_name='twice', "
        + "callback=function(k, a) return a[1] * 2 end, flags={'no-writes'}}", true), "smoke");
    Long twice = r.fcall("twice", ScriptOutputType.INTEGER, new String[0], "4");
    Long readOnly = r.fcallReadOnly("twice", ScriptOutputType.INTEGER, new String[0], "5");
    Check.equal(List.of(twice, readOnly), List.of(8, 10));
    Check.equal(r.functionList().size(), 1);
  }

  @SuppressWarnings("unchecked")  // an array of StreamOffset<String>
  private static void streamGroup() {
    RedisCommands<String, String> r = commands();
    r.del("events");
    Check.equal(r.xgroupCreate(XReadArgs.StreamOffset.from("events", "0"), "group", XGroupCreateArgs.Builder.mkstream()), "OK");
    String first = r.xadd("events", Map.of("n", "1"));
    r.xadd("events", XAddArgs.Builder.maxlen(100).approximateTrimming(), Map.of("n", "2"));
    var read = r.xreadgroup(Consumer.from("group", "one"), XReadArgs.Builder.count(1), XReadArgs.StreamOffset.lastConsumed("events"));
    Check.equal(List.of(read.get(0).getStream(), read.get(0).getId(), read.get(0).getBody()), List.of("events", first, Map.of("n", "1")));
    Check.equal(r.xpending("events", "group").getCount(), 1);
    Check.equal(r.xpending("events", "group", Range.unbounded(), Limit.from(10)).get(0).getConsumer(), "one");
    Check.equal(r.xautoclaim("events", XAutoClaimArgs.Builder.xautoclaim(Consumer.from("group", "two"), Duration.ZERO, "0")).getMessages().get(0).getId(), first);
    Check.equal(List.of(r.xack("events", "group", first), r.xlen("events"), r.xinfoGroups("events").size()), List.of(1, 2, 1));
  }

  private static void scan() {
    RedisCommands<String, String> r = commands();
    r.select(5);
    r.flushdb();
    for (int n = 0; n < 500; n++) {
      r.set("s:" + n, "" + n);
    }
    ScanIterator<String> keys = ScanIterator.scan(r, ScanArgs.Builder.matches("s:*").limit(50));
    Set<String> found = ConcurrentHashMap.newKeySet();
    keys.forEachRemaining(found::add);
    Check.equal(List.of(found.size(), r.dbsize()), List.of(500, 500));
  }

  private static void sortedSet() {
    RedisCommands<String, String> r = commands();
    r.del("board", "board2");
    Check.equal(r.zadd("board", 1.0, "a", 2.0, "b", 3.0, "c"), 3);
    Check.equal(r.zrevrange("board", 0, -1), List.of("c", "b", "a"));
    Check.equal(List.of(r.zaddincr("board", 5, "a"), r.zrevrank("board", "a"), r.zrangebyscore("board", Range.create(4, 9))), List.of(6.0, 0, List.of("a")));
    Check.equal(List.of(r.zrangestore("board2", "board", Range.create(0L, 1L)), r.zpopmin("board2")), "[2, ScoredValue[2.000000, b]]");
  }

  private static void hashFields() {
    RedisCommands<String, String> r = commands();
    r.del("user");
    Check.equal(List.of(r.hset("user", Map.of("name", "ann", "age", "7")), r.hincrby("user", "age", 1)), List.of(2, 8));
    Check.equal(r.hexpire("user", 100, "name", "no"), List.of(1, -2));
    Check.equal(r.httl("user", "name").get(0) > 0, true);
    Check.equal(r.hpersist("user", "name"), List.of(1));
    Check.equal(r.hgetex("user", HGetExArgs.Builder.ex(Duration.ofSeconds(50)), "age").get(0).getValue(), 8);
    Check.equal(r.hgetdel("user", "age").get(0).getValue(), 8);
  }

  private static void geo() {
    RedisCommands<String, String> r = commands();
    r.del("sicily");
    Check.equal(r.geoadd("sicily", 13.361389, 38.115556, "Palermo") + r.geoadd("sicily", 15.087269, 37.502669, "Catania"), 2);
    Check.equal(Math.round(r.geodist("sicily", "Palermo", "Catania", GeoArgs.Unit.km)), 166);
    var near = r.geosearch("sicily", GeoSearch.fromCoordinates(15, 37), GeoSearch.byRadius(200, GeoArgs.Unit.km), GeoArgs.Builder.full().asc());
    Check.equal(List.of(near.get(0).getMember(), Math.round(near.get(0).getDistance()), near.get(1).getMember()), List.of("Catania", 56, "Palermo"));
  }

  private static void bitmap() {
    RedisCommands<String, String> r = commands();
    r.del("bits", "hll");
    Check.equal(List.of(r.setbit("bits", 7, 1), r.getbit("bits", 7), r.bitcount("bits")), List.of(0, 1, 1));
    Check.equal(List.of(r.pfadd("hll", "a", "b", "c"), r.pfcount("hll")), List.of(1, 3));
  }

  private static void caching() throws Exception {
    RedisCommands<String, String> other = commands();
    other.set("cached", "1");
    Map<String, String> here = new ConcurrentHashMap<>();
    try (CacheFrontend<String, String> cached = ClientSideCaching.enable(
        CacheAccessor.forMap(here), connection(Check.PRIMARY, ProtocolVersion.RESP3), TrackingArgs.Builder.enabled())) {
      Check.equal(List.of(cached.get("cached"), here), "[1, {cached=1}]");
      other.set("cached", "2");
      Check.until(() -> !here.containsKey("cached"));
      Check.equal(cached.get("cached"), 2);
    }
  }

  private static void pool() throws Exception {
    RedisClient client = client(at(Check.PRIMARY).build(), ProtocolVersion.RESP3);
    GenericObjectPoolConfig<StatefulRedisConnection<String, String>> four = new GenericObjectPoolConfig<>();
    four.setMaxTotal(4);
    try (var pool = ConnectionPoolSupport.createGenericObjectPool(client::connect, four)) {
      commands().del("pooled");
      List<Thread> threads = new ArrayList<>();
      for (int t = 0; t < 16; t++) {
        threads.add(new Thread(() -> {
          for (int n = 0; n < 50; n++) {
            try (var borrowed = pool.borrowObject()) {
              borrowed.sync().incr("pooled");
            } catch (Exception error) {
              throw new IllegalStateException(error);
            }
          }
        }));
      }
      threads.forEach(Thread::start);
      for (Thread thread : threads) {
        thread.join();
      }
      Check.equal(commands().get("pooled"), 800);
    }
  }

  private static void reconnects() throws Exception {
    RedisCommands<String, String> r = commands(), other = commands();
    BlockingQueue<String> heard = new LinkedBlockingQueue<>();
    StatefulRedisPubSubConnection<String, String> subscriber = client(at(Check.PRIMARY).build(), ProtocolVersion.RESP3).connectPubSub();
    subscriber.addListener(new RedisPubSubAdapter<>() {
      @Override
      public void message(String channel, String message) {
        heard.add(message);
      }
    });
    subscriber.sync().subscribe("after");
    Long first = r.clientId();
    Check.equal(other.clientKill(KillArgs.Builder.id(first)), 1);
    Check.until(() -> r.clientId() > first);
    Check.equal(other.clientKill(KillArgs.Builder.typePubsub()), 1);
    Check.until(() -> other.publish("after", "heard") == 1);
    Check.equal(heard.poll(Check.WAIT_S, TimeUnit.SECONDS), "heard");
  }

  private static void readOnly() {
    RedisCommands<String, String> r = connection(Check.REPLICA, ProtocolVersion.RESP3).sync();
    try {
      r.set("k", "v");
      throw new AssertionError("a replica took a write");
    } catch (RedisReadOnlyException error) {
      Check.equal(error.getMessage(), "READONLY You can't write against a read only replica.");
    }
  }

  private static void replicaReads() {
    // It asks ROLE and INFO REPLICATION who is the primary.
    var connection = MasterReplica.connect(client(at(Check.PRIMARY).build(), ProtocolVersion.RESP3), StringCodec.UTF8,
        List.of(at(Check.REPLICA).build(), at(Check.PRIMARY).build()));
    connection.setReadFrom(ReadFrom.REPLICA);
    RedisCommands<String, String> r = connection.sync();
    r.set("spread", "v");
    Check.equal(r.waitForReplication(1, WAIT.toMillis()), 1);
    Check.equal(r.get("spread"), "v");
    Check.equal(connection(Check.REPLICA, ProtocolVersion.RESP3).sync().info("commandstats").contains("cmdstat_get:"), true);
    var found = MasterReplica.connect(client(at(Check.PRIMARY).build(), ProtocolVersion.RESP3), StringCodec.UTF8, at(Check.PRIMARY).build());
    found.setReadFrom(ReadFrom.REPLICA);
    Check.equal(found.sync().get("spread"), "v");
  }

  public static void main(String[] arguments) {
    Check.check("connects", Checks::connects);
    Check.check("password", Checks::password);
    Check.check("ACL user", Checks::aclUser);
    Check.check("RESP3", Checks::resp3);
    Check.check("pipeline", Checks::pipeline);
    Check.check("MULTI with WATCH", Checks::transaction);
    Check.check("pub/sub", Checks::pubSub);
    Check.check("blocking pop", Checks::blockingPop);
    Check.check("scripts", Checks::scripts);
    Check.check("stream group", Checks::streamGroup);
    Check.check("SCAN", Checks::scan);
    Check.check("sorted set", Checks::sortedSet);
    Check.check("hash fields", Checks::hashFields);
    Check.check("geo", Checks::geo);
    Check.check("bitmap", Checks::bitmap);
    Check.check("client-side caching", Checks::caching);
    Check.check("connection pool", Checks::pool);
    Check.check("reconnects", Checks::reconnects);
    Check.check("READONLY", Checks::readOnly);
    Check.check("replica reads", Checks::replicaReads);
    Check.runAll();
  }
}
