// Jobs in the npm queue `bull`: usage `node bull_queue.js HOST PORT [all]`.
//
// Adding jobs, looking at them and pausing need strings, hashes and lists only. Workers and the end of jobs need sets and
// sorted sets: they are in it with `all`.

import assert from "node:assert/strict";
import Queue from "bull";
import Redis from "ioredis";

async function producing(open, server) {
  await server.flushall();
  const queue = open("jobs");
  const first = await queue.add("sum", { a: 1, b: 2 });
  assert.equal(first.id, "1");
  const bulk = await queue.addBulk(Array.from({ length: 50 }, (_, i) => ({ name: "sum", data: { a: i, b: i } })));
  assert.deepEqual(bulk.map((job) => job.id), Array.from({ length: 50 }, (_, i) => String(i + 2)));
  const next = await queue.add("sum", { a: 0, b: 0 }, { lifo: true, jobId: "mine" });
  assert.equal(next.id, "mine");
  const again = await queue.add("sum", { a: 9, b: 9 }, { jobId: "mine" });
  assert.deepEqual((await queue.getJob(again.id)).data, { a: 0, b: 0 });
  assert.equal(await queue.getWaitingCount(), 52);
  const waiting = await queue.getWaiting(0, 2);
  assert.deepEqual(waiting.map((job) => job.id), ["mine", "1", "2"]);
  assert.equal(await server.llen("bull:jobs:wait"), 52);

  const job = await queue.getJob("1");
  assert.deepEqual([job.name, job.data], ["sum", { a: 1, b: 2 }]);
  await job.update({ a: 5, b: 6 });
  await job.progress({ percent: 42 });
  for (const line of ["one", "two", "three"]) await job.log(line);
  const same = await queue.getJob("1");
  assert.deepEqual([same.data, same._progress], [{ a: 5, b: 6 }, { percent: 42 }]);
  assert.deepEqual(await queue.getJobLogs("1", 1, 2), { logs: ["two", "three"], count: 3 });
  assert.equal(await queue.getJob("nobody"), null);

  await queue.pause();
  assert.equal(await queue.isPaused(), true);
  await queue.add("sum", { a: 7, b: 7 });
  assert.deepEqual([await server.llen("bull:jobs:paused"), await server.exists("bull:jobs:wait")], [53, 0]);
  await queue.resume();
  assert.deepEqual([await server.llen("bull:jobs:wait"), await server.exists("bull:jobs:paused")], [53, 0]);
  // What a worker does to take a job.
  const taken = await server.brpoplpush("bull:jobs:wait", "bull:jobs:active", 1);
  assert.equal(taken, "mine");
  assert.deepEqual((await queue.getActive()).map((active) => active.id), ["mine"]);
  await queue.empty();
  assert.equal(await server.exists("bull:jobs:wait"), 0);
  await queue.close();
}

async function working(open, server) {
  await server.flushall();
  const queue = open("work");
  const failedOnce = new Set();
  queue.process("sum", 5, async (job) => {
    if (job.data.failsOnce && !failedOnce.has(job.id)) {
      failedOnce.add(job.id);
      throw new Error("the first time");
    }
    if (job.data.fails) throw new Error("always");
    return job.data.a + job.data.b;
  });
  const jobs = await Promise.all(Array.from({ length: 100 }, (_, i) => queue.add("sum", { a: i, b: i })));
  assert.deepEqual(await Promise.all(jobs.map((job) => job.finished())), jobs.map((_, i) => 2 * i));
  const again = await queue.add("sum", { a: 1, b: 1, failsOnce: true }, { attempts: 3, backoff: 10 });
  assert.equal(await again.finished(), 2);
  const failing = await queue.add("sum", { fails: true });
  await assert.rejects(failing.finished(), /always/);
  const later = await queue.add("sum", { a: 2, b: 3 }, { delay: 50, priority: 2 });
  assert.equal(await later.finished(), 5);
  const counts = await queue.getJobCounts();
  assert.deepEqual([counts.completed, counts.failed, counts.waiting, counts.active], [102, 1, 0, 0]);
  await failing.remove();
  assert.equal(await queue.getJob(failing.id), null);
  await queue.close();
}

async function main() {
  const [host, port, which] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
  const redis = { host, port };
  const server = new Redis(redis);
  for (const scenario of which === "all" ? [producing, working] : [producing]) {
    const open = (name) => {
      const queue = new Queue(name, { redis });
      // Every job that is waited for listens.
      queue.setMaxListeners(0);
      queue.on("error", (error) => {
        console.error(scenario.name, error);
        process.exit(1);
      });
      return queue;
    };
    try {
      await scenario(open, server);
    } catch (error) {
      console.error(`${scenario.name}:`, error);
      process.exit(1);
    }
  }
  server.disconnect();
  console.log("bull: all right");
  process.exit(0);
}

await main();
