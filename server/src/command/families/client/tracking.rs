//! `CLIENT TRACKING` and what belongs to it: a client that keeps what it reads is told when that changes
//! (`command::invalidate`).
//!
//! Turning it on takes three steps. Every core is asked whether it has the connection that is to be told instead, while the
//! session's own core looks whether the options fit what is on already. Every core then learns of new prefixes. The
//! session itself changes last, so that its client has the reply only when no change can be missed.

use std::collections::HashSet;

use larder_engine::parse_canonical_i64;

use crate::command::invalidate::fixed;
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds, SessionCall};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};
use crate::session::{
    OwnChanges, PrefixTree, Redirect, Session, SessionId, Tracking, TrackingMode,
};

/// What `CLIENT TRACKING` asks for.
#[derive(Debug)]
struct Options {
    is_on: bool,
    redirect: Option<u64>,
    broadcasts: bool,
    opts_in: bool,
    opts_out: bool,
    own_changes: OwnChanges,
    prefixes: Vec<Box<[u8]>>,
    /// What is wrong with them, whatever the session has. A client to be told instead is looked for first.
    wrong: Option<ErrorReply>,
}

impl Options {
    fn parse(args: &Args<'_>) -> Self {
        let mut options = Self {
            is_on: args.is(2, "on"),
            redirect: None,
            broadcasts: false,
            opts_in: false,
            opts_out: false,
            own_changes: OwnChanges::Told,
            prefixes: Vec::new(),
            wrong: None,
        };
        options.wrong = options.read(args).err();
        options
    }

    fn read(&mut self, args: &Args<'_>) -> CommandResult {
        let mut at = 3;
        while at < args.len() {
            let has_value = at + 1 < args.len();
            if args.is(at, "redirect") && has_value {
                if self.redirect.is_some() {
                    return Err(errors::REDIRECT_TWICE);
                }
                at += 1;
                let id = parse_canonical_i64(args.at(at)).ok_or(errors::NOT_AN_INTEGER)?;
                // No client has an id that is not positive.
                self.redirect = Some(u64::try_from(id).unwrap_or(0));
            } else if args.is(at, "prefix") && has_value {
                at += 1;
                self.prefixes.push(args.at(at).into());
            } else if args.is(at, "bcast") {
                self.broadcasts = true;
            } else if args.is(at, "optin") {
                self.opts_in = true;
            } else if args.is(at, "optout") {
                self.opts_out = true;
            } else if args.is(at, "noloop") {
                self.own_changes = OwnChanges::Untold;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        if !self.is_on && !args.is(2, "off") {
            return Err(errors::SYNTAX);
        }
        if self.is_on && !self.broadcasts && !self.prefixes.is_empty() {
            return Err(errors::PREFIX_WITHOUT_BROADCAST);
        }
        Ok(())
    }

    fn mode(&self) -> TrackingMode {
        match (self.broadcasts, self.opts_in, self.opts_out) {
            (true, ..) => TrackingMode::Broadcast,
            (_, true, _) => TrackingMode::OptIn,
            (_, _, true) => TrackingMode::OptOut,
            _ => TrackingMode::Reads,
        }
    }

    /// Whether a session that has `present` may turn to this.
    fn check(&self, present: Option<&Tracking>) -> CommandResult {
        use TrackingMode::{Broadcast, OptIn, OptOut};
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        if !self.is_on {
            return Ok(());
        }
        let was = present.map(|tracking| tracking.mode);
        if was.is_some_and(|was| (was == Broadcast) != self.broadcasts) {
            return Err(errors::BROADCAST_SWITCHED);
        }
        if self.broadcasts && (self.opts_in || self.opts_out) {
            return Err(errors::OPTIONS_WITH_BROADCAST);
        }
        if self.opts_in && self.opts_out {
            return Err(errors::OPT_IN_AND_OUT);
        }
        if matches!(
            (was, self.mode()),
            (Some(OptIn), OptOut) | (Some(OptOut), OptIn)
        ) {
            return Err(errors::OPT_SWITCHED);
        }
        self.check_overlaps(present.map_or(&[][..], |tracking| &tracking.prefixes))
    }

    /// Whether no key begins with two prefixes of the session. The first that overlaps another is named.
    fn check_overlaps(&self, existing: &[Box<[u8]>]) -> CommandResult {
        let mut others = PrefixTree::default();
        for prefix in existing {
            others.get_or_insert_with(prefix, || ());
        }
        let mut first = None;
        for (at, prefix) in self.prefixes.iter().enumerate().rev() {
            if others.overlaps(prefix) {
                first = Some(at);
            }
            others.get_or_insert_with(prefix, || ());
        }
        let Some(at) = first else { return Ok(()) };
        let prefix = &self.prefixes[at];
        let mut later = self.prefixes[at + 1..].iter();
        Err(match existing.iter().find(|other| overlap(prefix, other)) {
            Some(other) => errors::prefixes_overlap(prefix, "an existing", other),
            None => {
                let other = later.find(|other| overlap(prefix, other));
                let other = other.expect("it overlaps one of those looked at before it");
                errors::prefixes_overlap(prefix, "another provided", other)
            }
        })
    }

    /// The prefixes that a session that has `present` is to have and has not.
    fn new_prefixes(&self, present: Option<&Tracking>) -> Vec<Box<[u8]>> {
        if !self.is_on || !self.broadcasts {
            return Vec::new();
        }
        let mut wanted = self.prefixes.clone();
        if wanted.is_empty() {
            wanted.push(Box::default());
        }
        let existing: HashSet<&[u8]> = present
            .iter()
            .flat_map(|tracking| tracking.prefixes.iter().map(|prefix| &**prefix))
            .collect();
        wanted.retain(|prefix| !existing.contains(&**prefix));
        wanted
    }
}

/// Whether there are keys that begin with both.
fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// `CLIENT TRACKING` on its way.
struct Turning {
    args: Vec<Vec<u8>>,
    options: Options,
    cores: u16,
    step: Step,
    own_core: CoreId,
    redirect: Option<(CoreId, SessionId)>,
    new_prefixes: Vec<Vec<u8>>,
}

enum Step {
    Begin,
    Asked,
    Prefixed,
    Changed,
}

pub(super) fn begin(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(Turning {
        args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
        options: Options::parse(args),
        cores: slots.cores(),
        step: Step::Begin,
        own_core: CoreId(0),
        redirect: None,
        new_prefixes: Vec::new(),
    }))
}

impl Rounds for Turning {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Begin => {
                self.step = Step::Asked;
                Ok(Round::ask_all(self.cores, look, &self.args))
            }
            Step::Asked => {
                self.take_looks(answers)?;
                if self.new_prefixes.is_empty() {
                    return Ok(self.change());
                }
                self.step = Step::Prefixed;
                let mut args = self.new_prefixes.clone();
                args.push(self.own_core.0.to_le_bytes().to_vec());
                Ok(Round::ask_all(self.cores, begin_prefixes, &args))
            }
            Step::Prefixed => Ok(self.change()),
            Step::Changed => {
                reply.ok();
                Ok(Round::Done)
            }
        }
    }
}

impl Turning {
    /// Takes what the cores answered to [`look`].
    fn take_looks(&mut self, answers: &[&[u8]]) -> CommandResult {
        let mut verdict: &[u8] = b"";
        for (core, answer) in answers.iter().enumerate() {
            let core = CoreId(core as u16);
            let mut part = PartReader::new(answer);
            if let found @ [_, ..] = part.bytes() {
                self.redirect = Some((core, SessionId::from_bytes(fixed(found))));
            }
            if part.number() == 0 {
                continue;
            }
            self.own_core = core;
            verdict = part.bytes();
            while !part.is_at_end() {
                self.new_prefixes.push(part.bytes().to_vec());
            }
        }
        if self.options.redirect.is_some() && self.redirect.is_none() {
            return Err(errors::NO_SUCH_REDIRECT);
        }
        if !verdict.is_empty() {
            return Err(ErrorReply::new(verdict));
        }
        Ok(())
    }

    /// The session is to change.
    fn change(&mut self) -> Round {
        self.step = Step::Changed;
        let mut found = Vec::new();
        let mut part = PartWriter(&mut found);
        match self.redirect {
            Some((core, session)) => {
                part.bytes(&[&core.0.to_le_bytes()[..], &session.to_bytes()].concat());
            }
            None => part.bytes(b""),
        }
        self.new_prefixes
            .iter()
            .for_each(|prefix| part.bytes(prefix));
        let mut args = self.args.clone();
        // The command's own name says nothing more.
        args[0] = found;
        Round::Ask(vec![CoreRequest {
            core: self.own_core,
            run: change,
            args,
        }])
    }
}

/// Arguments: the command. Answers the place of the connection that is to be told, if it is this core's; and whether the
/// session that asks is, with what is wrong with the options, or with the prefixes that are new to it.
fn look(call: &mut CoreCall<'_>) {
    let options = Options::parse(&call.args);
    let asking = call.asking.as_deref();
    let mut sessions = call.core.sessions.iter().chain(asking);
    let found = options
        .redirect
        .and_then(|id| sessions.find(|session| session.client_id == id));
    let mut part = PartWriter(call.out);
    match found {
        Some(session) => part.bytes(&session.id.to_bytes()),
        None => part.bytes(b""),
    }
    part.number(asking.is_some().into());
    let Some(session) = asking else { return };
    let present = session.tracking();
    match options.check(present) {
        Err(error) => part.bytes(error.text()),
        Ok(()) => {
            part.bytes(b"");
            for prefix in options.new_prefixes(present) {
                part.bytes(&prefix);
            }
        }
    }
}

/// Arguments: prefixes; the core that a session is of that wants to hear of them.
fn begin_prefixes(call: &mut CoreCall<'_>) {
    let last = call.args.len() - 1;
    let core = CoreId(u16::from_le_bytes(fixed(call.args.at(last))));
    for prefix in call.args.iter_from(0).take(last) {
        call.core.prefixes.begin(prefix, core);
    }
    call.core.choose_notes();
}

/// Arguments: the place of the connection that is to be told, if there is such, and the prefixes that are new to the
/// session; and the command behind its name.
fn change(call: &mut CoreCall<'_>) {
    let options = Options::parse(&call.args);
    let cores = call.core.shared.cores();
    let mut found = PartReader::new(call.args.at(0));
    let place = found.bytes();
    let redirect = options.redirect.map(|client_id| {
        let (core, session) = place.split_at(2);
        Redirect {
            client_id,
            core: CoreId(u16::from_le_bytes(fixed(core))),
            session: SessionId::from_bytes(fixed(session)),
        }
    });
    let mut new_prefixes: Vec<Box<[u8]>> = Vec::new();
    while !found.is_at_end() {
        new_prefixes.push(found.bytes().into());
    }
    match &mut call.asking {
        Some(session) if options.is_on => {
            for prefix in &new_prefixes {
                call.core.prefixes.join(prefix, session.id);
            }
            turn_on(session, &options, redirect, new_prefixes, cores);
        }
        Some(session) => call.core.end_tracking(session),
        // The client is gone: what it had begun ends.
        None => call.core.end_prefixes(&new_prefixes),
    }
}

fn turn_on(
    session: &mut Session,
    options: &Options,
    redirect: Option<Redirect>,
    new_prefixes: Vec<Box<[u8]>>,
    cores: u16,
) {
    let present = session.stop_tracking();
    let (caching_is_chosen, mut prefixes) = match present {
        Some(present) => (present.caching_is_chosen, present.prefixes),
        None => (false, Vec::new()),
    };
    prefixes.extend(new_prefixes);
    let tracking = Tracking {
        mode: options.mode(),
        own_changes: options.own_changes,
        redirect,
        redirect_is_broken: false,
        caching_is_chosen,
        prefixes,
    };
    session.track(tracking, cores);
}

pub(super) fn caching(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let Some(tracking) = call.session.tracking_mut() else {
        return Err(errors::CACHING_WITHOUT_TRACKING);
    };
    let (wanted, error) = if args.is(2, "yes") {
        (TrackingMode::OptIn, errors::CACHING_YES_WITHOUT_OPT_IN)
    } else if args.is(2, "no") {
        (TrackingMode::OptOut, errors::CACHING_NO_WITHOUT_OPT_OUT)
    } else {
        return Err(errors::SYNTAX);
    };
    if tracking.mode != wanted {
        return Err(error);
    }
    tracking.caching_is_chosen = true;
    call.reply(|reply| reply.ok());
    Ok(())
}

/// The id of the client that is told in place of the session's; 0 if it is told itself, -1 if none is.
pub(super) fn redirection(session: &Session) -> i64 {
    session.tracking().map_or(-1, |tracking| {
        let redirect = tracking.redirect.as_ref();
        redirect.map_or(0, |redirect| redirect.client_id.cast_signed())
    })
}

pub(super) fn get_redirection(call: &mut SessionCall<'_>) -> CommandResult {
    let id = redirection(call.session);
    call.reply(|reply| reply.integer(id));
    Ok(())
}

pub(super) fn info(call: &mut SessionCall<'_>) -> CommandResult {
    let tracking = call.session.tracking().cloned();
    let redirect = redirection(call.session);
    call.reply(|reply| {
        let mut flags = Vec::new();
        let mut prefixes = Vec::new();
        match tracking {
            None => flags.push("off"),
            Some(tracking) => {
                flags.push("on");
                let (word, chosen) = match tracking.mode {
                    TrackingMode::Reads => (None, None),
                    TrackingMode::OptIn => (Some("optin"), Some("caching-yes")),
                    TrackingMode::OptOut => (Some("optout"), Some("caching-no")),
                    TrackingMode::Broadcast => (Some("bcast"), None),
                };
                flags.extend(word);
                flags.extend(chosen.filter(|_| tracking.caching_is_chosen));
                if tracking.own_changes == OwnChanges::Untold {
                    flags.push("noloop");
                }
                if tracking.redirect_is_broken {
                    flags.push("broken_redirect");
                }
                prefixes = tracking.prefixes;
            }
        }
        reply.map(3);
        reply.text("flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.text(flag));
        reply.text("redirect");
        reply.integer(redirect);
        reply.text("prefixes");
        prefixes.sort_unstable();
        reply.array(prefixes.len());
        prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    });
    Ok(())
}
