//! Publishing: a command that only the cores with subscribers have a part in.
//!
//! A message goes to the cores that have subscribers, which answer how many got it. Between two cores requests keep their
//! order, so that the messages of one publisher reach a subscriber in order. A message does not overtake what its
//! publisher wrote before it: while such a write is under way to another core, the message waits for its reply.
//!
//! A script's messages go out when it is over, behind its reply; until then their receivers are only counted. They go out at once
//! on a server of one core, and where a script that cannot begin again has published very much.

use std::rc::Rc;

use larder_engine::DbIndex;

use crate::command::{Args, Command, CoreCall, CoreFn, Flags, Merge};
use crate::dispatch::core::Core;
use crate::dispatch::gather::Finish;
use crate::dispatch::mail::requests::Work;
use crate::dispatch::notify::publication::Publication;
use crate::resp::{Protocol, Reply};
use crate::routing::CoreId;
use crate::session::Session;
use crate::shared::CoreGauges;

/// Whether the command has to wait until the session's writes before it are done. A message does, so that whoever hears it finds
/// the new value; a subscription does, so that it brings no word of changes before it.
#[inline]
pub(in crate::dispatch::core) fn must_come_behind(session: &Session, command: &Command) -> bool {
    command.spec.flags.has(Flags::PUBSUB)
        && session
            .last_write
            .is_some_and(|seq| !session.output.is_ready(seq))
}

impl Core {
    /// Sends the messages of a script that is over. `session` is the one at work, if it is this core's.
    pub(in crate::dispatch::core) fn publish_for_script(
        &mut self,
        mut session: Option<&mut Session>,
        publications: Vec<Publication>,
    ) {
        for publication in publications {
            self.budget.let_go(publication.bytes());
            let Publication {
                which,
                topic,
                each,
                words,
            } = publication;
            let (bytes, ranges) = words.parts();
            let args = Args::new(bytes, ranges);
            if self.is_told_among_events(topic) {
                self.tell_message(args.at(1), args.at(2), session.as_deref_mut());
                continue;
            }
            let words: Vec<&[u8]> = args.iter_from(0).collect();
            for core in (0..self.state.shared.cores()).map(CoreId) {
                if !which(self.state.shared.gauges(core)) {
                    continue;
                }
                if core != self.state.id {
                    self.tell(core, each, &words);
                    continue;
                }
                each(&mut CoreCall {
                    asking_client_id: 0,
                    db: DbIndex(0),
                    protocol: Protocol::Resp2,
                    reader: None,
                    core: &mut self.state,
                    asking: session.as_deref_mut(),
                    args,
                    out: &mut Vec::new(),
                    handed: &[],
                    hands: &mut Vec::new(),
                });
            }
        }
    }

    /// Asks the cores that the command concerns. The reply has its place before anything that those do to the session
    /// itself: what a client publishes to itself comes behind the reply, whichever cores are asked.
    pub(in crate::dispatch::core) fn ask_some_cores(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        which: fn(&CoreGauges) -> bool,
        (each, merge): (CoreFn, Merge),
        quiet: bool,
    ) {
        let shared = &self.state.shared;
        let cores: Vec<CoreId> = (0..shared.cores())
            .map(CoreId)
            .filter(|core| which(shared.gauges(*core)))
            .collect();
        if cores.iter().any(|core| *core != self.state.id) {
            let own: Rc<[&[u8]]> = args.iter_from(0).collect();
            let asks = cores
                .into_iter()
                .map(|core| (core, Work::Part(each), own.clone()))
                .collect();
            return self.gather(session, args, command, Finish::Merge(merge), asks, quiet);
        }
        let seq = session.output.expect_if_wanted(!quiet);
        let mut part = Vec::new();
        if !cores.is_empty() {
            each(&mut CoreCall {
                asking_client_id: session.client_id,
                db: session.db,
                protocol: session.protocol,
                reader: None,
                core: &mut self.state,
                asking: Some(&mut *session),
                args,
                out: &mut part,
                handed: &[],
                hands: &mut Vec::new(),
            });
        }
        let protocol = session.protocol;
        let mut reply = Vec::new();
        let parts: &[&[u8]] = if cores.is_empty() { &[] } else { &[&part] };
        if let Err(error) = merge(&args, parts, &mut Reply::new(&mut reply, protocol)) {
            reply.clear();
            Reply::new(&mut reply, protocol).error(&error);
            self.count_failure(&error, command);
        }
        session
            .output
            .fill(seq, |out| out.extend_from_slice(&reply));
    }
}
