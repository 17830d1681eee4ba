//! Money that is moved between accounts on all cores by many clients, and must neither be lost nor made.
//!
//! Writers move amounts in transactions, behind a `WATCH` of the balances or blindly, and in scripts where the server has
//! them, many in one pipeline; with each transfer goes a count on the writer's own receipt. Readers add up all accounts, several
//! times in one pipeline: every sum must be what was there at first. Connections are cut all the while, by their clients in the middle of a pipeline and by `CLIENT KILL`.
//! At the end each receipt must show every transfer that was acknowledged, and none that was never asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use larder_server::routing::SlotMap;

use crate::Outcome;
use crate::client::Client;
use crate::fragile::{Fragile, Kill};
use crate::history::workload::Reach;
use crate::random::Random;
use crate::resp::{Reply, encode};

/// Accounts, few enough for transfers to meet.
const ACCOUNTS: usize = 40;
/// What each has at first.
const DEPOSIT: i64 = 1000;
/// What all have together, at any time.
const SUM: i64 = ACCOUNTS as i64 * DEPOSIT;
const AMOUNT_MAX: usize = 20;
/// Transfers, or sums, that one client sends at once, at most.
const PIPELINE_MAX: usize = 8;
/// Between one `CLIENT KILL` and the next.
const KILL_INTERVAL: Duration = Duration::from_millis(15);

/// From, to and receipt; those that are not declared come behind the amount.
const TRANSFER_SCRIPT: &str = "local amount = tonumber(ARGV[1]) \
    local function key(i) return KEYS[i] or ARGV[1 + i - #KEYS] end \
    if tonumber(redis.call('GET', key(1))) < amount then return 0 end \
    redis.call('DECRBY', key(1), amount) \
    redis.call('INCRBY', key(2), amount) \
    redis.call('INCR', key(3)) \
    return 1";
const SUM_SCRIPT: &str = "local sum = 0 \
    for _, keys in ipairs({KEYS, ARGV}) do \
      for _, key in ipairs(keys) do sum = sum + tonumber(redis.call('GET', key)) end \
    end \
    return sum";

/// On a slow machine it takes longer, by this at most, until all that is to happen has happened.
const EXTRA_TIME_MAX: Duration = Duration::from_secs(60);

/// Who takes part, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Clients that move money.
    pub writers: usize,
    /// Clients that add it up.
    pub readers: usize,
    /// For so long, and until of everything in a [`Report`] there was something.
    pub time: Duration,
    /// Cores of the server, all of which must have accounts.
    pub cores: u16,
    /// Which keys scripts reach for.
    pub reach: Reach,
    /// Of the random numbers.
    pub seed: u64,
}

/// What has happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Transfers acknowledged, by transactions behind a `WATCH`.
    pub watched: u64,
    /// By transactions without.
    pub blind: u64,
    /// By scripts.
    pub scripts: u64,
    /// Transactions that did not happen because a watched balance had changed.
    pub conflicts: u64,
    /// Transfers refused because the account had too little.
    pub refused: u64,
    /// Transfers sent whose reply was cut off.
    pub unanswered: u64,
    /// Connections that their clients cut.
    pub cuts: u64,
    /// Connections cut by `CLIENT KILL`.
    pub kills: u64,
    /// Sums taken over all accounts.
    pub sums: u64,
}

impl Report {
    /// Transfers acknowledged.
    #[must_use]
    pub fn transfers(&self) -> u64 {
        self.watched + self.blind + self.scripts
    }

    /// Of what there was something, a bit each.
    fn seen(&self) -> u32 {
        let counts = [
            self.watched,
            self.blind,
            self.scripts,
            self.conflicts,
            self.cuts,
            self.kills,
            self.sums,
        ];
        let bits = counts.iter().zip(0..);
        bits.fold(0, |seen, (count, bit)| seen | u32::from(*count > 0) << bit)
    }
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.watched += other.watched;
        self.blind += other.blind;
        self.scripts += other.scripts;
        self.conflicts += other.conflicts;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.cuts += other.cuts;
        self.kills += other.kills;
        self.sums += other.sums;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} transfers ({} behind WATCH, {} without, {} in scripts), {} conflicts, {} refused, {} unanswered; \
             {} connections cut by their clients, {} by CLIENT KILL; {} sums",
            self.transfers(),
            self.watched,
            self.blind,
            self.scripts,
            self.conflicts,
            self.refused,
            self.unanswered,
            self.cuts,
            self.kills,
            self.sums
        )
    }
}

fn account(number: usize) -> String {
    format!("account:{number}")
}

fn receipt(writer: usize) -> String {
    format!("receipt:{writer}")
}

fn all_accounts() -> Vec<String> {
    (0..ACCOUNTS).map(account).collect()
}

/// What the clients share.
struct Bank {
    plan: Plan,
    address: SocketAddr,
    has_scripts: bool,
    until: Instant,
    /// Somebody has failed: the others need not go on.
    has_failed: AtomicBool,
    next_number: AtomicU32,
    /// As [`Report::seen`] has it: by anybody so far, and in the end.
    seen: AtomicU32,
    to_be_seen: u32,
    /// The connections' numbers, for `CLIENT KILL`: writers, readers, then the one that kills.
    ids: Vec<AtomicI64>,
}

impl Bank {
    fn connect(&self, number: usize) -> Outcome<Fragile<'_>> {
        Fragile::connect(self.address, &self.ids[number])
    }
}

/// Opens the accounts on a server that nobody else uses, and lets the clients work.
///
/// # Errors
/// Money was lost or made, a transfer was acknowledged and did not happen, or the server failed otherwise.
///
/// # Panics
/// When a core has no account.
pub fn run(address: SocketAddr, plan: Plan) -> Outcome<Report> {
    let map = SlotMap::even(plan.cores);
    let accounts = all_accounts();
    let cores = accounts.iter().map(|key| map.core_of(key.as_bytes()).0);
    let cores: BTreeSet<u16> = cores.collect();
    assert_eq!(
        cores.len(),
        usize::from(plan.cores),
        "a core has no account"
    );
    let mut first = Client::connect(address)?;
    let mut open = vec!["MSET".to_owned()];
    for key in accounts {
        open.extend([key, DEPOSIT.to_string()]);
    }
    first.call(&open)?;
    let clients = plan.writers + plan.readers;
    let has_scripts = first.knows_command("EVAL")?;
    let everything = Report {
        watched: 1,
        blind: 1,
        scripts: has_scripts.into(),
        conflicts: 1,
        refused: 0,
        unanswered: 0,
        cuts: 1,
        kills: 1,
        sums: 1,
    };
    let bank = Bank {
        plan,
        address,
        has_scripts,
        until: Instant::now() + plan.time,
        has_failed: AtomicBool::new(false),
        next_number: AtomicU32::new(0),
        seen: AtomicU32::new(0),
        to_be_seen: everything.seen(),
        ids: (0..=clients).map(|_| AtomicI64::new(0)).collect(),
    };
    let works: Vec<Outcome<Report>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..=clients)
            .map(|number| {
                let bank = &bank;
                scope.spawn(move || {
                    let worked = work(bank, number);
                    if worked.is_err() {
                        bank.has_failed.store(true, Ordering::Relaxed);
                    }
                    worked
                })
            })
            .collect();
        let ends = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        ends.map(|end| end.unwrap_or_else(|_| Err("a client panicked".into())))
            .collect()
    });
    let mut total = Report::default();
    for work in &works {
        total += work.clone()?;
    }
    audit(&mut first, &works[..plan.writers])?;
    Ok(total)
}

/// Adds up what is there in the end, and looks at the receipts.
fn audit(client: &mut Client, writers: &[Outcome<Report>]) -> Outcome<()> {
    let mut args = vec!["MGET".to_owned()];
    args.extend(all_accounts());
    right_sum(&client.call(&args)?)?;
    for (number, report) in writers.iter().enumerate() {
        let report = report.as_ref().map_err(Clone::clone)?;
        let shown = client.call(&["GET", &receipt(number)])?;
        let counted = balance(&shown).unwrap_or(0) as u64;
        let acknowledged = report.transfers();
        let asked_for = acknowledged + report.unanswered;
        if !(acknowledged..=asked_for).contains(&counted) {
            return Err(format!(
                "writer {number} has {acknowledged} transfers acknowledged and {asked_for} asked for; \
                 {counted} have happened"
            ));
        }
    }
    Ok(())
}

fn work(bank: &Bank, number: usize) -> Outcome<Report> {
    let worker = Worker {
        bank,
        number,
        random: Random::new(bank.plan.seed ^ ((number as u64) << 32)),
        connection: bank.connect(number)?,
        report: Report::default(),
    };
    if number < bank.plan.writers {
        worker.write()
    } else if number < bank.plan.writers + bank.plan.readers {
        worker.read()
    } else {
        worker.kill()
    }
}

struct Worker<'a> {
    bank: &'a Bank,
    number: usize,
    random: Random,
    connection: Fragile<'a>,
    report: Report,
}

impl Worker<'_> {
    fn goes_on(&self) -> bool {
        if self.bank.has_failed.load(Ordering::Relaxed) {
            return false;
        }
        let own = self.report.seen();
        let seen = self.bank.seen.fetch_or(own, Ordering::Relaxed) | own;
        let (now, end) = (Instant::now(), self.bank.until);
        now < end || now < end + EXTRA_TIME_MAX && seen != self.bank.to_be_seen
    }

    fn kill(mut self) -> Outcome<Report> {
        while self.goes_on() {
            std::thread::sleep(KILL_INTERVAL);
            let victim = self.random.below(self.number);
            if self.connection.kill(&self.bank.ids[victim])? == Kill::One {
                self.report.kills += 1;
            }
        }
        Ok(self.report)
    }

    /// Adds up all accounts, in one way or another, several times in one pipeline.
    fn read(mut self) -> Outcome<Report> {
        while self.goes_on() {
            let count = self.random.between(1, PIPELINE_MAX);
            let sums: Vec<(Vec<u8>, usize)> = (0..count).map(|_| self.any_sum()).collect();
            let bytes: Vec<u8> = sums.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            self.connection.send(&bytes);
            for (_, replies) in sums {
                let Some(replies) = self.connection.replies(replies)? else {
                    self.connection.connect_anew()?;
                    break;
                };
                right_sum(replies.last().ok_or("at least one reply was awaited")?)?;
                self.report.sums += 1;
            }
        }
        Ok(self.report)
    }

    /// What adds up all accounts, and how many replies it has, the last of which tells.
    fn any_sum(&mut self) -> (Vec<u8>, usize) {
        let accounts = all_accounts();
        let kinds = if self.bank.has_scripts { 3 } else { 2 };
        match self.random.below(kinds) {
            0 => (encode(&with_keys(&["MGET"], &accounts)), 1),
            1 => {
                let gets = accounts.iter().flat_map(|key| encode(&["GET", key]));
                let bytes = encode(&["MULTI"]).into_iter().chain(gets);
                let bytes = bytes.chain(encode(&["EXEC"]));
                (bytes.collect(), ACCOUNTS + 2)
            }
            _ => {
                let text = self.text_of(SUM_SCRIPT);
                let declared = self.declared(ACCOUNTS).to_string();
                (
                    encode(&with_keys(&["EVAL", &text, &declared], &accounts)),
                    1,
                )
            }
        }
    }

    /// A script's text, or one that nobody has run.
    fn text_of(&mut self, script: &str) -> String {
        if self.random.one_in(2) {
            return script.to_owned();
        }
        let number = self.bank.next_number.fetch_add(1, Ordering::Relaxed);
        format!("{script} -- {number}")
    }

    /// How many of its keys a script declares.
    fn declared(&mut self, keys: usize) -> usize {
        match self.bank.plan.reach {
            Reach::AsDeclared if self.random.one_in(3) => 0,
            Reach::AsDeclared => keys,
            Reach::Further => self.random.between(0, keys),
        }
    }

    fn write(mut self) -> Outcome<Report> {
        while self.goes_on() {
            let is_intact = if self.random.one_in(2) {
                self.transfer_watched()?
            } else {
                self.transfer_in_pipeline()?
            };
            if !is_intact {
                self.connection.connect_anew()?;
            }
        }
        Ok(self.report)
    }

    /// An amount, and so many accounts.
    fn draw(&mut self, accounts: usize) -> (i64, Vec<String>) {
        let amount = self.random.between(1, AMOUNT_MAX) as i64;
        let numbers: Vec<usize> = (0..ACCOUNTS).collect();
        let chosen = self.random.choose(&numbers, accounts);
        (amount, chosen.into_iter().map(account).collect())
    }

    /// Reads the balances of some accounts, then writes what they are to be. Says whether the connection is intact.
    fn transfer_watched(&mut self) -> Outcome<bool> {
        let count = self.random.between(2, 4);
        let (amount, keys) = self.draw(count);
        let mut look = encode(&with_keys(&["WATCH"], &keys));
        look.extend(encode(&with_keys(&["MGET"], &keys)));
        self.connection.send(&look);
        let Some(replies) = self.connection.replies(2)? else {
            return Ok(false);
        };
        let balances = balances(&replies[1])?;
        let each = amount * (count as i64 - 1);
        if balances[0] < each {
            self.connection.send(&encode(&["UNWATCH"]));
            self.report.refused += 1;
            return Ok(self.connection.reply()?.is_some());
        }
        let mut commit = encode(&["MULTI"]);
        for (index, key) in keys.iter().enumerate() {
            let new = balances[index] + if index == 0 { -each } else { amount };
            commit.extend(encode(&["SET", key, &new.to_string()]));
        }
        commit.extend(encode(&["INCR", &receipt(self.number)]));
        commit.extend(encode(&["EXEC"]));
        if self.cuts_within(&mut commit, 1) {
            return Ok(false);
        }
        match self.connection.replies(count + 3)?.as_deref() {
            None => {
                self.report.unanswered += 1;
                return Ok(false);
            }
            Some([.., Reply::NullArray]) => self.report.conflicts += 1,
            Some([.., Reply::Array(results)]) if results.len() == count + 1 => {
                self.report.watched += 1;
            }
            Some(other) => return Err(format!("a transfer is answered by {other:?}")),
        }
        Ok(true)
    }

    /// Sends bytes, or now and then a part of them only. Says whether it was a part: then the connection is to be cut,
    /// and so many transfers have no answer.
    fn cuts_within(&mut self, bytes: &mut Vec<u8>, transfers: u64) -> bool {
        let cuts = self.random.one_in(50);
        if cuts {
            bytes.truncate(self.random.between(1, bytes.len()));
            self.report.cuts += 1;
            self.report.unanswered += transfers;
        }
        self.connection.send(bytes);
        cuts
    }

    /// Moves amounts whatever the balances are: several transactions and scripts at once.
    fn transfer_in_pipeline(&mut self) -> Outcome<bool> {
        let count = self.random.between(1, PIPELINE_MAX);
        let kinds = if self.bank.has_scripts { 3 } else { 2 };
        let transfers: Vec<usize> = (0..count).map(|_| self.random.below(kinds)).collect();
        let mut bytes = Vec::new();
        for kind in &transfers {
            bytes.extend(match kind {
                0 => self.transaction(false),
                1 => self.transaction(true),
                _ => self.script(),
            });
        }
        if self.cuts_within(&mut bytes, count as u64) {
            return Ok(false);
        }
        for (done, kind) in transfers.iter().enumerate() {
            let replies = match kind {
                0 => 5,
                1 => 6,
                _ => 1,
            };
            let Some(replies) = self.connection.replies(replies)? else {
                self.report.unanswered += (count - done) as u64;
                return Ok(false);
            };
            match (kind, replies.last()) {
                (0, Some(Reply::Array(results))) if results.len() == 3 => self.report.blind += 1,
                (1, Some(Reply::Array(results))) if results.len() == 3 => self.report.watched += 1,
                (1, Some(Reply::NullArray)) => self.report.conflicts += 1,
                (2, Some(Reply::Integer(1))) => self.report.scripts += 1,
                (2, Some(Reply::Integer(0))) => self.report.refused += 1,
                (_, other) => {
                    let lines = other.map(Reply::lines);
                    return Err(format!("a transfer is answered by {lines:?}"));
                }
            }
        }
        Ok(true)
    }

    /// A transaction that moves an amount, behind a `WATCH` of both accounts or without: five replies, or six.
    fn transaction(&mut self, watches: bool) -> Vec<u8> {
        let (amount, keys) = self.draw(2);
        let amount = amount.to_string();
        let watch = encode(&["WATCH", &keys[0], &keys[1]]);
        let commands = [
            if watches { watch } else { Vec::new() },
            encode(&["MULTI"]),
            encode(&["DECRBY", &keys[0], &amount]),
            encode(&["INCRBY", &keys[1], &amount]),
            encode(&["INCR", &receipt(self.number)]),
            encode(&["EXEC"]),
        ];
        commands.concat()
    }

    /// A script that moves an amount: one reply.
    fn script(&mut self) -> Vec<u8> {
        let (amount, mut keys) = self.draw(2);
        keys.push(receipt(self.number));
        let declared = self.declared(keys.len());
        let undeclared = keys.split_off(declared);
        let text = self.text_of(TRANSFER_SCRIPT);
        let mut args = with_keys(&["EVAL", &text, &declared.to_string()], &keys);
        args.push(amount.to_string());
        args.extend(undeclared);
        encode(&args)
    }
}

fn with_keys(first: &[&str], keys: &[String]) -> Vec<String> {
    let first = first.iter().map(|arg| (*arg).to_owned());
    first.chain(keys.iter().cloned()).collect()
}

fn balance(reply: &Reply) -> Option<i64> {
    std::str::from_utf8(reply.bytes()?).ok()?.parse().ok()
}

fn balances(reply: &Reply) -> Outcome<Vec<i64>> {
    let wrong = || format!("no balances: {:?}", reply.lines());
    let Reply::Array(values) = reply else {
        return Err(wrong());
    };
    let balances: Option<Vec<i64>> = values.iter().map(balance).collect();
    balances.ok_or_else(wrong)
}

/// That the balances in a reply, or the sum that it is, are all the money there is.
fn right_sum(reply: &Reply) -> Outcome<()> {
    let (sum, count) = match reply.integer() {
        Some(sum) => (sum, ACCOUNTS),
        None => {
            let balances = balances(reply)?;
            (balances.iter().sum(), balances.len())
        }
    };
    if (sum, count) == (SUM, ACCOUNTS) {
        return Ok(());
    }
    let lines = reply.lines();
    Err(format!(
        "{count} accounts have {sum} instead of {SUM}: {lines:?}"
    ))
}
