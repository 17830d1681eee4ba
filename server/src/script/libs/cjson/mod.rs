//! `cjson`: JSON as Mark Pulford's lua-cjson 2.1 reads and writes it, with the settings of the copy in Redis.

mod decode;
mod encode;
mod settings;

use std::rc::Rc;

use mlua::{Function, Lua, Table, Value};

use super::{Arguments, Outcome, Registrar, null, several, single};
use crate::script::exchange::Exchange;
use settings::Settings;

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    to.value("null", null())?;
    to.value("_NAME", "cjson")?;
    to.value("_VERSION", "2.1.0")?;
    let (functions, sparse) = instance(to.lua, to.exchange)?;
    functions.for_each(|name: Value, function: Function| to.one.raw_set(name, function))?;
    to.many.raw_set(SPARSE, sparse)?;
    let exchange = Rc::clone(to.exchange);
    let new = to
        .lua
        .create_function(move |lua, ()| instance(lua, &exchange))?;
    to.raw.raw_set("new", new)
}

const SPARSE: &str = "encode_sparse_array";

type Method = fn(&Arguments<'_>, &Settings, &Exchange) -> Outcome;

/// The functions of a `cjson` with settings of its own: those that give one value, and the one that gives several.
fn instance(lua: &Lua, exchange: &Rc<Exchange>) -> mlua::Result<(Table, Function)> {
    let settings = Rc::new(Settings::default());
    let table = lua.create_table()?;
    let add = |name: &'static str, method: Method| -> mlua::Result<()> {
        let function = bind(lua, exchange, &settings, name, method)?;
        table.raw_set(name, function)
    };
    add("encode", |args, settings, exchange| {
        let value = only_argument(args)?;
        let json = encode::encode(args.lua, value, settings, exchange)?;
        Ok(Value::String(args.lua.create_string(&json)?))
    })?;
    add("decode", |args, settings, exchange| {
        only_argument(args)?;
        decode::decode(args.lua, &args.bytes(1)?, settings, exchange)
    })?;
    add("encode_max_depth", |args, settings, _| {
        settings::integer(args, &settings.encode_max_depth, 1, i32::MAX)
    })?;
    add("decode_max_depth", |args, settings, _| {
        settings::integer(args, &settings.decode_max_depth, 1, i32::MAX)
    })?;
    add("encode_number_precision", |args, settings, _| {
        settings::integer(args, &settings.encode_number_precision, 1, 14)
    })?;
    add("encode_keep_buffer", |args, settings, _| {
        settings::on_off(args, &settings.encode_keep_buffer)
    })?;
    add("encode_invalid_numbers", |args, settings, _| {
        settings::encode_invalid_numbers(args, settings)
    })?;
    add("decode_invalid_numbers", |args, settings, _| {
        settings::on_off(args, &settings.decode_invalid_numbers)
    })?;
    let sparse = several(lua, exchange, SPARSE, {
        let settings = Rc::clone(&settings);
        move |args| settings::encode_sparse_array(args, &settings)
    })?;
    Ok((table, sparse))
}

fn bind(
    lua: &Lua,
    exchange: &Rc<Exchange>,
    settings: &Rc<Settings>,
    name: &'static str,
    method: Method,
) -> mlua::Result<Function> {
    let (settings, shared) = (Rc::clone(settings), Rc::clone(exchange));
    single(lua, exchange, name, move |args| {
        method(args, &settings, &shared)
    })
}

fn only_argument<'a>(args: &'a Arguments<'_>) -> Result<&'a Value, super::Raised> {
    if args.len() == 1 {
        Ok(args.get(1))
    } else {
        Err(args.bad(1, "expected 1 argument"))
    }
}
