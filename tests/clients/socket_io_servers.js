// Socket.IO servers that reach each other's clients by `@socket.io/redis-adapter`, which publishes, and by
// `@socket.io/redis-streams-adapter`, which reads a stream: usage `node socket_io_servers.js HOST PORT`.
//
// Of every adapter there are two servers, as two processes of a site are; what one says reaches those who are connected to the other.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import Redis from "ioredis";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connectTo } from "socket.io-client";

const CLIENTS = 6;
const MESSAGES = 20;
// What waits for something that comes waits so long.
const PATIENCE_MS = 60_000;
// A reader of the stream that waits in vain ends so soon.
const BLOCK_MS = 200;

const [host, port] = [process.argv[2], Number(process.argv[3])];

async function until(what, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

// A server on a port of its own, which tells where it is.
async function serve(adapter, options = {}) {
  const http = createServer();
  const server = new Server(http, { adapter, ...options });
  await new Promise((done) => http.listen(0, "127.0.0.1", done));
  server.url = `http://127.0.0.1:${http.address().port}`;
  server.on("connection", (socket) => {
    socket.on("enter", async (room, told) => {
      await socket.join(room);
      told();
    });
    socket.on("say", (room, text) => server.to(room).emit("said", text));
  });
  return server;
}

// A client, and what it was told.
async function connect(server, name) {
  const socket = connectTo(server.url, { transports: ["websocket"], auth: { name }, forceNew: true, reconnection: false });
  socket.heard = [];
  socket.on("said", (text) => socket.heard.push(text));
  socket.on("question", (what, answer) => answer(`${name}: ${what}`));
  await new Promise((done, fail) => socket.once("connect", done).once("connect_error", fail));
  return socket;
}

// Every client hears these, in any order, and no others.
async function hear(clients, expected, what) {
  for (const client of clients) await until(what, () => client.heard.length >= expected.length);
  for (const client of clients) {
    assert.deepEqual(client.heard.splice(0).sort(), [...expected].sort(), what);
  }
}

// Servers know of each other: what one publishes reaches the other.
async function meet(servers) {
  const heard = servers.map(() => false);
  servers.forEach((server, i) => server.on("hello", () => (heard[i] = true)));
  await until("servers that know of each other", async () => {
    servers.forEach((server) => server.serverSideEmit("hello"));
    return heard.every(Boolean);
  });
}

async function talking(servers) {
  const [one, other] = servers;
  await meet(servers);
  const clients = await Promise.all(
    servers.flatMap((server, i) => Array.from({ length: CLIENTS }, (_, n) => connect(server, `${i}.${n}`))),
  );
  const few = clients.filter((_, i) => i % 3 === 0);
  await Promise.all(few.map((client) => client.emitWithAck("enter", "room")));

  const texts = Array.from({ length: MESSAGES }, (_, i) => `text ${i} ü`);
  for (const text of texts) one.emit("said", text);
  await hear(clients, texts, "what is said to all");
  for (const client of [clients[0], clients.at(-1)]) texts.forEach((text) => client.emit("say", "room", text));
  await hear(few, [...texts, ...texts], "what is said in the room");
  other.except("room").emit("said", "to the rest");
  const rest = clients.filter((client) => !few.includes(client));
  await hear(rest, ["to the rest"], "what is said to the rest");
  const bytes = Buffer.from([0, 255, 1, 2]);
  const got = Promise.all(clients.map((client) => new Promise((done) => client.once("bytes", done))));
  one.emit("bytes", bytes);
  (await got).forEach((buffer) => assert.deepEqual(Buffer.from(buffer), bytes));

  // What one server asks, all answer.
  assert.equal((await one.fetchSockets()).length, clients.length);
  assert.deepEqual(
    (await other.in("room").fetchSockets()).map((socket) => socket.handshake.auth.name).sort(),
    few.map((client) => client.auth.name).sort(),
  );
  other.on("sum", (a, b, answer) => answer(a + b));
  assert.deepEqual(await one.serverSideEmitWithAck("sum", 2, 3), [5]);
  const answers = await one.timeout(PATIENCE_MS).emitWithAck("question", "who?");
  assert.deepEqual(answers.sort(), clients.map((client) => `${client.auth.name}: who?`).sort());

  // One server moves and ends what is connected to the other.
  one.in("room").socketsJoin("inner");
  await until("sockets that join", async () => (await other.in("inner").fetchSockets()).length === few.length);
  one.to("inner").emit("said", "within");
  await hear(few, ["within"], "what is said within");
  other.in("inner").socketsLeave("room");
  await until("sockets that leave", async () => (await one.in("room").fetchSockets()).length === 0);
  one.in("inner").disconnectSockets(true);
  await until("sockets that end", () => few.every((client) => !client.connected));
  other.emit("said", "to who is left");
  await hear(rest, ["to who is left"], "what is said to who is left");
  for (const client of few) assert.deepEqual(client.heard, []);
  clients.forEach((client) => client.disconnect());
}

// A client whose connection breaks comes back to another server, which knows it and tells it what it missed.
async function recovering(servers, redis) {
  const [one, other] = servers;
  await meet(servers);
  const witness = connectTo(other.url, { transports: ["websocket"], forceNew: true });
  let seen = 0;
  witness.on("said", () => seen++);
  await new Promise((done) => witness.once("connect", done));
  await witness.emitWithAck("enter", "room");
  const socket = connectTo(one.url, { transports: ["websocket"], forceNew: true, reconnection: false });
  const heard = [];
  socket.on("said", (text) => heard.push(text));
  await new Promise((done) => socket.once("connect", done));
  const { id } = socket;
  await socket.emitWithAck("enter", "room");
  other.to("room").emit("said", "before");
  await until("what is said before", () => heard.length === 1 && seen === 1);
  socket.io.engine.close();
  await until("a session that is kept", async () => (await one.fetchSockets()).length === 1);
  const length = await redis.xlen("socket.io");
  for (let i = 0; i < MESSAGES; i++) (i % 2 ? one : other).to("room").emit("said", `missed ${i}`);
  one.to("elsewhere").emit("said", "to others");
  // What comes while the adapter reads what was missed is lost, or told twice.
  const areKept = async () => (await redis.xlen("socket.io")) >= length + MESSAGES + 1;
  await until("messages that are kept", async () => seen === 1 + MESSAGES && (await areKept()));
  socket.io.uri = other.url;
  socket.connect();
  await new Promise((done) => socket.once("connect", done));
  assert.equal(socket.recovered, true);
  assert.equal(socket.id, id);
  await until("what was missed", () => heard.length === 1 + MESSAGES);
  assert.deepEqual(heard.slice(1).sort(), Array.from({ length: MESSAGES }, (_, i) => `missed ${i}`).sort());
  socket.disconnect();
  witness.disconnect();
}

async function main() {
  let opened = [];
  const ioredis = () => {
    const client = new Redis({ host, port });
    opened.push(() => client.disconnect());
    return client;
  };
  const nodeRedis = async () => {
    const client = await createClient({ url: `redis://${host}:${port}` }).connect();
    opened.push(() => client.close());
    return client;
  };
  const two = async (adapter, options) => {
    const servers = [await serve(await adapter(), options), await serve(await adapter(), options)];
    opened.unshift(...servers.map((server) => () => server.close()));
    return servers;
  };
  const stream = { blockTimeInMs: BLOCK_MS };
  const recovery = { connectionStateRecovery: { maxDisconnectionDuration: PATIENCE_MS } };
  const scenarios = {
    "the adapter, by ioredis": async () => talking(await two(() => createAdapter(ioredis(), ioredis()))),
    "the adapter, by node-redis": async () => talking(await two(async () => createAdapter(await nodeRedis(), await nodeRedis()))),
    "the adapter of shards": async () => talking(await two(() => createShardedAdapter(ioredis(), ioredis()))),
    "the adapter of streams, by ioredis": async () => talking(await two(() => createStreamsAdapter(ioredis(), stream))),
    "the adapter of streams, by node-redis": async () =>
      talking(await two(async () => createStreamsAdapter(await nodeRedis(), stream))),
    "sessions that are recovered": async () => recovering(await two(() => createStreamsAdapter(ioredis(), stream), recovery), ioredis()),
  };
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      await ioredis().flushall();
      await scenario();
      for (const close of opened) await close();
      opened = [];
    } catch (error) {
      console.error(`${name}:`, error);
      process.exit(1);
    }
  }
  console.log("socket.io: all right");
  process.exit(0);
}

await main();
