"""What the PyPI client `redis` does with a server: usage `redis_py.py HOST PORT [UNIX_SOCKET]`; exit status 0 is success."""

import sys
import threading
import time

import redis


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def strings(client):
    client.flushall()
    check(client.set("k", "v"), True, "SET")
    check(client.get("k"), b"v", "GET")
    check(client.get("absent"), None, "GET of nothing")
    check(client.set("k", "w", nx=True), None, "SET NX")
    check(client.set("k", "w", get=True), b"v", "SET GET")
    check(client.getex("k", ex=100), b"w", "GETEX")
    check(0 < client.ttl("k") <= 100, True, "TTL")
    check(client.incr("n", 5), 5, "INCRBY")
    check(client.incrbyfloat("f", 1.5), 1.5, "INCRBYFLOAT")
    check(client.append("k", "x"), 2, "APPEND")
    check(client.getdel("k"), b"wx", "GETDEL")
    check(client.setbit("bits", 7, 1), 0, "SETBIT")
    check(client.bitcount("bits"), 1, "BITCOUNT")


def many_keys(client):
    client.flushall()
    pairs = {f"key:{i}": f"value:{i}".encode() for i in range(1000)}
    check(client.mset(pairs), True, "MSET")
    check(client.mget(list(pairs)), list(pairs.values()), "MGET keeps the order")
    check(client.dbsize(), 1000, "DBSIZE")
    check(sorted(client.scan_iter(count=37)), sorted(key.encode() for key in pairs), "SCAN gives every key once")
    check(len(client.keys("key:1*")), 111, "KEYS")
    check(client.exists(*pairs, "absent"), 1000, "EXISTS")
    check(client.delete(*list(pairs)[:500]), 500, "DEL")
    check(client.unlink(*list(pairs)[500:]), 500, "UNLINK")
    check(client.dbsize(), 0, "DBSIZE in the end")


def pipelines(client):
    client.flushall()
    with client.pipeline(transaction=False) as pipe:
        for i in range(3000):
            pipe.set(f"p:{i}", i)
            pipe.get(f"p:{i}")
            pipe.incr("sum", i)
        replies = pipe.execute()
    check(replies[0::3], [True] * 3000, "SET in a pipeline")
    check(replies[1::3], [str(i).encode() for i in range(3000)], "GET sees the SET before it")
    check(replies[-1], sum(range(3000)), "INCR in a pipeline")
    with client.pipeline(transaction=False) as pipe:
        replies = pipe.set("a", "x").incr("a").get("a").execute(raise_on_error=False)
    check(isinstance(replies[1], redis.ResponseError), True, "an error stays in its place")
    check(replies[2], b"x", "and the commands after it run")


def whole_pipeline(client):
    """redis-py writes a whole pipeline before it reads: replies and requests together outgrow all the kernel's buffers."""
    client.flushall()
    value = b"v" * 500
    client.mset({f"whole:{i}": value for i in range(100)})
    with client.pipeline(transaction=False) as pipe:
        for i in range(90000):
            pipe.get(f"whole:{i % 100}")
        replies = pipe.execute()
    check(len(replies), 90000, "replies to a pipeline written whole")
    check(all(reply == value for reply in replies), True, "the replies to a pipeline written whole")


def large_values(client):
    client.flushall()
    value = bytes(range(256)) * (40 * 1024)
    check(client.set("large", value), True, "SET of 10 MB")
    check(client.get("large") == value, True, "GET of 10 MB")
    check(client.strlen("large"), len(value), "STRLEN of 10 MB")
    check(client.getrange("large", 5_000_000, 5_000_009), value[5_000_000:5_000_010], "GETRANGE in 10 MB")
    with client.pipeline(transaction=False) as pipe:
        replies = pipe.get("large").set("small", 1).get("large").get("small").execute()
    check([len(replies[0]), replies[1], len(replies[2]), replies[3]], [len(value), True, len(value), b"1"], "10 MB in a pipeline")
    client.delete("large")


def threads(client):
    client.flushall()
    failures = []

    def work(number):
        try:
            for i in range(300):
                client.incr("shared")
                client.set(f"own:{number}", i)
                check(client.get(f"own:{number}"), str(i).encode(), "what a thread wrote, it reads")
        except Exception as why:
            failures.append(why)

    running = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    check(failures, [], "threads")
    check(client.get("shared"), b"2400", "increments of all threads")


def server_side(client):
    info = client.info()
    for field in ("redis_version", "process_id", "tcp_port", "uptime_in_seconds", "connected_clients", "used_memory",
                  "used_memory_rss", "maxmemory", "total_commands_processed", "keyspace_hits", "keyspace_misses",
                  "expired_keys", "evicted_keys", "role", "used_cpu_sys", "loading"):
        check(field in info, True, f"INFO has {field}")
    check(client.config_get("maxmemory"), {"maxmemory": "0"}, "CONFIG GET")
    check(client.client_setname("tester"), True, "CLIENT SETNAME")
    check(client.client_getname() in ("tester", b"tester"), True, "CLIENT GETNAME")
    check(any(entry["name"] == "tester" for entry in client.client_list()), True, "CLIENT LIST")
    check(client.ping(), True, "PING")
    check(client.echo("x"), b"x", "ECHO")
    check(abs(client.time()[0] - time.time()) < 5, True, "TIME")
    check(client.command_count() > 50, True, "COMMAND COUNT")
    check("get" in client.command(), True, "COMMAND")


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    ways = [{"host": host, "port": port, "protocol": protocol} for protocol in (2, 3)]
    if len(sys.argv) > 3:
        ways.append({"unix_socket_path": sys.argv[3]})
    for way in ways:
        scenarios = [strings, many_keys, pipelines, large_values, threads, server_side]
        if way is ways[-1]:
            # A unix socket holds little itself, so that what is written has to be read.
            scenarios.append(whole_pipeline)
        for scenario in scenarios:
            client = redis.Redis(**way, socket_timeout=30)
            try:
                scenario(client)
            except Exception as why:
                raise SystemExit(f"{scenario.__name__} with {way}: {type(why).__name__}: {why}")
            finally:
                client.close()
    print("redis-py: all right")


if __name__ == "__main__":
    main()
