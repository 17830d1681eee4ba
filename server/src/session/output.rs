//! What a session owes its client: replies in the order of the commands, though some come from other cores.
//!
//! ```text
//!  full: buffers to send, oldest first     ready: the buffer written to
//!  [ sent | unsent ][ unsent ][ unsent ]   [ unsent ............ ]
//!
//!  order: one slot per reply behind the first awaited one
//!  [ awaited #7 ][ filled #8 ][ awaited #9 ][ filled #10 ][ pieces of #11 ]
//!                      |                          |
//!  late: [ bytes of #8 ........... bytes of #10 ]
//! ```
//! A long reply may come in pieces, buffers that become full ones.
//! With nothing awaited, replies are written straight to `ready`, which is mostly all there is. One that has grown to
//! [`BUFFER_BYTES`] is full, and never moved or copied again: a client may be owed any number of buffers. When the first
//! awaited reply comes, it and all filled slots behind it move to `ready`. Cost: one copy for a local reply, one more for
//! a reply that had to wait.

use std::collections::VecDeque;

/// Bytes sent or moved that are kept, if they are no more than half of what there is.
const SPENT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of memory of a buffer of replies.
const BUFFER_BYTES: usize = 1 << 20;

/// A buffer that holds so many bytes is full. What is left is room for the reply that fills it.
const FULL_BYTES: usize = BUFFER_BYTES - 64 * 1024;

/// Room that a buffer may have for more, beside as much as is written in it. What it has beyond that is idle.
const ROOM_BYTES: usize = 64 * 1024;

/// Number of an awaited reply, counted per session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplySeq(u64);

/// A position among the replies owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputMark {
    /// Bytes of full buffers and of the one written to.
    written: usize,
    slots: usize,
    late: usize,
}

#[derive(Debug)]
enum Slot {
    Awaited,
    /// The client does not want it: when it comes is all that matters.
    Unwanted,
    Filled {
        start: usize,
        len: usize,
    },
    /// Filled with buffers that are sent as they are.
    Pieces(Vec<Vec<u8>>),
}

/// The replies owed to one client.
#[derive(Debug, Default)]
pub struct Output {
    full: VecDeque<Vec<u8>>,
    /// Bytes of `full`, those sent included, and the memory they take.
    full_bytes: usize,
    full_capacity: usize,
    ready: Vec<u8>,
    /// Bytes sent of the first buffer.
    sent: usize,
    order: VecDeque<Slot>,
    late: Vec<u8>,
    /// Bytes of `late` that have moved to `ready`.
    moved: usize,
    /// Bytes of the pieces in `order`.
    pieces_bytes: usize,
    /// Number of the reply in `order`'s first slot.
    first: u64,
}

impl Output {
    /// Writes a whole reply, or any number of them, in its place.
    #[inline(always)]
    pub fn append<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        if self.order.is_empty() {
            self.make_room();
            write(&mut self.ready)
        } else {
            let start = self.late.len();
            let result = write(&mut self.late);
            let len = self.late.len() - start;
            if len > 0 {
                self.order.push_back(Slot::Filled { start, len });
            }
            result
        }
    }

    /// Begins another buffer if the present one is full.
    #[inline(always)]
    fn make_room(&mut self) {
        if self.ready.len() >= FULL_BYTES {
            self.set_full_aside();
            self.ready.reserve_exact(BUFFER_BYTES);
        }
    }

    /// Puts the buffer written to behind those that are only sent from.
    #[cold]
    fn set_full_aside(&mut self) {
        let mut buffer = std::mem::take(&mut self.ready);
        if buffer.capacity() - buffer.len() > buffer.len() / 8 {
            buffer.shrink_to_fit();
        }
        self.full_bytes += buffer.len();
        self.full_capacity += buffer.capacity();
        self.full.push_back(buffer);
    }

    /// Keeps a slot for a reply that comes later.
    pub fn expect(&mut self) -> ReplySeq {
        let seq = ReplySeq(self.first + self.order.len() as u64);
        self.order.push_back(Slot::Awaited);
        seq
    }

    /// Keeps a slot for a reply that comes later, though the client may not want it: until it comes, it is awaited.
    pub fn expect_if_wanted(&mut self, is_wanted: bool) -> ReplySeq {
        let seq = self.expect();
        if !is_wanted {
            self.order.pop_back();
            self.order.push_back(Slot::Unwanted);
        }
        seq
    }

    /// Writes something in front of the last reply that is awaited, which may be long in coming; that reply's new number.
    pub fn append_before(&mut self, seq: ReplySeq, write: impl FnOnce(&mut Vec<u8>)) -> ReplySeq {
        if self.is_next(seq) {
            self.make_room();
            write(&mut self.ready);
            return seq;
        }
        let start = self.late.len();
        write(&mut self.late);
        let len = self.late.len() - start;
        let at = usize::try_from(seq.0 - self.first).expect("usize has 64 bits");
        self.order.insert(at, Slot::Filled { start, len });
        ReplySeq(seq.0 + 1)
    }

    /// Writes the reply kept a place for.
    ///
    /// # Panics
    /// If `seq` is not awaited.
    pub fn fill<T>(&mut self, seq: ReplySeq, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let (at, is_wanted) = self.place_of(seq);
        if at > 0 {
            let start = self.late.len();
            let result = write(&mut self.late);
            if !is_wanted {
                self.late.truncate(start);
            }
            self.order[at] = Slot::Filled {
                start,
                len: self.late.len() - start,
            };
            return result;
        }
        self.make_room();
        let start = self.ready.len();
        let result = write(&mut self.ready);
        if !is_wanted {
            self.ready.truncate(start);
        }
        self.end_first();
        result
    }

    /// Gives the reply kept a place for, in pieces that are sent as they are.
    ///
    /// # Panics
    /// If `seq` is not awaited.
    pub fn fill_with(&mut self, seq: ReplySeq, mut pieces: Vec<Vec<u8>>) {
        let (at, is_wanted) = self.place_of(seq);
        if !is_wanted {
            pieces.clear();
        }
        if at > 0 {
            self.pieces_bytes += pieces.iter().map(Vec::len).sum::<usize>();
            self.order[at] = Slot::Pieces(pieces);
            return;
        }
        self.append_pieces(pieces);
        self.end_first();
    }

    fn append_pieces(&mut self, pieces: Vec<Vec<u8>>) {
        if !self.ready.is_empty() {
            self.set_full_aside();
        }
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            self.full_bytes += piece.len();
            self.full_capacity += piece.capacity();
            self.full.push_back(piece);
        }
    }

    /// The index in `order` of the reply kept a place for, and whether the client wants it.
    #[inline(always)]
    fn place_of(&self, seq: ReplySeq) -> (usize, bool) {
        // A reply already given wraps around to an index far beyond.
        let at = usize::try_from(seq.0.wrapping_sub(self.first)).expect("usize has 64 bits");
        match self.order.get(at) {
            Some(Slot::Awaited) => (at, true),
            Some(Slot::Unwanted) => (at, false),
            _ => panic!("reply {seq:?} is not awaited"),
        }
    }

    /// The first reply of `order` is given: it, and what is filled behind it, is owed in its order.
    #[inline(always)]
    fn end_first(&mut self) {
        self.order.pop_front();
        self.first += 1;
        loop {
            match self.order.front_mut() {
                Some(&mut Slot::Filled { start, len }) => {
                    self.make_room();
                    self.ready.extend_from_slice(&self.late[start..start + len]);
                    self.moved += len;
                }
                Some(Slot::Pieces(pieces)) => {
                    let pieces = std::mem::take(pieces);
                    self.pieces_bytes -= pieces.iter().map(Vec::len).sum::<usize>();
                    self.append_pieces(pieces);
                }
                Some(Slot::Awaited | Slot::Unwanted) | None => break,
            }
            self.order.pop_front();
            self.first += 1;
        }
        if self.order.is_empty() {
            self.late.clear();
            self.moved = 0;
        } else if self.moved > SPENT_BYTES_MAX && self.moved > self.late.len() / 2 {
            self.forget_moved();
        }
    }

    /// Forgets what has moved from `late`: with some reply always awaited, it would never be empty.
    #[cold]
    fn forget_moved(&mut self) {
        let mut kept = Vec::with_capacity(self.late.len() - self.moved);
        for slot in &mut self.order {
            if let Slot::Filled { start, len } = slot {
                let at = kept.len();
                kept.extend_from_slice(&self.late[*start..*start + *len]);
                *start = at;
            }
        }
        self.late = kept;
        self.moved = 0;
    }

    /// Replies awaited or waiting behind an awaited one.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.order.len()
    }

    /// The bytes to send next: those of the first buffer.
    #[inline]
    pub fn unsent(&self) -> &[u8] {
        if self.has_more_behind() {
            return self.unsent_of_full();
        }
        &self.ready[self.sent..]
    }

    #[cold]
    fn unsent_of_full(&self) -> &[u8] {
        &self.full[0][self.sent..]
    }

    /// Whether there is more to send behind [`Self::unsent`].
    #[inline]
    pub fn has_more_behind(&self) -> bool {
        self.full_bytes > 0
    }

    /// Whether the reply kept a place for is given, and every reply before it.
    #[inline]
    pub fn is_ready(&self, seq: ReplySeq) -> bool {
        seq.0 < self.first
    }

    /// Whether the reply kept a place for is the next to give.
    pub fn is_next(&self, seq: ReplySeq) -> bool {
        seq.0 == self.first
    }

    /// Bytes that could be sent or wait behind an awaited reply.
    #[inline]
    pub fn pending_bytes(&self) -> usize {
        self.ready_bytes() + self.late_bytes()
    }

    /// Bytes that were written and are there yet, though some may have been sent or moved.
    #[inline]
    pub fn written_bytes(&self) -> usize {
        self.full_bytes + self.ready.len() + self.late.len() + self.pieces_bytes
    }

    /// Bytes that were written since [`Self::written_bytes`] was so much; none of a command that leaves fewer than it found.
    pub fn written_since(&self, before: usize) -> u64 {
        self.written_bytes().saturating_sub(before) as u64
    }

    /// Bytes that could be sent.
    #[inline]
    pub fn ready_bytes(&self) -> usize {
        self.full_bytes + self.ready.len() - self.sent
    }

    /// Bytes that wait behind an awaited reply.
    #[inline]
    pub fn late_bytes(&self) -> usize {
        self.late.len() - self.moved + self.pieces_bytes
    }

    /// If the `count` bytes sent are all there was: takes the buffer away, emptied. Else [`Self::advance`] is to be told.
    #[inline]
    pub fn take_sent(&mut self, count: usize) -> Option<Vec<u8>> {
        let is_all = count > 0 && !self.has_more_behind() && self.sent + count == self.ready.len();
        is_all.then(|| {
            self.sent = 0;
            let mut buffer = std::mem::take(&mut self.ready);
            buffer.clear();
            buffer
        })
    }

    /// `count` bytes of [`Self::unsent`] were sent.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.has_more_behind() {
            return self.advance_full();
        }
        assert!(
            self.sent <= self.ready.len(),
            "more was sent than there was"
        );
        if self.sent == self.ready.len() {
            self.ready.clear();
            self.sent = 0;
        } else if self.ready.len() >= FULL_BYTES {
            self.set_full_aside();
        } else if self.sent > SPENT_BYTES_MAX && self.sent > self.ready.len() / 2 {
            self.ready.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Lets a full buffer go when it was sent.
    #[cold]
    fn advance_full(&mut self) {
        let len = self.full[0].len();
        assert!(self.sent <= len, "more was sent than there was");
        if self.sent == len
            && let Some(buffer) = self.full.pop_front()
        {
            self.full_bytes -= len;
            self.full_capacity -= buffer.capacity();
            self.sent = 0;
            if self.full.is_empty() {
                self.full = VecDeque::new();
            }
        }
    }

    /// Lets go of what could be sent: the client is not to get it. Places of awaited replies stay.
    pub fn discard(&mut self) {
        self.full = VecDeque::new();
        (self.full_bytes, self.full_capacity, self.sent) = (0, 0, 0);
        self.ready = Vec::new();
    }

    /// Whether there is a buffer to write to without allocating.
    #[inline]
    pub fn has_buffer(&self) -> bool {
        self.ready.capacity() > 0
    }

    /// Hands in a buffer to write to.
    ///
    /// # Panics
    /// If there is one already.
    #[inline]
    pub fn give_buffer(&mut self, buffer: Vec<u8>) {
        assert!(
            !self.has_buffer() && buffer.is_empty(),
            "a session has one buffer"
        );
        self.ready = buffer;
    }

    /// Takes the buffer away if everything in it was sent.
    #[inline]
    pub fn take_buffer(&mut self) -> Option<Vec<u8>> {
        let is_sent = self.ready.is_empty() && !self.has_more_behind();
        (is_sent && self.has_buffer()).then(|| std::mem::take(&mut self.ready))
    }

    /// A position to [`Self::rewind`] to.
    pub fn mark(&self) -> OutputMark {
        OutputMark {
            written: self.full_bytes + self.ready.len(),
            slots: self.order.len(),
            late: self.late.len(),
        }
    }

    /// Takes back what was appended since `mark`; what was expected since stays.
    pub fn rewind(&mut self, mark: OutputMark) {
        if self.order.is_empty() {
            while self.full_bytes > mark.written
                && let Some(buffer) = self.full.pop_back()
            {
                // What was written since began in this one.
                self.full_bytes -= buffer.len();
                self.full_capacity -= buffer.capacity();
                self.ready = buffer;
            }
            self.ready.truncate(mark.written - self.full_bytes);
        } else if self
            .order
            .iter()
            .skip(mark.slots)
            .all(|slot| matches!(slot, Slot::Filled { .. }))
        {
            self.order.truncate(mark.slots);
            self.late.truncate(mark.late);
        }
    }

    /// Gives memory back that an idle session does not need.
    pub fn shrink(&mut self) {
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
        if self.order.is_empty() {
            self.order = VecDeque::new();
            self.late = Vec::new();
        }
    }

    /// Bytes of memory held, those apart that are idle.
    pub fn memory_bytes(&self) -> usize {
        let order = self.order.capacity() * size_of::<Slot>();
        let ready = self.ready.capacity() - self.idle_bytes();
        self.full_capacity + ready + self.late.capacity() + self.pieces_bytes + order
    }

    /// Bytes of the buffer written to that can be given back: it came from the core's pool, and what is to be said may be little.
    #[inline]
    pub fn idle_bytes(&self) -> usize {
        self.ready.capacity().saturating_sub(self.fitting_bytes())
    }

    fn fitting_bytes(&self) -> usize {
        2 * self.ready.len().max(ROOM_BYTES / 2)
    }

    /// Gives them back.
    pub fn give_back_idle(&mut self) {
        self.ready.shrink_to(self.fitting_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> impl FnOnce(&mut Vec<u8>) + '_ {
        move |out| out.extend_from_slice(text.as_bytes())
    }

    #[test]
    fn replies_leave_in_the_order_of_their_commands_however_they_come() {
        let mut output = Output::default();
        output.append(write("0"));
        let first = output.expect();
        output.append(write("2"));
        let third = output.expect();
        output.append(write("4"));
        assert_eq!(output.unsent(), b"0");
        output.fill(third, write("3"));
        assert_eq!(output.unsent(), b"0");
        output.fill(first, write("1"));
        assert_eq!(output.unsent(), b"01234");
        assert_eq!(output.outstanding(), 0);
        output.append(write("5"));
        output.advance(5);
        assert_eq!(output.unsent(), b"5");
    }

    #[test]
    #[should_panic(expected = "not awaited")]
    fn a_reply_cannot_come_twice() {
        let mut output = Output::default();
        let first = output.expect();
        output.expect();
        output.fill(first, write("1"));
        let second = ReplySeq(first.0 + 1);
        output.fill(second, write("2"));
        output.expect();
        output.fill(second, write("2"));
    }

    #[test]
    fn what_is_written_before_an_awaited_reply_comes_behind_all_others() {
        let mut output = Output::default();
        let push = |text: &'static [u8]| move |out: &mut Vec<u8>| out.extend_from_slice(text);
        let first = output.expect();
        let last = output.expect();
        let last = output.append_before(last, push(b"a"));
        let last = output.append_before(last, push(b"b"));
        output.fill(first, push(b"1"));
        assert_eq!(output.unsent(), b"1ab");
        assert_eq!(output.append_before(last, push(b"c")), last);
        assert_eq!(output.unsent(), b"1abc");
        output.append(push(b"behind"));
        output.fill(last, push(b"2"));
        assert_eq!(output.unsent(), b"1abc2behind");
        assert_eq!(output.outstanding(), 0);
    }

    /// Sends up to `most` bytes.
    fn take(output: &mut Output, most: usize) -> Vec<u8> {
        let taken = output.unsent()[..output.unsent().len().min(most)].to_vec();
        output.advance(taken.len());
        taken
    }

    #[test]
    fn any_number_of_bytes_comes_out_as_it_went_in_in_pieces_of_any_size() {
        let mut output = Output::default();
        let (mut written, mut taken, mut next) = (Vec::new(), Vec::new(), 0_u64);
        let mut random = move |below: usize| {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (next >> 33) as usize % below
        };
        for step in 0..3000 {
            let at_most = [100, 10_000, 3 << 20][step % 7 % 3];
            let reply = vec![step as u8; random(at_most)];
            written.extend_from_slice(&reply);
            output.append(|out| out.extend_from_slice(&reply));
            if random(40) == 0 {
                let most = random(4 << 20);
                taken.extend(take(&mut output, most));
            }
            assert_eq!(output.pending_bytes(), written.len() - taken.len());
            assert!(output.memory_bytes() < output.pending_bytes() / 8 * 9 + (9 << 20));
            if written.len() > 64 << 20 {
                break;
            }
        }
        while output.pending_bytes() > 0 {
            assert!(
                !output.unsent().is_empty(),
                "there is always a next to send"
            );
            taken.extend(take(&mut output, 1 << 20));
        }
        assert!(taken == written, "the bytes are those written");
        assert!(output.memory_bytes() < 2 * BUFFER_BYTES);
    }

    #[test]
    fn pieces_come_in_their_place_and_are_not_copied() {
        let piece = |byte: u8| vec![byte; 100];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut output = Output::default();
            output.append(write("begin "));
            let seqs = [0; 3].map(|_| output.expect());
            output.append(write(" end"));
            let pieces = [piece(b'a'), Vec::new(), piece(b'b')];
            let places = [pieces[0].as_ptr(), pieces[2].as_ptr()];
            let mut pieces = Some(pieces);
            for at in order {
                match at {
                    1 => output.fill_with(seqs[1], pieces.take().unwrap().into()),
                    _ => output.fill(seqs[at], write("text")),
                }
            }
            assert_eq!(output.outstanding(), 0);
            let expected = [&b"begin text"[..], &piece(b'a'), &piece(b'b'), b"text end"];
            assert_eq!(output.pending_bytes(), expected.concat().len());
            let (mut got, mut seen) = (Vec::new(), Vec::new());
            while !output.unsent().is_empty() {
                seen.push(output.unsent().as_ptr());
                got.extend(take(&mut output, usize::MAX));
            }
            assert_eq!(got, expected.concat());
            assert!(places.iter().all(|place| seen.contains(place)));
            assert_eq!(output.pending_bytes(), 0);
        }
        let mut output = Output::default();
        let unwanted = [0; 2].map(|_| output.expect_if_wanted(false));
        for seq in unwanted.into_iter().rev() {
            output.fill_with(seq, vec![piece(b'a')]);
        }
        assert_eq!((output.pending_bytes(), output.outstanding()), (0, 0));
    }

    #[test]
    fn a_buffer_that_is_full_stays_where_it_is_until_it_is_sent() {
        let mut output = Output::default();
        let reply = vec![b'x'; 10_000];
        while !output.has_more_behind() {
            output.append(|out| out.extend_from_slice(&reply));
        }
        let first = output.unsent().as_ptr();
        for _ in 0..1000 {
            output.append(|out| out.extend_from_slice(&reply));
        }
        output.advance(700_000);
        assert_eq!(output.unsent().as_ptr(), first.wrapping_add(700_000));
    }

    #[test]
    fn what_was_written_since_a_mark_is_taken_back_over_full_buffers_too() {
        let mut output = Output::default();
        output.append(write("kept"));
        let mark = output.mark();
        for _ in 0..50 {
            output.append(|out| out.resize(out.len() + 100_000, b'x'));
        }
        assert!(output.has_more_behind());
        output.rewind(mark);
        assert_eq!((output.unsent(), output.pending_bytes()), (&b"kept"[..], 4));
        output.append(write(" and more"));
        assert_eq!(output.unsent(), b"kept and more");
    }
}
