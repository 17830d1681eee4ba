// What the npm client `ioredis` does with a server: usage `node ioredis.js HOST PORT [UNIX_SOCKET]`.

import assert from "node:assert/strict";
import Redis from "ioredis";

async function strings(client) {
  await client.flushall();
  assert.equal(await client.set("k", "v"), "OK");
  assert.equal(await client.get("k"), "v");
  assert.equal(await client.get("absent"), null);
  assert.equal(await client.set("k", "w", "EX", 100, "NX"), null);
  assert.equal(await client.set("k", "w", "GET"), "v");
  assert.equal(await client.incrby("n", 41), 41);
  assert.deepEqual(await client.getBuffer("k"), Buffer.from("w"));
  await assert.rejects(client.incr("k"), /not an integer/);
}

async function pipelines(client) {
  await client.flushall();
  const pipeline = client.pipeline();
  for (let i = 0; i < 2000; i++) pipeline.set(`p:${i}`, i).get(`p:${i}`);
  const replies = await pipeline.exec();
  replies.forEach(([error, reply], i) => {
    assert.equal(error, null);
    assert.equal(reply, i % 2 ? String((i - 1) / 2) : "OK");
  });
  // without waiting in between, ioredis sends all of these at once
  const together = await Promise.all(Array.from({ length: 2000 }, (_, i) => client.get(`p:${i}`)));
  together.forEach((reply, i) => assert.equal(reply, String(i)));
}

async function manyKeys(client) {
  await client.flushall();
  const keys = Array.from({ length: 500 }, (_, i) => `key:${i}`);
  await client.mset(...keys.flatMap((key) => [key, `v${key}`]));
  assert.deepEqual(await client.mget(keys), keys.map((key) => `v${key}`));
  const seen = new Set();
  for await (const batch of client.scanStream({ count: 50 })) batch.forEach((key) => seen.add(key));
  assert.equal(seen.size, 500);
  assert.equal(await client.del(keys), 500);
  assert.equal(await client.dbsize(), 0);
}

async function largeValues(client) {
  const value = Buffer.alloc(10 * 1024 * 1024, "larder ");
  assert.equal(await client.set("large", value), "OK");
  assert.ok((await client.getBuffer("large")).equals(value));
  assert.equal(await client.del("large"), 1);
}

async function main() {
  const [host, port, path] = process.argv.slice(2);
  const ways = [{ host, port: Number(port) }, { host, port: Number(port), enableAutoPipelining: true }];
  if (path) ways.push({ path });
  for (const way of ways) {
    for (const scenario of [strings, pipelines, manyKeys, largeValues]) {
      const client = new Redis({ ...way, maxRetriesPerRequest: 1 });
      try {
        await scenario(client);
      } catch (error) {
        console.error(`${scenario.name} with ${JSON.stringify(way)}:`, error);
        process.exit(1);
      } finally {
        client.disconnect();
      }
    }
  }
  console.log("ioredis: all right");
}

await main();
