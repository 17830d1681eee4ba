// What the npm client `ioredis` does with cores that are nodes: usage `node ioredis_cluster.js HOST PORT CORES`.

import assert from "node:assert/strict";
import { Cluster } from "ioredis";

async function commands(client) {
  await client.flushall();
  const keys = Array.from({ length: 1000 }, (_, i) => `key:${i}`);
  await Promise.all(keys.map((key, i) => client.set(key, i)));
  const replies = await Promise.all(keys.map((key) => client.get(key)));
  assert.deepEqual(replies, keys.map((_, i) => String(i)));
  await assert.rejects(client.incr("absent").then(() => client.set("absent", "x")).then(() => client.incr("absent")), /not an integer/);
  assert.equal(await client.mset("{tag}a", 1, "{tag}b", 2), "OK");
  assert.deepEqual(await client.mget("{tag}a", "{tag}b"), ["1", "2"]);
}

async function everyNode(client, port, cores) {
  const nodes = client.nodes("master");
  const ports = nodes.map((node) => node.options.port).filter((known) => known !== port);
  assert.deepEqual(ports.sort(), Array.from({ length: cores }, (_, core) => port + 1 + core));
  await client.flushall();
  await Promise.all(Array.from({ length: 300 }, (_, i) => client.set(`n:${i}`, i)));
  const sizes = await Promise.all(nodes.filter((node) => node.options.port !== port).map((node) => node.dbsize()));
  assert.equal(sizes.reduce((sum, size) => sum + size, 0), 300);
  const seen = new Set();
  for (const node of nodes.filter((node) => node.options.port !== port)) {
    for await (const batch of node.scanStream({ count: 20 })) batch.forEach((key) => seen.add(key));
  }
  assert.equal(seen.size, 300);
}

async function pipelines(client) {
  const pipeline = client.pipeline();
  for (let i = 0; i < 500; i++) pipeline.set(`{p}:${i}`, i).get(`{p}:${i}`);
  const replies = await pipeline.exec();
  replies.forEach(([error, reply], i) => {
    assert.equal(error, null);
    assert.equal(reply, i % 2 ? String((i - 1) / 2) : "OK");
  });
  const results = await client.multi().set("{p}:x", 1).incr("{p}:x").exec();
  assert.deepEqual(results, [[null, "OK"], [null, 2]]);
}

async function main() {
  const [host, port, cores] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
  for (const start of [port, port + cores]) {
    for (const enableAutoPipelining of [false, true]) {
      const client = new Cluster([{ host, port: start }], { enableAutoPipelining });
      client.on("error", (error) => {
        console.error(error);
        process.exit(1);
      });
      try {
        await commands(client);
        await everyNode(client, port, cores);
        await pipelines(client);
      } catch (error) {
        console.error(`from port ${start}, auto pipelining ${enableAutoPipelining}:`, error);
        process.exit(1);
      } finally {
        client.disconnect();
      }
    }
  }
  console.log("ioredis: all right");
}

await main();
