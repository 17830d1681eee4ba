//! Dialogues out of bytes: commands over few keys and few values, so that they meet often.

/// How many clients take part.
pub const SESSIONS: usize = 3;

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A client sends a command.
    Command {
        /// Which client.
        session: usize,
        /// Whether more is sent before the replies are read.
        pipelined: bool,
        /// The command's arguments.
        args: Vec<Vec<u8>>,
    },
    /// Time passes.
    Advance {
        /// So many milliseconds.
        millis: u64,
    },
}

/// The steps that some bytes stand for. Any bytes stand for some.
#[derive(Debug)]
pub struct Steps<'a> {
    bytes: &'a [u8],
}

const KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"d",
    b"key:5",
    b"key:6",
    b"{tag}1",
    b"{tag}2",
    b"",
    b"\0\r\n",
    b"a-key-too-long-to-be-kept-beside-its-length-in-anything-small-as-keys-rarely-are-so-long",
];

const VALUES: &[&[u8]] = &[
    b"0",
    b"5",
    b"-7",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"12345678901234567890",
    b"007",
    b"abc",
    b"",
    b" 1",
    b"3.5",
    b"\0\xff\r\n",
    b"a value of some length, past what is embedded anywhere: 0123456789 0123456789 0123456789",
];

const NUMBERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"10",
    b"100",
    b"-100",
    b"9223372036854775807",
    b"x",
    b"",
];

/// Milliseconds a deadline is away.
const SPANS: &[&[u8]] = &[b"1", b"5", b"20", b"1000", b"100000"];

impl<'a> Steps<'a> {
    /// The steps that `bytes` stand for.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn below(&mut self, bound: usize) -> Option<usize> {
        Some(usize::from(self.byte()?) % bound)
    }

    fn one_of(&mut self, list: &[&[u8]]) -> Option<Vec<u8>> {
        let index = self.below(list.len())?;
        Some(list[index].to_vec())
    }

    fn key(&mut self) -> Option<Vec<u8>> {
        self.one_of(KEYS)
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        self.one_of(VALUES)
    }

    fn keys(&mut self) -> Option<Vec<Vec<u8>>> {
        let count = 1 + self.below(4)?;
        (0..count).map(|_| self.key()).collect()
    }

    fn pairs(&mut self) -> Option<Vec<Vec<u8>>> {
        let count = 1 + self.below(4)?;
        let mut out = Vec::new();
        for _ in 0..count {
            out.push(self.key()?);
            out.push(self.value()?);
        }
        Some(out)
    }

    fn database(&mut self) -> Option<Vec<u8>> {
        self.one_of(&[b"0", b"1", b"2", b"15"])
    }

    /// `SET` with options that may be given together.
    fn set(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut args = vec![b"SET".to_vec(), self.key()?, self.value()?];
        let options = self.byte()?;
        match options & 3 {
            1 => args.push(b"NX".to_vec()),
            2 => args.push(b"XX".to_vec()),
            _ => {}
        }
        match (options >> 2) & 3 {
            1 => args.extend([b"PX".to_vec(), self.one_of(SPANS)?]),
            2 => args.push(b"KEEPTTL".to_vec()),
            _ => {}
        }
        if options & 16 != 0 {
            args.push(b"GET".to_vec());
        }
        Some(args)
    }

    fn arguments(&mut self) -> Option<Vec<Vec<u8>>> {
        let named = |name: &str, rest: Vec<Vec<u8>>| {
            let mut args = vec![name.as_bytes().to_vec()];
            args.extend(rest);
            args
        };
        Some(match self.byte()? % 40 {
            0 | 1 => named("SET", vec![self.key()?, self.value()?]),
            2 | 3 => self.set()?,
            4 | 5 => named("GET", vec![self.key()?]),
            6 => named("GETSET", vec![self.key()?, self.value()?]),
            7 => named("GETDEL", vec![self.key()?]),
            8 => match self.below(3)? {
                0 => named("GETEX", vec![self.key()?]),
                1 => named("GETEX", vec![self.key()?, b"PERSIST".to_vec()]),
                _ => named(
                    "GETEX",
                    vec![self.key()?, b"PX".to_vec(), self.one_of(SPANS)?],
                ),
            },
            9 => named("APPEND", vec![self.key()?, self.value()?]),
            10 => named("STRLEN", vec![self.key()?]),
            11 => {
                let offset = self.below(40)?.to_string().into_bytes();
                named("SETRANGE", vec![self.key()?, offset, self.value()?])
            }
            12 => named(
                "GETRANGE",
                vec![self.key()?, self.one_of(NUMBERS)?, self.one_of(NUMBERS)?],
            ),
            13 => named("INCRBY", vec![self.key()?, self.one_of(NUMBERS)?]),
            14 => named("DECRBY", vec![self.key()?, self.one_of(NUMBERS)?]),
            15 => named("INCR", vec![self.key()?]),
            16 => named("DECR", vec![self.key()?]),
            17 => named("MSET", self.pairs()?),
            18 => named("MSETNX", self.pairs()?),
            19 => named("MGET", self.keys()?),
            20 => named("DEL", self.keys()?),
            21 => named("UNLINK", self.keys()?),
            22 => named("EXISTS", self.keys()?),
            23 => {
                let mut args = vec![
                    self.key()?,
                    self.one_of(&[b"1", b"20", b"1000", b"100000", b"0", b"-5"])?,
                ];
                if let condition @ 1.. = self.below(5)? {
                    args.push([&b""[..], b"NX", b"XX", b"GT", b"LT"][condition].to_vec());
                }
                named("PEXPIRE", args)
            }
            24 => named("PERSIST", vec![self.key()?]),
            25 => named("PTTL", vec![self.key()?]),
            26 => named("RENAME", vec![self.key()?, self.key()?]),
            27 => named("RENAMENX", vec![self.key()?, self.key()?]),
            28 => {
                let mut args = vec![self.key()?, self.key()?];
                let options = self.byte()?;
                if options & 1 != 0 {
                    args.extend([b"DB".to_vec(), self.database()?]);
                }
                if options & 2 != 0 {
                    args.push(b"REPLACE".to_vec());
                }
                named("COPY", args)
            }
            29 => named("MOVE", vec![self.key()?, self.database()?]),
            30 => named("SELECT", vec![self.database()?]),
            31 => named("SWAPDB", vec![self.database()?, self.database()?]),
            32 => match self.below(8)? {
                0 => named("FLUSHDB", vec![]),
                1 => named("FLUSHALL", vec![]),
                _ => named("DBSIZE", vec![]),
            },
            33 => named("KEYS", vec![b"*".to_vec()]),
            34 => named("RANDOMKEY", vec![]),
            35 => match self.below(3)? {
                0 => named("TYPE", vec![self.key()?]),
                1 => named("TOUCH", self.keys()?),
                _ => named("SETNX", vec![self.key()?, self.value()?]),
            },
            36 => {
                let offset = self.below(200)?.to_string().into_bytes();
                let bit = self.one_of(&[b"0", b"1"])?;
                named("SETBIT", vec![self.key()?, offset, bit])
            }
            37 => {
                let offset = self.below(200)?.to_string().into_bytes();
                named("GETBIT", vec![self.key()?, offset])
            }
            38 => named("BITCOUNT", vec![self.key()?]),
            _ => {
                let operation = self.one_of(&[b"AND", b"OR", b"XOR", b"NOT"])?;
                let mut args = vec![operation.clone(), self.key()?];
                if operation == b"NOT" {
                    args.push(self.key()?);
                } else {
                    args.extend(self.keys()?);
                }
                named("BITOP", args)
            }
        })
    }
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let manner = self.byte()?;
        if manner % 16 == 15 {
            let millis = [1, 4, 5, 21, 999, 200_000][self.below(6)?];
            return Some(Step::Advance { millis });
        }
        let session = usize::from(manner) % SESSIONS;
        let args = self.arguments()?;
        Some(Step::Command {
            session,
            pipelined: manner & 128 != 0,
            args,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_stand_for_steps() {
        let bytes: Vec<u8> = (0..4000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let steps: Vec<Step> = Steps::of(&bytes).collect();
        assert!(steps.len() > 500, "{}", steps.len());
        assert_eq!(Steps::of(&[]).count(), 0);
    }
}
