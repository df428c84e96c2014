import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.AbstractTransaction;
import redis.clients.jedis.ConnectionPoolConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.StreamEntryID;
import redis.clients.jedis.args.ClientType;
import redis.clients.jedis.args.GeoUnit;
import redis.clients.jedis.exceptions.JedisAccessControlException;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.ClientKillParams;
import redis.clients.jedis.params.ClientKillParams.SkipMe;
import redis.clients.jedis.params.GeoSearchParam;
import redis.clients.jedis.params.HGetExParams;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.params.XAddParams;
import redis.clients.jedis.params.XAutoClaimParams;
import redis.clients.jedis.params.XReadGroupParams;
import redis.clients.jedis.params.ZRangeParams;
import redis.clients.jedis.util.SafeEncoder;

/**
 * What applications do with Jedis, against a primary, its replica and a node with a password. Not its client-side cache: it
 * wants a server that says it is Redis 7.4 or later.
 */
final class Checks {
  private static DefaultJedisClientConfig.Builder config(RedisProtocol protocol) {
    return DefaultJedisClientConfig.builder().protocol(protocol).timeoutMillis(Check.WAIT_S * 1000);
  }

  private static Jedis connection(int port) {
    return new Jedis("127.0.0.1", port, config(RedisProtocol.RESP2).build());
  }

  private static RedisClient client(int port, RedisProtocol protocol) {
    return RedisClient.builder().hostAndPort("127.0.0.1", port).clientConfig(config(protocol).build()).build();
  }

  private static RedisClient client() {
    return client(Check.PRIMARY, RedisProtocol.RESP3);
  }

  private static void connects() {
    try (Jedis r = new Jedis("127.0.0.1", Check.PRIMARY, config(RedisProtocol.RESP3).clientName("smoke").database(2).build())) {
      Check.equal(r.ping(), "PONG");
      Check.equal(r.clientGetname(), "smoke");
      Check.equal(r.clientInfo().contains("lib-name=jedis"), true);
      Check.equal(r.set("k", "v", SetParams.setParams().ex(100)), "OK");
      Check.equal(List.of(r.get("k"), r.exists("none"), r.ttl("k") > 0), List.of("v", false, true));
      String large = "x".repeat(5_000_000);
      r.set("large", large);
      Check.equal(r.get("large").equals(large), true);
      byte[] bytes = new byte[256];
      for (int i = 0; i < 256; i++) {
        bytes[i] = (byte) i;
      }
      Check.equal(java.util.Arrays.equals(r.echo(bytes), bytes), true);
    }
  }

  private static void password() {
    Check.refused(() -> connection(Check.LOCKED).ping(), "NOAUTH ");
    for (RedisProtocol protocol : List.of(RedisProtocol.RESP2, RedisProtocol.RESP3)) {
      Check.refused(() -> new Jedis("127.0.0.1", Check.LOCKED, config(protocol).password("wrong").build()).ping(),
          "WRONGPASS invalid username-password pair or user is disabled.");
      try (Jedis r = new Jedis("127.0.0.1", Check.LOCKED, config(protocol).password("secret").build())) {
        Check.equal(r.ping(), "PONG");
      }
    }
    try (RedisClient r = RedisClient.create("redis://:secret@127.0.0.1:" + Check.LOCKED + "/3")) {
      Check.equal(r.ping(), "PONG");
    }
  }

  private static void aclUser() {
    try (Jedis r = connection(Check.PRIMARY)) {
      Check.equal(r.aclSetUser("reader", "reset", "on", ">word", "~app:*", "+get", "+ping", "+client", "+hello"), "OK");
      Check.equal(r.aclGetUser("reader").getFlags().contains("on"), true);
      for (RedisProtocol protocol : List.of(RedisProtocol.RESP2, RedisProtocol.RESP3)) {
        try (Jedis own = new Jedis("127.0.0.1", Check.PRIMARY, config(protocol).user("reader").password("word").build())) {
          Check.equal(own.get("app:x"), null);
          try {
            own.get("other");
            throw new AssertionError("a key was allowed that is not");
          } catch (JedisAccessControlException error) {
            Check.equal(error.getMessage().startsWith("NOPERM No permissions to access a key"), true);
          }
          Check.refused(() -> own.set("app:x", "1"), "NOPERM User reader has no permissions to run the 'set' command");
        }
      }
      Check.equal(r.aclDelUser("reader"), 1);
    }
  }

  private static void resp3() {
    for (RedisProtocol protocol : List.of(RedisProtocol.RESP2, RedisProtocol.RESP3)) {
      try (Jedis r = new Jedis("127.0.0.1", Check.PRIMARY, config(protocol).build())) {
        r.del("h3", "z3");
        Check.equal(r.hset("h3", Map.of("a", "1")), 1);
        Check.equal(r.hgetAll("h3"), Map.of("a", "1"));
        r.zadd("z3", 1.5, "m");
        Check.equal(r.zrangeWithScores("z3", 0, -1), "[[m,1.5]]");
        Check.equal(r.configGet("maxmemory"), Map.of("maxmemory", "0"));
        Check.equal(r.clientInfo().contains("resp=" + (protocol == RedisProtocol.RESP2 ? 2 : 3)), true);
      }
    }
  }

  private static void pipeline() {
    try (RedisClient r = client()) {
      AbstractPipeline pipe = r.pipelined();
      List<Response<String>> answers = new ArrayList<>();
      for (int n = 0; n < 1000; n++) {
        pipe.set("p:" + n, "" + n);
        answers.add(pipe.get("p:" + n));
      }
      pipe.sync();
      for (int n = 0; n < 1000; n++) {
        Check.equal(answers.get(n).get(), n);
      }
      Response<Long> wrong = pipe.lpush("p:1", "1");
      Response<String> fine = pipe.get("p:2");
      pipe.sync();
      Check.refused(wrong::get, "WRONGTYPE Operation against a key holding the wrong kind of value");
      Check.equal(fine.get(), 2);
      pipe.close();
    }
  }

  private static void transaction() {
    try (RedisClient r = client()) {
      r.set("counter", "1");
      try (AbstractTransaction watched = r.transaction(false)) {
        watched.watch("counter");
        r.set("counter", "5");
        watched.multi();
        watched.incr("counter");
        Check.equal(watched.exec(), null);
      }
      try (AbstractTransaction done = r.transaction(false)) {
        done.watch("counter");
        done.multi();
        done.incr("counter");
        done.get("counter");
        Check.equal(done.exec(), List.of(6, "6"));
      }
    }
  }

  private static void pubSub() throws Exception {
    for (RedisProtocol protocol : List.of(RedisProtocol.RESP2, RedisProtocol.RESP3)) {
      BlockingQueue<String> heard = new LinkedBlockingQueue<>();
      JedisPubSub listener = new JedisPubSub() {
        @Override
        public void onMessage(String channel, String message) {
          heard.add(channel + " " + message);
        }

        @Override
        public void onPMessage(String pattern, String channel, String message) {
          heard.add(pattern + " " + channel + " " + message);
        }

        @Override
        public void onSubscribe(String channel, int count) {
          heard.add("subscribed " + channel + " " + count);
        }

        @Override
        public void onPSubscribe(String pattern, int count) {
          heard.add("subscribed " + pattern + " " + count);
        }
      };
      Jedis subscriber = new Jedis("127.0.0.1", Check.PRIMARY, config(protocol).build());
      Thread thread = new Thread(() -> subscriber.subscribe(listener, "news"));
      thread.start();
      Check.equal(heard.poll(Check.WAIT_S, TimeUnit.SECONDS), "subscribed news 1");
      listener.psubscribe("n*");
      Check.equal(heard.poll(Check.WAIT_S, TimeUnit.SECONDS), "subscribed n* 2");
      try (RedisClient r = client()) {
        Check.equal(r.publish("news", "hello"), 2);
      }
      Check.equal(Set.of(heard.poll(Check.WAIT_S, TimeUnit.SECONDS), heard.poll(Check.WAIT_S, TimeUnit.SECONDS))
          .equals(Set.of("news hello", "n* news hello")), true);
      listener.unsubscribe();
      listener.punsubscribe();
      thread.join(Check.WAIT_S * 1000L);
      Check.equal(thread.isAlive(), false);
      Check.equal(subscriber.ping(), "PONG");
      subscriber.close();
    }
  }

  private static void blockingPop() throws Exception {
    BlockingQueue<Object> got = new LinkedBlockingQueue<>();
    try (RedisClient r = client()) {
      new Thread(() -> {
        try (Jedis waiting = connection(Check.PRIMARY)) {
          got.add(waiting.blpop(Check.WAIT_S, "jobs", "more"));
        }
      }).start();
      Check.until(() -> r.info("clients").contains("blocked_clients:1\r"));
      r.rpush("jobs", "one");
      Check.equal(got.poll(Check.WAIT_S, TimeUnit.SECONDS), List.of("jobs", "one"));
      Check.equal(r.blpop(0.01, "jobs"), null);
    }
  }

  private static void scripts() {
    try (RedisClient r = client()) {
      r.scriptFlush();
      r.del("sum");
      String add = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
      Check.refused(() -> r.evalsha("0123456789012345678901234567890123456789", 1, "sum", "1"), "NOSCRIPT No matching script.");
      Check.equal(r.eval(add, List.of("sum"), List.of("3")), 3);
      String sha = r.scriptLoad(add);
      Check.equal(r.evalsha(sha, List.of("sum"), List.of("4")), 7);
      Check.equal(r.scriptExists(List.of(sha)), List.of(true));
      Check.equal(r.functionLoadReplace("#!lua name=smoke\nredis.register_function{function_name='twice', "
          + "callback=function(k, a) return a[1] * 2 end, flags={'no-writes'}}"), "smoke");
      Check.equal(List.of(r.fcall("twice", List.of(), List.of("4")), r.fcallReadonly("twice", List.of(), List.of("5"))), List.of(8, 10));
      Check.equal(r.functionList("smoke").get(0).getLibraryName(), "smoke");
    }
  }

  private static void streamGroup() {
    try (RedisClient r = client()) {
      r.del("events");
      Check.equal(r.xgroupCreate("events", "group", new StreamEntryID("0-0"), true), "OK");
      StreamEntryID first = r.xadd("events", StreamEntryID.NEW_ENTRY, Map.of("n", "1"));
      r.xadd("events", Map.of("n", "2"), XAddParams.xAddParams().maxLen(100).approximateTrimming());
      var read = r.xreadGroup("group", "one", XReadGroupParams.xReadGroupParams().count(1), Map.of("events", StreamEntryID.XREADGROUP_UNDELIVERED_ENTRY));
      Check.equal(read.get(0).getKey() + " " + read.get(0).getValue().get(0).getID(), "events " + first);
      Check.equal(read.get(0).getValue().get(0).getFields(), Map.of("n", "1"));
      Check.equal(r.xpending("events", "group").getTotal(), 1);
      Check.equal(r.xautoclaim("events", "group", "two", 0, new StreamEntryID("0-0"), XAutoClaimParams.xAutoClaimParams()).getValue().get(0).getID(), first);
      Check.equal(List.of(r.xack("events", "group", first), r.xlen("events")), List.of(1, 2));
      Check.equal(r.xinfoGroups("events").get(0).getPending(), 0);
      Check.equal(r.xinfoStreamFull("events").getLength(), 2);
    }
  }

  private static void scan() {
    try (RedisClient r = client()) {
      r.flushDB();
      for (int n = 0; n < 500; n++) {
        r.set("s:" + n, "" + n);
      }
      Set<String> found = new HashSet<>();
      String cursor = ScanParams.SCAN_POINTER_START;
      do {
        var page = r.scan(cursor, new ScanParams().match("s:*").count(50));
        found.addAll(page.getResult());
        cursor = page.getCursor();
      } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
      Check.equal(List.of(found.size(), r.dbSize()), List.of(500, 500));
    }
  }

  private static void sortedSet() {
    try (RedisClient r = client()) {
      r.del("board", "board2");
      Check.equal(r.zadd("board", new TreeMap<>(Map.of("a", 1.0, "b", 2.0, "c", 3.0))), 3);
      Check.equal(r.zrange("board", ZRangeParams.zrangeParams(0, -1).rev()), List.of("c", "b", "a"));
      Check.equal(List.of(r.zincrby("board", 5, "a"), r.zrevrank("board", "a"), r.zrange("board", ZRangeParams.zrangeByScoreParams(4, 9))), List.of(6.0, 0, List.of("a")));
      Check.equal(List.of(r.zrangestore("board2", "board", ZRangeParams.zrangeParams(0, 1)), r.zpopmin("board2")), "[2, [b,2.0]]");
    }
  }

  private static void hashFields() {
    try (RedisClient r = client()) {
      r.del("user");
      Check.equal(List.of(r.hset("user", Map.of("name", "ann", "age", "7")), r.hincrBy("user", "age", 1)), List.of(2, 8));
      Check.equal(r.hmget("user", "name", "no"), "[ann, null]");
      Check.equal(r.hexpire("user", 100, "name", "no"), List.of(1, -2));
      Check.equal(r.httl("user", "name").get(0) > 0, true);
      Check.equal(r.hpersist("user", "name"), List.of(1));
      Check.equal(r.hgetex("user", HGetExParams.hGetExParams().ex(50), "age"), List.of("8"));
      Check.equal(r.hgetdel("user", "age"), List.of("8"));
    }
  }

  private static void geo() {
    try (RedisClient r = client()) {
      r.del("sicily");
      Check.equal(r.geoadd("sicily", 13.361389, 38.115556, "Palermo") + r.geoadd("sicily", 15.087269, 37.502669, "Catania"), 2);
      Check.equal(Math.round(r.geodist("sicily", "Palermo", "Catania", GeoUnit.KM)), 166);
      var near = r.geosearch("sicily", GeoSearchParam.geoSearchParam().fromLonLat(15, 37).byRadius(200, GeoUnit.KM).asc().withCoord().withDist());
      Check.equal(near.get(0).getMemberByString() + " " + Math.round(near.get(0).getDistance()), "Catania 56");
      Check.equal(near.get(1).getMemberByString() + " " + Math.round(near.get(1).getCoordinate().getLatitude()), "Palermo 38");
    }
  }

  private static void bitmap() {
    try (RedisClient r = client()) {
      r.del("bits", "hll");
      Check.equal(List.of(r.setbit("bits", 7, true), r.getbit("bits", 7), r.bitcount("bits")), List.of(false, true, 1));
      Check.equal(r.bitfield("bits", "SET", "u8", "8", "200", "INCRBY", "u8", "8", "10"), List.of(0, 210));
      Check.equal(List.of(r.pfadd("hll", "a", "b", "c"), r.pfcount("hll")), List.of(1, 3));
    }
  }

  private static void pool() throws Exception {
    ConnectionPoolConfig four = new ConnectionPoolConfig();
    four.setMaxTotal(4);
    four.setMaxWait(Duration.ofSeconds(Check.WAIT_S));
    four.setTestOnBorrow(true);
    try (RedisClient r = RedisClient.builder().hostAndPort("127.0.0.1", Check.PRIMARY).poolConfig(four).build()) {
      r.del("pooled");
      List<Thread> threads = new ArrayList<>();
      for (int t = 0; t < 16; t++) {
        threads.add(new Thread(() -> {
          for (int n = 0; n < 50; n++) {
            r.incr("pooled");
          }
        }));
      }
      threads.forEach(Thread::start);
      for (Thread thread : threads) {
        thread.join();
      }
      Check.equal(r.get("pooled"), 800);
    }
  }

  private static void reconnects() {
    ConnectionPoolConfig tested = new ConnectionPoolConfig();
    tested.setMaxTotal(1);
    tested.setTestOnBorrow(true);
    try (RedisClient r = RedisClient.builder().hostAndPort("127.0.0.1", Check.PRIMARY).poolConfig(tested).build(); Jedis other = connection(Check.PRIMARY)) {
      Check.equal(r.set("k", "before"), "OK");
      Check.equal(other.clientKill(ClientKillParams.clientKillParams().type(ClientType.NORMAL).skipMe(SkipMe.YES)) > 0, true);
      Check.equal(r.get("k"), "before");
    }
  }

  private static void readOnly() {
    try (Jedis r = connection(Check.REPLICA)) {
      try {
        r.set("k", "v");
        throw new AssertionError("a replica took a write");
      } catch (JedisDataException error) {
        Check.equal(error.getMessage(), "READONLY You can't write against a read only replica.");
      }
    }
  }

  private static void replicaReads() {
    try (Jedis primary = connection(Check.PRIMARY); Jedis replica = connection(Check.REPLICA)) {
      primary.set("spread", "v");
      Check.equal(primary.waitReplicas(1, Check.WAIT_S * 1000L), 1);
      Check.equal(replica.get("spread"), "v");
      Check.equal(SafeEncoder.encodeObject(primary.role().get(0)) + " " + SafeEncoder.encodeObject(replica.role().get(0)), "master slave");
    }
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
    Check.check("connection pool", Checks::pool);
    Check.check("reconnects", Checks::reconnects);
    Check.check("READONLY", Checks::readOnly);
    Check.check("replica reads", Checks::replicaReads);
    Check.runAll();
  }
}
