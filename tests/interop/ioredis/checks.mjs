// What applications do with ioredis, against a primary, its replica and a node with a password.
import { Redis } from 'ioredis';
import { equal, later, LOCKED, PRIMARY, refused, REPLICA, runAll, until, WAIT_MS } from './check.mjs';

function client(port = PRIMARY, options = {}) {
  const redis = new Redis({ host: '127.0.0.1', port, ...options });
  redis.on('error', () => {});  // a check sees it in the answer of its command
  return redis;
}

const checks = {
  async connects() {
    const redis = client(PRIMARY, { connectionName: 'smoke', db: 2 });
    equal(await redis.ping(), 'PONG');
    equal(await redis.client('GETNAME'), 'smoke');
    equal(/lib-name=ioredis/.test(await redis.client('INFO')), true);
    equal([await redis.set('k', 'v', 'EX', 100), await redis.get('k'), await redis.get('none')], ['OK', 'v', null]);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    equal(await redis.echoBuffer?.(bytes) ?? await redis.callBuffer('ECHO', bytes), bytes);
    const large = 'x'.repeat(5_000_000);
    await redis.set('large', large);
    equal((await redis.get('large')) === large, true);
    equal(await redis.quit(), 'OK');
  },
  async password() {
    for (const protocol of [2, 3]) {
      const open = client(LOCKED, { protocol, enableReadyCheck: false, retryStrategy: null });
      await refused(open.get('k'), 'NOAUTH ');
      equal(await client(LOCKED, { protocol, password: 'secret' }).ping(), 'PONG');
    }
    const wrong = client(LOCKED, { password: 'wrong', retryStrategy: null });
    const failed = later();
    wrong.on('error', (error) => failed.resolve(error.message));
    equal((await failed.promise).startsWith('WRONGPASS invalid username-password pair or user is disabled.'), true);
    equal(await new Redis(`redis://:secret@127.0.0.1:${LOCKED}/3`).client('INFO').then((info) => /db=3/.test(info)), true);
  },
  async 'ACL user'() {
    const redis = client();
    equal(await redis.acl('SETUSER', 'reader', 'reset', 'on', '>word', '~app:*', '+get', '+ping', '+client', '+hello', '+info'), 'OK');
    for (const protocol of [2, 3]) {
      const own = client(PRIMARY, { protocol, username: 'reader', password: 'word' });
      equal(await own.get('app:x'), null);
      await refused(own.get('other'), 'NOPERM No permissions to access a key');
      await refused(own.set('app:x', 1), "NOPERM User reader has no permissions to run the 'set' command");
    }
    equal(await redis.acl('DELUSER', 'reader'), 1);
  },
  async RESP3() {
    const redis = client(PRIMARY, { protocol: 3, replyMapping: 'resp3' });
    await redis.del('h3', 'z3');
    await redis.hset('h3', { a: '1' });
    await redis.zadd('z3', 1.5, 'm');
    equal({ ...(await redis.hgetall('h3')) }, { a: '1' });
    equal(await redis.zscore('z3', 'm'), 1.5);
    equal(/resp=3/.test(await redis.client('INFO')), true);
    const old = client(PRIMARY, { protocol: 2 });
    equal(await old.zscore('z3', 'm'), '1.5');
    equal(/resp=2/.test(await old.client('INFO')), true);
  },
  async pipeline() {
    const redis = client();
    const pipe = redis.pipeline();
    for (let n = 0; n < 1000; n++) pipe.set(`p:${n}`, n).get(`p:${n}`);
    const answers = await pipe.exec();
    equal(answers.length, 2000);
    equal(answers.every(([error, answer], n) => error === null && answer === (n % 2 ? String((n - 1) / 2) : 'OK')), true);
    const [[error], [, pong]] = await redis.pipeline().lpush('p:1', 1).ping().exec();
    equal([error.message, pong], ['WRONGTYPE Operation against a key holding the wrong kind of value', 'PONG']);
    const automatic = client(PRIMARY, { enableAutoPipelining: true });
    equal(await Promise.all([1, 2, 3].map((n) => automatic.get(`p:${n}`))), ['1', '2', '3']);
  },
  async 'MULTI with WATCH'() {
    const redis = client();
    await redis.set('counter', 1);
    await redis.watch('counter');
    await client().set('counter', 5);
    equal(await redis.multi().incr('counter').exec(), null);
    await redis.watch('counter');
    equal(await redis.multi().incr('counter').get('counter').exec(), [[null, 6], [null, '6']]);
    await refused(redis.multi().incr('counter').set('counter').exec(), 'EXECABORT Transaction discarded because of previous errors.');
  },
  async 'pub/sub'() {
    const redis = client();
    for (const protocol of [2, 3]) {
      const subscriber = client(PRIMARY, { protocol });
      const message = later(), matched = later(), sharded = later();
      subscriber.on('message', (channel, text) => message.resolve([channel, text]));
      subscriber.on('pmessage', (pattern, channel, text) => matched.resolve([pattern, channel, text]));
      subscriber.on('smessage', (channel, text) => sharded.resolve([channel, text]));
      equal([await subscriber.subscribe('news'), await subscriber.psubscribe('n*'), await subscriber.ssubscribe('shard')], [1, 2, 1]);
      equal(await redis.publish('news', 'hello'), 2);
      equal(await redis.spublish('shard', 's'), 1);
      equal([await message.promise, await matched.promise, await sharded.promise], [['news', 'hello'], ['n*', 'news', 'hello'], ['shard', 's']]);
      await subscriber.unsubscribe('news');
      subscriber.disconnect();
    }
  },
  async 'blocking pop'() {
    const redis = client(), waiting = client();
    await waiting.ping();
    const popped = waiting.blpop('jobs', 'more', WAIT_MS / 1000);
    await until(async () => /blocked_clients:1\r/.test(await redis.info('clients')));
    await redis.rpush('jobs', 'one');
    equal(await popped, ['jobs', 'one']);
    equal(await waiting.blpop('jobs', 0.01), null);
  },
  async scripts() {
    const redis = client();
    await redis.script('FLUSH');
    await redis.del('sum');
    redis.defineCommand('add', { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
    equal([await redis.add('sum', 3), await redis.add('sum', 4)], [3, 7]);
    await redis.script('FLUSH');
    equal(await redis.pipeline().add('sum', 1).add('sum', 1).exec(), [[null, 8], [null, 9]]);
    await redis.function('LOAD', 'REPLACE', "#!lua name=smoke\nredis.register_function{function_name='twice', callback=function(k, a) return a[1] * 2 end, flags={'no-writes'}}");
    equal([await redis.fcall('twice', 0, 4), await redis.fcall_ro('twice', 0, 5)], [8, 10]);
  },
  async 'stream group'() {
    const redis = client();
    await redis.del('events');
    equal(await redis.xgroup('CREATE', 'events', 'group', '0', 'MKSTREAM'), 'OK');
    const first = await redis.xadd('events', '*', 'n', '1');
    await redis.xadd('events', 'MAXLEN', '~', 100, '*', 'n', '2');
    equal(await redis.xreadgroup('GROUP', 'group', 'one', 'COUNT', 1, 'STREAMS', 'events', '>'), [['events', [[first, ['n', '1']]]]]);
    equal((await redis.xpending('events', 'group'))[0], 1);
    equal((await redis.xautoclaim('events', 'group', 'two', 0, '0'))[1], [[first, ['n', '1']]]);
    equal([await redis.xack('events', 'group', first), await redis.xlen('events'), (await redis.xrange('events', '-', '+')).length], [1, 2, 2]);
    equal((await redis.xinfo('GROUPS', 'events'))[0].includes('lag'), true);
  },
  async SCAN() {
    const redis = client(PRIMARY, { db: 5 });
    await redis.flushdb();
    await redis.mset(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`s:${n}`, n])));
    const found = new Set();
    for await (const keys of redis.scanStream({ match: 's:*', count: 50 })) keys.forEach((key) => found.add(key));
    equal(found.size, 500);
    await redis.sadd('set', ...Array.from({ length: 300 }, (_, n) => n));
    const members = new Set();
    for await (const some of redis.sscanStream('set')) some.forEach((member) => members.add(member));
    equal([members.size, await redis.dbsize()], [300, 501]);
  },
  async 'sorted set'() {
    const redis = client();
    await redis.del('board');
    equal(await redis.zadd('board', 1, 'a', 2, 'b', 3, 'c'), 3);
    equal((await redis.zrange('board', 0, -1, 'REV', 'WITHSCORES')).flat(), ['c', '3', 'b', '2', 'a', '1']);
    equal([await redis.zincrby('board', 5, 'a'), await redis.zrevrank('board', 'a'), await redis.zrangebyscore('board', '(2', '+inf')], ['6', 0, ['c', 'a']]);
    equal([await redis.zrangestore('board2', 'board', 0, 1), (await redis.zpopmin('board2')).flat(), await redis.zadd('board', 'GT', 1, 'a')], [2, ['b', '2'], 0]);
  },
  async 'hash fields'() {
    const redis = client();
    await redis.del('user');
    equal([await redis.hset('user', { name: 'ann', age: 7 }), await redis.hincrby('user', 'age', 1), await redis.hmget('user', 'name', 'no')], [2, 8, ['ann', null]]);
    equal(await redis.hexpire('user', 100, 'FIELDS', 2, 'name', 'no'), [1, -2]);
    equal((await redis.httl('user', 'FIELDS', 1, 'name'))[0] > 0, true);
    equal(await redis.hpersist('user', 'FIELDS', 1, 'name'), [1]);
    equal([await redis.hgetex('user', 'EX', 50, 'FIELDS', 1, 'age'), await redis.hgetdel('user', 'FIELDS', 1, 'age')], [['8'], ['8']]);
    equal({ ...(await redis.hgetall('user')) }, { name: 'ann' });
  },
  async geo() {
    const redis = client();
    await redis.del('sicily');
    equal(await redis.geoadd('sicily', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), 2);
    equal(Number(await redis.geodist('sicily', 'Palermo', 'Catania', 'KM')).toFixed(1), '166.3');
    equal(await redis.geosearch('sicily', 'FROMLONLAT', 15, 37, 'BYRADIUS', 200, 'KM', 'ASC'), ['Catania', 'Palermo']);
  },
  async bitmap() {
    const redis = client();
    await redis.del('bits', 'hll');
    equal([await redis.setbit('bits', 7, 1), await redis.getbit('bits', 7), await redis.bitcount('bits'), await redis.bitpos('bits', 1)], [0, 1, 1, 7]);
    equal(await redis.bitfield('bits', 'SET', 'u8', 8, 200, 'INCRBY', 'u8', 8, 10), [0, 210]);
    equal([await redis.pfadd('hll', 'a', 'b', 'c'), await redis.pfcount('hll')], [1, 3]);
  },
  async 'connection pool'() {
    // ioredis has none of its own: several connections share the work.
    const connections = Array.from({ length: 4 }, () => client());
    await connections[0].del('pooled');
    await Promise.all(Array.from({ length: 800 }, (_, n) => connections[n % 4].incr('pooled')));
    equal(await connections[0].get('pooled'), '800');
    await Promise.all(connections.map((connection) => connection.quit()));
  },
  async reconnects() {
    const redis = client(), subscriber = client();
    const heard = later();
    subscriber.on('message', (_, text) => heard.resolve(text));
    await subscriber.subscribe('after');
    const first = await redis.client('ID');
    const ready = new Promise((resolve) => redis.once('ready', resolve));
    equal(await client().client('KILL', 'ID', first), 1);
    await ready;
    equal((await redis.client('ID')) > first, true);
    const again = new Promise((resolve) => subscriber.once('ready', resolve));
    equal(await redis.client('KILL', 'TYPE', 'pubsub'), 1);
    await again;
    await until(async () => (await redis.publish('after', 'heard')) === 1);
    equal(await heard.promise, 'heard');
  },
  async READONLY() {
    const text = "READONLY You can't write against a read only replica.";
    await refused(client(REPLICA).set('k', 'v'), text);
    await refused(client(REPLICA).multi().set('k', 'v').exec(), 'EXECABORT Transaction discarded because of previous errors.');
    // The recipe for managed services: a write that meets an old primary connects anew, where it should now meet the new one.
    const moved = client(REPLICA, { reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false), maxRetriesPerRequest: 1 });
    moved.on('reconnecting', () => { moved.options.port = PRIMARY; });
    equal(await moved.set('moved', 'v'), 'OK');
  },
  async 'replica reads'() {
    const primary = client(), replica = client(REPLICA);
    await primary.set('spread', 'v');
    equal(await primary.wait(1, WAIT_MS), 1);
    equal([await replica.get('spread'), (await primary.role())[0], (await replica.role())[0]], ['v', 'master', 'slave']);
  },
  async monitor() {
    const redis = client();
    const monitor = await redis.monitor();
    const seen = later();
    monitor.on('monitor', (_, words) => { if (words[1] === 'watched') seen.resolve(words.map((word) => word.toLowerCase())); });
    await redis.set('watched', 1);
    equal(await seen.promise, ['set', 'watched', '1']);
    monitor.disconnect();
  },
};

await runAll(checks);
