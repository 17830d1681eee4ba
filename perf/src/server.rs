//! A whole server but for its sockets: cores are driven by the caller, what they would send is counted and thrown away.
//!
//! Time stands still, so that no periodic duty falls into what is measured, unless [`Server::advance`] is called. Only the clock
//! that commands are timed by is read, once a turn as by the runtime.

use std::sync::Arc;
use std::time::Instant;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::Core;
use larder_server::routing::CoreId;
use larder_server::session::{Peer, SessionId};
use larder_server::shared::Shared;

use crate::data::{MEMORY_CEILING_BYTES, NOW, SEEDS, VALUE, pipelines, set};

/// Pipeline depth at which a server is filled.
const FILL_PIPELINE: usize = 64;

/// Cores, and two clients on the first of them, of which most benches use one.
pub struct Server {
    shared: Arc<Shared>,
    cores: Vec<Core>,
    client: SessionId,
    other: SessionId,
    dirty: Vec<SessionId>,
    now_ms: u64,
}

impl Server {
    /// A server of `cores` cores and no keys.
    pub fn new(cores: u16) -> Self {
        let shared = Shared::new(bounded_config(), cores, SEEDS, 0);
        let mut started: Vec<_> = (0..cores)
            .map(|id| Core::new(CoreId(id), Arc::clone(&shared)).expect("address space"))
            .collect();
        // The bound is for the shards' granule alone.
        shared
            .update_config(|_| Ok::<_, ()>(Config::default()))
            .expect("the change cannot fail");
        let [client, other] = [(); 2].map(|()| match started[0].connect(Peer::default()) {
            Ok(client) => client,
            Err(_) => panic!("two clients are admitted"),
        });
        let mut server = Self {
            shared,
            cores: started,
            client,
            other,
            dirty: Vec::new(),
            now_ms: NOW.0 as u64,
        };
        for core in 0..server.cores.len() {
            server.begin(core);
            server.cores[core].end_turn();
        }
        server
    }

    /// The same with a limit of memory far away.
    pub fn under_far_limit(self) -> Self {
        self.shared
            .update_config(|_| Ok::<_, ()>(bounded_config()))
            .expect("the change cannot fail");
        self
    }

    /// The same with a limit of so many bytes, under which a policy evicts, and with these directives.
    pub fn evicting(self, maxmemory_bytes: u64, policy: &str, directives: &[&str]) -> Self {
        let bytes = maxmemory_bytes.to_string();
        let limit = ["--maxmemory", &bytes, "--maxmemory-policy", policy];
        let words = limit.iter().chain(directives);
        let args: Vec<String> = words.map(|&word| word.to_owned()).collect();
        let config = Config::load(None, &args).expect("these are directives");
        self.shared
            .update_config(|_| Ok::<_, ()>(config.clone()))
            .expect("the change cannot fail");
        self
    }

    /// A server of one core with the first `keys` keys.
    pub fn filled(keys: usize) -> Self {
        let mut server = Self::new(1);
        let commands = (0..keys).map(|number| set(number, &VALUE));
        server.run(&pipelines(commands, FILL_PIPELINE));
        server
    }

    /// Requests of keys that the miss-ratio curve of the first core has sampled, if it has one.
    pub fn sampled(&mut self) -> u64 {
        let curve = self.cores[0].state().shard.curve();
        curve.map_or(0, |curve| curve.stats().sampled)
    }

    /// Lets time pass.
    pub fn advance(&mut self, millis: u64) {
        self.now_ms += millis;
    }

    /// The core that owns `key`.
    pub fn core_of(&self, key: &[u8]) -> CoreId {
        self.shared.slots.core_of(key)
    }

    /// One turn of the first core for each piece of input. Returns the bytes replied.
    pub fn run(&mut self, pieces: &[Vec<u8>]) -> usize {
        pieces.iter().map(|piece| self.turn(piece)).sum()
    }

    /// One turn of the first core: `input` is received, what there is to reply is sent. Returns its bytes.
    pub fn turn(&mut self, input: &[u8]) -> usize {
        self.turn_of(self.client, input);
        self.send()
    }

    /// A turn in which one client sends `waits`, and one in which another sends `pushes`. Returns the bytes replied to both.
    pub fn hand_over(&mut self, waits: &[u8], pushes: &[u8]) -> usize {
        self.turn_of(self.client, waits);
        self.turn_of(self.other, pushes);
        self.send() + self.send_to(self.other)
    }

    #[inline]
    fn turn_of(&mut self, client: SessionId, input: &[u8]) {
        self.begin(0);
        self.cores[0].receive(client, input);
        self.cores[0].end_turn();
    }

    /// As [`Self::turn`], followed by a turn of every core while commands and answers travel between them.
    pub fn turn_with_hops(&mut self, input: &[u8]) -> usize {
        self.begin(0);
        self.cores[0].receive(self.client, input);
        self.cores[0].end_turn();
        while self.carry() {}
        self.send()
    }

    /// Carries the batches of all cores to where they go; whether there was one.
    fn carry(&mut self) -> bool {
        let mut carried = false;
        for from in 0..self.cores.len() {
            for to in 0..self.cores.len() {
                let Some(batch) = self.cores[from].take_outbox(CoreId(to as u16)) else {
                    continue;
                };
                self.begin(to);
                self.cores[to].deliver(CoreId(from as u16), batch);
                self.cores[to].end_turn();
                carried = true;
            }
        }
        carried
    }

    fn begin(&mut self, core: usize) {
        self.cores[core].begin_turn(Clock {
            unix: UnixMillis(self.now_ms as i64),
            monotonic_us: self.now_ms * 1000,
            read_at: Instant::now(),
        });
    }

    fn send(&mut self) -> usize {
        self.cores[0].take_dirty(&mut self.dirty);
        self.dirty.clear();
        self.send_to(self.client)
    }

    #[inline]
    fn send_to(&mut self, client: SessionId) -> usize {
        let core = &mut self.cores[0];
        let bytes = core.unsent(client).len();
        core.sent(client, bytes);
        bytes
    }
}

fn bounded_config() -> Config {
    let args = ["--maxmemory".to_owned(), MEMORY_CEILING_BYTES.to_string()];
    Config::load(None, &args).expect("maxmemory is a directive")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BULK_BYTES, HANDED_OVER_BYTES, blpop, get, key, rpush};

    const HIT_BYTES: usize = BULK_BYTES;

    #[test]
    fn a_filled_server_answers_every_get_with_its_value() {
        let mut server = Server::filled(100);
        let input = pipelines((0..100).map(get), 7);
        assert_eq!(server.run(&input), 100 * HIT_BYTES);
        assert_eq!(server.turn(&get(100)), b"$-1\r\n".len());
    }

    #[test]
    fn what_a_client_waits_for_another_hands_over() {
        let mut server = Server::new(1);
        for depth in [1, 16] {
            let (waits, pushes) = (blpop(7).repeat(depth), rpush(7).repeat(depth));
            for _ in 0..3 {
                // The first element is taken before the next comes, the others together.
                let lengths = std::iter::once(1).chain(1..depth);
                let lengths = lengths.map(|len| format!(":{len}\r\n").len());
                let replied = depth * HANDED_OVER_BYTES + lengths.sum::<usize>();
                assert_eq!(server.hand_over(&waits, &pushes), replied);
            }
        }
    }

    #[test]
    fn keys_of_another_core_are_set_and_got_by_a_hop() {
        let mut server = Server::new(2);
        let far: Vec<_> = (0..100)
            .filter(|&number| server.core_of(&key(number)) == CoreId(1))
            .collect();
        assert!(!far.is_empty());
        for &number in &far {
            assert_eq!(
                server.turn_with_hops(&set(number, &VALUE)),
                b"+OK\r\n".len()
            );
        }
        let gets = pipelines(far.iter().map(|&number| get(number)), far.len());
        assert_eq!(server.turn_with_hops(&gets[0]), far.len() * HIT_BYTES);
    }
}
