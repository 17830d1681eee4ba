//! What `DUMP` answers of a value: its elements, one after the other, without a copy of all in between.
//!
//! Nothing is packed by LZF: that would cost more than it saves.

use larder_engine::{Encoding, EntryRef, Kind, UnixMillis};

use crate::rdb::{HashForm, HashWriter, ListWriter, Output, Packing, Value, seal};

/// The type, a length and the footer, at most.
const OVERHEAD_BYTES: usize = 20;
/// Bytes that an element has beside its own, mostly.
const ELEMENT_OVERHEAD_BYTES: u64 = 2;

/// The payload of a value. Fields past their deadline are in it, as in Redis, with that.
pub(in crate::command::families) fn payload_of(entry: &EntryRef<'_>) -> Vec<u8> {
    let mut out = Output::new(Packing::None);
    let elements = entry.elements();
    let bytes = entry.value_bytes() + ELEMENT_OVERHEAD_BYTES * elements;
    out.reserve(bytes as usize + OVERHEAD_BYTES);
    match entry.kind() {
        Kind::String => {
            out.byte(Value::STRING);
            out.string(entry.string().unwrap_or_default());
        }
        Kind::List => {
            out.byte(ListWriter::KIND);
            let mut writer = ListWriter::begin(elements, &mut out);
            entry.each_element(&mut |element| writer.push(element, &mut out));
            writer.finish(&mut out);
        }
        Kind::Hash => {
            let soonest = entry.soonest_field_deadline();
            let mut writer = HashWriter::new(form_of(entry), soonest.map(millis));
            out.byte(writer.kind());
            writer.begin(elements, &mut out);
            entry.each_field(&mut |field| {
                let deadline = field.expires_at.map(millis);
                writer.push(field.name, field.value, deadline, &mut out);
            });
            writer.finish(&mut out);
        }
    }
    seal(out)
}

/// Bytes that a value takes in a payload, without type and footer.
pub(in crate::command::families) fn serialized_bytes(entry: &EntryRef<'_>) -> usize {
    const TYPE_AND_FOOTER_BYTES: usize = 11;
    payload_of(entry).len() - TYPE_AND_FOOTER_BYTES
}

/// What lies in its item and answers that it is small is one listpack. Who reads strings makes of them what suits it.
fn form_of(hash: &EntryRef<'_>) -> HashForm {
    match hash.is_whole() && hash.encoding() != Encoding::HashTable {
        true => HashForm::Listpack,
        false => HashForm::Strings,
    }
}

fn millis(at: UnixMillis) -> i64 {
    at.0
}
