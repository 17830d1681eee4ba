"""Tasks of the PyPI `celery`, done by its worker: usage `celery_tasks.py HOST PORT`; exit status 0 is success.

Its transport, kombu, keeps messages in lists that workers wait on, those that wait for an acknowledgement in a hash and a
sorted set, and which queues there are in sets; its results are strings, of which it is told by channels.
"""

import sys

import celery
import redis
from celery import chain, chord, group
from celery.contrib.testing.worker import start_worker
from kombu import Queue

TASKS = 100
# What waits for something that comes waits so long, in seconds.
PATIENCE = 60


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def application(url, client):
    app = celery.Celery("larder", broker=url, backend=url)
    app.conf.update(
        task_queues=[Queue("celery"), Queue("urgent")],
        task_default_queue="celery",
        worker_hijack_root_logger=False,
        task_acks_late=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"},
        result_extended=True,
        worker_send_task_events=False,
    )

    @app.task(name="add")
    def add(a, b):
        client.incr("done")
        return a + b

    @app.task(name="total")
    def total(values):
        return sum(values)

    # What fails on purpose is not to be read as a fault.
    @app.task(name="fail", throws=(ValueError,))
    def fail():
        raise ValueError("always")

    @app.task(name="fail_once", bind=True, max_retries=2)
    def fail_once(self):
        if self.request.retries == 0:
            raise self.retry(countdown=0, exc=ValueError("the first time"))
        return self.request.retries

    @app.task(name="tell", bind=True)
    def tell(self, half, whole):
        self.update_state(state="HALF", meta={"done": 50})
        client.rpush(half, "half")
        client.blpop(whole, PATIENCE)
        return "whole"

    @app.task(name="note")
    def note(value):
        client.rpush("notes", value)

    return app


def tasks(app, client):
    add, total = app.tasks["add"], app.tasks["total"]
    sent = [add.delay(number, number) for number in range(TASKS)]
    revoked = app.tasks["note"].apply_async(("revoked",), countdown=3600)
    noted = [app.tasks["note"].apply_async((step,), queue="urgent", priority=step) for step in (9, 0, 6, 3)]
    check(client.llen("celery"), TASKS + 1, "messages that wait")
    check(sorted(key.decode() for key in client.keys("urgent*")), ["urgent", *(f"urgent\x06\x16{step}" for step in (3, 6, 9))], "lists of priorities")
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False, shutdown_timeout=PATIENCE, queues=["urgent", "celery"]):
        check([result.get(timeout=PATIENCE) for result in sent], [2 * number for number in range(TASKS)], "the results")
        for number in range(10):
            check(add.delay(number, 1).get(timeout=PATIENCE), number + 1, "a task for a worker that waits")
        try:
            app.tasks["fail"].delay().get(timeout=PATIENCE)
            raise AssertionError("a task that fails has a result")
        except ValueError as why:
            check(str(why), "always", "the error of a task")
        check(app.tasks["fail_once"].delay().get(timeout=PATIENCE), 1, "a task that is tried again")
        watched = app.tasks["tell"].delay("half", "whole")
        check(client.blpop("half", PATIENCE), (b"half", b"half"), "a task that runs")
        check((watched.state, watched.info), ("HALF", {"done": 50}), "the state of a task that runs")
        client.rpush("whole", "go on")
        check(watched.get(timeout=PATIENCE), "whole", "the result of a task that was watched")
        check(chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=PATIENCE), 10, "tasks that follow each other")
        together = group(add.s(number, 1) for number in range(20))()
        check(together.get(timeout=PATIENCE), list(range(1, 21)), "the results of a group")
        check(chord((add.s(number, number) for number in range(20)), total.s())().get(timeout=PATIENCE), 380, "a task after a group")
        check([result.get(timeout=PATIENCE) for result in noted], [None] * 4, "tasks with a priority")
        # Workers are told by channels, and answer into a list.
        revoked.revoke()
        while not (told := app.control.broadcast("revoked", reply=True, timeout=1, limit=1)):
            pass
        check([list(answer.values()) for answer in told], [[[revoked.id]]], "what the worker knows of as revoked")
        sent[0].forget()
        check(sent[0].state, "PENDING", "the state of a result that is forgotten")
    check(sorted(int(note) for note in client.lrange("notes", 0, -1)), [0, 3, 6, 9], "what they did")
    check(int(client.get("done")), TASKS + 10 + 3 + 20 + 20, "additions: each once")


def main():
    url = f"redis://{sys.argv[1]}:{sys.argv[2]}/0"
    client = redis.Redis.from_url(url)
    client.flushall()
    tasks(application(url, client), client)
    print("celery: all right")


if __name__ == "__main__":
    main()
