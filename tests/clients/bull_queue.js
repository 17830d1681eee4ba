// Jobs in the npm queue `bull`, done by its workers: usage `node bull_queue.js HOST PORT`.
//
// Jobs are hashes; those that wait are in lists, those for later, with a priority or at their end in sorted sets.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import Queue from "bull";
import Redis from "ioredis";
import { endsOf } from "./job_ends.js";

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
  const end = endsOf(queue);
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
  assert.deepEqual(await Promise.all(jobs.map((job) => end(job))), jobs.map((_, i) => 2 * i));
  const again = await queue.add("sum", { a: 1, b: 1, failsOnce: true }, { attempts: 3, backoff: 10 });
  assert.equal(await end(again), 2);
  const failing = await queue.add("sum", { fails: true });
  await assert.rejects(end(failing), /always/);
  const later = await queue.add("sum", { a: 2, b: 3 }, { delay: 50, priority: 2 });
  assert.equal(await end(later), 5);
  const counts = await queue.getJobCounts();
  assert.deepEqual([counts.completed, counts.failed, counts.waiting, counts.active], [102, 1, 0, 0]);
  await failing.remove();
  assert.equal(await queue.getJob(failing.id), null);
  await queue.close();
}

// Jobs that wait for their turn: by priority, one of a kind every so often, and few at a time.
async function turns(open, server) {
  await server.flushall();
  const queue = open("turns");
  await queue.pause();
  const names = ["low", "high", "middle", "none", "high too"];
  const priorities = [3, 1, 2, undefined, 1];
  const jobs = await Promise.all(names.map((name, i) => queue.add({ name }, { priority: priorities[i] })));
  assert.deepEqual(await queue.getCountsPerPriority([1, 2, 3]), { 1: 2, 2: 1, 3: 1 });
  const done = [];
  queue.process((job) => done.push(job.data.name));
  const ends = jobs.map((job) => job.finished());
  // All of them listen before there is anything to hear.
  while (queue.listenerCount("global:completed") < jobs.length) await new Promise((done) => setTimeout(done, 5));
  await queue.resume();
  await Promise.all(ends);
  assert.deepEqual(done, ["high", "high too", "middle", "low", "none"]);
  await queue.close();

  const clock = open("clock");
  const times = new Promise((all) => {
    const seen = [];
    clock.process("tick", (job) => {
      seen.push(job.opts.repeat.count);
      if (seen.length === 3) all(seen);
    });
  });
  await clock.add("tick", {}, { repeat: { every: 20, limit: 3 } });
  assert.deepEqual(await times, [1, 2, 3]);
  await clock.add("tick", {}, { repeat: { cron: "0 0 1 1 *" } });
  const repeated = await clock.getRepeatableJobs();
  const yearly = repeated.find((one) => one.cron === "0 0 1 1 *");
  assert.equal(await clock.getDelayedCount(), 1);
  await clock.removeRepeatableByKey(yearly.key);
  assert.equal(await clock.getDelayedCount(), 0);
  await clock.close();

  const limited = open("limited", { limiter: { max: 3, duration: 100 } });
  const end = endsOf(limited);
  const ended = [];
  limited.process(10, () => ended.push(1));
  const many = await limited.addBulk(Array.from({ length: 9 }, () => ({ data: {} })));
  await Promise.all(many.map(end));
  assert.equal(ended.length, 9);
  await limited.close();
}

// Jobs whose worker is gone.
async function stalled(open, server) {
  await server.flushall();
  const left = open("left");
  const lost = await left.add({ number: 1 });
  // A worker that takes a job, and is heard of no more.
  assert.equal(await server.brpoplpush("bull:left:wait", "bull:left:active", 1), lost.id);
  const worker = open("left", { settings: { stalledInterval: 30 } });
  const found = new Promise((done) => worker.on("stalled", done));
  const end = endsOf(worker);
  worker.process((job) => job.data.number);
  assert.equal((await found).id, lost.id);
  assert.equal(await end(lost), 1);
  assert.equal(await lost.finished(), 1);
  await Promise.all([left.close(), worker.close()]);
}

// Jobs that are to be done again, or that are of no use any more.
async function tending(open, server) {
  await server.flushall();
  const queue = open("tended");
  let end = endsOf(queue);
  let works = false;
  queue.process(3, async (job) => {
    if (!works && job.data.number % 2) throw new Error("not yet");
    await job.progress(100);
    return job.data.number;
  });
  const jobs = await queue.addBulk(Array.from({ length: 20 }, (_, number) => ({ data: { number } })));
  const ends = await Promise.allSettled(jobs.map(end));
  assert.deepEqual(ends.map((end) => end.value ?? end.reason.message), jobs.map((_, i) => (i % 2 ? "not yet" : i)));
  assert.equal(await queue.getFailedCount(), 10);
  works = true;
  end = endsOf(queue);
  const again = (await queue.getFailed()).map(async (job) => {
    await job.retry();
    return end(job);
  });
  assert.equal((await Promise.all(again)).reduce((a, b) => a + b), 100);
  assert.deepEqual([await queue.getFailedCount(), await queue.getCompletedCount()], [0, 20]);
  assert.equal(await jobs[3].getState(), "completed");
  assert.equal((await queue.clean(0, "completed", 15)).length, 15);
  assert.equal(await queue.getCompletedCount(), 5);
  const later = await queue.add({ number: 2 }, { delay: 3_600_000 });
  assert.equal(await later.getState(), "delayed");
  await later.promote();
  assert.equal(await end(later), 2);
  const kept = await queue.addBulk(Array.from({ length: 8 }, (_, number) => ({ data: { number }, opts: { removeOnComplete: 3 } })));
  await Promise.all(kept.map(end));
  assert.equal(await queue.getCompletedCount(), 3);
  await queue.pause(true);
  await queue.obliterate();
  assert.deepEqual(await server.keys("bull:tended:*"), []);
  await queue.close();
}

async function main() {
  const [host, port] = [process.argv[2], Number(process.argv[3])];
  const redis = { host, port };
  const server = new Redis(redis);
  // Every job that is waited for listens, and Node.js takes more than ten that do for a leak.
  EventEmitter.defaultMaxListeners = 0;
  for (const scenario of [producing, working, turns, stalled, tending]) {
    const open = (name, more) => {
      // Workers look for what is due even if they missed that they were told.
      const settings = { guardInterval: 100, ...more?.settings };
      const queue = new Queue(name, { redis, ...more, settings });
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
