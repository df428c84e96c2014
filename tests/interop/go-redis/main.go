// What applications do with go-redis, against a primary, its replica and a node with a password.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const wait = 20 * time.Second

var ctx = context.Background()

// A check ends at its first difference; runAll turns the panic into its line.
func equal(got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("%#v instead of %#v", got, wanted))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func refused(err error, text string) {
	if err == nil || !strings.Contains(err.Error(), text) {
		panic(fmt.Sprintf("the error is %v, without %q", err, text))
	}
}

func until(condition func() bool) {
	for deadline := time.Now().Add(wait); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic(fmt.Sprintf("not reached within %v", wait))
		}
	}
}

// node: PRIMARY, REPLICA or LOCKED.
func client(node string, change ...func(*redis.Options)) *redis.Client {
	options := &redis.Options{Addr: "127.0.0.1:" + os.Getenv(node)}
	for _, one := range change {
		one(options)
	}
	return redis.NewClient(options)
}

func protocol(version int) func(*redis.Options) {
	return func(o *redis.Options) { o.Protocol = version }
}

func connects() {
	r := client("PRIMARY", func(o *redis.Options) { o.ClientName, o.DB = "smoke", 2 })
	defer r.Close()
	equal(must(r.Ping(ctx).Result()), "PONG")
	equal(must(r.ClientGetName(ctx).Result()), "smoke")
	equal(strings.Contains(must(r.ClientInfo(ctx).Result()).LibName, "go-redis"), true)
	equal(must(r.Set(ctx, "k", "v", 100*time.Second).Result()), "OK")
	equal(must(r.Get(ctx, "k").Result()), "v")
	equal(r.Get(ctx, "none").Err(), redis.Nil)
	bytes := make([]byte, 256)
	for i := range bytes {
		bytes[i] = byte(i)
	}
	equal(must(r.Echo(ctx, string(bytes)).Result()), string(bytes))
	large := strings.Repeat("x", 5_000_000)
	equal(r.Set(ctx, "large", large, 0).Err(), nil)
	equal(must(r.Get(ctx, "large").Result()) == large, true)
}

func password() {
	refused(client("LOCKED").Ping(ctx).Err(), "NOAUTH Authentication required.")
	for version := 2; version <= 3; version++ {
		r := client("LOCKED", protocol(version), func(o *redis.Options) { o.Password = "wrong" })
		refused(r.Ping(ctx).Err(), "WRONGPASS invalid username-password pair or user is disabled.")
		r = client("LOCKED", protocol(version), func(o *redis.Options) { o.Password = "secret" })
		equal(must(r.Ping(ctx).Result()), "PONG")
	}
	options := must(redis.ParseURL("redis://:secret@127.0.0.1:" + os.Getenv("LOCKED") + "/3"))
	equal(must(redis.NewClient(options).ClientInfo(ctx).Result()).DB, 3)
}

func aclUser() {
	r := client("PRIMARY")
	equal(must(r.ACLSetUser(ctx, "reader", "reset", "on", ">word", "~app:*", "+get", "+ping", "+client", "+hello").Result()), "OK")
	for version := 2; version <= 3; version++ {
		own := client("PRIMARY", protocol(version), func(o *redis.Options) { o.Username, o.Password = "reader", "word" })
		equal(own.Get(ctx, "app:x").Err(), redis.Nil)
		refused(own.Get(ctx, "other").Err(), "NOPERM No permissions to access a key")
		refused(own.Set(ctx, "app:x", 1, 0).Err(), "NOPERM User reader has no permissions to run the 'set' command")
		own.Close()
	}
	equal(must(r.ACLDelUser(ctx, "reader").Result()), int64(1))
}

func resp3() {
	for version := 2; version <= 3; version++ {
		r := client("PRIMARY", protocol(version))
		r.Del(ctx, "h3", "z3")
		equal(must(r.HSet(ctx, "h3", "a", "1").Result()), int64(1))
		equal(must(r.HGetAll(ctx, "h3").Result()), map[string]string{"a": "1"})
		equal(must(r.ZAdd(ctx, "z3", redis.Z{Score: 1.5, Member: "m"}).Result()), int64(1))
		equal(must(r.ZRangeWithScores(ctx, "z3", 0, -1).Result()), []redis.Z{{Score: 1.5, Member: "m"}})
		equal(must(r.ConfigGet(ctx, "maxmemory").Result()), map[string]string{"maxmemory": "0"})
		equal(must(r.ClientInfo(ctx).Result()).Resp, version)
	}
}

func pipeline() {
	r := client("PRIMARY")
	pipe := r.Pipeline()
	for n := range 1000 {
		pipe.Set(ctx, fmt.Sprint("p:", n), n, 0)
		pipe.Get(ctx, fmt.Sprint("p:", n))
	}
	for n, answer := range must(pipe.Exec(ctx)) {
		if get, ok := answer.(*redis.StringCmd); ok {
			equal(must(get.Int()), n/2)
		}
	}
	wrong, pong := pipe.LPush(ctx, "p:1", 1), pipe.Ping(ctx)
	pipe.Exec(ctx)
	refused(wrong.Err(), "WRONGTYPE Operation against a key holding the wrong kind of value")
	equal(must(pong.Result()), "PONG")
}

func transaction() {
	r, other := client("PRIMARY"), client("PRIMARY")
	equal(r.Set(ctx, "counter", 1, 0).Err(), nil)
	increment := func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error { return pipe.Incr(ctx, "counter").Err() })
		return err
	}
	equal(r.Watch(ctx, func(tx *redis.Tx) error {
		other.Set(ctx, "counter", 5, 0)
		return increment(tx)
	}, "counter"), redis.TxFailedErr)
	equal(r.Watch(ctx, increment, "counter"), nil)
	equal(must(r.Get(ctx, "counter").Int()), 6)
}

func pubSub() {
	r := client("PRIMARY")
	for version := 2; version <= 3; version++ {
		subscriber := client("PRIMARY", protocol(version)).Subscribe(ctx, "news")
		equal(subscriber.PSubscribe(ctx, "n*"), nil)
		equal(must(subscriber.ReceiveTimeout(ctx, wait)).(*redis.Subscription).Kind, "subscribe")
		equal(must(subscriber.ReceiveTimeout(ctx, wait)).(*redis.Subscription).Kind, "psubscribe")
		equal(must(r.Publish(ctx, "news", "hello").Result()), int64(2))
		equal(must(subscriber.ReceiveTimeout(ctx, wait)).(*redis.Message).Payload, "hello")
		equal(must(subscriber.ReceiveTimeout(ctx, wait)).(*redis.Message).Pattern, "n*")
		equal(subscriber.Ping(ctx, "alive"), nil)
		equal(must(subscriber.ReceiveTimeout(ctx, wait)).(*redis.Pong).Payload, "alive")
		subscriber.Close()
		sharded := client("PRIMARY", protocol(version)).SSubscribe(ctx, "shard")
		equal(must(sharded.ReceiveTimeout(ctx, wait)).(*redis.Subscription).Kind, "ssubscribe")
		equal(must(r.SPublish(ctx, "shard", "s").Result()), int64(1))
		equal((<-sharded.Channel()).Payload, "s")
		sharded.Close()
	}
}

func blockingPop() {
	r := client("PRIMARY")
	got := make(chan []string)
	go func() { got <- client("PRIMARY").BLPop(ctx, wait, "jobs", "more").Val() }()
	until(func() bool { return strings.Contains(r.Info(ctx, "clients").Val(), "blocked_clients:1\r") })
	r.RPush(ctx, "jobs", "one")
	equal(<-got, []string{"jobs", "one"})
}

func scripts() {
	r := client("PRIMARY")
	equal(must(r.ScriptFlush(ctx).Result()), "OK")
	r.Del(ctx, "sum")
	add := redis.NewScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")
	refused(add.EvalSha(ctx, r, []string{"sum"}, 1).Err(), "NOSCRIPT No matching script. Please use EVAL.")
	equal(must(add.Run(ctx, r, []string{"sum"}, 3).Int()), 3)
	equal(must(add.EvalSha(ctx, r, []string{"sum"}, 4).Int()), 7)
	code := "#!lua name=smoke\nredis.register_function{function_name='twice', callback=function(k, a) return a[1] * 2 end, flags={'no-writes'}}"
	equal(must(r.FunctionLoadReplace(ctx, code).Result()), "smoke")
	equal(must(r.FCall(ctx, "twice", nil, 4).Int()), 8)
	equal(must(r.FunctionList(ctx, redis.FunctionListQuery{LibraryNamePattern: "smoke"}).Result())[0].Functions[0].Name, "twice")
}

func streamGroup() {
	r := client("PRIMARY")
	r.Del(ctx, "events")
	equal(must(r.XGroupCreateMkStream(ctx, "events", "group", "0").Result()), "OK")
	first := must(r.XAdd(ctx, &redis.XAddArgs{Stream: "events", Values: []string{"n", "1"}}).Result())
	must(r.XAdd(ctx, &redis.XAddArgs{Stream: "events", Values: []string{"n", "2"}, MaxLen: 100, Approx: true}).Result())
	read := must(r.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "group", Consumer: "one", Streams: []string{"events", ">"}, Count: 1}).Result())
	equal([]any{read[0].Stream, read[0].Messages[0].ID, read[0].Messages[0].Values}, []any{"events", first, map[string]any{"n": "1"}})
	equal(must(r.XPending(ctx, "events", "group").Result()).Count, int64(1))
	claimed, _, err := r.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: "events", Group: "group", Consumer: "two", Start: "0"}).Result()
	equal([]any{err, claimed[0].ID}, []any{nil, first})
	equal(must(r.XAck(ctx, "events", "group", first).Result()), int64(1))
	equal(must(r.XInfoGroups(ctx, "events").Result())[0].Lag, int64(1))
	equal(must(r.XInfoStreamFull(ctx, "events", 0).Result()).Length, int64(2))
}

func scan() {
	r := client("PRIMARY", func(o *redis.Options) { o.DB = 5 })
	r.FlushDB(ctx)
	for n := range 500 {
		r.Set(ctx, fmt.Sprint("s:", n), n, 0)
	}
	found := map[string]bool{}
	keys := r.Scan(ctx, 0, "s:*", 50).Iterator()
	for keys.Next(ctx) {
		found[keys.Val()] = true
	}
	equal([]any{keys.Err(), len(found)}, []any{nil, 500})
	equal(must(r.DBSize(ctx).Result()), int64(500))
}

func sortedSet() {
	r := client("PRIMARY")
	r.Del(ctx, "board", "board2")
	equal(must(r.ZAdd(ctx, "board", redis.Z{Score: 1, Member: "a"}, redis.Z{Score: 2, Member: "b"}, redis.Z{Score: 3, Member: "c"}).Result()), int64(3))
	equal(must(r.ZRangeArgs(ctx, redis.ZRangeArgs{Key: "board", Start: 0, Stop: -1, Rev: true}).Result()), []string{"c", "b", "a"})
	equal(must(r.ZIncrBy(ctx, "board", 5, "a").Result()), 6.0)
	equal(must(r.ZRevRank(ctx, "board", "a").Result()), int64(0))
	equal(must(r.ZRangeByScore(ctx, "board", &redis.ZRangeBy{Min: "(2", Max: "+inf"}).Result()), []string{"c", "a"})
	equal(must(r.ZRangeStore(ctx, "board2", redis.ZRangeArgs{Key: "board", Start: 0, Stop: 1}).Result()), int64(2))
	equal(must(r.ZPopMin(ctx, "board2").Result()), []redis.Z{{Score: 2, Member: "b"}})
}

func hashFields() {
	r := client("PRIMARY")
	r.Del(ctx, "user")
	equal(must(r.HSet(ctx, "user", map[string]any{"name": "ann", "age": 7}).Result()), int64(2))
	equal(must(r.HIncrBy(ctx, "user", "age", 1).Result()), int64(8))
	equal(must(r.HMGet(ctx, "user", "name", "no").Result()), []any{"ann", nil})
	equal(must(r.HExpire(ctx, "user", 100*time.Second, "name", "no").Result()), []int64{1, -2})
	equal(must(r.HTTL(ctx, "user", "name").Result())[0] > 0, true)
	equal(must(r.HPersist(ctx, "user", "name").Result()), []int64{1})
	equal(must(r.HGetEX(ctx, "user", "age").Result()), []string{"8"})
	equal(must(r.HGetDel(ctx, "user", "age").Result()), []string{"8"})
	var user struct {
		Name string `redis:"name"`
	}
	equal(r.HGetAll(ctx, "user").Scan(&user), nil)
	equal(user.Name, "ann")
}

func geo() {
	r := client("PRIMARY")
	r.Del(ctx, "sicily")
	equal(must(r.GeoAdd(ctx, "sicily", &redis.GeoLocation{Longitude: 13.361389, Latitude: 38.115556, Name: "Palermo"},
		&redis.GeoLocation{Longitude: 15.087269, Latitude: 37.502669, Name: "Catania"}).Result()), int64(2))
	equal(fmt.Sprintf("%.1f", must(r.GeoDist(ctx, "sicily", "Palermo", "Catania", "km").Result())), "166.3")
	query := redis.GeoSearchQuery{Longitude: 15, Latitude: 37, Radius: 200, RadiusUnit: "km", Sort: "ASC"}
	equal(must(r.GeoSearch(ctx, "sicily", &query).Result()), []string{"Catania", "Palermo"})
	located := must(r.GeoSearchLocation(ctx, "sicily", &redis.GeoSearchLocationQuery{GeoSearchQuery: query, WithCoord: true, WithDist: true}).Result())
	equal(fmt.Sprintf("%.0f %.2f", located[0].Dist, located[0].Longitude), "56 15.09")
}

func bitmap() {
	r := client("PRIMARY")
	r.Del(ctx, "bits", "hll")
	equal(must(r.SetBit(ctx, "bits", 7, 1).Result()), int64(0))
	equal(must(r.BitCount(ctx, "bits", nil).Result()), int64(1))
	equal(must(r.BitField(ctx, "bits", "SET", "u8", 8, 200, "INCRBY", "u8", 8, 10).Result()), []int64{0, 210})
	equal(must(r.PFAdd(ctx, "hll", "a", "b", "c").Result()), int64(1))
	equal(must(r.PFCount(ctx, "hll").Result()), int64(3))
}

func caching() {
	other := client("PRIMARY")
	cached := client("PRIMARY", protocol(3), func(o *redis.Options) {
		o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{MaxEntries: 100}
	})
	other.Set(ctx, "cached", "1", 0)
	calls := func() string {
		for line := range strings.SplitSeq(other.Info(ctx, "commandstats").Val(), "\r\n") {
			if strings.HasPrefix(line, "cmdstat_get:") {
				return strings.Split(line, ",")[0]
			}
		}
		return ""
	}
	equal(must(cached.Get(ctx, "cached").Result()), "1")
	before := calls()
	equal(must(cached.Get(ctx, "cached").Result()), "1")
	equal(calls(), before)
	other.Set(ctx, "cached", "2", 0)
	until(func() bool { return cached.Get(ctx, "cached").Val() == "2" })
}

func pool() {
	r := client("PRIMARY", func(o *redis.Options) { o.PoolSize, o.MinIdleConns = 4, 2 })
	r.Del(ctx, "pooled")
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				r.Incr(ctx, "pooled")
			}
		})
	}
	all.Wait()
	equal(must(r.Get(ctx, "pooled").Int()), 800)
	equal(r.PoolStats().TotalConns <= 4, true)
}

func reconnects() {
	r, other := client("PRIMARY", func(o *redis.Options) { o.PoolSize = 1 }), client("PRIMARY")
	first := must(r.ClientID(ctx).Result())
	equal(must(other.ClientKillByFilter(ctx, "ID", fmt.Sprint(first)).Result()), int64(1))
	equal(must(r.ClientID(ctx).Result()) > first, true)
	subscriber := other.Subscribe(ctx, "after")
	must(subscriber.Receive(ctx))
	channel := subscriber.Channel()
	equal(must(other.ClientKillByFilter(ctx, "TYPE", "pubsub").Result()), int64(1))
	until(func() bool { return other.Publish(ctx, "after", "heard").Val() == 1 })
	equal((<-channel).Payload, "heard")
}

func readOnly() {
	r := client("REPLICA", func(o *redis.Options) { o.MaxRetries = -1 })
	refused(r.Set(ctx, "k", "v", 0).Err(), "READONLY You can't write against a read only replica.")
	_, err := r.TxPipelined(ctx, func(pipe redis.Pipeliner) error { return pipe.Set(ctx, "k", "v", 0).Err() })
	if err == nil {
		panic("a transaction that writes was no error")
	}
}

func replicaReads() {
	primary, replica := client("PRIMARY"), client("REPLICA")
	equal(primary.Set(ctx, "spread", "v", 0).Err(), nil)
	// WAIT is about the writes of its own connection.
	conn := primary.Conn()
	equal(conn.Set(ctx, "spread", "w", 0).Err(), nil)
	equal(must(conn.Wait(ctx, 1, wait).Result()), int64(1))
	equal(must(replica.Get(ctx, "spread").Result()), "w")
	equal(must(primary.Do(ctx, "ROLE").Slice())[0], "master")
	equal(must(replica.Do(ctx, "ROLE").Slice())[0], "slave")
}

func main() {
	checks := []struct {
		name string
		run  func()
	}{{"connects", connects}, {"password", password}, {"ACL user", aclUser}, {"RESP3", resp3}, {"pipeline", pipeline},
		{"MULTI with WATCH", transaction}, {"pub/sub", pubSub}, {"blocking pop", blockingPop}, {"scripts", scripts}, {"stream group", streamGroup},
		{"SCAN", scan}, {"sorted set", sortedSet}, {"hash fields", hashFields}, {"geo", geo}, {"bitmap", bitmap}, {"client-side caching", caching},
		{"connection pool", pool}, {"reconnects", reconnects}, {"READONLY", readOnly}, {"replica reads", replicaReads}}
	for _, check := range checks {
		if err := outcome(check.run); err != nil {
			fmt.Printf("failed %s: %s\n", check.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("passed", check.name)
		}
	}
	fmt.Println("all checks were made")
}

func outcome(check func()) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = errors.New(fmt.Sprint(cause))
		}
	}()
	check()
	return nil
}
