"""Jobs in the PyPI queue `rq`, done by its worker: usage `rq_queue.py HOST PORT`; exit status 0 is success.

It needs sets, sorted sets and streams too.
"""

import logging
import sys

import redis
import rq

JOBS = 50


def add(a, b):
    return a + b


def fail():
    raise ValueError("always")


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def main():
    logging.getLogger("rq").setLevel(logging.CRITICAL)
    connection = redis.Redis(host=sys.argv[1], port=int(sys.argv[2]), socket_timeout=30)
    connection.flushall()
    # Jobs are found by their module.
    here = __import__("rq_queue")
    queue = rq.Queue("jobs", connection=connection)
    jobs = [queue.enqueue(here.add, number, number) for number in range(JOBS)]
    front = queue.enqueue(here.add, 1, 1, at_front=True)
    after = queue.enqueue(here.add, 2, 2, depends_on=jobs[0])
    failing = queue.enqueue(here.fail)
    check(queue.job_ids[0], front.id, "the job at the front")
    check(len(queue), JOBS + 2, "jobs that wait")
    check(rq.SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL"), True, "the worker did something")
    values = [job.latest_result().return_value for job in jobs]
    check(values, [2 * number for number in range(JOBS)], "the results")
    check(front.latest_result().return_value, 2, "the result of the job at the front")
    check(after.latest_result().return_value, 4, "the result of the job that waited for another")
    check(failing.get_status(refresh=True), rq.job.JobStatus.FAILED, "the job that fails")
    check("always" in failing.latest_result().exc_string, True, "its error")
    check(len(queue), 0, "the queue in the end")
    check(queue.failed_job_registry.count, 1, "jobs that failed")
    check(queue.finished_job_registry.count, JOBS + 2, "jobs that are done")
    print("rq: all right")


if __name__ == "__main__":
    main()
