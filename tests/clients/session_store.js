// An Express application that keeps its sessions by the npm `connect-redis`: usage `node session_store.js HOST PORT`.

import assert from "node:assert/strict";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

// An application of its own connection, as one of several processes has it.
async function application(url) {
  const client = await createClient({ url }).connect();
  const store = new RedisStore({ client, prefix: "sess:", ttl: 600 });
  const app = express();
  app.use(session({ store, secret: "secret", resave: false, saveUninitialized: false }));
  app.get("/login/:name", (request, response) => {
    request.session.user = { name: request.params.name, roles: ["a", "ü"] };
    request.session.views = 0;
    response.json(request.session.user);
  });
  app.get("/", (request, response) => {
    if (!request.session.user) return response.status(401).end();
    request.session.views += 1;
    response.json({ user: request.session.user.name, views: request.session.views });
  });
  app.get("/renew", (request, response) => {
    const { user } = request.session;
    request.session.regenerate(() => {
      request.session.user = user;
      request.session.views = 100;
      response.json(true);
    });
  });
  app.get("/logout", (request, response) => request.session.destroy(() => response.json(true)));
  const server = await new Promise((done) => {
    const listening = app.listen(0, "127.0.0.1", () => done(listening));
  });
  const base = `http://127.0.0.1:${server.address().port}`;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    await client.close();
  };
  return { base, client, store, close };
}

// A browser: it keeps its cookie, whichever process it asks.
class Browser {
  async get(app, path) {
    const headers = this.cookie ? { cookie: this.cookie } : {};
    const response = await fetch(app.base + path, { headers });
    const set = response.headers.get("set-cookie");
    if (set) this.cookie = set.split(";")[0];
    return response.status === 200 ? response.json() : response.status;
  }
}

async function sessions(one, other) {
  await one.client.flushAll();
  const browsers = Array.from({ length: 20 }, () => new Browser());
  assert.equal(await browsers[0].get(one, "/"), 401);
  for (const [i, browser] of browsers.entries()) {
    assert.deepEqual(await browser.get(one, `/login/user${i}`), { name: `user${i}`, roles: ["a", "ü"] });
  }
  for (let views = 1; views <= 3; views++) {
    for (const [i, browser] of browsers.entries()) {
      const app = views % 2 ? one : other;
      assert.deepEqual(await browser.get(app, "/"), { user: `user${i}`, views });
    }
  }
  const keys = (await one.client.keys("sess:*")).sort();
  assert.equal(keys.length, 20);
  for (const key of keys) {
    const ttl = await one.client.ttl(key);
    assert.ok(ttl > 500 && ttl <= 600, `${key} lives for ${ttl} s`);
  }
  const old = browsers[0].cookie;
  assert.equal(await browsers[0].get(one, "/renew"), true);
  assert.notEqual(browsers[0].cookie, old);
  assert.deepEqual(await browsers[0].get(other, "/"), { user: "user0", views: 101 });
  const thief = new Browser();
  thief.cookie = old;
  assert.equal(await thief.get(one, "/"), 401);
  assert.equal(await browsers[1].get(other, "/logout"), true);
  assert.equal(await browsers[1].get(one, "/"), 401);
}

async function store({ store }) {
  const call = (name, ...args) =>
    new Promise((done, fail) => store[name](...args, (error, value) => (error ? fail(error) : done(value))));
  await call("clear");
  assert.equal(await call("length"), 0);
  const stored = Array.from({ length: 150 }, (_, i) => `id${i}`);
  await Promise.all(stored.map((id, i) => call("set", id, { cookie: {}, number: i })));
  assert.equal(await call("length"), 150);
  assert.deepEqual((await call("ids")).sort(), [...stored].sort());
  const all = await call("all");
  assert.deepEqual(all.map((one) => one.number).sort((a, b) => a - b), stored.map((_, i) => i));
  assert.equal((await call("get", "id7")).number, 7);
  assert.equal(await call("get", "nobody"), null);
  await call("touch", "id7", { cookie: { expires: new Date(Date.now() + 30_000) } });
  await call("destroy", "id8");
  assert.equal(await call("length"), 149);
  await call("clear");
  assert.equal(await call("length"), 0);
}

async function main() {
  const [host, port] = [process.argv[2], process.argv[3]];
  for (const url of [`redis://${host}:${port}`, `redis://${host}:${port}/3`]) {
    const apps = [await application(url), await application(url)];
    await sessions(...apps);
    await store(apps[0]);
    await Promise.all(apps.map((app) => app.close()));
  }
  console.log("connect-redis: all right");
}

await main();
