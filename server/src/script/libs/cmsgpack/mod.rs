//! `cmsgpack`: MessagePack as Salvatore Sanfilippo's lua-cmsgpack 0.4 reads and writes it.

mod pack;
mod unpack;

use std::rc::Rc;

use super::{Arguments, Outcome, Outcomes, Patience, Registrar};

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    to.value("_NAME", "cmsgpack")?;
    to.value("_VERSION", "lua-cmsgpack 0.4.0")?;
    to.value("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    to.value("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    let exchange = Rc::clone(to.exchange);
    to.one("pack", move |args| pack::pack(args, &exchange))?;
    let exchange = Rc::clone(to.exchange);
    to.many("unpack", move |args| unpack::unpack(args, 0, 0, &exchange))?;
    let exchange = Rc::clone(to.exchange);
    to.many("unpack_one", move |args| {
        let offset = args.integer_or(2, 0)?;
        unpack::unpack(args, 1, offset, &exchange)
    })?;
    let exchange = Rc::clone(to.exchange);
    to.many("unpack_limit", move |args| {
        let limit = args.integer(2)?;
        let offset = args.integer_or(3, 0)?;
        unpack::unpack(args, limit, offset, &exchange)
    })
}
