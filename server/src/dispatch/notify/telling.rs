//! The events of what is under way on a core: gathered, put in the order of a command's keys and of an `EXEC`'s commands.

use std::collections::{HashMap, HashSet};

use larder_engine::Event;

use crate::command::events::{Item, News};
use crate::command::{Args, Command, Flags};
use crate::config::KeyspaceEvents;
use crate::session::SessionId;

/// The events of what is under way on a core.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Tellings {
    /// The events of the command or part that is at work, if they are to be told later.
    gathering: Option<News>,
    /// Memory for those of a command.
    spare: News,
    /// The events of `EXEC`s and of scripts on several cores, by session; a script's session is its messenger.
    by_session: HashMap<SessionId, Telling>,
}

/// The events of an `EXEC` or a script.
#[derive(Debug, Default)]
struct Telling {
    /// The events of its commands, by the number of the command.
    parts: Vec<(usize, News)>,
    bytes: usize,
    /// The command that it has come to.
    command: usize,
    /// Its commands on other cores that have yet to answer.
    under_way: usize,
    /// All its commands have begun, and it waits for these.
    awaits_answers: bool,
}

/// The events of a command on several cores.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct EventsOfCommand {
    /// Events of the rounds that are over, in order.
    sorted: News,
    /// Events of the round that is under way.
    round: News,
    /// Its number in its `EXEC`.
    command: usize,
}

impl EventsOfCommand {
    /// No events yet, of the command with this number in its `EXEC`.
    fn of(command: usize) -> Self {
        Self {
            command,
            ..Self::default()
        }
    }

    /// More has happened in the round that is under way.
    pub(in crate::dispatch) fn add(&mut self, events: &News) {
        self.round.append(events);
    }

    /// The command's number in its `EXEC`.
    pub(in crate::dispatch) fn command(&self) -> usize {
        self.command
    }

    /// The events of all rounds, as they are told.
    pub(in crate::dispatch) fn into_events(self) -> News {
        rename_to_last(self.sorted)
    }

    /// The answers of a round are complete: its events are those of the command's keys in their order.
    pub(in crate::dispatch) fn end_round(&mut self, command: &Command, args: Args<'_>) {
        let round = std::mem::take(&mut self.round);
        self.sorted.append(&in_order_of_keys(&round, command, args));
    }

    /// Bytes of memory.
    pub(in crate::dispatch) fn bytes(&self) -> usize {
        self.sorted.bytes().len() + self.round.bytes().len()
    }
}

/// Events of one round of a command, in the order in which the keys stand in it. A key that stands there twice has them once for
/// each time: what has happened to it already is of the next.
fn in_order_of_keys(round: &News, command: &Command, args: Args<'_>) -> News {
    #[derive(Default)]
    struct Places {
        at: Vec<usize>,
        /// Which of these it is, and what has happened there.
        next: usize,
        happened: HashSet<Event>,
    }
    let mut places: HashMap<&[u8], Places> = HashMap::new();
    for at in command.spec.keys.positions(&args) {
        places.entry(args.at(at)).or_default().at.push(at);
    }
    let mut ranked: Vec<(usize, Item<'_>)> = Vec::new();
    for item in round.iter() {
        let known = match item {
            Item::Event { key, event, .. } => places.get_mut(key).map(|places| (places, event)),
            Item::Message { .. } => None,
        };
        let rank = known.map_or(0, |(places, event)| {
            if !places.happened.insert(event) && places.next + 1 < places.at.len() {
                places.next += 1;
                places.happened.clear();
                places.happened.insert(event);
            }
            places.at[places.next]
        });
        ranked.push((rank, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut sorted = News::default();
    ranked.into_iter().for_each(|(_, item)| sorted.push(item));
    sorted
}

/// A renamed key is put under its new name before it is taken from the old one, so that it is never nowhere. The events are told
/// in the other order.
fn rename_to_last(news: News) -> News {
    let is_last = |item: &Item<'_>| {
        let Item::Event { event, .. } = item else {
            return false;
        };
        *event == Event::RenameTo
    };
    if !news.iter().any(|item| is_last(&item)) {
        return news;
    }
    let mut turned = News::default();
    let first = news.iter().filter(|item| !is_last(item));
    let last = news.iter().filter(is_last);
    first.chain(last).for_each(|item| turned.push(item));
    turned
}

/// Whether any events are told that a command with these flags may cause.
pub(in crate::dispatch) fn concerns_commands(classes: KeyspaceEvents, flags: Flags) -> bool {
    /// Classes of events that no command has: keys expire, and make room.
    const OF_NO_COMMAND: &str = "xe";
    let of_writes = || {
        let all = 'a'..='z';
        let mut classes_of_commands = all
            .chain(['$'])
            .filter(|class| !OF_NO_COMMAND.contains(*class));
        classes_of_commands.any(|class| class != 'm' && classes.has(class))
    };
    !classes.is_off()
        && (classes.has('m')
            || flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE)) && of_writes())
}

impl Tellings {
    /// Whether nothing is gathered.
    #[cfg(test)]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.gathering.is_none() && self.by_session.is_empty()
    }

    /// Memory for the events of a command, to be given back emptied.
    pub(in crate::dispatch) fn take_spare(&mut self) -> News {
        std::mem::take(&mut self.spare)
    }

    /// Gives it back.
    pub(in crate::dispatch) fn give_spare(&mut self, spare: News) {
        self.spare = spare;
    }

    /// What is gathered, if what is at work is part of something greater.
    pub(in crate::dispatch) fn gathering(&mut self) -> Option<&mut News> {
        self.gathering.as_mut()
    }

    /// What happens from now on is gathered. Who gathered before.
    pub(in crate::dispatch) fn begin_gathering(&mut self) -> Option<News> {
        self.gathering.replace(News::default())
    }

    /// What was gathered since.
    pub(in crate::dispatch) fn end_gathering(&mut self, before: Option<News>) -> News {
        let gathered = std::mem::replace(&mut self.gathering, before);
        gathered.unwrap_or_default()
    }

    /// An `EXEC` or a script begins whose events are gathered.
    pub(in crate::dispatch) fn begin(&mut self, id: SessionId) {
        self.by_session.insert(id, Telling::default());
    }

    /// Whether the events of some `EXEC` or script are gathered.
    #[inline]
    pub(in crate::dispatch) fn has_any(&self) -> bool {
        !self.by_session.is_empty()
    }

    /// Whether those of this one are.
    #[inline]
    pub(in crate::dispatch) fn tells_of(&self, id: SessionId) -> bool {
        self.has_any() && self.by_session.contains_key(&id)
    }

    /// It has come to the command of this number. Whether its events are gathered.
    pub(in crate::dispatch) fn come_to(&mut self, id: SessionId, command: usize) -> bool {
        let telling = self.by_session.get_mut(&id);
        telling.is_some_and(|telling| {
            telling.command = command;
            true
        })
    }

    /// Its command begins on several cores: what that has told, if its events are gathered.
    pub(in crate::dispatch) fn begin_command(
        &mut self,
        id: SessionId,
    ) -> Option<Box<EventsOfCommand>> {
        let telling = self.by_session.get_mut(&id)?;
        telling.under_way += 1;
        Some(Box::new(EventsOfCommand::of(telling.command)))
    }

    /// Such a command is over. Whether it was the last one that was waited for.
    pub(in crate::dispatch) fn end_command(&mut self, id: SessionId) -> bool {
        let telling = self.by_session.get_mut(&id);
        telling.is_some_and(|telling| {
            telling.under_way -= 1;
            telling.awaits_answers && telling.under_way == 0
        })
    }

    /// All its commands have begun. Whether some of them are under way, for which it waits.
    pub(in crate::dispatch) fn await_commands(&mut self, id: SessionId) -> bool {
        let telling = self.by_session.get_mut(&id);
        telling.is_some_and(|telling| {
            telling.awaits_answers |= telling.under_way > 0;
            telling.under_way > 0
        })
    }

    /// Adds what one of its commands has had told; without a number it is the one at work. Bytes of memory.
    pub(in crate::dispatch) fn add(
        &mut self,
        id: SessionId,
        command: Option<usize>,
        events: News,
    ) -> usize {
        let bytes = events.bytes().len();
        match self.by_session.get_mut(&id) {
            Some(telling) if bytes > 0 => {
                telling.bytes += bytes;
                let command = command.unwrap_or(telling.command);
                telling.parts.push((command, events));
                bytes
            }
            _ => 0,
        }
    }

    /// Bytes of its events, if none of its commands is under way.
    pub(in crate::dispatch) fn bytes_at_rest(&self, id: SessionId) -> usize {
        let telling = self.by_session.get(&id);
        let at_rest = telling.filter(|telling| telling.under_way == 0);
        at_rest.map_or(0, |telling| telling.bytes)
    }

    /// Takes all that it has had told, in the order of its commands, and the bytes of memory that it took.
    pub(in crate::dispatch) fn take(&mut self, id: SessionId) -> (News, usize) {
        let Some(mut telling) = self.by_session.remove(&id) else {
            return (News::default(), 0);
        };
        telling.parts.sort_by_key(|(command, _)| *command);
        let mut all = News::default();
        telling.parts.iter().for_each(|(_, part)| all.append(part));
        (all, telling.bytes)
    }
}
