//! What commands are made of: keys, elements, fields, numbers, deadlines.

use std::collections::BTreeSet;

use super::Maker;

const HASHES: [&str; 4] = ["h:1", "h:2", "{t}h:3", "h:4"];
const LISTS: [&str; 5] = ["l:1", "l:2", "{t}l:3", "{t}l:4", "l:5"];
const SETS: [&str; 5] = ["m:1", "m:2", "{t}m:3", "{t}m:4", "m:5"];
const SORTED_SETS: [&str; 5] = ["z:1", "z:2", "{t}z:3", "{t}z:4", "z:5"];
const STREAMS: [&str; 3] = ["x:1", "x:2", "{t}x:3"];
const STRINGS: [&str; 3] = ["s:1", "s:2", "{t}s:3"];
const HYPERLOGLOGS: [&str; 3] = ["p:1", "p:2", "{t}p:3"];
/// Weights to sort by. Nothing puts a NUL into them, behind which Redis looks no further.
const WEIGHTS: [&str; 2] = ["w_1", "w_a"];

/// Deadlines given as such, in seconds since 1970. They are too far away to come.
const MOMENTS: [u64; 4] = [4_200_000_000, 4_200_000_001, 4_300_000_000, 4_200_000_010];

impl Maker<'_> {
    pub(super) fn hash_key(&mut self) -> Vec<u8> {
        self.mostly(&HASHES)
    }

    pub(super) fn list_key(&mut self) -> Vec<u8> {
        self.mostly(&LISTS)
    }

    pub(super) fn set_key(&mut self) -> Vec<u8> {
        self.mostly(&SETS)
    }

    pub(super) fn sorted_set_key(&mut self) -> Vec<u8> {
        self.mostly(&SORTED_SETS)
    }

    pub(super) fn stream_key(&mut self) -> Vec<u8> {
        self.mostly(&STREAMS)
    }

    pub(super) fn string_key(&mut self) -> Vec<u8> {
        if self.random.one_in(4) {
            return WEIGHTS[self.random.below(WEIGHTS.len())].into();
        }
        self.mostly(&STRINGS)
    }

    /// A string that may come to have any bytes.
    pub(super) fn bytes_key(&mut self) -> Vec<u8> {
        self.mostly(&STRINGS)
    }

    pub(super) fn hyperloglog_key(&mut self) -> Vec<u8> {
        self.mostly(&HYPERLOGLOGS)
    }

    pub(super) fn list_keys(&mut self, most: usize) -> Vec<Vec<u8>> {
        let count = self.random.between(1, most);
        (0..count).map(|_| self.list_key()).collect()
    }

    pub(super) fn all_list_keys(&self) -> Vec<Vec<u8>> {
        LISTS.iter().map(|key| key.as_bytes().to_vec()).collect()
    }

    pub(super) fn all_sorted_set_keys(&self) -> Vec<Vec<u8>> {
        SORTED_SETS.map(|key| key.as_bytes().to_vec()).to_vec()
    }

    pub(super) fn all_stream_keys(&self) -> Vec<Vec<u8>> {
        STREAMS.map(|key| key.as_bytes().to_vec()).to_vec()
    }

    fn mostly(&mut self, keys: &[&str]) -> Vec<u8> {
        if self.random.one_in(25) {
            return self.any_key();
        }
        keys[self.random.below(keys.len())].into()
    }

    pub(super) fn any_key(&mut self) -> Vec<u8> {
        if self.random.one_in(12) {
            return b"none".to_vec();
        }
        let keys: Vec<&str> = [
            &HASHES[..],
            &LISTS,
            &SETS,
            &SORTED_SETS,
            &STREAMS,
            &STRINGS,
            &HYPERLOGLOGS,
        ]
        .concat();
        keys[self.random.below(keys.len())].into()
    }

    pub(super) fn any_keys(&mut self, most: usize) -> Vec<Vec<u8>> {
        let count = self.random.between(1, most);
        (0..count).map(|_| self.any_key()).collect()
    }

    /// An element or a value.
    pub(super) fn element(&mut self) -> Vec<u8> {
        let is_strict = self.known.sorts_strictly();
        let random = &mut self.random;
        match random.below(40) {
            0..12 => random.below(12).to_string().into_bytes(),
            12..20 => vec![b"abcdefgh"[random.below(8)]],
            20 => (random.number() as i64).to_string().into_bytes(),
            21 => format!("{}.{}", random.below(50), random.below(1000)).into_bytes(),
            22 => b"".to_vec(),
            // No NUL: a Redis that sorts texts looks no further.
            23 => b"\x01\xff\r\n\"'\\ ".to_vec(),
            24 => b"-0".to_vec(),
            25 if is_strict => b" 1".to_vec(),
            26 => b"1e3".to_vec(),
            27 => b"007".to_vec(),
            28 => [&b"9223372036854775807"[..], b"-9223372036854775808"][random.below(2)].to_vec(),
            // Around the thresholds of listpacks and of short strings.
            29 | 30 => {
                let length = random.between(43, 66);
                vec![b"xyz"[random.below(3)]; length]
            }
            31 => {
                let length = random.between(125, 300);
                vec![b"LMN"[random.below(3)]; length]
            }
            32 if random.one_in(3) => {
                let length = random.between(3000, 9000);
                vec![b"PQ"[random.below(2)]; length]
            }
            32 if random.one_in(10) => {
                let length = random.between(30_000, 70_000);
                vec![b"RS"[random.below(2)]; length]
            }
            33 if is_strict => [&b"0x10"[..], b"inf", b"nan"][random.below(3)].to_vec(),
            34 => [&b"1_000"[..], b"3.0e-2"][random.below(2)].to_vec(),
            _ => {
                let length = random.between(1, 24);
                (0..length).map(|_| b'a' + random.below(26) as u8).collect()
            }
        }
    }

    /// A value of a string or of a field.
    pub(super) fn value(&mut self) -> Vec<u8> {
        if self.random.one_in(40) {
            return b"a\x00\xff\x00".to_vec();
        }
        self.element()
    }

    pub(super) fn elements(&mut self, most: usize) -> Vec<Vec<u8>> {
        let most = if self.is_large && self.random.one_in(3) {
            most * 60
        } else {
            most
        };
        let count = self.random.between(1, most);
        (0..count).map(|_| self.element()).collect()
    }

    pub(super) fn field(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        match random.below(24) {
            0 => b"".to_vec(),
            1 => b"b\x00\xff".to_vec(),
            2 => vec![b'F'; 64 + random.below(2)],
            3 => vec![b'G'; 129 + random.below(200)],
            4..7 => random.below(6).to_string().into_bytes(),
            _ if self.is_large => format!("f{}", random.below(3000)).into_bytes(),
            _ => format!("f{}", random.below(9)).into_bytes(),
        }
    }

    /// Fields, now and then one of them twice.
    pub(super) fn some_fields(&mut self, most: usize) -> Vec<Vec<u8>> {
        let most = if self.is_large && self.random.one_in(3) {
            most * 60
        } else {
            most
        };
        let count = self.random.between(1, most);
        (0..count).map(|_| self.field()).collect()
    }

    pub(super) fn pairs(&mut self, most: usize) -> Vec<Vec<u8>> {
        let mut fields = self.some_fields(most);
        // More pairs than a listpack may have make a hash table since 7.2, be some of them the same; before, and here, the
        // fields that there are count.
        if !self.known.since_7_2 || self.has_thresholds || fields.len() > 60 {
            let mut seen = BTreeSet::new();
            fields.retain(|field| seen.insert(field.clone()));
        }
        fields
            .into_iter()
            .flat_map(|field| [field, self.value()])
            .collect()
    }

    /// An index into a list or a string.
    pub(super) fn index(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let far = if self.is_large { 3000 } else { 30 };
        let index = match random.below(20) {
            0..5 => random.below(3) as i64,
            5..8 => -(random.between(1, 3) as i64),
            8..14 => random.below(far) as i64,
            14..18 => -(random.between(1, far) as i64),
            18 => 1_000_000,
            _ => -1_000_000,
        };
        index.to_string().into_bytes()
    }

    pub(super) fn small(&mut self, most: usize) -> Vec<u8> {
        self.random.between(1, most).to_string().into_bytes()
    }

    /// What is added to a number.
    pub(super) fn increment(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        match random.below(12) {
            0 => b"9223372036854775807".to_vec(),
            1 => b"-9223372036854775808".to_vec(),
            2 => b"0".to_vec(),
            _ => (random.below(200) as i64 - 100).to_string().into_bytes(),
        }
    }

    pub(super) fn float(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        match random.below(12) {
            0 => b"inf".to_vec(),
            1 => b"1e300".to_vec(),
            2 => b"-1.5e-7".to_vec(),
            3 => b"5".to_vec(),
            4 => b"nan".to_vec(),
            _ => {
                let sign = ["", "-"][random.below(2)];
                format!("{sign}{}.{}", random.below(100), random.below(1000)).into_bytes()
            }
        }
    }

    /// A relative deadline that does not come, in seconds.
    pub(super) fn far_seconds(&mut self) -> u64 {
        self.random.between(1000, 100_000_000) as u64
    }

    /// The words of a deadline as `SET` takes it.
    pub(super) fn deadline_option(&mut self) -> Vec<Vec<u8>> {
        self.deadline_among(7)
    }

    /// The words of a deadline as `GETEX` takes it, for which one that is over takes away at once.
    pub(super) fn any_deadline_option(&mut self) -> Vec<Vec<u8>> {
        self.deadline_among(9)
    }

    fn deadline_among(&mut self, kinds: usize) -> Vec<Vec<u8>> {
        let seconds = self.far_seconds();
        let (name, value) = match self.random.below(kinds) {
            0..3 => ("EX", seconds),
            3..5 => ("PX", seconds * 1000 + 7),
            5 => ("EXAT", self.moment()),
            6 => ("PXAT", self.moment() * 1000 + 3),
            7 => ("PXAT", 1),
            _ => ("EXAT", 1),
        };
        vec![name.into(), value.to_string().into_bytes()]
    }

    pub(super) fn moment(&mut self) -> u64 {
        MOMENTS[self.random.below(MOMENTS.len())]
    }

    /// The deadline that a command of this name takes: relative or not, in seconds or milliseconds.
    pub(super) fn deadline_for(&mut self, name: &str) -> Vec<u8> {
        let is_ms = name.contains("PEXPIRE");
        let number: i128 = match self.random.below(16) {
            0 => 0,
            1 => -1,
            2 => i128::from(i64::MAX),
            // The last moment a field's deadline may be, and the next.
            3 if name.ends_with("AT") || name.starts_with('H') => {
                (1 << 48) - 2 + self.random.below(3) as i128
            }
            _ => {
                let seconds = if name.ends_with("AT") {
                    match self.random.below(6) {
                        0 => 1,
                        _ => self.moment(),
                    }
                } else {
                    self.far_seconds()
                };
                i128::from(seconds) * if is_ms { 1000 } else { 1 }
            }
        };
        number.to_string().into_bytes()
    }

    pub(super) fn pattern(&mut self) -> Vec<u8> {
        let all: [&[u8]; 9] = [
            b"*", b"f*", b"*1*", b"[a-h]*", b"s:?", b"*:[12]", b"f[^1]", b"none", b"{t}*",
        ];
        all[self.random.below(all.len())].to_vec()
    }

    pub(super) fn database(&mut self) -> &'static str {
        ["0", "0", "0", "1", "2"][self.random.below(5)]
    }
}
