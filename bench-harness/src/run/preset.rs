//! Ready-made workloads.
//!
//! YCSB's are those of Cooper et al., "Benchmarking cloud serving systems with YCSB" (SoCC 2010), with a record as one string of
//! 1000 bytes, so that every cache can run them: read, update and insert are GET and SET, a read-modify-write is GET and SET of
//! the same key sent together, a scan is MGET of keys in a row.

/// A workload by name.
#[derive(Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Weights and templates in RESP.
    pub resp: &'static [(u32, &'static str)],
    /// The same for memcached; empty where memcached cannot do it.
    pub memcached: &'static [(u32, &'static str)],
    /// What stores a key beforehand, in RESP.
    pub preload: &'static str,
    /// The same for memcached.
    pub preload_memcached: &'static str,
    /// The key distribution, unless another is asked for.
    pub distribution: &'static str,
    /// The sizes of values, likewise.
    pub value_bytes: &'static str,
}

const SET: &str = "SET __key__ __value__";
const TEXT_GET: &str = "get __key__";
const TEXT_SET: &str = "set __key__ 0 0 __bytes__ __value__";

/// The preset that has subscribers.
pub const PUBSUB: &str = "pubsub";

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "ycsb-a",
        about: "half reads, half updates of 1000 bytes, zipf",
        resp: &[(50, "GET __key__"), (50, SET)],
        memcached: &[(50, TEXT_GET), (50, TEXT_SET)],
        preload: SET,
        preload_memcached: TEXT_SET,
        distribution: "zipf:0.99",
        value_bytes: "1000",
    },
    Preset {
        name: "ycsb-b",
        about: "95% reads, 5% updates, zipf",
        resp: &[(95, "GET __key__"), (5, SET)],
        memcached: &[(95, TEXT_GET), (5, TEXT_SET)],
        preload: SET,
        preload_memcached: TEXT_SET,
        distribution: "zipf:0.99",
        value_bytes: "1000",
    },
    Preset {
        name: "ycsb-c",
        about: "reads, zipf",
        resp: &[(1, "GET __key__")],
        memcached: &[(1, TEXT_GET)],
        preload: SET,
        preload_memcached: TEXT_SET,
        distribution: "zipf:0.99",
        value_bytes: "1000",
    },
    Preset {
        name: "ycsb-d",
        about: "95% reads of the newest, 5% insertions",
        resp: &[(95, "GET __key__"), (5, "SET __new_key__ __value__")],
        memcached: &[
            (95, TEXT_GET),
            (5, "set __new_key__ 0 0 __bytes__ __value__"),
        ],
        preload: SET,
        preload_memcached: TEXT_SET,
        distribution: "latest:0.99",
        value_bytes: "1000",
    },
    Preset {
        name: "ycsb-e",
        about: "95% scans of 1 to 100 records, 5% insertions, zipf",
        resp: &[
            (95, "MGET __key_run:1-100__"),
            (5, "SET __new_key__ __value__"),
        ],
        memcached: &[],
        preload: SET,
        preload_memcached: TEXT_SET,
        distribution: "zipf:0.99",
        value_bytes: "1000",
    },
    Preset {
        name: "ycsb-f",
        about: "half reads, half read-modify-writes, zipf",
        resp: &[
            (50, "GET __key__"),
            (50, "GET __key__ ; SET __same_key__ __value__"),
        ],
        memcached: &[
            (50, TEXT_GET),
            (50, "get __key__ ; set __same_key__ 0 0 __bytes__ __value__"),
        ],
        preload: SET,
        preload_memcached: TEXT_SET,
        distribution: "zipf:0.99",
        value_bytes: "1000",
    },
    Preset {
        name: "sessions",
        about: "a session store: 80% GET, 12% SET, 8% EXPIRE; half an hour to live, 500 bytes or so",
        resp: &[
            (80, "GET __key__"),
            (12, "SET __key__ __value__ EX 1800"),
            (8, "EXPIRE __key__ 1800"),
        ],
        memcached: &[
            (80, TEXT_GET),
            (12, "set __key__ 0 1800 __bytes__ __value__"),
            (8, "touch __key__ 1800"),
        ],
        preload: "SET __key__ __value__ EX 1800",
        preload_memcached: "set __key__ 0 1800 __bytes__ __value__",
        distribution: "zipf:0.9",
        value_bytes: "lognormal:500:0.7",
    },
    Preset {
        name: "leaderboard",
        about: "one sorted set: 60% ZADD, 30% the top ten, 10% a rank",
        resp: &[
            (60, "ZADD leaderboard __score__ __key__"),
            (30, "ZREVRANGE leaderboard 0 9 WITHSCORES"),
            (10, "ZREVRANK leaderboard __key__"),
        ],
        memcached: &[],
        preload: "ZADD leaderboard __score__ __key__",
        preload_memcached: TEXT_SET,
        distribution: "uniform",
        value_bytes: "64",
    },
    Preset {
        name: "queue",
        about: "eight lists as queues: LPUSH and RPOP in turn",
        resp: &[
            (1, "LPUSH queue:__int:0-7__ __value__"),
            (1, "RPOP queue:__int:0-7__"),
        ],
        memcached: &[],
        preload: "LPUSH queue:__int:0-7__ __value__",
        preload_memcached: TEXT_SET,
        distribution: "uniform",
        value_bytes: "256",
    },
    Preset {
        name: "rate-limiter",
        about: "INCR and EXPIRE together, one minute, zipf",
        resp: &[(1, "INCR __key__ ; EXPIRE __same_key__ 60")],
        memcached: &[(1, "incr __key__ 1 ; touch __same_key__ 60")],
        preload: "SET __key__ 0 EX 60",
        preload_memcached: "set __key__ 0 60 \"1\\r\\n0\"",
        distribution: "zipf:0.99",
        value_bytes: "1",
    },
    Preset {
        name: PUBSUB,
        about: "publishers and --subscribers on --channels; latency is publication to delivery",
        resp: &[(1, "PUBLISH __channel__ __stamp____value__")],
        memcached: &[],
        preload: SET,
        preload_memcached: TEXT_SET,
        distribution: "uniform",
        value_bytes: "64",
    },
];

/// The preset of this name.
///
/// # Errors
/// One line that names all presets, when there is none.
pub fn find(name: &str) -> Result<&'static Preset, String> {
    PRESETS
        .iter()
        .find(|preset| preset.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            format!("`{name}` is none of the presets {}", names.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::distribution::KeyDistribution;
    use crate::run::size::SizeDistribution;
    use crate::run::template::Template;

    #[test]
    fn every_preset_is_well_formed() {
        for preset in PRESETS {
            preset.distribution.parse::<KeyDistribution>().unwrap();
            preset.value_bytes.parse::<SizeDistribution>().unwrap();
            let templates = preset.resp.iter().chain(preset.memcached);
            for text in templates
                .map(|(_, text)| *text)
                .chain([preset.preload, preset.preload_memcached])
            {
                Template::parse(&text.replace("__channel__", "channel")).unwrap();
            }
        }
        assert!(find("ycsb-a").is_ok());
        assert!(find("ycsb-z").unwrap_err().contains("ycsb-a, ycsb-b"));
    }
}
