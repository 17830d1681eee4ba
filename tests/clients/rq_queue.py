"""Jobs in the PyPI queue `rq`, done by its workers: usage `rq_queue.py HOST PORT`; exit status 0 is success.

One worker does jobs in its own process, the other, which is the one people run, forks for each of them. Besides queues, which
are lists, it has registries in sorted sets, results in streams, and sets of workers, groups and dependents.
"""

import logging
import multiprocessing
import sys
from datetime import datetime, timedelta, timezone

import redis
import rq
from rq.command import send_stop_job_command
from rq.group import Group
from rq.job import JobStatus

JOBS = 30
# Jobs that a worker waits for.
AWAITED = 20
# What waits for something that comes waits so long, in seconds.
PATIENCE = 60


def add(a, b):
    return a + b


def fail():
    raise ValueError("always")


def fail_once(counter):
    if rq.get_current_job().connection.incr(counter) == 1:
        raise ValueError("the first time")
    return "the second time"


def count(counter):
    return rq.get_current_job().connection.incr(counter)


def never_end(tell):
    connection = rq.get_current_job().connection
    connection.rpush(tell, "started")
    connection.blpop("nothing", 2 * PATIENCE)


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def work(worker_class, queue, **how):
    """Works as a process of its own does, which has connections of its own."""
    options = queue.connection.connection_pool.connection_kwargs
    connection = redis.Redis(host=options["host"], port=options["port"])
    worker_class([queue.name], connection=connection).work(logging_level="CRITICAL", **how)


def in_process(*arguments, **how):
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments, kwargs=how, daemon=True)
    process.start()
    return process


def ended_well(process):
    process.join(PATIENCE)
    check(process.exitcode, 0, "the exit status of the worker")


def all_at_once(jobs, connection, worker_class):
    """Jobs of every kind that are there when the worker comes, which ends when there are no more."""
    connection.flushall()
    queue = rq.Queue("jobs", connection=connection)
    plain = [queue.enqueue(jobs.add, number, number) for number in range(JOBS)]
    front = queue.enqueue(jobs.add, 1, 1, at_front=True)
    after = queue.enqueue(jobs.add, 2, 2, depends_on=plain[:2])
    failing = queue.enqueue(jobs.fail)
    retried = queue.enqueue(jobs.fail_once, "retried", retry=rq.Retry(max=2))
    repeated = queue.enqueue(jobs.count, "repeated", repeat=rq.Repeat(times=2))
    cancelled = queue.enqueue(jobs.add, 3, 3)
    cancelled.cancel()
    group = Group.create(connection, "group")
    grouped = group.enqueue_many(queue, [rq.Queue.prepare_data(jobs.add, (number, 1)) for number in range(5)])
    now = datetime.now(timezone.utc)
    due = queue.enqueue_at(now - timedelta(seconds=5), jobs.add, 4, 4)
    later = queue.enqueue_at(now + timedelta(hours=1), jobs.add, 5, 5)

    waiting = JOBS + 1 + 1 + 1 + 1 + len(grouped)
    check(queue.job_ids[0], front.id, "the job at the front")
    check(len(queue), waiting, "jobs that wait")
    check(after.get_status(), JobStatus.DEFERRED, "a job that depends on others")
    check(cancelled.get_status(), JobStatus.CANCELED, "a job that was cancelled")
    check(queue.scheduled_job_registry.get_job_ids(), [due.id, later.id], "jobs for later, by their time")
    check({job.id for job in group.get_jobs()}, {job.id for job in grouped}, "jobs of the group")

    ended_well(in_process(worker_class, queue, burst=True, with_scheduler=True))

    values = [job.latest_result().return_value for job in plain]
    check(values, [2 * number for number in range(JOBS)], "the results")
    values = [job.latest_result().return_value for job in grouped]
    check(values, list(range(1, 6)), "the results of the group")
    check(front.latest_result().return_value, 2, "the result of the job at the front")
    check(after.latest_result().return_value, 4, "the result of the job that depended on others")
    check(due.latest_result().return_value, 8, "the result of the job that was due")
    check(failing.get_status(), JobStatus.FAILED, "the job that fails")
    check("always" in failing.latest_result().exc_string, True, "its error")
    check(retried.latest_result().return_value, "the second time", "the result of a job that is tried again")
    check(connection.get("retried"), b"2", "how often it was tried")
    values = [result.return_value for result in repeated.results()]
    check(values, [3, 2, 1], "the results of a job that is repeated, the latest first")
    check(cancelled.latest_result(), None, "the result of the job that was cancelled")
    check(len(queue), 0, "the queue in the end")
    check(queue.failed_job_registry.get_job_ids(), [failing.id], "jobs that failed")
    check(queue.scheduled_job_registry.get_job_ids(), [later.id], "jobs for later")
    # All that waited, the one that depended and the one that was due, but for the one that failed.
    check(queue.finished_job_registry.count, waiting + 2 - 1, "jobs that are done")
    check(rq.Worker.count(connection=connection), 0, "workers that are left")

    failing.requeue()
    check(queue.job_ids, [failing.id], "a job that is asked for again")
    failing.delete()
    check((len(queue), queue.failed_job_registry.count), (0, 0), "what a job that is deleted leaves")
    check(failing.exists(failing.id, connection), False, "a job that is deleted")


def one_by_one(jobs, connection, worker_class):
    """Jobs for a worker that waits for them, each sent when the one before is done."""
    connection.flushall()
    queue = rq.Queue("jobs", connection=connection)
    worker = in_process(worker_class, queue, max_jobs=AWAITED)
    for number in range(AWAITED):
        job = queue.enqueue(jobs.add, number, 1)
        # A reader of the stream of results waits.
        check(job.latest_result(timeout=PATIENCE).return_value, number + 1, "a job for a worker that waits")
    ended_well(worker)


def stopped(jobs, connection):
    """A job that is stopped from afar, while its worker watches it."""
    connection.flushall()
    queue = rq.Queue("jobs", connection=connection)
    job = queue.enqueue(jobs.never_end, "told", job_timeout=2 * PATIENCE)
    worker = in_process(rq.Worker, queue, burst=True)
    check(connection.blpop("told", PATIENCE), (b"told", b"started"), "a job that runs")
    check(queue.started_job_registry.get_job_ids(), [job.id], "jobs that run")
    check([one.get_current_job_id() for one in rq.Worker.all(connection=connection)], [job.id], "what workers do")
    send_stop_job_command(connection, job.id)
    ended_well(worker)
    check(job.get_status(refresh=True), JobStatus.STOPPED, "a job that was stopped")
    check(queue.started_job_registry.count, 0, "jobs that run in the end")


def main():
    logging.getLogger("rq").setLevel(logging.CRITICAL)
    connection = redis.Redis(host=sys.argv[1], port=int(sys.argv[2]), socket_timeout=2 * PATIENCE)
    # Jobs are found by their module.
    jobs = __import__("rq_queue")
    for worker_class in (rq.SimpleWorker, rq.Worker):
        all_at_once(jobs, connection, worker_class)
        one_by_one(jobs, connection, worker_class)
    stopped(jobs, connection)
    print("rq: all right")


if __name__ == "__main__":
    main()
