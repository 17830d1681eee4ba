// How jobs of a worker end.

// What tells of each job how it ends, from the worker's own word, which misses none, as it is asked before there are jobs.
export function endsOf(worker) {
  const ends = new Map();
  const end = (id) => {
    if (!ends.has(id)) {
      const end = {};
      end.promise = new Promise((resolve, reject) => Object.assign(end, { resolve, reject }));
      // It may fail before anybody asks.
      end.promise.catch(() => {});
      ends.set(id, end);
    }
    return ends.get(id);
  };
  worker.on("completed", (job, value) => end(job.id).resolve(value));
  worker.on("failed", (job, error) => job.attemptsMade >= (job.opts.attempts ?? 1) && end(job.id).reject(error));
  return (job) => end(job.id).promise;
}
