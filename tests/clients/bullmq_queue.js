// Jobs in the npm queue `bullmq`, done by its workers: usage `node bullmq_queue.js HOST PORT`.
//
// Its scripts keep jobs in hashes, those that wait in lists, those for later, with a priority or at their end in sorted sets, and
// tell what happens in a stream, which listeners read. Its workers wait on a sorted set.

import assert from "node:assert/strict";
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import Redis from "ioredis";
import { endsOf } from "./job_ends.js";

async function working({ queue, work, events, server }) {
  const jobs = queue("sums");
  const told = await events("sums");
  const seen = { waiting: 0, active: 0, completed: 0, progress: 0 };
  for (const event of Object.keys(seen)) told.on(event, () => (seen[event] += 1));
  const added = await jobs.addBulk(Array.from({ length: 100 }, (_, i) => ({ name: "sum", data: { a: i, b: i } })));
  assert.equal(await jobs.getWaitingCount(), 100);
  assert.deepEqual((await jobs.getWaiting(0, 1)).map((job) => job.id), ["1", "2"]);
  const failedOnce = new Set();
  const worker = work("sums", async (job) => {
    if (job.data.failsOnce && !failedOnce.has(job.id)) {
      failedOnce.add(job.id);
      throw new Error("the first time");
    }
    if (job.data.fails) throw new Error("always");
    await job.updateProgress(50);
    await job.log("half");
    return job.data.a + job.data.b;
  }, { concurrency: 5 });
  assert.deepEqual(await Promise.all(added.map((job) => job.waitUntilFinished(told))), added.map((_, i) => 2 * i));
  // The worker waits by now, and is told of what comes.
  for (let i = 0; i < 10; i++) {
    const job = await jobs.add("sum", { a: i, b: 1 });
    assert.equal(await job.waitUntilFinished(told), i + 1);
  }
  const again = await jobs.add("sum", { a: 1, b: 1, failsOnce: true }, { attempts: 3, backoff: { type: "fixed", delay: 10 } });
  assert.equal(await again.waitUntilFinished(told), 2);
  const failing = await jobs.add("sum", { fails: true });
  await assert.rejects(failing.waitUntilFinished(told), /always/);
  const later = await jobs.add("sum", { a: 2, b: 3 }, { delay: 30 });
  assert.equal(await later.waitUntilFinished(told), 5);
  assert.deepEqual((await jobs.getJobLogs(later.id)).logs, ["half"]);
  assert.equal((await jobs.getJob(later.id)).progress, 50);
  const counts = await jobs.getJobCounts();
  assert.deepEqual([counts.completed, counts.failed, counts.waiting, counts.active, counts.delayed], [112, 1, 0, 0, 0]);
  // What happened is in the stream, and listeners are told of all of it.
  while (seen.completed < 112) await new Promise((done) => setTimeout(done, 5));
  assert.deepEqual(seen, { waiting: 114, active: 114, completed: 112, progress: 112 });
  const [last] = await server.xrevrange("bull:sums:events", "+", "-", "COUNT", 200).then((entries) =>
    entries.map(([, fields]) => fields).filter((fields) => fields[1] === "completed"));
  assert.deepEqual(last.slice(2, 4), ["jobId", later.id]);
  await worker.close();
  assert.equal(await jobs.trimEvents(10) > 0, true);
}

// Jobs that wait for their turn: by priority, when a name comes again, every so often, and few at a time.
async function turns({ queue, work }) {
  const ranked = queue("ranked");
  const priorities = [5, 1, 3, 1, undefined];
  const added = await ranked.addBulk(priorities.map((priority, i) => ({ name: `${i}`, data: {}, opts: { priority } })));
  assert.deepEqual(await ranked.getCountsPerPriority([0, 1, 3, 5]), { 0: 1, 1: 2, 3: 1, 5: 1 });
  await added[0].changePriority({ priority: 2 });
  const done = [];
  let worker = work("ranked", async (job) => done.push(job.name), { concurrency: 1, autorun: false });
  let end = endsOf(worker);
  worker.run();
  await Promise.all(added.map(end));
  assert.deepEqual(done, ["4", "1", "3", "0", "2"]);
  await worker.close();

  const once = queue("once");
  const first = await once.add("one", { number: 1 }, { deduplication: { id: "same" } });
  const same = await once.add("one", { number: 2 }, { deduplication: { id: "same" } });
  assert.equal(same.id, first.id);
  assert.equal(await once.getDeduplicationJobId("same"), first.id);
  assert.equal(await once.count(), 1);

  const clock = queue("clock");
  worker = work("clock", async (job) => job.data.number, { autorun: false });
  const ticks = new Promise((all) => {
    let seen = 0;
    worker.on("completed", (job, value) => {
      assert.deepEqual([job.name, value, job.repeatJobKey], ["tick", 7, "ticks"]);
      if (++seen === 3) all();
    });
  });
  worker.run();
  await clock.upsertJobScheduler("ticks", { every: 20 }, { name: "tick", data: { number: 7 } });
  await ticks;
  assert.deepEqual((await clock.getJobSchedulers()).map(({ key, every }) => [key, Number(every)]), [["ticks", 20]]);
  assert.equal(await clock.removeJobScheduler("ticks"), true);
  assert.equal(await clock.getJobSchedulersCount(), 0);
  await worker.close();

  const limited = queue("limited");
  worker = work("limited", async () => {}, { limiter: { max: 3, duration: 50 }, autorun: false });
  end = endsOf(worker);
  const many = await limited.addBulk(Array.from({ length: 9 }, () => ({ name: "any", data: {} })));
  const start = Date.now();
  worker.run();
  await Promise.all(many.map(end));
  // Three turns have two pauses between them, but for what clocks are off by.
  assert.ok(Date.now() - start >= 90, "nine jobs in less than three turns");
  await worker.close();
}

// Jobs that need others to be done before.
async function flows({ queue, work, flow }) {
  queue("parts");
  const wholes = queue("wholes");
  const tree = await flow().add({
    name: "whole",
    queueName: "wholes",
    children: Array.from({ length: 20 }, (_, i) => ({ name: "part", queueName: "parts", data: { number: i } })),
  });
  assert.equal(await tree.job.getState(), "waiting-children");
  const parts = work("parts", async (job) => job.data.number);
  const whole = work("wholes", async (job) => {
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((a, b) => a + b, 0);
  }, { autorun: false });
  const end = endsOf(whole);
  whole.run();
  assert.equal(await end(tree.job), 190);
  assert.equal((await tree.job.getDependenciesCount()).processed, 20);
  assert.equal(await wholes.getCompletedCount(), 1);
  await Promise.all([parts.close(), whole.close()]);
}

// Jobs whose worker is gone, that are to be done again, or that are of no use any more.
async function tending({ queue, work, server }) {
  const jobs = queue("tended");
  const lost = await jobs.add("any", { number: 0 });
  const gone = work("tended", null);
  assert.equal((await gone.getNextJob("token")).id, lost.id);
  assert.equal(await lost.getState(), "active");
  await gone.close(true);
  // Its lock does not outlive it.
  await server.del(`bull:tended:${lost.id}:lock`);
  let works = false;
  const worker = work("tended", async (job) => {
    if (!works && job.data.number % 2) throw new Error("not yet");
    return job.data.number;
  }, { stalledInterval: 30, concurrency: 3, autorun: false });
  const found = new Promise((done) => worker.on("stalled", done));
  let end = endsOf(worker);
  worker.run();
  assert.equal(await found, lost.id);
  assert.equal(await end(lost), 0);
  const added = await jobs.addBulk(Array.from({ length: 20 }, (_, number) => ({ name: "any", data: { number } })));
  const ends = await Promise.allSettled(added.map(end));
  assert.deepEqual(ends.map((end) => end.value ?? end.reason.message), added.map((_, i) => (i % 2 ? "not yet" : i)));
  assert.deepEqual([await jobs.getFailedCount(), await jobs.getCompletedCount()], [10, 11]);
  works = true;
  end = endsOf(worker);
  await jobs.retryJobs({ state: "failed" });
  const values = await Promise.all(added.filter((_, i) => i % 2).map(end));
  assert.deepEqual(values, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
  assert.equal((await jobs.clean(0, 15, "completed")).length, 15);
  assert.equal(await jobs.getCompletedCount(), 6);
  const later = await jobs.add("any", { number: 2 }, { delay: 3_600_000 });
  assert.equal(await later.getState(), "delayed");
  await later.promote();
  assert.equal(await end(later), 2);
  await jobs.pause();
  await jobs.add("any", { number: 4 });
  assert.deepEqual([await jobs.isPaused(), await jobs.count()], [true, 1]);
  await jobs.drain();
  assert.equal(await jobs.count(), 0);
  await worker.close();
  await jobs.obliterate();
  assert.deepEqual(await server.keys("bull:tended:*"), []);
}

async function main() {
  const connection = { host: process.argv[2], port: Number(process.argv[3]) };
  const server = new Redis(connection);
  for (const scenario of [working, turns, flows, tending]) {
    await server.flushall();
    const opened = [];
    const open = (what) => {
      // Every job that is waited for listens.
      what.setMaxListeners(0);
      what.on("error", (error) => {
        console.error(scenario.name, error);
        process.exit(1);
      });
      opened.push(what);
      return what;
    };
    try {
      await scenario({
        server,
        queue: (name) => open(new Queue(name, { connection })),
        work: (name, processor, more) => open(new Worker(name, processor, { connection, ...more })),
        flow: () => open(new FlowProducer({ connection })),
        events: async (name) => {
          const events = open(new QueueEvents(name, { connection, lastEventId: "0" }));
          await events.waitUntilReady();
          return events;
        },
      });
    } catch (error) {
      console.error(`${scenario.name}:`, error);
      process.exit(1);
    }
    await Promise.all(opened.map((what) => what.close()));
  }
  server.disconnect();
  console.log("bullmq: all right");
  process.exit(0);
}

await main();
