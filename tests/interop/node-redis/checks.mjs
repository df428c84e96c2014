// What applications do with node-redis, against a primary, its replica and a node with a password.
import { createClient, createClientPool, defineScript, WatchError } from 'redis';
import { equal, later, LOCKED, PRIMARY, refused, REPLICA, runAll, until, WAIT_MS } from './check.mjs';

async function client(port = PRIMARY, options = {}) {
  const { reconnectStrategy = 10, ...others } = options;
  const redis = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy }, ...others });
  redis.on('error', () => {});  // a check sees it in the answer of its command
  return redis.connect();
}

const add = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  parseCommand(parser, key, by) {
    parser.pushKey(key);
    parser.push(String(by));
  },
  transformReply: (reply) => reply,
});

const checks = {
  async connects() {
    const redis = await client(PRIMARY, { name: 'smoke', database: 2 });
    equal(await redis.ping(), 'PONG');
    equal(await redis.clientGetName(), 'smoke');
    equal((await redis.clientInfo()).libName, 'node-redis');
    equal([await redis.set('k', 'v', { expiration: { type: 'EX', value: 100 } }), await redis.get('k'), await redis.get('none')], ['OK', 'v', null]);
    const large = 'x'.repeat(5_000_000);
    await redis.set('large', large);
    equal((await redis.get('large')) === large, true);
    await redis.close();
  },
  async password() {
    await refused((await client(LOCKED, { RESP: 2 })).get('k'), 'Authentication required');
    await refused(client(LOCKED, { reconnectStrategy: false }), 'HELLO must be called with the client already authenticated');
    await refused(client(LOCKED, { password: 'wrong', reconnectStrategy: false }), 'WRONGPASS invalid username-password pair or user is disabled.');
    for (const RESP of [2, 3]) equal(await (await client(LOCKED, { RESP, password: 'secret' })).ping(), 'PONG');
    const url = await createClient({ url: `redis://:secret@127.0.0.1:${LOCKED}/3` }).connect();
    equal((await url.clientInfo()).db, 3);
  },
  async 'ACL user'() {
    const redis = await client();
    equal(await redis.aclSetUser('reader', ['reset', 'on', '>word', '~app:*', '+get', '+ping', '+client', '+hello']), 'OK');
    equal((await redis.aclGetUser('reader')).commands.includes('+get'), true);
    for (const RESP of [2, 3]) {
      const own = await client(PRIMARY, { RESP, username: 'reader', password: 'word' });
      equal(await own.get('app:x'), null);
      await refused(own.get('other'), 'NOPERM No permissions to access a key');
      await refused(own.set('app:x', 1), "NOPERM User reader has no permissions to run the 'set' command");
    }
    equal(await redis.aclDelUser('reader'), 1);
  },
  async RESP3() {
    for (const RESP of [2, 3]) {
      const redis = await client(PRIMARY, { RESP });
      await redis.del(['h3', 'z3']);
      await redis.hSet('h3', { a: '1' });
      await redis.zAdd('z3', { score: 1.5, value: 'm' });
      equal({ ...(await redis.hGetAll('h3')) }, { a: '1' });
      equal([await redis.zScore('z3', 'm'), await redis.zRangeWithScores('z3', 0, -1)], [1.5, [{ value: 'm', score: 1.5 }]]);
      equal({ ...(await redis.configGet('maxmemory')) }, { maxmemory: '0' });
      equal((await redis.clientInfo()).resp, RESP);
    }
  },
  async pipeline() {
    const redis = await client();
    const numbers = Array.from({ length: 1000 }, (_, n) => n);
    await Promise.all(numbers.map((n) => redis.set(`p:${n}`, String(n))));
    equal(await Promise.all(numbers.map((n) => redis.get(`p:${n}`))), numbers.map(String));
    equal(await redis.multi().set('p', '1').get('p').execAsPipeline(), ['OK', '1']);
  },
  async 'MULTI with WATCH'() {
    const redis = await client(), other = await client();
    await redis.set('counter', '1');
    await redis.watch('counter');
    await other.set('counter', '5');
    let aborted = null;
    await redis.multi().incr('counter').exec().catch((error) => { aborted = error; });
    equal(aborted instanceof WatchError, true);
    await redis.watch('counter');
    equal(await redis.multi().incr('counter').get('counter').exec(), [6, '6']);
  },
  async 'pub/sub'() {
    const redis = await client();
    for (const RESP of [2, 3]) {
      const subscriber = await client(PRIMARY, { RESP });
      const message = later(), matched = later(), sharded = later();
      await subscriber.subscribe('news', (text, channel) => message.resolve([text, channel]));
      await subscriber.pSubscribe('n*', (text, channel) => matched.resolve([text, channel]));
      await subscriber.sSubscribe('shard', (text, channel) => sharded.resolve([text, channel]));
      equal(await redis.publish('news', 'hello'), 2);
      equal(await redis.sPublish('shard', 's'), 1);
      equal([await message.promise, await matched.promise, await sharded.promise], [['hello', 'news'], ['hello', 'news'], ['s', 'shard']]);
      await subscriber.unsubscribe('news');
      subscriber.destroy();
    }
  },
  async 'blocking pop'() {
    const redis = await client(), waiting = await client();
    const popped = waiting.blPop(['jobs', 'more'], WAIT_MS / 1000);
    await until(async () => /blocked_clients:1\r/.test(await redis.info('clients')));
    await redis.rPush('jobs', 'one');
    equal({ ...(await popped) }, { key: 'jobs', element: 'one' });
    equal(await waiting.blPop('jobs', 0.01), null);
  },
  async scripts() {
    const redis = await client(PRIMARY, { scripts: { add } });
    await redis.scriptFlush();
    await redis.del('sum');
    equal([await redis.add('sum', 3), await redis.add('sum', 4)], [3, 7]);
    await redis.functionLoad("#!lua name=smoke\nredis.register_function{function_name='twice', callback=function(k, a) return a[1] * 2 end, flags={'no-writes'}}", { REPLACE: true });
    equal([await redis.fCall('twice', { arguments: ['4'] }), await redis.fCallRo('twice', { arguments: ['5'] })], [8, 10]);
  },
  async 'stream group'() {
    const redis = await client();
    await redis.del('events');
    equal(await redis.xGroupCreate('events', 'group', '0', { MKSTREAM: true }), 'OK');
    const first = await redis.xAdd('events', '*', { n: '1' });
    await redis.xAdd('events', '*', { n: '2' });
    const read = await redis.xReadGroup('group', 'one', { key: 'events', id: '>' }, { COUNT: 1 });
    equal([read[0].name, read[0].messages[0].id, { ...read[0].messages[0].message }], ['events', first, { n: '1' }]);
    equal((await redis.xPending('events', 'group')).pending, 1);
    equal((await redis.xAutoClaim('events', 'group', 'two', 0, '0')).messages[0].id, first);
    equal([await redis.xAck('events', 'group', first), await redis.xLen('events'), (await redis.xInfoGroups('events'))[0].lag], [1, 2, 1]);
  },
  async SCAN() {
    const redis = await client(PRIMARY, { database: 5 });
    await redis.flushDb();
    await redis.mSet(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`s:${n}`, String(n)])));
    const found = new Set();
    for await (const keys of redis.scanIterator({ MATCH: 's:*', COUNT: 50 })) keys.forEach((key) => found.add(key));
    equal(found.size, 500);
    await redis.sAdd('set', Array.from({ length: 300 }, (_, n) => String(n)));
    const members = new Set();
    for await (const some of redis.sScanIterator('set')) some.forEach((member) => members.add(member));
    equal([members.size, await redis.dbSize()], [300, 501]);
  },
  async 'sorted set'() {
    const redis = await client();
    await redis.del(['board', 'board2']);
    equal(await redis.zAdd('board', [{ score: 1, value: 'a' }, { score: 2, value: 'b' }, { score: 3, value: 'c' }]), 3);
    equal(await redis.zRange('board', 0, -1, { REV: true }), ['c', 'b', 'a']);
    equal([await redis.zIncrBy('board', 5, 'a'), await redis.zRevRank('board', 'a'), await redis.zRangeByScore('board', '(2', '+inf')], [6, 0, ['c', 'a']]);
    equal([await redis.zRangeStore('board2', 'board', 0, 1), { ...(await redis.zPopMin('board2')) }], [2, { value: 'b', score: 2 }]);
  },
  async 'hash fields'() {
    const redis = await client();
    await redis.del('user');
    equal([await redis.hSet('user', { name: 'ann', age: 7 }), await redis.hIncrBy('user', 'age', 1), await redis.hmGet('user', ['name', 'no'])], [2, 8, ['ann', null]]);
    equal(await redis.hExpire('user', ['name', 'no'], 100), [1, -2]);
    equal((await redis.hTTL('user', 'name'))[0] > 0, true);
    equal(await redis.hPersist('user', 'name'), [1]);
    equal([await redis.hGetEx('user', 'age', { expiration: { type: 'EX', value: 50 } }), await redis.hGetDel('user', 'age')], [['8'], ['8']]);
  },
  async geo() {
    const redis = await client();
    await redis.del('sicily');
    equal(await redis.geoAdd('sicily', [{ longitude: 13.361389, latitude: 38.115556, member: 'Palermo' }, { longitude: 15.087269, latitude: 37.502669, member: 'Catania' }]), 2);
    equal((await redis.geoDist('sicily', 'Palermo', 'Catania', 'km')).toFixed(1), '166.3');
    equal(await redis.geoSearch('sicily', { longitude: 15, latitude: 37 }, { radius: 200, unit: 'km' }, { SORT: 'ASC' }), ['Catania', 'Palermo']);
  },
  async bitmap() {
    const redis = await client();
    await redis.del(['bits', 'hll']);
    equal([await redis.setBit('bits', 7, 1), await redis.getBit('bits', 7), await redis.bitCount('bits'), await redis.bitPos('bits', 1)], [0, 1, 1, 7]);
    equal([await redis.pfAdd('hll', ['a', 'b', 'c']), await redis.pfCount('hll')], [1, 3]);
  },
  async 'client-side caching'() {
    const other = await client();
    const cached = await client(PRIMARY, { RESP: 3, reconnectStrategy: false, clientSideCache: { ttl: 0, maxEntries: 10, evictPolicy: 'LRU' } });
    await other.set('cached', '1');
    equal([await cached.get('cached'), await cached.get('cached')], ['1', '1']);
    equal(cached.clientSideCache.stats().hitCount, 1);
    await other.set('cached', '2');
    await until(async () => (await cached.get('cached')) === '2');
  },
  async 'connection pool'() {
    const pool = createClientPool({ socket: { host: '127.0.0.1', port: PRIMARY } }, { minimum: 2, maximum: 4 });
    await pool.connect();
    await pool.del('pooled');
    await Promise.all(Array.from({ length: 800 }, () => pool.incr('pooled')));
    equal(await pool.get('pooled'), '800');
    await pool.close();
  },
  async reconnects() {
    const redis = await client(), other = await client(), subscriber = await client();
    const heard = later();
    await subscriber.subscribe('after', (text) => heard.resolve(text));
    const first = await redis.clientId();
    const ready = new Promise((resolve) => redis.once('ready', resolve));
    equal(await other.clientKill({ filter: 'ID', id: first }), 1);
    await ready;
    equal((await redis.clientId()) > first, true);
    equal(await other.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']), 1);
    await until(async () => (await other.publish('after', 'heard')) === 1);
    equal(await heard.promise, 'heard');
  },
  async READONLY() {
    await refused((await client(REPLICA)).set('k', 'v'), "READONLY You can't write against a read only replica.");
  },
  async 'replica reads'() {
    const primary = await client(), replica = await client(REPLICA, { readonly: false });
    await primary.set('spread', 'v');
    equal(await primary.wait(1, WAIT_MS), 1);
    equal([await replica.get('spread'), (await primary.role()).role, (await replica.role()).role], ['v', 'master', 'slave']);
  },
  async monitor() {
    const redis = await client(), monitor = await client();
    const seen = later();
    await monitor.monitor((line) => { if (String(line).includes('watched')) seen.resolve(String(line)); });
    await redis.set('watched', '1');
    equal(/"set" "watched" "1"/i.test(await seen.promise), true);
    monitor.destroy();
  },
};

await runAll(checks);
