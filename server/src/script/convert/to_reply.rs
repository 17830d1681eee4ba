//! A script's value as its reply.
//!
//! Tables are walked with a stack of their own, not the machine's: a script may nest them as deep as it likes. How many
//! elements a table has is known only behind its last one, so its head is noted and put in when all is written:
//!
//! ```text
//!  body    [ 1 ][ 2 ][ 3 ][ 4 ]        heads: (at 0, array of 2), (at 1, array of 3)
//!  reply   [*2][ 1 ][*3][ 2 ][ 3 ][ 4 ]
//! ```

use larder_engine::DoubleText;
use mlua::{Function, LuaString, Table, Value};

use super::Names;
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::script::exchange::ReplyError;
use crate::script::limits::REPLY_DEPTH_MAX;
use crate::script::number::to_i64;

/// What a table is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Map,
    Set,
}

/// A table being written.
struct Frame {
    table: Table,
    kind: Kind,
    /// The elements written.
    written: usize,
    /// The elements there are; an array's end at the first nil.
    elements: Option<usize>,
    /// Which of the heads is its.
    head: usize,
}

struct ArrayHead {
    at: usize,
    kind: Kind,
    len: usize,
}

/// Writes the replies of one script.
pub(in crate::script) struct ReplyWriter<'a> {
    names: &'a Names,
    /// Makes an array of a table's keys and values by turns: with it, a table is walked by number.
    flatten: &'a Function,
    /// The client's protocol.
    client: Protocol,
    /// The protocol the script wants replies in: with RESP2, true is 1.
    script: Protocol,
    body: Vec<u8>,
    heads: Vec<ArrayHead>,
    errors: Vec<ReplyError>,
}

impl<'a> ReplyWriter<'a> {
    pub(in crate::script) fn new(
        names: &'a Names,
        flatten: &'a Function,
        (client, script): (Protocol, Protocol),
    ) -> Self {
        Self {
            names,
            flatten,
            client,
            script,
            body: Vec::new(),
            heads: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Writes `value` to the end of `out`; gives the errors in it.
    pub(in crate::script) fn write(
        mut self,
        value: Value,
        out: &mut Vec<u8>,
    ) -> mlua::Result<Vec<ReplyError>> {
        // Most replies are one value: they need no second buffer.
        std::mem::swap(&mut self.body, out);
        let mut frames = Vec::new();
        self.value(value, &mut frames)?;
        while let Some(frame) = frames.last_mut() {
            let next: Value = frame.table.raw_get(frame.written + 1)?;
            let is_over = match frame.elements {
                Some(elements) => frame.written == elements,
                None => next.is_nil(),
            };
            if is_over {
                self.heads[frame.head].len = match frame.kind {
                    Kind::Map => frame.written / 2,
                    _ => frame.written,
                };
                frames.pop();
                continue;
            }
            frame.written += 1;
            self.value(next, &mut frames)?;
        }
        self.finish(out);
        Ok(self.errors)
    }

    fn reply(&mut self) -> Reply<'_> {
        Reply::new(&mut self.body, self.client)
    }

    fn value(&mut self, value: Value, frames: &mut Vec<Frame>) -> mlua::Result<()> {
        if frames.len() >= REPLY_DEPTH_MAX {
            let error = ErrorReply::fixed("ERR reached lua stack limit");
            self.error(&error, false);
            return Ok(());
        }
        match value {
            Value::String(text) => self.reply().bulk(&text.as_bytes()),
            Value::Integer(number) => self.reply().integer(number),
            Value::Number(number) => self.reply().integer(to_i64(number)),
            Value::Boolean(value) => match (self.script, value) {
                (Protocol::Resp3, value) => self.reply().boolean(value),
                (Protocol::Resp2, true) => self.reply().integer(1),
                (Protocol::Resp2, false) => self.reply().null(),
            },
            Value::Table(table) => return self.table(table, frames),
            _ => self.reply().null(),
        }
        Ok(())
    }

    /// A table is what the first of these fields says it is, else an array.
    fn table(&mut self, table: Table, frames: &mut Vec<Frame>) -> mlua::Result<()> {
        let names = self.names;
        if let Some(text) = text_field(&table, &names.err)? {
            let is_counted = table.raw_get(&names.ignore_error_stats_update)?;
            let error = ErrorReply::new(trimmed(&text.as_bytes()));
            self.error(&error, matches!(is_counted, Value::Boolean(true)));
        } else if let Some(text) = text_field(&table, &names.ok)? {
            let text = on_one_line(until_zero(&text.as_bytes()));
            self.body.push(b'+');
            self.body.extend_from_slice(&text);
            self.body.extend_from_slice(b"\r\n");
        } else if let Some(number) = number_field(&table, &names.double)? {
            self.reply().double_text(DoubleText::of(number).as_str());
        } else if let Some(digits) = text_field(&table, &names.big_number)? {
            let digits = on_one_line(&digits.as_bytes());
            match self.client {
                Protocol::Resp2 => self.reply().bulk(&digits),
                Protocol::Resp3 => {
                    self.body.push(b'(');
                    self.body.extend_from_slice(&digits);
                    self.body.extend_from_slice(b"\r\n");
                }
            }
        } else if !self.verbatim(&table)? {
            return self.collection(table, frames);
        }
        Ok(())
    }

    fn verbatim(&mut self, table: &Table) -> mlua::Result<bool> {
        let names = self.names;
        let Value::Table(inner) = table.raw_get(&names.verbatim_string)? else {
            return Ok(false);
        };
        let (Some(format), Some(text)) = (
            text_field(&inner, &names.format)?,
            text_field(&inner, &names.string)?,
        ) else {
            return Ok(false);
        };
        let format = format.as_bytes();
        let mut three = [b' '; 3];
        for (to, from) in three.iter_mut().zip(until_zero(&format)) {
            *to = *from;
        }
        // A format is ASCII; what is not could not be told from the text's length.
        let three = three.map(|byte| {
            if byte.is_ascii_graphic() || byte == b' ' {
                byte
            } else {
                b'?'
            }
        });
        let three = std::str::from_utf8(&three).expect("it is ASCII");
        self.reply().verbatim(three, &text.as_bytes());
        Ok(true)
    }

    fn collection(&mut self, table: Table, frames: &mut Vec<Frame>) -> mlua::Result<()> {
        let names = self.names;
        let mut kind = Kind::Array;
        let mut inner = table;
        for (name, other) in [(&names.map, Kind::Map), (&names.set, Kind::Set)] {
            if let Value::Table(contents) = inner.raw_get(name)? {
                (kind, inner) = (other, contents);
                break;
            }
        }
        let mut elements = None;
        if kind != Kind::Array {
            let keys_only = kind == Kind::Set;
            (inner, elements) = self
                .flatten
                .call::<(Table, Option<usize>)>((inner, keys_only))?;
        }
        self.heads.push(ArrayHead {
            at: self.body.len(),
            kind,
            len: 0,
        });
        frames.push(Frame {
            table: inner,
            kind,
            written: 0,
            elements,
            head: self.heads.len() - 1,
        });
        Ok(())
    }

    fn error(&mut self, error: &ErrorReply, is_counted: bool) {
        self.errors.push(ReplyError {
            code: error.code().into(),
            is_counted,
        });
        self.reply().error(error);
    }

    /// Puts the heads where they belong.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.heads.is_empty() {
            std::mem::swap(&mut self.body, out);
            return;
        }
        out.clear();
        let mut copied = 0;
        for head in &self.heads {
            out.extend_from_slice(&self.body[copied..head.at]);
            copied = head.at;
            let mut reply = Reply::new(out, self.client);
            match head.kind {
                Kind::Array => reply.array(head.len),
                Kind::Map => reply.map(head.len),
                Kind::Set => reply.set(head.len),
            }
        }
        out.extend_from_slice(&self.body[copied..]);
    }
}

fn text_field(table: &Table, name: &LuaString) -> mlua::Result<Option<LuaString>> {
    match table.raw_get(name)? {
        Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

fn number_field(table: &Table, name: &LuaString) -> mlua::Result<Option<f64>> {
    Ok(match table.raw_get(name)? {
        Value::Integer(number) => Some(number as f64),
        Value::Number(number) => Some(number),
        _ => None,
    })
}

/// A C string's part of `text`.
fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// An error's text, without line breaks at its end.
fn trimmed(text: &[u8]) -> &[u8] {
    let text = until_zero(text);
    let breaks = text
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'));
    &text[..text.len() - breaks.count()]
}

/// The text with spaces for line breaks.
fn on_one_line(text: &[u8]) -> Vec<u8> {
    let space = |&byte: &u8| match byte {
        b'\r' | b'\n' => b' ',
        byte => byte,
    };
    text.iter().map(space).collect()
}
