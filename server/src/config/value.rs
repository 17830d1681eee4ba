//! Values of directives: from the words a user wrote to the one text `CONFIG GET` shows.
//!
//! Everything downstream ([`super::settings`]) reads that text alone, so a value is judged here once. Reasons are
//! worded as Redis words them, since clients see them behind `CONFIG SET failed … - `.

use std::path::Path;

use super::directive::{Directive, Kind};
use super::quotas;

/// Why a value is refused.
pub(super) type Reason = String;

/// Whether lines of `save`, and of quotas, add to what is set or replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saving {
    /// They replace it.
    Replaces,
    /// They add to it, as one line of several in a file.
    Adds,
}

/// The text of `directive` once set to `words`, of which there is at least one; `present` is its text before.
///
/// # Errors
/// The reason when the words are no value of the directive.
pub(super) fn canonical(
    directive: &Directive,
    words: &[String],
    present: &str,
    saving: Saving,
) -> Result<String, Reason> {
    let [first, ..] = words else {
        // A `save` with nothing behind it adds no points to those there are.
        return match directive.kind {
            Kind::Save => save(words, present, saving),
            Kind::Quotas => quotas::canonical(words, present, saving),
            _ => Err("wrong number of arguments".into()),
        };
    };
    if words.len() > 1 && !directive.kind.takes_words() {
        return Err("wrong number of arguments".into());
    }
    match directive.kind {
        Kind::Bool => match first.to_ascii_lowercase().as_str() {
            "yes" => Ok("yes".into()),
            "no" => Ok("no".into()),
            _ => Err("argument must be 'yes' or 'no'".into()),
        },
        Kind::Integer { min, max } => integer(first, min, max).map(|value| value.to_string()),
        Kind::Hz => integer(first, 0, i64::from(i32::MAX)).map(|hz| hz.clamp(1, 500).to_string()),
        Kind::Octal { max } => octal(first, max),
        Kind::Memory { min, max } => memory_within(first, min, max),
        Kind::MemoryOrPercent => memory_or_percent(first),
        Kind::OneOf(choices) => one_of(first, choices).map(str::to_owned),
        Kind::Flags(choices) => flags(words, choices),
        Kind::Text => Ok(first.clone()),
        Kind::FileName { may_be_empty } => file_name(directive.name, first, may_be_empty),
        Kind::Save => save(words, present, saving),
        Kind::Quotas => quotas::canonical(words, present, saving),
        Kind::SlotStats => slot_stats(words),
        Kind::OutputLimits => output_limits(words, present),
        Kind::Bind => bind(words),
        Kind::KeyspaceEvents => keyspace_events(first),
        Kind::OomScores => oom_scores(words),
        Kind::Percentiles => percentiles(words),
        Kind::Prefixes => prefixes(words),
        Kind::ReplicaOf => replica_of(words),
        Kind::Directory => directory(first),
        Kind::Cores => cores(first),
    }
}

/// Bytes from digits and an optional unit: `k`, `m`, `g` count in thousands, `kb`, `mb`, `gb` in 1024.
pub(super) fn memory(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The CPUs of a list like `0-3,6`, in the order written.
pub(super) fn cpu_list(text: &str) -> Option<Vec<u16>> {
    const MAX_CPUS: u16 = 1024;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u16, u16) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to >= MAX_CPUS {
            return None;
        }
        for cpu in from..=to {
            if cpus.contains(&cpu) {
                return None;
            }
            cpus.push(cpu);
        }
    }
    Some(cpus)
}

/// Most cores that may be asked for.
pub(super) const MAX_CORES: u16 = 1024;

fn cores(text: &str) -> Result<String, Reason> {
    let lower = text.trim().to_ascii_lowercase();
    let valid = match lower.parse::<u16>() {
        Ok(count) => (1..=MAX_CORES).contains(&count),
        Err(_) => lower == "auto" || cpu_list(&lower).is_some_and(|cpus| !cpus.is_empty()),
    };
    if valid {
        Ok(lower)
    } else {
        Err(format!(
            "argument must be 'auto', a number of cores from 1 to {MAX_CORES}, or a list of CPUs such as 0-3,6 \
             (for CPU 6 alone: 6-6)"
        ))
    }
}

fn integer(text: &str, min: i64, max: i64) -> Result<i64, Reason> {
    let value = strict_integer(text).ok_or("argument couldn't be parsed into an integer")?;
    if value < min || value > max {
        return Err(format!(
            "argument must be between {min} and {max} inclusive"
        ));
    }
    Ok(value)
}

/// A number without leading zeros, blanks or `+`.
fn strict_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = text == "0" || (!digits.starts_with('0') && !digits.starts_with('+'));
    text.parse().ok().filter(|_| plain)
}

fn octal(text: &str, max: u32) -> Result<String, Reason> {
    let value = u64::from_str_radix(text, 8)
        .map_err(|_| "argument couldn't be parsed as an octal number")?;
    if value > u64::from(max) {
        return Err(format!("argument must be between 0 and {max:o} inclusive"));
    }
    Ok(format!("{value:o}"))
}

fn memory_within(text: &str, min: u64, max: u64) -> Result<String, Reason> {
    let bytes = memory(text).ok_or("argument must be a memory value")?;
    if bytes < min || bytes > max {
        return Err(format!(
            "argument must be between {min} and {max} inclusive"
        ));
    }
    Ok(bytes.to_string())
}

fn memory_or_percent(text: &str) -> Result<String, Reason> {
    if let Some(bytes) = memory(text) {
        return memory_within(&bytes.to_string(), 0, i64::MAX as u64);
    }
    let percent = text
        .strip_suffix('%')
        .and_then(strict_integer)
        .filter(|&percent| percent >= 0);
    match percent {
        None => Err("argument must be a memory or percent value".into()),
        Some(0) => Ok("0".into()),
        Some(percent @ 1..=100) => Ok(format!("{percent}%")),
        Some(_) => Err("percentage argument must be less or equal to 100".into()),
    }
}

fn one_of(word: &str, choices: &[&'static str]) -> Result<&'static str, Reason> {
    choices
        .iter()
        .find(|choice| choice.eq_ignore_ascii_case(word))
        .copied()
        .ok_or_else(|| {
            format!(
                "argument(s) must be one of the following: {}",
                choices.join(", ")
            )
        })
}

fn flags(words: &[String], choices: &[&'static str]) -> Result<String, Reason> {
    let chosen = words
        .iter()
        .map(|word| one_of(word, choices))
        .collect::<Result<Vec<_>, _>>()?;
    if chosen.contains(&"save") && chosen.contains(&"nosave") {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    let set: Vec<_> = choices[1..]
        .iter()
        .filter(|choice| chosen.contains(choice))
        .copied()
        .collect();
    Ok(if set.is_empty() {
        choices[0].to_owned()
    } else {
        set.join(" ")
    })
}

/// What of slots is told besides their keys, as it is shown.
pub(super) const SLOT_STATS: [&str; 3] = ["cpu", "net", "mem"];

fn slot_stats(words: &[String]) -> Result<String, Reason> {
    let choices = ["no", "yes", SLOT_STATS[0], SLOT_STATS[1], SLOT_STATS[2]];
    let chosen: Vec<&str> = words
        .iter()
        .map(|word| one_of(word, &choices))
        .collect::<Result<_, _>>()?;
    let is_told = |word: &&str| chosen.contains(word) || chosen.contains(&"yes");
    let told: Vec<&str> = SLOT_STATS.into_iter().filter(is_told).collect();
    Ok(match told.len() {
        0 => "no".to_owned(),
        3 => "yes".to_owned(),
        _ => told.join(" "),
    })
}

fn file_name(directive: &str, text: &str, may_be_empty: bool) -> Result<String, Reason> {
    let what = if directive.ends_with("dirname") {
        "dirname"
    } else {
        "filename"
    };
    if text.is_empty() && !may_be_empty {
        return Err(format!("{directive} can't be empty"));
    }
    if text.contains('/') || matches!(text, "." | "..") {
        return Err(format!("{directive} can't be a path, just a {what}"));
    }
    Ok(text.to_owned())
}

fn save(words: &[String], present: &str, saving: Saving) -> Result<String, Reason> {
    if words.len() == 1 && words[0].is_empty() {
        return Ok(String::new());
    }
    if !words.len().is_multiple_of(2) {
        return Err("Invalid save parameters".into());
    }
    let mut points = Vec::new();
    if saving == Saving::Adds && !present.is_empty() {
        points.push(present.to_owned());
    }
    for pair in words.chunks(2) {
        let (seconds, changes) = (pair[0].parse::<u64>(), pair[1].parse::<u32>());
        match (seconds, changes) {
            (Ok(seconds @ 1..), Ok(changes)) => points.push(format!("{seconds} {changes}")),
            _ => return Err("Invalid save parameters".into()),
        }
    }
    Ok(points.join(" "))
}

/// The classes of clients, in the order they are shown.
pub(super) const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

fn output_limits(words: &[String], present: &str) -> Result<String, Reason> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let shown: Vec<&str> = present.split(' ').collect();
    let mut classes: Vec<String> = shown.chunks(4).map(|class| class.join(" ")).collect();
    for class in words.chunks(4) {
        let name = match class[0].to_ascii_lowercase().as_str() {
            "replica" => "slave".to_owned(),
            name => name.to_owned(),
        };
        let index = CLIENT_CLASSES
            .iter()
            .position(|known| *known == name)
            .ok_or("Invalid client class specified in buffer limit configuration.")?;
        let (hard, soft, seconds) = (
            memory(&class[1]),
            memory(&class[2]),
            class[3].parse::<u32>(),
        );
        let (Some(hard), Some(soft), Ok(seconds)) = (hard, soft, seconds) else {
            return Err(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.".into(),
            );
        };
        classes[index] = format!("{name} {hard} {soft} {seconds}");
    }
    Ok(classes.join(" "))
}

fn bind(words: &[String]) -> Result<String, Reason> {
    const MAX_ADDRESSES: usize = 16;
    if words.len() > MAX_ADDRESSES {
        return Err("Too many bind addresses specified.".into());
    }
    Ok(words.join(" "))
}

/// Each class of keyspace notifications and its bit, in the order shown; `A` stands for those before `K`.
pub(super) const EVENT_CLASSES: [(char, u16); 14] = [
    ('g', 1 << 0),
    ('$', 1 << 1),
    ('l', 1 << 2),
    ('s', 1 << 3),
    ('h', 1 << 4),
    ('z', 1 << 5),
    ('x', 1 << 6),
    ('e', 1 << 7),
    ('t', 1 << 8),
    ('d', 1 << 9),
    ('n', 1 << 10),
    ('K', 1 << 11),
    ('E', 1 << 12),
    ('m', 1 << 13),
];
/// What `A` stands for: all but new keys, misses and the two kinds of channel.
const ALL_EVENTS: u16 = (1 << 10) - 1;

/// The bits of a text of classes.
pub(super) fn event_bits(text: &str) -> Option<u16> {
    text.chars().try_fold(0, |bits, class| match class {
        'A' => Some(bits | ALL_EVENTS),
        _ => EVENT_CLASSES
            .iter()
            .find(|(known, _)| *known == class)
            .map(|(_, bit)| bits | bit),
    })
}

fn keyspace_events(text: &str) -> Result<String, Reason> {
    let bits = event_bits(text).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    let all = bits & ALL_EVENTS == ALL_EVENTS;
    let shown = EVENT_CLASSES.iter().filter(|(_, bit)| {
        let within_all = bit & ALL_EVENTS != 0;
        bits & bit != 0 && !(all && within_all)
    });
    Ok(all
        .then_some('A')
        .into_iter()
        .chain(shown.map(|(class, _)| *class))
        .collect())
}

fn oom_scores(words: &[String]) -> Result<String, Reason> {
    if words.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let all_valid = words.iter().all(|word| {
        word.parse::<i32>()
            .is_ok_and(|score| (-2000..=2000).contains(&score))
    });
    if !all_valid {
        return Err(
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into(),
        );
    }
    Ok(words.join(" "))
}

fn percentiles(words: &[String]) -> Result<String, Reason> {
    if words.len() == 1 && words[0].is_empty() {
        return Ok(String::new());
    }
    let mut shown = Vec::with_capacity(words.len());
    for word in words {
        let value: f64 = word
            .parse()
            .ok()
            .filter(|value: &f64| !value.is_nan())
            .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&value) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .into(),
            );
        }
        let fixed = format!("{value:.6}");
        shown.push(fixed.trim_end_matches('0').trim_end_matches('.').to_owned());
    }
    Ok(shown.join(" "))
}

/// Most prefixes that hits are counted by,
const PREFIXES_MAX: usize = 64;

/// each of at most so many bytes.
const PREFIX_MAX_BYTES: usize = 128;

fn prefixes(words: &[String]) -> Result<String, Reason> {
    let mut prefixes: Vec<&str> = Vec::new();
    for prefix in words.iter().flat_map(|word| word.split_ascii_whitespace()) {
        if prefix.len() > PREFIX_MAX_BYTES {
            return Err(format!(
                "a prefix must not be longer than {PREFIX_MAX_BYTES} bytes"
            ));
        }
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    if prefixes.len() > PREFIXES_MAX {
        return Err(format!(
            "there must not be more than {PREFIXES_MAX} prefixes"
        ));
    }
    Ok(prefixes.join(" "))
}

fn replica_of(words: &[String]) -> Result<String, Reason> {
    let [host, port] = words else {
        return Err("wrong number of arguments".into());
    };
    if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
        return Ok(String::new());
    }
    let port: u16 = port.parse().map_err(|_| "Invalid master port")?;
    Ok(format!("{host} {port}"))
}

fn directory(text: &str) -> Result<String, Reason> {
    let path = Path::new(text)
        .canonicalize()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "No such file or directory".to_owned(),
            _ => error.to_string(),
        })?;
    if !path.is_dir() {
        return Err("Not a directory".into());
    }
    path.into_os_string()
        .into_string()
        .map_err(|_| "the path is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| (*word).to_owned()).collect()
    }

    fn set(kind: Kind, text: &[&str], present: &str) -> Result<String, Reason> {
        canonical(
            &Directive::new("appendfilename", kind, ""),
            &words(text),
            present,
            Saving::Replaces,
        )
    }

    #[test]
    fn units_of_memory_count_in_thousands_or_in_1024() {
        let cases = [
            ("1", 1),
            ("1b", 1),
            ("2k", 2000),
            ("2KB", 2048),
            ("3m", 3_000_000),
            ("1Gb", 1 << 30),
        ];
        for (text, bytes) in cases {
            assert_eq!(memory(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "mb",
            "-1",
            "1tb",
            "1 mb",
            "99999999999999999999",
            "18446744073709551615gb",
        ] {
            assert_eq!(memory(text), None, "{text}");
        }
    }

    #[test]
    fn values_out_of_kind_or_bounds_are_refused_in_the_words_of_redis() {
        let cases: &[(Kind, &[&str], &str)] = &[
            (Kind::Bool, &["maybe"], "argument must be 'yes' or 'no'"),
            (Kind::Bool, &["yes", "no"], "wrong number of arguments"),
            (
                Kind::Integer { min: 0, max: 9 },
                &["x"],
                "argument couldn't be parsed into an integer",
            ),
            (
                Kind::Integer { min: 0, max: 9 },
                &["07"],
                "argument couldn't be parsed into an integer",
            ),
            (
                Kind::Integer { min: 0, max: 9 },
                &["10"],
                "argument must be between 0 and 9 inclusive",
            ),
            (
                Kind::Octal { max: 0o777 },
                &["8"],
                "argument couldn't be parsed as an octal number",
            ),
            (
                Kind::Octal { max: 0o777 },
                &["1000"],
                "argument must be between 0 and 777 inclusive",
            ),
            (
                Kind::Memory { min: 1, max: 9 },
                &["1zb"],
                "argument must be a memory value",
            ),
            (
                Kind::Memory { min: 1, max: 9 },
                &["0"],
                "argument must be between 1 and 9 inclusive",
            ),
            (
                Kind::MemoryOrPercent,
                &["x"],
                "argument must be a memory or percent value",
            ),
            (
                Kind::MemoryOrPercent,
                &["101%"],
                "percentage argument must be less or equal to 100",
            ),
            (
                Kind::OneOf(&["a", "b"]),
                &["c"],
                "argument(s) must be one of the following: a, b",
            ),
            (
                Kind::FileName {
                    may_be_empty: false,
                },
                &[""],
                "appendfilename can't be empty",
            ),
            (
                Kind::FileName {
                    may_be_empty: false,
                },
                &["a/b"],
                "appendfilename can't be a path, just a filename",
            ),
            (Kind::Save, &["10", "x"], "Invalid save parameters"),
            (Kind::Save, &["0", "1"], "Invalid save parameters"),
            (Kind::Save, &["10"], "Invalid save parameters"),
            (
                Kind::KeyspaceEvents,
                &["KQ"],
                "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            ),
            (Kind::ReplicaOf, &["host", "x"], "Invalid master port"),
            (
                Kind::Directory,
                &["/no/such/location"],
                "No such file or directory",
            ),
        ];
        for (kind, text, reason) in cases {
            assert_eq!(
                set(*kind, text, ""),
                Err((*reason).to_owned()),
                "{kind:?} {text:?}"
            );
        }
    }

    #[test]
    fn values_are_brought_into_one_form() {
        let limits = "normal 0 0 0 slave 1 2 3 pubsub 4 5 6";
        let cases: &[(Kind, &[&str], &str, &str)] = &[
            (Kind::Bool, &["YES"], "", "yes"),
            (Kind::Integer { min: -9, max: 9 }, &["-5"], "", "-5"),
            (Kind::Hz, &["9999"], "", "500"),
            (Kind::Octal { max: 0o777 }, &["0700"], "", "700"),
            (
                Kind::Memory {
                    min: 0,
                    max: u64::MAX,
                },
                &["1mb"],
                "",
                "1048576",
            ),
            (Kind::MemoryOrPercent, &["10%"], "", "10%"),
            (Kind::OneOf(&["a", "b"]), &["B"], "", "b"),
            (
                Kind::Flags(&["default", "nosave", "now"]),
                &["now", "nosave"],
                "",
                "nosave now",
            ),
            (
                Kind::Flags(&["default", "nosave", "now"]),
                &["default"],
                "",
                "default",
            ),
            (Kind::Save, &["900", "1", "60", "5"], "x", "900 1 60 5"),
            (Kind::Save, &[""], "900 1", ""),
            (Kind::Save, &[], "900 1", ""),
            (Kind::SlotStats, &["no"], "yes", "no"),
            (Kind::SlotStats, &["NET", "cpu"], "no", "cpu net"),
            (Kind::SlotStats, &["net", "cpu", "mem"], "no", "yes"),
            (Kind::SlotStats, &["net", "yes"], "no", "yes"),
            (
                Kind::OutputLimits,
                &["replica", "1mb", "0", "60", "normal", "1k", "2", "3"],
                limits,
                "normal 1000 2 3 slave 1048576 0 60 pubsub 4 5 6",
            ),
            (Kind::KeyspaceEvents, &["EKgA"], "", "AKE"),
            (Kind::KeyspaceEvents, &["Kmzn$"], "", "$znKm"),
            (
                Kind::Percentiles,
                &["50", "99.90", "100"],
                "",
                "50 99.9 100",
            ),
            (Kind::ReplicaOf, &["No", "ONE"], "h 1", ""),
            (Kind::Cores, &["0-3,6"], "", "0-3,6"),
        ];
        for (kind, text, present, expected) in cases {
            assert_eq!(
                set(*kind, text, present).as_deref(),
                Ok(*expected),
                "{kind:?} {text:?}"
            );
        }
    }

    #[test]
    fn cores_are_a_number_or_a_list_of_distinct_cpus() {
        for text in ["auto", "1", "64", "0-3,6", "6-6"] {
            assert!(cores(text).is_ok(), "{text}");
        }
        for text in [
            "", "0", "1025", "-1", "3-1", "0,0", "1-3,2", "a", "0-9999", ",",
        ] {
            assert!(cores(text).is_err(), "{text}");
        }
        assert_eq!(cpu_list("0-2,6"), Some(vec![0, 1, 2, 6]));
    }
}
