//! What applications do with redis-rs, synchronous and with Tokio, against a primary, its replica and a node with a password.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::caching::CacheConfig;
use redis::geo::{Coord, RadiusOptions, RadiusOrder, Unit};
use redis::streams::{StreamAutoClaimOptions, StreamAutoClaimReply, StreamReadOptions, StreamReadReply};
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client, Commands, Connection, ErrorKind, ExpireOption, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, RedisResult, Script, ServerErrorKind,
};

const WAIT: Duration = Duration::from_secs(20);

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[track_caller]
fn equal<A: Debug + PartialEq<B>, B: Debug>(got: A, wanted: B) {
    assert!(got == wanted, "{got:?} instead of {wanted:?}");
}

#[track_caller]
fn refused<T>(result: RedisResult<T>, text: &str) -> RedisError {
    let error = result.err().unwrap_or_else(|| panic!("no error {text}"));
    assert!(error.to_string().contains(text), "the error is {error}, without {text}");
    error
}

fn until(mut condition: impl FnMut() -> RedisResult<bool>) -> RedisResult<()> {
    let deadline = Instant::now() + WAIT;
    while !condition()? {
        assert!(Instant::now() < deadline, "not reached within {WAIT:?}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// node: PRIMARY, REPLICA or LOCKED.
fn client_with(node: &str, settings: RedisConnectionInfo) -> RedisResult<Client> {
    let port: u16 = std::env::var(node).expect("the runner names the nodes").parse().expect("a port");
    Client::open(("127.0.0.1", port).into_connection_info()?.set_redis_settings(settings))
}

fn client(node: &str) -> RedisResult<Client> {
    client_with(node, RedisConnectionInfo::default())
}

fn primary() -> RedisResult<Connection> {
    client("PRIMARY")?.get_connection()
}

fn speaks(protocol: ProtocolVersion) -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_protocol(protocol)
}

const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::RESP2, ProtocolVersion::RESP3];

fn connects() -> Outcome {
    let mut r = client_with("PRIMARY", RedisConnectionInfo::default().set_db(2))?.get_connection()?;
    equal(redis::cmd("PING").query::<String>(&mut r)?, "PONG");
    r.client_setname::<_, ()>("smoke")?;
    equal(r.client_getname::<Option<String>>()?, Some("smoke".to_string()));
    assert!(redis::cmd("CLIENT").arg("INFO").query::<String>(&mut r)?.contains("lib-name=redis-rs"));
    r.set_ex::<_, _, ()>("k", "v", 100)?;
    equal((r.get::<_, String>("k")?, r.get::<_, Option<String>>("none")?), ("v".to_string(), None));
    let bytes: Vec<u8> = (0..=255).collect();
    r.set::<_, _, ()>("bytes", &bytes)?;
    equal(r.get::<_, Vec<u8>>("bytes")?, bytes);
    let large = "x".repeat(5_000_000);
    r.set::<_, _, ()>("large", &large)?;
    assert!(r.get::<_, String>("large")? == large, "a large value came back otherwise");
    Ok(())
}

fn password() -> Outcome {
    refused(client("LOCKED")?.get_connection().and_then(|mut r| r.get::<_, Option<String>>("k")), "Authentication required");
    for protocol in BOTH {
        let wrong = client_with("LOCKED", speaks(protocol).set_password("wrong"))?;
        // After AUTH it says what it is, after HELLO with AUTH what the server said.
        let text = if matches!(protocol, ProtocolVersion::RESP2) { "AuthenticationFailed" } else { "invalid username-password pair or user is disabled." };
        refused(wrong.get_connection(), text);
        let mut r = client_with("LOCKED", speaks(protocol).set_password("secret"))?.get_connection()?;
        equal(redis::cmd("PING").query::<String>(&mut r)?, "PONG");
    }
    let port = std::env::var("LOCKED")?;
    let mut r = Client::open(format!("redis://:secret@127.0.0.1:{port}/3?protocol=resp3"))?.get_connection()?;
    assert!(redis::cmd("CLIENT").arg("INFO").query::<String>(&mut r)?.contains("db=3"));
    Ok(())
}

fn acl_user() -> Outcome {
    let mut r = primary()?;
    for rule in ["reset", "on", ">word", "~app:*", "+get", "+ping", "+client", "+hello"] {
        redis::cmd("ACL").arg("SETUSER").arg("reader").arg(rule).exec(&mut r)?;
    }
    assert!(r.acl_getuser::<_, Option<redis::acl::AclInfo>>("reader")?.is_some());
    for protocol in BOTH {
        let mut own = client_with("PRIMARY", speaks(protocol).set_username("reader").set_password("word"))?.get_connection()?;
        equal(own.get::<_, Option<String>>("app:x")?, None::<String>);
        let error = refused(own.get::<_, Option<String>>("other"), "No permissions to access a key");
        equal(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm));
        refused(own.set::<_, _, ()>("app:x", 1), "User reader has no permissions to run the 'set' command");
    }
    equal(r.acl_deluser::<_, usize>(&["reader"])?, 1);
    Ok(())
}

fn resp3() -> Outcome {
    for protocol in BOTH {
        let mut r = client_with("PRIMARY", speaks(protocol))?.get_connection()?;
        r.del::<_, ()>(&["h3", "z3"])?;
        r.hset::<_, _, _, ()>("h3", "a", "1")?;
        equal(r.hgetall::<_, HashMap<String, String>>("h3")?, HashMap::from([("a".to_string(), "1".to_string())]));
        r.zadd::<_, _, _, ()>("z3", "m", 1.5)?;
        equal(r.zrange_withscores::<_, Vec<(String, f64)>>("z3", 0, -1)?, vec![("m".to_string(), 1.5)]);
        let limit: HashMap<String, String> = redis::cmd("CONFIG").arg("GET").arg("maxmemory").query(&mut r)?;
        equal(limit["maxmemory"].as_str(), "0");
    }
    Ok(())
}

fn pipeline() -> Outcome {
    let mut r = primary()?;
    let mut pipe = redis::pipe();
    for n in 0..1000 {
        pipe.set(format!("p:{n}"), n).ignore().get(format!("p:{n}"));
    }
    equal(pipe.query::<Vec<i32>>(&mut r)?, (0..1000).collect::<Vec<_>>());
    refused(redis::pipe().lpush("p:1", 1).get("p:2").query::<()>(&mut r), "Operation against a key holding the wrong kind of value");
    equal(r.get::<_, i32>("p:2")?, 2);
    Ok(())
}

fn transaction() -> Outcome {
    let (mut r, mut other) = (primary()?, primary()?);
    r.set::<_, _, ()>("counter", 1)?;
    let mut runs = 0;
    let (value,): (i32,) = redis::transaction(&mut r, &["counter"], |r, pipe| {
        let seen: i32 = r.get("counter")?;
        if runs == 0 {
            other.set::<_, _, ()>("counter", 5)?;
        }
        runs += 1;
        pipe.set("counter", seen + 1).ignore().get("counter").query(r)
    })?;
    equal((runs, value), (2, 6));
    Ok(())
}

fn pub_sub() -> Outcome {
    let mut r = primary()?;
    for protocol in BOTH {
        let mut connection = client_with("PRIMARY", speaks(protocol))?.get_connection()?;
        let mut subscriber = connection.as_pubsub();
        subscriber.set_read_timeout(Some(WAIT))?;
        subscriber.subscribe("news")?;
        subscriber.psubscribe("n*")?;
        equal(r.publish::<_, _, usize>("news", "hello")?, 2);
        let (message, matched) = (subscriber.get_message()?, subscriber.get_message()?);
        equal((message.get_payload::<String>()?.as_str(), message.get_channel_name()), ("hello", "news"));
        equal(matched.get_pattern::<String>()?, "n*");
    }
    Ok(())
}

fn blocking_pop() -> Outcome {
    let mut r = primary()?;
    let waiter = thread::spawn(|| primary().and_then(|mut r| r.blpop::<_, Option<(String, String)>>(&["jobs", "more"], WAIT.as_secs_f64())));
    until(|| Ok(redis::cmd("INFO").arg("clients").query::<String>(&mut r)?.contains("blocked_clients:1\r")))?;
    r.rpush::<_, _, ()>("jobs", "one")?;
    equal(waiter.join().expect("the waiter ends")?, Some(("jobs".to_string(), "one".to_string())));
    equal(r.blpop::<_, Option<(String, String)>>("jobs", 0.01)?, None::<(String, String)>);
    Ok(())
}

fn scripts() -> Outcome {
    let mut r = primary()?;
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut r)?;
    r.del::<_, ()>("sum")?;
    let add = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let direct = redis::cmd("EVALSHA").arg(add.get_hash()).arg(1).arg("sum").arg(1).exec(&mut r);
    equal(direct.err().map(|error| error.kind()), Some(ErrorKind::Server(ServerErrorKind::NoScript)));
    equal(add.key("sum").arg(3).invoke::<i32>(&mut r)?, 3);
    equal(add.key("sum").arg(4).invoke::<i32>(&mut r)?, 7);
    let library = "#!lua name=smoke\nredis.register_function{function_name='twice', callback=function(k, a) return a[1] * 2 end, flags={'no-writes'}}";
    redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(library).exec(&mut r)?;
    equal(redis::cmd("FCALL").arg("twice").arg(0).arg(4).query::<i32>(&mut r)?, 8);
    Ok(())
}

fn stream_group() -> Outcome {
    let mut r = primary()?;
    r.del::<_, ()>("events")?;
    r.xgroup_create_mkstream::<_, _, _, ()>("events", "group", "0")?;
    let first: String = r.xadd("events", "*", &[("n", "1")])?;
    r.xadd::<_, _, _, _, ()>("events", "*", &[("n", "2")])?;
    let options = StreamReadOptions::default().group("group", "one").count(1);
    let read: StreamReadReply = r.xread_options(&["events"], &[">"], &options)?;
    equal((read.keys[0].key.as_str(), &read.keys[0].ids[0].id, read.keys[0].ids[0].get::<i32>("n")), ("events", &first, Some(1)));
    let claimed: StreamAutoClaimReply = r.xautoclaim_options("events", "group", "two", 0, "0", StreamAutoClaimOptions::default())?;
    equal(&claimed.claimed[0].id, &first);
    equal(r.xack::<_, _, _, usize>("events", "group", &[&first])?, 1);
    equal((r.xlen::<_, usize>("events")?, r.xinfo_groups::<_, redis::streams::StreamInfoGroupsReply>("events")?.groups[0].lag), (2, Some(1)));
    Ok(())
}

fn scan() -> Outcome {
    let mut r = client_with("PRIMARY", RedisConnectionInfo::default().set_db(5))?.get_connection()?;
    redis::cmd("FLUSHDB").exec(&mut r)?;
    for n in 0..500 {
        r.set::<_, _, ()>(format!("s:{n}"), n)?;
    }
    let found: HashSet<String> = r.scan_match("s:*")?.collect::<RedisResult<_>>()?;
    equal(found.len(), 500);
    Ok(())
}

fn sorted_set() -> Outcome {
    let mut r = primary()?;
    r.del::<_, ()>("board")?;
    equal(r.zadd_multiple::<_, _, _, usize>("board", &[(1, "a"), (2, "b"), (3, "c")])?, 3);
    equal(r.zrevrange::<_, Vec<String>>("board", 0, -1)?, vec!["c", "b", "a"]);
    equal((r.zincr::<_, _, _, f64>("board", "a", 5)?, r.zrevrank::<_, _, Option<usize>>("board", "a")?), (6.0, Some(0)));
    equal(r.zpopmin::<_, Vec<(String, f64)>>("board", 1)?, vec![("b".to_string(), 2.0)]);
    Ok(())
}

fn hash_fields() -> Outcome {
    let mut r = primary()?;
    r.del::<_, ()>("user")?;
    r.hset_multiple::<_, _, _, ()>("user", &[("name", "ann"), ("age", "7")])?;
    equal(r.hincr::<_, _, _, i32>("user", "age", 1)?, 8);
    equal(r.hexpire::<_, _, Vec<i32>>("user", 100, ExpireOption::NONE, &["name", "no"])?, vec![1, -2]);
    assert!(r.httl::<_, _, Vec<i32>>("user", "name")?[0] > 0);
    equal(r.hpersist::<_, _, Vec<i32>>("user", "name")?, vec![1]);
    equal(r.hget_ex::<_, _, Vec<String>>("user", "age", redis::Expiry::EX(50))?, vec!["8"]);
    equal(r.hget_del::<_, _, Vec<Option<String>>>("user", "age")?, vec![Some("8".to_string())]);
    Ok(())
}

fn geo() -> Outcome {
    let mut r = primary()?;
    r.del::<_, ()>("sicily")?;
    let places = [(Coord::lon_lat("13.361389", "38.115556"), "Palermo"), (Coord::lon_lat("15.087269", "37.502669"), "Catania")];
    equal(r.geo_add::<_, _, usize>("sicily", &places)?, 2);
    equal(r.geo_dist::<_, _, _, f64>("sicily", "Palermo", "Catania", Unit::Kilometers)?.round(), 166.0);
    let near: Vec<String> = r.geo_radius("sicily", 15.0, 37.0, 200.0, Unit::Kilometers, RadiusOptions::default().order(RadiusOrder::Asc))?;
    equal(near, vec!["Catania", "Palermo"]);
    Ok(())
}

fn bitmap() -> Outcome {
    let mut r = primary()?;
    r.del::<_, ()>(&["bits", "hll"])?;
    equal((r.setbit::<_, bool>("bits", 7, true)?, r.getbit::<_, bool>("bits", 7)?, r.bitcount::<_, usize>("bits")?), (false, true, 1));
    equal((r.pfadd::<_, _, bool>("hll", &["a", "b", "c"])?, r.pfcount::<_, usize>("hll")?), (true, 3));
    Ok(())
}

fn pool() -> Outcome {
    let pool = r2d2::Pool::builder().max_size(4).build(client("PRIMARY")?)?;
    primary()?.del::<_, ()>("pooled")?;
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || (0..50).try_for_each(|_| pool.get().expect("a connection").incr::<_, _, ()>("pooled", 1)))
        })
        .collect();
    for one in threads {
        one.join().expect("the thread ends")?;
    }
    equal(primary()?.get::<_, i32>("pooled")?, 800);
    Ok(())
}

async fn caching() -> Outcome {
    let mut other = client("PRIMARY")?.get_multiplexed_async_connection().await?;
    other.set::<_, _, ()>("cached", "1").await?;
    let config = AsyncConnectionConfig::new().set_cache_config(CacheConfig::new());
    let mut cached = client_with("PRIMARY", speaks(ProtocolVersion::RESP3))?.get_multiplexed_async_connection_with_config(&config).await?;
    for _ in 0..2 {
        equal(cached.get::<_, String>("cached").await?, "1");
    }
    equal(cached.get_cache_statistics().map(|found| found.hit), Some(1));
    other.set::<_, _, ()>("cached", "2").await?;
    let deadline = Instant::now() + WAIT;
    while cached.get::<_, String>("cached").await? != "2" {
        assert!(Instant::now() < deadline, "the cached value stays");
    }
    Ok(())
}

async fn reconnects() -> Outcome {
    let config = ConnectionManagerConfig::new().set_number_of_retries(3).set_min_delay(Duration::from_millis(1));
    let mut r = ConnectionManager::new_with_config(client("PRIMARY")?, config).await?;
    let first: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut r).await?;
    let mut other = primary()?;
    equal(redis::cmd("CLIENT").arg("KILL").arg("ID").arg(first).query::<i32>(&mut other)?, 1);
    // The command that meets the closed connection fails; the manager connects anew for the next ones.
    let deadline = Instant::now() + WAIT;
    let second = loop {
        match redis::cmd("CLIENT").arg("ID").query_async::<i64>(&mut r).await {
            Ok(id) => break id,
            Err(error) => assert!(Instant::now() < deadline, "no new connection: {error}"),
        }
    };
    assert!(second > first, "{second} follows {first}");
    Ok(())
}

fn read_only() -> Outcome {
    let mut r = client("REPLICA")?.get_connection()?;
    let error = refused(r.set::<_, _, ()>("k", "v"), "You can't write against a read only replica.");
    equal(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly));
    Ok(())
}

fn replica_reads() -> Outcome {
    let mut r = primary()?;
    r.set::<_, _, ()>("spread", "v")?;
    equal(redis::cmd("WAIT").arg(1).arg(WAIT.as_millis() as u64).query::<i32>(&mut r)?, 1);
    let mut replica = client("REPLICA")?.get_connection()?;
    equal(replica.get::<_, String>("spread")?, "v");
    let role: redis::InfoDict = redis::cmd("INFO").arg("replication").query(&mut replica)?;
    equal(role.get::<String>("role"), Some("slave".to_string()));
    Ok(())
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let in_runtime = |check: std::pin::Pin<Box<dyn Future<Output = Outcome>>>| runtime.block_on(check);
    let checks: Vec<(&str, Box<dyn Fn() -> Outcome + '_>)> = vec![
        ("connects", Box::new(connects)),
        ("password", Box::new(password)),
        ("ACL user", Box::new(acl_user)),
        ("RESP3", Box::new(resp3)),
        ("pipeline", Box::new(pipeline)),
        ("MULTI with WATCH", Box::new(transaction)),
        ("pub/sub", Box::new(pub_sub)),
        ("blocking pop", Box::new(blocking_pop)),
        ("scripts", Box::new(scripts)),
        ("stream group", Box::new(stream_group)),
        ("SCAN", Box::new(scan)),
        ("sorted set", Box::new(sorted_set)),
        ("hash fields", Box::new(hash_fields)),
        ("geo", Box::new(geo)),
        ("bitmap", Box::new(bitmap)),
        ("client-side caching", Box::new(|| in_runtime(Box::pin(caching())))),
        ("connection pool", Box::new(pool)),
        ("reconnects", Box::new(|| in_runtime(Box::pin(reconnects())))),
        ("READONLY", Box::new(read_only)),
        ("replica reads", Box::new(replica_reads)),
    ];
    std::panic::set_hook(Box::new(|_| {})); // the line of a check says what happened
    for (name, check) in checks {
        let problem = match catch_unwind(AssertUnwindSafe(check)) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(cause) => Some(match cause.downcast_ref::<String>() {
                Some(text) => text.clone(),
                None => cause.downcast_ref::<&str>().map_or("a panic".to_string(), |text| text.to_string()),
            }),
        };
        match problem {
            None => println!("passed {name}"),
            Some(text) => println!("failed {name}: {}", text.replace('\n', " ")),
        }
    }
    println!("all checks were made");
}
