//! A core's counters.

use larder_engine::WrongType;

use super::errors::ErrorCounts;
use super::histogram::Durations;

/// Number of a command, dense from zero; counters are kept by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u16);

impl CommandId {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// Counters of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Time it took, in nanoseconds.
    pub nanos: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and answered an error.
    pub failed: u64,
}

/// Counters of one core since it began or since `CONFIG RESETSTAT`.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused for `maxclients`.
    pub rejected_connections: u64,
    /// Commands run.
    pub commands: u64,
    /// Bytes received from clients.
    pub received_bytes: u64,
    /// Bytes sent to clients.
    pub sent_bytes: u64,
    /// Lookups by reading commands that found their key.
    pub hits: u64,
    /// Lookups by reading commands that did not.
    pub misses: u64,
    /// Commands sent to other cores.
    pub hops: u64,
    /// Commands on keys of other cores that were answered from copies.
    pub copy_reads: u64,
    /// Commands and `EXEC`s with parts on several cores, or with locks.
    pub transactions: u64,
    /// Error replies sent.
    pub error_replies: u64,
    /// Error replies by code word.
    pub errors: ErrorCounts,
    /// Clients closed for their output buffer.
    pub output_limit_closes: u64,
    /// Clients closed for their query buffer.
    pub query_limit_closes: u64,
    /// Clients closed because all together held too much.
    pub evicted_clients: u64,
    /// Times a client was held back because it did not read.
    pub held_back_clients: u64,
    /// Times bytes of a client were read.
    pub reads: u64,
    /// Times bytes were written to a client.
    pub writes: u64,
    /// Entries the shard had evicted when the counters were last reset.
    pub evicted_before: u64,
    /// Entries the shard had expired when the counters were last reset.
    pub expired_before: u64,
    /// Objects the shard had freed lazily, likewise.
    pub lazyfreed_before: u64,
    /// Fields of hashes, likewise.
    pub expired_fields_before: u64,
    /// Time that steps of the expiry hand took.
    pub expiry_nanos: u64,
    /// Steps of the expiry hand that their budget ended.
    pub expiry_steps_cut_short: u64,
    /// By the command's number.
    pub by_command: Vec<CommandStats>,
    /// How long each command took, by its number.
    pub durations: Vec<Durations>,
    /// Whether distributions are not kept (`latency-tracking no`).
    pub durations_are_off: bool,
    /// Rates over the last seconds.
    pub rates: Rates,
}

impl Stats {
    /// Counters for a table of `commands` commands.
    pub fn new(commands: usize) -> Self {
        Self {
            by_command: vec![CommandStats::default(); commands],
            durations: vec![Durations::default(); commands],
            ..Self::default()
        }
    }

    /// Sets every counter to zero.
    pub fn reset(&mut self) {
        let durations_are_off = self.durations_are_off;
        *self = Self::new(self.by_command.len());
        self.durations_are_off = durations_are_off;
    }

    /// A reading command looked a key up.
    #[inline]
    pub fn count_lookup(&mut self, found: bool) {
        if found {
            self.hits += 1;
        } else {
            self.misses += 1;
        }
    }

    /// As [`Self::count_lookup`], of a value of one type: one of another type is found, too.
    #[inline]
    pub fn count_typed_lookup<T>(&mut self, looked_up: &Result<Option<T>, WrongType>) {
        self.count_lookup(!matches!(looked_up, Ok(None)));
    }

    /// A command ran `calls` times and took `nanos` together.
    pub fn ran(&mut self, id: CommandId, calls: u64, nanos: u64) {
        if calls > 0 {
            self.ran_alike(id, calls, nanos / calls);
            self.by_command[id.index()].nanos += nanos % calls;
        }
    }

    /// A command that is counted has taken so long beside that: it goes on.
    pub fn took_longer(&mut self, id: CommandId, nanos: u64) {
        self.by_command[id.index()].nanos += nanos;
    }

    /// A command ran `calls` times and took `each_nanos` each time.
    #[inline(always)]
    pub fn ran_alike(&mut self, id: CommandId, calls: u64, each_nanos: u64) {
        let command = &mut self.by_command[id.index()];
        command.calls += calls;
        command.nanos += calls * each_nanos;
        if calls > 0 && !self.durations_are_off {
            self.durations[id.index()].record(calls, each_nanos);
        }
    }

    /// An error reply was made.
    pub fn count_error(&mut self, code: &[u8]) {
        self.error_replies += 1;
        self.errors.add(&String::from_utf8_lossy(code), 1);
    }

    /// The error reply of a command that ran was made.
    pub fn count_failure(&mut self, id: CommandId, code: &[u8]) {
        self.count_error(code);
        self.by_command[id.index()].failed += 1;
    }

    /// Takes a sample for the rates; called about ten times a second, `now_ms` of a clock that never goes back.
    pub fn sample_rates(&mut self, now_ms: u64) {
        let totals = [self.commands, self.received_bytes, self.sent_bytes];
        self.rates.sample(now_ms, totals);
    }
}

/// Samples a rate is averaged over, as in Redis (`STATS_METRIC_SAMPLES`).
const RATE_SAMPLES: usize = 16;

/// Commands, bytes in and bytes out a second.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    samples: [[u64; 3]; RATE_SAMPLES],
    next: usize,
    last_ms: u64,
    last: [u64; 3],
}

impl Rates {
    fn sample(&mut self, now_ms: u64, totals: [u64; 3]) {
        let elapsed_ms = now_ms.saturating_sub(self.last_ms);
        if elapsed_ms == 0 {
            return;
        }
        let rates: [u64; 3] =
            std::array::from_fn(|at| totals[at].saturating_sub(self.last[at]) * 1000 / elapsed_ms);
        // An idle core takes no samples: a late one stands for those that were left out.
        for _ in 0..(elapsed_ms / 100).clamp(1, RATE_SAMPLES as u64) {
            self.samples[self.next % RATE_SAMPLES] = rates;
            self.next = self.next.wrapping_add(1);
        }
        self.last_ms = now_ms;
        self.last = totals;
    }

    /// The averages: commands, bytes in, bytes out a second.
    pub fn per_second(&self) -> [u64; 3] {
        std::array::from_fn(|at| {
            self.samples.iter().map(|sample| sample[at]).sum::<u64>() / RATE_SAMPLES as u64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_forgets_counters_and_keeps_room_for_all_commands() {
        let mut stats = Stats::new(3);
        stats.ran(CommandId(2), 4, 4000);
        stats.count_error(b"ERR");
        assert_eq!(stats.by_command[2].calls, 4);
        assert_eq!(stats.durations[2].calls(), 4);
        assert_eq!(stats.errors.of("ERR"), 1);
        stats.reset();
        assert_eq!(stats.by_command, [CommandStats::default(); 3]);
        assert_eq!(stats.durations[2].calls(), 0);
        assert_eq!(stats.error_replies, 0);
    }

    #[test]
    fn rates_are_averages_over_the_last_samples() {
        let mut stats = Stats::new(0);
        for tick in 1..=32 {
            stats.commands += 10;
            stats.sample_rates(tick * 100);
        }
        assert_eq!(stats.rates.per_second()[0], 100);
    }
}
