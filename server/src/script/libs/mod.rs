//! What scripts find besides Lua's own libraries: `redis`, `cjson`, `cmsgpack`, `bit`, `struct`, and those functions of
//! `string` and `math` that are not Lua's.
//!
//! A function here never raises an error: it answers [`FAIL`] and leaves what went wrong in the exchange, for its wrapper
//! in the sandbox to raise.

mod api;
mod bit;
mod cjson;
mod cmsgpack;
mod patterns;
mod random;
mod structs;
mod text;

use std::ffi::c_void;
use std::rc::Rc;

use mlua::{Function, IntoLua, LightUserData, Lua, MultiValue, Table, Value};

use super::arguments::Arguments;
use super::exchange::{Exchange, Killed, Phase, Raised};
use super::limits::STEPS_PER_LOOK;
use super::watch::fail_from_now_on;

pub use api::Ask;
#[cfg(test)]
pub(super) use api::{Called, called, caller, each_argument};
pub(super) use api::{callers, hex, push_number, take_error, with_code};

/// What a function answers that failed: a light userdata that scripts can come by nowhere else.
pub(super) fn fail() -> Value {
    Value::LightUserData(LightUserData(std::ptr::without_provenance_mut::<c_void>(
        usize::MAX,
    )))
}

/// `cjson.null`.
fn null() -> Value {
    Value::LightUserData(LightUserData(std::ptr::null_mut()))
}

/// How a function may end: with a value, or with an error to raise.
type Outcome = Result<Value, Raised>;

/// Values a function gives, for the sandbox to spread.
type Outcomes = Result<Vec<Value>, Raised>;

/// A library being made: tables of its functions, by how many values they give, and of its values.
pub(super) struct Registrar<'a> {
    lua: &'a Lua,
    exchange: &'a Rc<Exchange>,
    /// Functions that give one value.
    one: Table,
    /// Functions that give none.
    none: Table,
    /// Functions that give any number of values, in a table.
    many: Table,
    /// Functions that give a few values.
    few: Table,
    /// Values.
    values: Table,
    /// What only the sandbox itself sees.
    raw: Table,
}

/// Makes a library: a table of [`Registrar`]'s tables.
pub(super) fn open(lua: &Lua, exchange: &Rc<Exchange>, library: &str) -> mlua::Result<Table> {
    let to = Registrar {
        lua,
        exchange,
        one: lua.create_table()?,
        none: lua.create_table()?,
        many: lua.create_table()?,
        few: lua.create_table()?,
        values: lua.create_table()?,
        raw: lua.create_table()?,
    };
    match library {
        "bit" => bit::register(&to)?,
        "cjson" => cjson::register(&to)?,
        "cmsgpack" => cmsgpack::register(&to)?,
        "math" => random::register(&to)?,
        "redis" => api::register(&to)?,
        "string" => {
            patterns::register(&to)?;
            text::register(&to)?;
        }
        "struct" => structs::register(&to)?,
        other => unreachable!("the sandbox knows no library {other}"),
    }
    lua.create_table_from([
        ("one", to.one),
        ("none", to.none),
        ("many", to.many),
        ("few", to.few),
        ("values", to.values),
        ("raw", to.raw),
    ])
}

impl Registrar<'_> {
    /// A function that gives one value.
    fn one(
        &self,
        name: &'static str,
        function: impl Fn(&Arguments<'_>) -> Outcome + 'static,
    ) -> mlua::Result<()> {
        let function = single(self.lua, self.exchange, name, function)?;
        self.one.raw_set(name, function)
    }

    /// A function that gives no value.
    fn none(
        &self,
        name: &'static str,
        function: impl Fn(&Arguments<'_>) -> Result<(), Raised> + 'static,
    ) -> mlua::Result<()> {
        let function = move |args: &Arguments<'_>| function(args).map(|()| Value::Nil);
        let function = single(self.lua, self.exchange, name, function)?;
        self.none.raw_set(name, function)
    }

    /// A function that gives any number of values.
    fn many(
        &self,
        name: &'static str,
        function: impl Fn(&Arguments<'_>) -> Outcomes + 'static,
    ) -> mlua::Result<()> {
        let function = several(self.lua, self.exchange, name, function)?;
        self.many.raw_set(name, function)
    }

    /// A function that gives a few values.
    fn few(
        &self,
        name: &'static str,
        function: impl Fn(&Arguments<'_>) -> Outcomes + 'static,
    ) -> mlua::Result<()> {
        let exchange = Rc::clone(self.exchange);
        let function = self.lua.create_function(move |lua, values: MultiValue| {
            Ok(match function(&Arguments::new(lua, name, values)) {
                Ok(values) => MultiValue::from_vec(values),
                Err(raised) => MultiValue::from_vec(vec![raise(&exchange, raised)?]),
            })
        })?;
        self.few.raw_set(name, function)
    }

    /// A value.
    fn value(&self, name: &str, value: impl IntoLua) -> mlua::Result<()> {
        self.values.raw_set(name, value)
    }
}

/// A Lua function that gives one value.
fn single(
    lua: &Lua,
    exchange: &Rc<Exchange>,
    name: &'static str,
    function: impl Fn(&Arguments<'_>) -> Outcome + 'static,
) -> mlua::Result<Function> {
    let exchange = Rc::clone(exchange);
    lua.create_function(move |lua, values: MultiValue| {
        match function(&Arguments::new(lua, name, values)) {
            Ok(value) => Ok(value),
            Err(raised) => raise(&exchange, raised),
        }
    })
}

/// A Lua function that gives a table of values and their number.
fn several(
    lua: &Lua,
    exchange: &Rc<Exchange>,
    name: &'static str,
    function: impl Fn(&Arguments<'_>) -> Outcomes + 'static,
) -> mlua::Result<Function> {
    let exchange = Rc::clone(exchange);
    lua.create_function(move |lua, values: MultiValue| {
        match function(&Arguments::new(lua, name, values)) {
            Ok(values) => {
                let count = Value::Integer(values.len() as i64);
                let table = lua.create_sequence_from(values)?;
                Ok((count, Some(table)))
            }
            Err(raised) => Ok((raise(&exchange, raised)?, None)),
        }
    })
}

/// Leaves an error for the sandbox to raise.
pub(super) fn raise(exchange: &Exchange, raised: Raised) -> mlua::Result<Value> {
    if let Raised::Lua(error) = raised {
        return Err(error);
    }
    *exchange.raised.borrow_mut() = Some(raised);
    Ok(fail())
}

/// A look at the clock now and then, in what runs long without an instruction of Lua.
struct Patience<'a> {
    lua: &'a Lua,
    exchange: &'a Exchange,
    steps: u32,
}

impl<'a> Patience<'a> {
    fn new(lua: &'a Lua, exchange: &'a Exchange) -> Self {
        Self {
            lua,
            exchange,
            steps: 0,
        }
    }

    /// One step more.
    #[inline]
    fn step(&mut self) -> Result<(), Raised> {
        self.steps += 1;
        if self.steps < STEPS_PER_LOOK {
            return Ok(());
        }
        self.steps = 0;
        Ok(interrupt(self.lua, self.exchange)?)
    }
}

/// Gives the core back for a while if the script has run for too long.
///
/// # Errors
/// The script is to end.
pub(super) fn interrupt(lua: &Lua, exchange: &Exchange) -> mlua::Result<()> {
    if exchange.is_overdue() {
        match exchange.phase.get() {
            Phase::Running => lua.named_registry_value::<Function>(TICK)?.call::<()>(())?,
            Phase::Loading => {
                exchange.killed.set(Some(Killed::LoadTimeout));
                fail_from_now_on(lua, Killed::LoadTimeout)?;
            }
            Phase::Idle => {}
        }
    }
    match exchange.killed.get() {
        Some(killed) => Err(mlua::Error::runtime(killed.text())),
        None => Ok(()),
    }
}

/// Name in the registry of the function that gives the core back.
pub(super) const TICK: &str = "larder.tick";
