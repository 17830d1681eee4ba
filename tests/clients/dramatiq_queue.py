"""Actors of the PyPI `dramatiq`, run by its workers: usage `dramatiq_queue.py HOST PORT`; exit status 0 is success.

Its broker is one script, which is given a key that the names of all others begin with: lists of messages, hashes of what they
say, sets of those that wait for an acknowledgement, sorted sets of heartbeats and of dead messages. Results are lists that
readers wait on; rate limits and barriers are transactions.
"""

import logging
import sys
import threading

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import Barrier, BucketRateLimiter, ConcurrentRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as Limits
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import RedisBackend as Values

MESSAGES = 150
# What waits for something that comes waits so long, in milliseconds.
PATIENCE = 60_000


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


class Application:
    """Actors and the broker that they belong to."""

    def __init__(self, client):
        self.client = client
        self.limits = Limits(client=client)
        # Whether anything is to be cleaned up is asked at every command.
        self.broker = broker = RedisBroker(client=client, maintenance_chance=1_000_000)
        broker.add_middleware(Results(backend=Values(client=client)))
        broker.add_middleware(GroupCallbacks(self.limits))
        dramatiq.set_broker(broker)
        self.group_is_done = threading.Event()

        @dramatiq.actor(broker=broker, store_results=True)
        def add(a, b):
            client.incr("done")
            return a + b

        @dramatiq.actor(broker=broker, store_results=True, max_retries=3, min_backoff=1, max_backoff=1)
        def fail_once(counter):
            if client.incr(counter) == 1:
                raise ValueError("the first time")
            return "the second time"

        @dramatiq.actor(broker=broker, store_results=True, max_retries=0)
        def fail():
            raise ValueError("always")

        @dramatiq.actor(broker=broker, queue_name="urgent", store_results=True)
        def urgent(name):
            return name

        @dramatiq.actor(broker=broker)
        def tell():
            self.group_is_done.set()

        self.add, self.fail_once, self.fail, self.urgent, self.tell = add, fail_once, fail, urgent, tell

    def result(self, message):
        return message.get_result(block=True, timeout=PATIENCE)


def actors(app):
    client, broker = app.client, app.broker
    client.flushall()
    messages = [app.add.send(number, number) for number in range(MESSAGES)]
    check(broker.do_qsize("default"), MESSAGES, "messages that wait")
    check(client.llen("dramatiq:default"), MESSAGES, "their list")
    check(client.hlen("dramatiq:default.msgs"), MESSAGES, "what they say")
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=4)
    worker.start()
    try:
        check([app.result(message) for message in messages], [2 * number for number in range(MESSAGES)], "the results")
        for number in range(20):
            check(app.result(app.add.send(number, 1)), number + 1, "a message for workers that wait")
        check(app.result(app.urgent.send("now")), "now", "a message in a queue of its own")
        check(app.result(app.add.send_with_options(args=(3, 4), delay=20)), 7, "a message for later")
        check(app.result(app.fail_once.send("tries")), "the second time", "a message that is tried again")
        failing = app.fail.send()
        try:
            app.result(failing)
            raise AssertionError("an actor that fails has a result")
        except ResultFailure as why:
            check("always" in str(why), True, "the error of an actor")
        pipeline = app.add.message(1, 2) | app.add.message(3) | app.add.message(4)
        check(pipeline.run().get_result(block=True, timeout=PATIENCE), 10, "actors that follow each other")
        check(list(pipeline.get_results()), [3, 6, 10], "the results of each")
        group = dramatiq.group(app.add.message(number, 1) for number in range(30))
        group.add_completion_callback(app.tell.message())
        group.run()
        check(list(group.get_results(block=True, timeout=PATIENCE)), list(range(1, 31)), "the results of a group")
        check(app.group_is_done.wait(PATIENCE / 1000), True, "what is called when a group is done")
        broker.join("default", timeout=PATIENCE)
        worker.join()
    finally:
        worker.stop()
    check(client.zcard("dramatiq:default.XQ"), 1, "dead messages")
    check(client.hlen("dramatiq:default.XQ.msgs"), 1, "what they say")
    check(client.hlen("dramatiq:default.msgs"), 0, "messages that are left")
    check(client.zcard("dramatiq:__heartbeats__"), 1, "brokers that are alive")
    check([key for key in client.keys("dramatiq:__acks__*") if client.scard(key)], [], "messages not acknowledged")
    # The group's last and first of the pipeline among them.
    check(int(client.get("done")), MESSAGES + 20 + 1 + 3 + 30, "additions: each once")


def lost_worker(app):
    """What a broker took that is heard of no more comes back to its queue."""
    client, broker = app.client, app.broker
    client.flushall()
    sent = [app.urgent.send(str(number)) for number in range(5)]
    gone = RedisBroker(client=client, maintenance_chance=0)
    taken = gone.do_fetch("urgent", 3)
    check([dramatiq.Message.decode(message).args for message in taken], [("0",), ("1",), ("2",)], "what is taken")
    check(broker.do_qsize("urgent"), 5, "messages that wait or are taken")
    check(client.llen("dramatiq:urgent"), 2, "messages that wait")
    client.zadd("dramatiq:__heartbeats__", {gone.broker_id: 1})
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=2)
    worker.start()
    try:
        check([app.result(message) for message in sent], list("01234"), "the results of all")
        worker.join()
    finally:
        worker.stop()
    check(client.zscore("dramatiq:__heartbeats__", gone.broker_id), None, "the heartbeat of what is gone")


def limits(app):
    app.client.flushall()
    mutex = ConcurrentRateLimiter(app.limits, "mutex", limit=1, ttl=PATIENCE)
    running, most, done = [], [], []

    def run():
        while len(done) < 40:
            with mutex.acquire(raise_on_failure=False) as acquired:
                if acquired:
                    running.append(1)
                    most.append(len(running))
                    running.pop()
                    done.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(max(most), 1, "at once under a limit of one")
    bucket = BucketRateLimiter(app.limits, "bucket", limit=5, bucket=PATIENCE * 60 * 24 * 365)
    passed = []
    for _ in range(10):
        with bucket.acquire(raise_on_failure=False) as acquired:
            passed.append(acquired)
    check(passed, [True] * 5 + [False] * 5, "what a bucket lets pass")
    barrier = Barrier(app.limits, "barrier", ttl=PATIENCE)
    check(barrier.create(4), True, "a barrier of its own")
    check(barrier.create(4), False, "a barrier that is there")
    reached = []
    threads = [threading.Thread(target=lambda: reached.append(barrier.wait(timeout=PATIENCE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(reached, [True] * 4, "those who waited at the barrier")


def main():
    # What fails on purpose is not to be read as a fault.
    logging.getLogger("dramatiq").setLevel(logging.CRITICAL)
    app = Application(redis.Redis(host=sys.argv[1], port=int(sys.argv[2])))
    for scenario in (actors, lost_worker, limits):
        scenario(app)
    app.broker.close()
    print("dramatiq: all right")


if __name__ == "__main__":
    main()
