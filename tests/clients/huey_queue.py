"""Jobs in the PyPI queue `huey`, done by its workers: usage `huey_queue.py HOST PORT`; exit status 0 is success.

Its queue is a list that workers block on, its results and counters are hashes. Jobs for later, which need sorted sets, are
not in it.
"""

import logging
import sys
import threading

from huey import RedisHuey
from huey.consumer import Worker
from huey.exceptions import TaskException

JOBS = 200
WORKERS = 3


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def queue(host, port, protocol):
    # What fails on purpose is not to be read as a fault.
    logging.getLogger("huey").setLevel(logging.CRITICAL)
    huey = RedisHuey("jobs", host=host, port=port, protocol=protocol, notify_result=True, read_timeout=0.2)
    huey.storage.conn.flushall()
    tries = []
    tried_again = threading.Event()

    @huey.task()
    def add(a, b):
        huey.storage.incr("done")
        return a + b

    @huey.task(retries=2)
    def fail_once():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("the first time")
        tried_again.set()

    @huey.task()
    def fail():
        raise ValueError("always")

    @huey.task()
    @huey.lock_task("alone")
    def alone(number):
        return number

    # Before there is a worker, what is queued can be looked at.
    results = [add(number, number) for number in range(JOBS)]
    check(len(huey), JOBS, "LLEN of the queue")
    check([task.args for task in huey.pending(2)], [(0, 0), (1, 1)], "the jobs at the head")
    revoked = add(1000, 1000)
    revoked.revoke()

    stop = threading.Event()

    def work():
        worker = Worker(huey, stop, 0.01, 0.1, 1.1)
        while not stop.is_set():
            worker.loop()

    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    try:
        values = [result.get(blocking=True, timeout=60) for result in results]
        check(values, [2 * number for number in range(JOBS)], "the results, each once")
        # The workers wait by now, and are handed what comes.
        for number in range(20):
            check(add(number, 1).get(blocking=True, timeout=60), number + 1, "a job for workers that wait")
        fail_once()
        check(tried_again.wait(60), True, "a job that is tried again")
        try:
            fail().get(blocking=True, timeout=60)
            raise AssertionError("a job that fails has a result")
        except TaskException as why:
            check("always" in str(why), True, "the error of a job")
        check(alone(5).get(blocking=True, timeout=60), 5, "a job under a lock")
        pipeline = add.s(1, 2).then(add, 3).then(add, 4)
        chained = huey.enqueue(pipeline)
        check(chained.get(blocking=True, timeout=60), [3, 6, 10], "jobs that follow each other")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    check(len(huey), 0, "the queue in the end")
    done = int(huey.storage.conn.hget(huey.storage.counter_key, "done"))
    check(done, JOBS + 20 + 3, "jobs done: each once, and none that was revoked")


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    for protocol in (2, 3):
        queue(host, port, protocol)
    print("huey: all right")


if __name__ == "__main__":
    main()
