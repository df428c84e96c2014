"""What applications do with redis-py, synchronous and asyncio, against a primary, its replica and a node with a password.

Not its client-side cache: it wants a server that says it is Redis 7.4 or later.
"""
import asyncio
import os
import threading
import time

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

PRIMARY, REPLICA, LOCKED = (int(os.environ[name]) for name in ("PRIMARY", "REPLICA", "LOCKED"))
WAIT_S = 20


def client(port=PRIMARY, protocol=2, **options):
    return redis.Redis("127.0.0.1", port, protocol=protocol, decode_responses=True, **options)


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r} instead of {wanted!r}")


def refused(call, kind, text):
    try:
        call()
    except kind as error:
        if text not in str(error):
            raise AssertionError(f"the error is {error!r}, without {text!r}") from error
        return
    raise AssertionError(f"no {kind.__name__}")


def until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not reached within {WAIT_S} s")
        time.sleep(0.01)


def connects():
    r = client(health_check_interval=1, client_name="smoke")
    equal(r.ping(), True)
    equal(r.client_getname(), "smoke")
    equal(r.client_info()["lib-name"].startswith("redis-py"), True)
    equal(r.set("k", "v", ex=100), True)
    equal((r.get("k"), r.get("none"), 0 < r.ttl("k") <= 100), ("v", None, True))
    equal(redis.Redis(port=PRIMARY).echo(bytes(range(256))), bytes(range(256)))
    large = "x" * 5_000_000
    r.set("large", large)
    equal(r.get("large") == large, True)


def password():
    refused(client(LOCKED).ping, redis.AuthenticationError, "Authentication required")
    refused(client(LOCKED, password="wrong").ping, redis.AuthenticationError, "invalid username-password pair or user is disabled")
    for protocol in (2, 3):
        equal(client(LOCKED, protocol, password="secret").ping(), True)
    equal(redis.Redis.from_url(f"redis://:secret@127.0.0.1:{LOCKED}/3").client_info()["db"], 3)


def acl_user():
    r = client()
    r.acl_setuser("reader", enabled=True, passwords=["+word"], keys=["app:*"], commands=["+get", "+ping", "+client", "+hello"])
    equal(r.acl_getuser("reader")["enabled"], True)
    for protocol in (2, 3):
        own = client(protocol=protocol, username="reader", password="word")
        equal(own.get("app:x"), None)
        refused(lambda: own.get("other"), redis.exceptions.NoPermissionError, "No permissions to access a key")
        refused(lambda: own.set("app:x", 1), redis.exceptions.NoPermissionError, "has no permissions to run the 'set' command")
    equal(r.acl_deluser("reader"), 1)


def resp3():
    r = client(protocol=3)
    equal(r.hset("h3", mapping={"a": "1"}), 1)
    equal(r.hgetall("h3"), {"a": "1"})
    r.zadd("z3", {"m": 1.5})
    equal(r.zscore("z3", "m"), 1.5)
    equal(r.config_get("maxmemory"), {"maxmemory": "0"})
    equal(r.client_info()["resp"], "3")


def pipeline():
    pipe = client().pipeline(transaction=False)
    for number in range(1000):
        pipe.set(f"p:{number}", number).get(f"p:{number}")
    equal(pipe.execute(), [item for number in range(1000) for item in (True, str(number))])
    pipe.lpush("p:1", 1).ping()
    answers = pipe.execute(raise_on_error=False)
    equal((str(answers[0]), answers[1]), ("WRONGTYPE Operation against a key holding the wrong kind of value", True))


def transaction():
    r = client()
    r.set("counter", 1)
    with r.pipeline() as pipe:
        pipe.watch("counter")
        client().set("counter", 5)
        pipe.multi()
        pipe.incr("counter")
        refused(pipe.execute, redis.WatchError, "Watched variable changed")
    equal(r.transaction(lambda pipe: (pipe.multi(), pipe.incr("counter")), "counter"), [6])
    with r.lock("lock", timeout=10):
        equal(r.set("lock", 1, nx=True), None)
    equal(r.exists("lock"), 0)


def pub_sub():
    r = client()
    for protocol in (2, 3):
        p = client(protocol=protocol).pubsub()
        p.subscribe("news")
        p.psubscribe("n*")
        equal([p.get_message(timeout=WAIT_S)["type"] for _ in range(2)], ["subscribe", "psubscribe"])
        equal(r.publish("news", "hello"), 2)
        equal([(m["type"], m["data"]) for m in (p.get_message(timeout=WAIT_S) for _ in range(2))], [("message", "hello"), ("pmessage", "hello")])
        if protocol == 2:  # redis-py 8.1.0 takes the plain PONG of RESP3 for a list
            p.ping()
            equal(p.get_message(timeout=WAIT_S)["type"], "pong")
        p.ssubscribe("shard")
        equal(p.get_message(timeout=WAIT_S)["type"], "ssubscribe")
        equal(r.spublish("shard", "s"), 1)
        equal(p.get_sharded_message(timeout=WAIT_S)["data"], "s")
        p.close()


def blocking_pop():
    r = client()
    got = []
    waiter = threading.Thread(target=lambda: got.append(client().blpop(["jobs", "more"], timeout=WAIT_S)))
    waiter.start()
    until(lambda: r.info("clients")["blocked_clients"] == 1)
    r.rpush("jobs", "one")
    waiter.join(WAIT_S)
    equal(got, [("jobs", "one")])
    equal(r.blpop(["jobs"], timeout=0.01), None)


def script():
    r = client()
    r.script_flush()
    add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    r.delete("sum")
    equal((add(keys=["sum"], args=[3]), add(keys=["sum"], args=[4])), (3, 7))
    equal(r.script_exists(add.sha), [True])
    r.function_load("#!lua name=smoke\nredis.register_function{function_name='twice', callback=function(k, a) return a[1] * 2 end, flags={'no-writes'}}",
                    replace=True)
    equal((r.fcall("twice", 0, 4), r.fcall_ro("twice", 0, 5)), (8, 10))


def stream():
    r = client()
    r.delete("events")
    equal(r.xgroup_create("events", "group", id="0", mkstream=True), True)
    first = r.xadd("events", {"n": "1"})
    r.xadd("events", {"n": "2"}, maxlen=100)
    equal(r.xreadgroup("group", "one", {"events": ">"}, count=1), [["events", [(first, {"n": "1"})]]])
    equal(r.xpending("events", "group")["pending"], 1)
    equal(r.xautoclaim("events", "group", "two", 0)[1], [(first, {"n": "1"})])
    equal(r.xack("events", "group", first), 1)
    equal((r.xinfo_groups("events")[0]["lag"], r.xlen("events"), len(r.xrange("events"))), (1, 2, 2))


def scan():
    r = client(db=5)
    r.flushdb()
    r.mset({f"s:{number}": number for number in range(500)})
    equal(len(set(r.scan_iter("s:*", count=50))), 500)
    r.sadd("set", *range(300))
    equal((len(set(r.sscan_iter("set"))), r.dbsize(), list(r.scan_iter(_type="set"))), (300, 501, ["set"]))


def sorted_set():
    r = client()
    r.delete("board", "board2")
    equal(r.zadd("board", {"a": 1, "b": 2, "c": 3}), 3)
    equal(r.zrange("board", 0, -1, desc=True, withscores=True), [("c", 3.0), ("b", 2.0), ("a", 1.0)])
    equal((r.zincrby("board", 5, "a"), r.zrevrank("board", "a"), r.zrangebyscore("board", "(2", "+inf")), (6.0, 0, ["c", "a"]))
    equal((r.zrangestore("board2", "board", 0, 1), r.zpopmin("board2"), r.zadd("board", {"a": 1}, gt=True)), (2, [("b", 2.0)], 0))


def hash_fields():
    r = client()
    r.delete("user")
    equal((r.hset("user", mapping={"name": "ann", "age": 7}), r.hincrby("user", "age", 1), r.hmget("user", "name", "no")), (2, 8, ["ann", None]))
    equal((r.hexpire("user", 100, "name", "no"), 0 < r.httl("user", "name")[0] <= 100, r.hpersist("user", "name")), ([1, -2], True, [1]))
    equal((r.hgetex("user", "age", ex=50), r.hgetdel("user", "age"), r.hgetall("user")), (["8"], ["8"], {"name": "ann"}))


def geo():
    r = client()
    r.delete("sicily")
    equal(r.geoadd("sicily", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), 2)
    equal(round(r.geodist("sicily", "Palermo", "Catania", "km"), 1), 166.3)
    equal(r.geosearch("sicily", longitude=15, latitude=37, radius=200, unit="km", sort="ASC"), ["Catania", "Palermo"])


def bitmap():
    r = client()
    r.delete("bits", "hll")
    equal((r.setbit("bits", 7, 1), r.getbit("bits", 7), r.bitcount("bits"), r.bitpos("bits", 1)), (0, 1, 1, 7))
    equal(r.bitfield("bits").set("u8", 8, 200).incrby("u8", 8, 10).execute(), [0, 210])
    equal((r.pfadd("hll", "a", "b", "c"), r.pfcount("hll")), (1, 3))


def pool():
    pooled = redis.Redis(connection_pool=redis.BlockingConnectionPool(host="127.0.0.1", port=PRIMARY, max_connections=4, timeout=None))
    pooled.delete("pooled")
    threads = [threading.Thread(target=lambda: [pooled.incr("pooled") for _ in range(50)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(pooled.get("pooled"), b"800")


def reconnects():
    r = client(single_connection_client=True, retry=Retry(NoBackoff(), 2))
    first = r.client_id()
    equal(client().client_kill_filter(_id=first), 1)
    equal(r.client_id() > first, True)


def read_only():
    refused(lambda: client(REPLICA).set("k", "v"), redis.ReadOnlyError, "You can't write against a read only replica.")
    pipe = client(REPLICA).pipeline()
    pipe.set("k", "v")
    refused(pipe.execute, redis.ReadOnlyError, "You can't write against a read only replica.")


def replica_reads():
    primary, replica = client(), client(REPLICA)
    primary.set("spread", "v")
    equal(primary.wait(1, WAIT_S * 1000), 1)
    equal((replica.get("spread"), primary.role()[0], replica.role()[0]), ("v", "master", "slave"))
    equal((replica.info("replication")["master_link_status"], primary.info("replication")["connected_slaves"]), ("up", 1))


def asyncio_client():
    async def all_of_it():
        async with redis.asyncio.Redis(port=PRIMARY, protocol=3, decode_responses=True) as r:
            await r.delete("async")
            await asyncio.gather(*(r.incr("async") for _ in range(100)))
            equal(await r.get("async"), "100")
            async with r.pubsub() as p:
                await p.subscribe("later")
                equal((await p.get_message(timeout=WAIT_S))["type"], "subscribe")
                await r.publish("later", "x")
                equal((await p.get_message(timeout=WAIT_S))["data"], "x")
    asyncio.run(all_of_it())


CHECKS = {
    "connects": connects, "password": password, "ACL user": acl_user, "RESP3": resp3, "pipeline": pipeline, "MULTI with WATCH": transaction,
    "pub/sub": pub_sub, "blocking pop": blocking_pop, "scripts": script, "stream group": stream, "SCAN": scan, "sorted set": sorted_set,
    "hash fields": hash_fields, "geo": geo, "bitmap": bitmap, "connection pool": pool,
    "reconnects": reconnects, "READONLY": read_only, "replica reads": replica_reads, "asyncio": asyncio_client}

for name, check in CHECKS.items():
    try:
        check()
    except Exception as error:  # whatever a library raises is the outcome of its check
        print(f"failed {name}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
    else:
        print(f"passed {name}", flush=True)
print("all checks were made")
