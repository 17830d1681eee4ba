"""What the PyPI client `redis` does with cores that are nodes: usage `redis_py_cluster.py HOST PORT CORES`; exit status 0
is success."""

import sys
import threading

import redis
from redis.cluster import RedisCluster


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def commands(client):
    client.flushall()
    for i in range(1000):
        check(client.set(f"key:{i}", i), True, "SET")
    check([client.get(f"key:{i}") for i in range(1000)], [str(i).encode() for i in range(1000)], "GET")
    check(client.dbsize(target_nodes=RedisCluster.PRIMARIES), 1000, "DBSIZE adds up over the nodes")
    check(sorted(client.scan_iter(count=37)), sorted(f"key:{i}".encode() for i in range(1000)), "SCAN gives every key once")
    check(len(client.keys("key:1*", target_nodes=RedisCluster.PRIMARIES)), 111, "KEYS gives every key once")
    check(set(client.mset_nonatomic({f"m:{i}": i for i in range(100)})), {True}, "MSET by slots")
    check(client.mget_nonatomic([f"m:{i}" for i in range(100)]), [str(i).encode() for i in range(100)], "MGET by slots")
    check(client.mset({"{tag}a": 1, "{tag}b": 2}), True, "MSET")
    check(client.mget("{tag}a", "{tag}b"), [b"1", b"2"], "MGET")
    check(client.delete(*[f"key:{i}" for i in range(1000)]), 1000, "DEL of keys of many slots")
    check(client.publish("channel", "message"), 0, "PUBLISH")


def pipelines(client):
    client.flushall()
    with client.pipeline() as pipe:
        for i in range(2000):
            pipe.set(f"p:{i}", i)
            pipe.get(f"p:{i}")
        replies = pipe.execute()
    check(replies[1::2], [str(i).encode() for i in range(2000)], "GET sees the SET before it")


def transactions(client):
    client.set("{t}n", 1)
    with client.pipeline(transaction=True) as pipe:
        replies = pipe.incr("{t}n").incr("{t}n").set("{t}m", "x").execute()
    check(replies[:2], [2, 3], "MULTI and EXEC on one node")


def any_node_takes_any_key(client, cores):
    client.flushall()
    for node in client.get_primaries():
        plain = redis.Redis(host=node.host, port=node.port)
        pairs = {f"any:{node.port}:{i}": i for i in range(100)}
        check(plain.mset(pairs), True, "MSET of keys of all cores")
        check(plain.mget(list(pairs)), [str(i).encode() for i in range(100)], "MGET of keys of all cores")
        with plain.pipeline(transaction=True) as pipe:
            for key in pairs:
                pipe.incr(key)
            check(pipe.execute(), list(range(1, 101)), "MULTI and EXEC over all cores")
        plain.close()
    check(client.dbsize(target_nodes=RedisCluster.PRIMARIES), 100 * cores, "DBSIZE")


def nodes(client, host, port, cores):
    primaries = client.get_primaries()
    check(sorted((node.host, node.port) for node in primaries), [(host, port + 1 + core) for core in range(cores)], "the nodes")
    slots = client.keyslot("foo")
    check(client.cluster_keyslot("foo"), slots, "CLUSTER KEYSLOT")
    client.set("foo", 1)
    check(client.cluster_countkeysinslot(slots), 1, "CLUSTER COUNTKEYSINSLOT")
    # With RESP2 this client makes them text.
    keys = client.cluster_get_keys_in_slot(slots, 10)
    check([key if isinstance(key, bytes) else key.encode() for key in keys], [b"foo"], "CLUSTER GETKEYSINSLOT")
    check(client.cluster_info()["cluster_state"], "ok", "CLUSTER INFO")
    nodes = client.cluster_nodes()
    check(len(nodes), cores, "CLUSTER NODES")
    check(all(entry["connected"] for entry in nodes.values()), True, "nodes are connected")
    check(len(client.cluster_shards()), cores, "CLUSTER SHARDS")


def threads(client):
    client.flushall()
    failures = []

    def work(number):
        try:
            for i in range(200):
                client.incr(f"shared:{i % 20}")
                client.set(f"own:{number}", i)
                check(client.get(f"own:{number}"), str(i).encode(), "what a thread wrote, it reads")
        except Exception as why:
            failures.append(why)

    running = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    check(failures, [], "threads")
    check(sum(int(client.get(f"shared:{i}")) for i in range(20)), 1200, "increments of all threads")


def main():
    host, port, cores = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # From the shared port as well as from a node's the whole is found.
    for start in (port, port + cores):
        for protocol in (2, 3):
            client = RedisCluster(host=host, port=start, protocol=protocol, socket_timeout=30)
            for scenario in (commands, pipelines, transactions, threads):
                scenario(client)
            any_node_takes_any_key(client, cores)
            nodes(client, host, port, cores)
            client.close()
    print("redis-py: all right")


if __name__ == "__main__":
    main()
