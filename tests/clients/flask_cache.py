"""A Flask application that caches by the PyPI `Flask-Caching`: usage `flask_cache.py HOST PORT`; exit status 0 is success."""

import sys
import time

import redis
from flask import Flask
from flask_caching import Cache


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def application(host, port):
    app = Flask(__name__)
    app.config.update(CACHE_TYPE="RedisCache", CACHE_REDIS_HOST=host, CACHE_REDIS_PORT=port, CACHE_KEY_PREFIX="app:",
                      CACHE_DEFAULT_TIMEOUT=300)
    cache = Cache(app)
    calls = {"page": 0, "square": 0}

    @app.route("/page/<name>")
    @cache.cached(query_string=True)
    def page(name):
        calls["page"] += 1
        return f"{name}:{calls['page']}"

    @app.route("/square/<int:number>")
    def squared(number):
        return str(square(number))

    @cache.memoize(60)
    def square(number):
        calls["square"] += 1
        return number * number

    return app, cache, calls, square


def pages(host, port, server):
    server.flushall()
    app, cache, calls, square = application(host, port)
    client = app.test_client()
    for _ in range(3):
        check(client.get("/page/a").text, "a:1", "a page that is cached")
    check(client.get("/page/b").text, "b:2", "another page")
    check(client.get("/page/a?x=1").text, "a:3", "a page of another query")
    keys = list(server.scan_iter("app:*"))
    check(len(keys), 3, "pages in the cache")
    check(all(200 < server.ttl(key) <= 300 for key in keys), True, "the deadlines of pages")
    # Another process of the same application has what this one cached.
    other = application(host, port)
    check(other[0].test_client().get("/page/a").text, "a:1", "a page that another process cached")
    check(other[2]["page"], 0, "views run by the other process")


def functions(host, port, server):
    server.flushall()
    app, cache, calls, square = application(host, port)
    client = app.test_client()
    check([client.get(f"/square/{n}").text for n in (3, 4, 3, 4, 3)], ["9", "16", "9", "16", "9"], "squares")
    check(calls["square"], 2, "calls of what is memoized")
    with app.app_context():
        cache.delete_memoized(square, 3)
        check([square(3), square(4)], [9, 16], "squares again")
        check(calls["square"], 3, "what was deleted is computed again, the other is not")
        cache.delete_memoized(square)
        check([square(3), square(4)], [9, 16], "squares once more")
        check(calls["square"], 5, "all were deleted")


def values(host, port, server):
    server.flushall()
    server.set("not the application's", "x")
    app, cache, _, _ = application(host, port)
    with app.app_context():
        check(cache.get("none"), None, "what is not there")
        value = {"list": [1, 2.5, None], "bytes": bytes(range(256)), "text": "ü" * 10_000}
        check(cache.set("value", value), True, "SET")
        check(cache.get("value"), value, "GET")
        check(cache.has("value"), True, "EXISTS")
        check(cache.add("value", 1), False, "SET NX of what is there")
        check(cache.add("other", 1), True, "SET NX")
        check(cache.set_many({f"many:{n}": n for n in range(100)}), [f"many:{n}" for n in range(100)], "many at once")
        check(cache.get_many(*[f"many:{n}" for n in range(100)], "none"), [*range(100), None], "MGET")
        check(cache.get_dict("many:1", "none"), {"many:1": 1, "none": None}, "MGET as a dict")
        check(cache.delete_many("many:1", "many:2"), ["many:1", "many:2"], "DEL of several")
        check(cache.delete("many:3"), True, "DEL")
        check(cache.get("many:3"), None, "what was deleted")
        check(cache.cache.inc("count", 5), 5, "INCR")
        check(cache.cache.dec("count", 2), 3, "DECR")
        cache.set("short", "x", timeout=1)
        end = time.monotonic() + 20
        while cache.get("short") is not None and time.monotonic() < end:
            time.sleep(0.05)
        check(cache.get("short"), None, "what is due goes")
        cache.clear()
        check(cache.get("value"), None, "what was cleared")
    check(server.keys("*"), [b"not the application's"], "only the application's keys were cleared")


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    server = redis.Redis(host=host, port=port, socket_timeout=30)
    for scenario in (pages, functions, values):
        scenario(host, port, server)
    print("Flask-Caching: all right")


if __name__ == "__main__":
    main()
