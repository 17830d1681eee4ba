//! The differences that are explained, one by one: what Redis has come to answer otherwise, and which way Larder goes.
//!
//! Only what changes no value is here. Where an older Redis does something else (it refuses `BLPOP` in scripts, and sorts
//! what begins with a blank as a number), such commands are not made for it: see [`super::generate::Known`].
//!
//! Of small lists only that they are one of the two encodings is compared with a Redis since 7.2; where they change is in
//! the golden dialogues.

use super::compare::Different;
use crate::resp::Reply;

/// A Redis's version: major, minor.
pub type Version = (u32, u32);

/// Which of the two Larder answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Larder {
    /// What the older ones answered.
    AsBefore,
    /// What the newer ones answer.
    AsSince,
}

/// What two servers answered where an older and a newer Redis differ.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The command's words.
    pub words: &'a [Vec<u8>],
    /// Of the older.
    pub before: &'a Reply,
    /// Of the newer.
    pub since: &'a Reply,
    /// Whether the episode sorts something.
    pub sorts: bool,
}

/// One change of Redis.
#[derive(Debug)]
pub struct Explained {
    /// By which it is counted, and why it is right.
    pub name: &'static str,
    /// The first version that answers the new way.
    pub since: Version,
    /// Which way Larder goes.
    pub larder: Larder,
    /// Whether a difference is this one.
    pub is: fn(&Seen<'_>) -> bool,
}

/// All of them.
pub const EXPLAINED: &[Explained] = &[
    Explained {
        name: "since 7.2 a list that fits one node is a listpack, no quicklist",
        since: (7, 2),
        larder: Larder::AsSince,
        is: |it| it.is_encoding("quicklist", "listpack"),
    },
    Explained {
        name: "since 7.2 a list that shrank is a quicklist while its nodes are several, and one that was to grow in vain \
               becomes one; here what is in it decides",
        since: (7, 2),
        larder: Larder::AsBefore,
        is: |it| it.is_encoding("listpack", "quicklist"),
    },
    Explained {
        name: "since 7.2 a list near its threshold of bytes is the smaller for its numbers; here they count as texts",
        since: (7, 2),
        larder: Larder::AsBefore,
        is: |it| it.is_encoding("quicklist", "listpack"),
    },
    Explained {
        name: "since 7.2 a small set that has other members than integers is a listpack",
        since: (7, 2),
        larder: Larder::AsSince,
        is: |it| it.is_encoding("hashtable", "listpack"),
    },
    Explained {
        name: "since 8.2 a string beside a long key is raw; here, as before, up to 44 bytes are embstr",
        since: (8, 2),
        larder: Larder::AsBefore,
        is: |it| it.is_encoding("embstr", "raw"),
    },
    Explained {
        name: "since 7.4 a small hash is a listpackex once a deadline of a field was asked for; here as long as one has one",
        since: (7, 4),
        larder: Larder::AsBefore,
        is: |it| it.is_encoding("listpack", "listpackex"),
    },
    Explained {
        name: "a small sorted set that is sorted becomes a skiplist; here what is in it decides",
        since: (0, 0),
        larder: Larder::AsBefore,
        is: |it| it.sorts && it.is_encoding("listpack", "skiplist"),
    },
    Explained {
        name: "since 7.2 a sorted set is a skiplist that was given more scores at once than a small one has members, few as they are",
        since: (7, 2),
        larder: Larder::AsSince,
        is: |it| it.is_encoding("listpack", "skiplist"),
    },
    Explained {
        name: "since 7.2 a double has as few digits as it takes",
        since: (7, 2),
        larder: Larder::AsSince,
        is: |it| are_same_doubles(it.before, it.since, &|_, _| true),
    },
    Explained {
        name: "since 7.2 the text of a double has a digit more than it takes at times; here never",
        since: (7, 2),
        larder: Larder::AsBefore,
        is: |it| {
            are_same_doubles(it.before, it.since, &|before, since| {
                digits(before) < digits(since)
            })
        },
    },
    Explained {
        name: "a small sorted set that is sorted becomes a skiplist, and keeps a score of -0; here what is in it decides",
        since: (0, 0),
        larder: Larder::AsBefore,
        is: |it| {
            it.sorts
                && are_same_doubles(it.before, it.since, &|before, since| {
                    (before, since) == ("0", "-0") || digits(before) < digits(since)
                })
        },
    },
    Explained {
        name: "since 7.2 ZRANK and ZREVRANK have an argument more, which may be wrong",
        since: (7, 2),
        larder: Larder::AsSince,
        is: |it| {
            ["ZRANK", "ZREVRANK"].contains(&it.name().as_str())
                && error(it.before).is_some_and(|text| text.contains("rong number of arg"))
                && it.since_error() == Some("ERR syntax error")
        },
    },
    Explained {
        name: "since 7.2 the error of XREAD and XREADGROUP with too many or too few ids names the command",
        since: (7, 2),
        larder: Larder::AsSince,
        is: |it| {
            let is_unbalanced = |text: &str| text.starts_with("ERR Unbalanced ");
            error(it.before).is_some_and(is_unbalanced)
                && it.since_error().is_some_and(is_unbalanced)
        },
    },
    Explained {
        name: "since 8.0 BITCOUNT and BITPOS look at their range before they look at the key",
        since: (8, 0),
        larder: Larder::AsBefore,
        is: |it| {
            ["BITCOUNT", "BITPOS"].contains(&it.name().as_str())
                && (matches!(it.before, Reply::Integer(-1 | 0))
                    || error(it.before).is_some_and(|text| text.starts_with("WRONGTYPE")))
                && [
                    Some("ERR value is not an integer or out of range"),
                    Some("ERR syntax error"),
                ]
                .contains(&it.since_error())
        },
    },
];

impl Seen<'_> {
    fn name(&self) -> String {
        let name = self.words.first().map_or(&b""[..], |word| word);
        String::from_utf8_lossy(name).to_ascii_uppercase()
    }

    fn is_encoding(&self, before: &str, since: &str) -> bool {
        self.name() == "OBJECT"
            && self.before.bytes() == Some(before.as_bytes())
            && self.since.bytes() == Some(since.as_bytes())
    }

    fn since_error(&self) -> Option<&str> {
        error(self.since)
    }
}

/// Whether both have the same doubles, whose texts differ in this way, and all else is the same, too.
fn are_same_doubles(before: &Reply, since: &Reply, differ: &dyn Fn(&str, &str) -> bool) -> bool {
    fn text(reply: &Reply) -> Option<&str> {
        match reply {
            Reply::Double(text) => Some(text),
            Reply::Bulk(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
    if before == since {
        return true;
    }
    if let (Reply::Array(before), Reply::Array(since)) = (before, since) {
        let mut pairs = before.iter().zip(since);
        return before.len() == since.len()
            && pairs.all(|(before, since)| are_same_doubles(before, since, differ));
    }
    let texts = text(before).zip(text(since));
    texts.is_some_and(|(before, since)| {
        let numbers = before.parse::<f64>().ok().zip(since.parse::<f64>().ok());
        numbers.is_some_and(|(one, other)| one == other) && differ(before, since)
    })
}

/// How many digits a number has, without zeros at its ends, which may be an exponent as well.
fn digits(text: &str) -> usize {
    let mantissa = text.split('e').next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').len()
}

/// The text of an error.
fn error(reply: &Reply) -> Option<&str> {
    match reply {
        Reply::Error(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// What may differ between a reference and a subject.
#[derive(Debug)]
pub struct Explanations {
    /// Those where the reference is the older.
    newer: Vec<&'static Explained>,
    /// Those where it is the newer.
    older: Vec<&'static Explained>,
}

impl Explanations {
    /// Between a reference of this version and Larder.
    #[must_use]
    pub fn with_larder(reference: Version) -> Self {
        let of = |is_older: bool, larder: Larder| {
            EXPLAINED
                .iter()
                .filter(|one| (reference < one.since) == is_older && one.larder == larder)
                .collect()
        };
        Self {
            newer: of(true, Larder::AsSince),
            older: of(false, Larder::AsBefore),
        }
    }

    /// Between two Redises.
    #[must_use]
    pub fn between(reference: Version, subject: Version) -> Self {
        let of = |older: Version, newer: Version| {
            EXPLAINED
                .iter()
                .filter(|one| older < one.since && one.since <= newer)
                .collect()
        };
        Self {
            newer: of(reference, subject),
            older: of(subject, reference),
        }
    }

    /// What explains a difference, by name; `sorts`: whether the episode sorts something.
    pub(super) fn of(&self, different: &Different<'_>, sorts: bool) -> Option<&'static str> {
        let seen = |before, since| Seen {
            words: &different.command.words,
            before,
            since,
            sorts,
        };
        let newer = seen(different.reference, different.subject);
        let older = seen(different.subject, different.reference);
        let by = |all: &[&'static Explained], seen: &Seen<'_>| {
            all.iter().find(|one| (one.is)(seen)).map(|one| one.name)
        };
        by(&self.newer, &newer).or_else(|| by(&self.older, &older))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::step::Command;

    #[test]
    fn an_explanation_holds_one_way_and_for_its_versions() {
        let [old, new] =
            ["listpack", "listpackex"].map(|name| Reply::Bulk(name.as_bytes().to_vec()));
        let command = Command::of(&["OBJECT", "ENCODING", "k"]);
        let explained = |all: &Explanations, reference, subject| {
            let different = Different {
                command: &command,
                reference,
                subject,
            };
            all.of(&different, false).is_some()
        };
        // Larder answers as before.
        let old_reference = Explanations::with_larder((7, 0));
        assert!(!explained(&old_reference, &old, &new));
        assert!(!explained(&old_reference, &new, &old));
        let new_reference = Explanations::with_larder((8, 6));
        assert!(explained(&new_reference, &new, &old));
        assert!(!explained(&new_reference, &old, &new));
        let redises = Explanations::between((8, 6), (7, 0));
        assert!(explained(&redises, &new, &old));
        assert!(!explained(&redises, &old, &new));
    }
}
