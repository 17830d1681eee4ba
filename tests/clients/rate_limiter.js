// Limits of the npm `rate-limiter-flexible`, through both clients of Node.js: usage `node rate_limiter.js HOST PORT`.
//
// Its limits are counters that expire, kept by a script or a transaction. A log of the last calls in a sorted set, the other way
// that people limit by, is written out here, as there are as many of it as applications.

import assert from "node:assert/strict";
import Redis from "ioredis";
import { BurstyRateLimiter, RateLimiterRedis, RateLimiterRes, RateLimiterUnion } from "rate-limiter-flexible";
import { createClient } from "redis";

// Long enough that none ends while the test runs, in seconds.
const HOUR = 3600;

// Whether a call passes.
async function passes(limiter, key, points = 1) {
  try {
    await limiter.consume(key, points);
    return true;
  } catch (why) {
    // What is limited is told by a result, and what goes wrong by an error.
    if (why instanceof Error) throw why;
    return false;
  }
}

function count(passed) {
  return passed.filter((one) => one).length;
}

async function limits(storeClient, more) {
  const limiter = (keyPrefix, rest) => new RateLimiterRedis({ storeClient, keyPrefix, duration: HOUR, ...more, ...rest });
  const calls = limiter("calls", { points: 10 });
  const first = await calls.consume("one", 3);
  assert.ok(first instanceof RateLimiterRes);
  assert.deepEqual([first.consumedPoints, first.remainingPoints, first.isFirstInDuration], [3, 7, true]);
  assert.ok(first.msBeforeNext > (HOUR - 600) * 1000 && first.msBeforeNext <= HOUR * 1000);
  // However many come at once, as many pass as may.
  const users = Array.from({ length: 8 }, (_, i) => `user${i}`);
  const passed = await Promise.all(users.map((user) => Promise.all(Array.from({ length: 30 }, () => passes(calls, user)))));
  assert.deepEqual(passed.map(count), users.map(() => 10));
  assert.equal((await calls.get("user0")).consumedPoints, 30);
  assert.equal(await calls.get("nobody"), null);
  await calls.reward("one", 2);
  await calls.penalty("one", 1);
  assert.equal((await calls.get("one")).consumedPoints, 2);
  assert.equal(await calls.delete("one"), true);
  assert.equal(await calls.delete("one"), false);
  await calls.set("one", 9, HOUR);
  assert.deepEqual([await passes(calls, "one"), await passes(calls, "one")], [true, false]);
  await calls.block("two", HOUR);
  assert.equal(await passes(calls, "two"), false);

  const blocking = limiter("blocking", { points: 2, blockDuration: 2 * HOUR });
  assert.equal(count(await Promise.all([1, 2, 3, 4].map(() => passes(blocking, "one")))), 2);
  assert.ok((await blocking.get("one")).msBeforeNext > HOUR * 1000);
  const forever = limiter("forever", { points: 2, duration: 0 });
  assert.equal(count(await Promise.all([1, 2, 3, 4].map(() => passes(forever, "one")))), 2);
  assert.equal((await forever.get("one")).msBeforeNext, -1);
  const bursty = new BurstyRateLimiter(limiter("plain", { points: 3 }), limiter("burst", { points: 2 }));
  assert.equal(count(await Promise.all(Array.from({ length: 9 }, () => passes(bursty, "one")))), 5);
  const union = new RateLimiterUnion(limiter("wide", { points: 100 }), limiter("narrow", { points: 4 }));
  assert.equal(count(await Promise.all(Array.from({ length: 9 }, () => passes(union, "one")))), 4);
  // A limit that ends lets calls pass again.
  const short = limiter("short", { points: 1, duration: 1 });
  assert.equal(await passes(short, "one"), true);
  const next = await short.get("one");
  await new Promise((done) => setTimeout(done, (next?.msBeforeNext ?? 0) + 5));
  assert.equal(await passes(short, "one"), true);
}

// A log of the last calls, by their time: those of before the window are forgotten, and one more is let in if there is room. The
// numbers stand for times, so that the windows pass when the test says so.
const SLIDING = `
local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
if redis.call('ZCARD', KEYS[1]) >= limit then
  return {0, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]}
end
redis.call('ZADD', KEYS[1], now, ARGV[4])
redis.call('PEXPIRE', KEYS[1], 3600000)
return {1, false}`;

async function slidingWindow(server) {
  server.defineCommand("slide", { numberOfKeys: 1, lua: SLIDING });
  let calls = 0;
  const call = (key, now) => server.slide(key, now, 100, 5, calls++);
  // Each call at its time lets pass those that five within the last hundred allow.
  const passed = [];
  for (let now = 1000; now < 1400; now += 10) {
    const [is, oldest] = await call("log:one", now);
    passed.push(is);
    if (!is) assert.ok(Number(oldest) > now - 100 && Number(oldest) < now);
  }
  assert.deepEqual(passed, Array.from({ length: 40 }, (_, i) => (i % 10 < 5 ? 1 : 0)));
  assert.equal(await server.zcard("log:one"), 5);
  // Many at once, of several keys.
  const keys = Array.from({ length: 8 }, (_, i) => `log:user${i}`);
  const many = await Promise.all(keys.map((key) => Promise.all(Array.from({ length: 20 }, () => call(key, 2000)))));
  assert.deepEqual(many.map((all) => all.filter(([is]) => is).length), keys.map(() => 5));

  // The same by a transaction: the call is counted first, and is one of too many or not.
  const transaction = async (now) => {
    const [, , [, size]] = await server.multi()
      .zremrangebyscore("log:all", "-inf", now - 100)
      .zadd("log:all", now, `${now}-${calls++}`)
      .zcard("log:all")
      .pexpire("log:all", HOUR * 1000)
      .exec();
    return size <= 5;
  };
  assert.equal(count(await Promise.all(Array.from({ length: 20 }, () => transaction(3000)))), 5);
  assert.equal(await transaction(3099), false);
  assert.equal(await transaction(3200), true);
}

async function main() {
  const [host, port] = [process.argv[2], Number(process.argv[3])];
  const server = new Redis({ host, port });
  await server.flushall();
  await limits(server, {});
  await server.flushall();
  await slidingWindow(server);
  for (const RESP of [2, 3]) {
    await server.flushall();
    const client = await createClient({ url: `redis://${host}:${port}`, RESP }).connect();
    await limits(client, { useRedisPackage: true });
    await client.close();
  }
  server.disconnect();
  console.log("rate-limiter-flexible: all right");
}

await main();
