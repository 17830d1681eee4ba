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
use super::exchange::{Exchange, Phase, Raised};
use super::limits::STEPS_PER_LOOK;

pub use api::Ask;
pub(super) use api::{caller, hex, take_error, with_code};

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

/// Where functions are registered: tables by the library's name, by how many values its functions give.
pub(super) struct Registrar<'a> {
    pub(super) lua: &'a Lua,
    pub(super) exchange: &'a Rc<Exchange>,
    /// Functions that give one value.
    one: Table,
    /// Functions that give any number of values, in a table.
    many: Table,
    /// Functions that give a few values.
    few: Table,
    /// Values.
    values: Table,
    /// What only the sandbox itself sees.
    pub(super) raw: Table,
}

impl<'a> Registrar<'a> {
    pub(super) fn new(lua: &'a Lua, exchange: &'a Rc<Exchange>) -> mlua::Result<Self> {
        Ok(Self {
            lua,
            exchange,
            one: lua.create_table()?,
            many: lua.create_table()?,
            few: lua.create_table()?,
            values: lua.create_table()?,
            raw: lua.create_table()?,
        })
    }

    /// Registers all libraries.
    pub(super) fn register_all(&self) -> mlua::Result<()> {
        api::register(self)?;
        bit::register(self)?;
        cjson::register(self)?;
        cmsgpack::register(self)?;
        patterns::register(self)?;
        random::register(self)?;
        structs::register(self)?;
        text::register(self)
    }

    /// The tables of functions and values, as the sandbox takes them.
    pub(super) fn natives(&self) -> mlua::Result<Table> {
        let natives = self.lua.create_table()?;
        natives.raw_set("one", &self.one)?;
        natives.raw_set("many", &self.many)?;
        natives.raw_set("few", &self.few)?;
        natives.raw_set("values", &self.values)?;
        Ok(natives)
    }

    fn library(of: &Table, lua: &Lua, library: &str) -> mlua::Result<Table> {
        if let Some(table) = of.raw_get::<Option<Table>>(library)? {
            return Ok(table);
        }
        let table = lua.create_table()?;
        of.raw_set(library, &table)?;
        Ok(table)
    }

    /// A function that gives one value.
    fn one(
        &self,
        library: &str,
        name: &'static str,
        function: impl Fn(&Arguments<'_>) -> Outcome + 'static,
    ) -> mlua::Result<()> {
        let function = single(self.lua, self.exchange, name, function)?;
        Self::library(&self.one, self.lua, library)?.raw_set(name, function)
    }

    /// A function that gives any number of values.
    fn many(
        &self,
        library: &str,
        name: &'static str,
        function: impl Fn(&Arguments<'_>) -> Outcomes + 'static,
    ) -> mlua::Result<()> {
        let function = several(self.lua, self.exchange, name, function)?;
        Self::library(&self.many, self.lua, library)?.raw_set(name, function)
    }

    /// A function that gives a few values.
    fn few(
        &self,
        library: &str,
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
        Self::library(&self.few, self.lua, library)?.raw_set(name, function)
    }

    /// A value.
    fn value(&self, library: &str, name: &str, value: impl IntoLua) -> mlua::Result<()> {
        Self::library(&self.values, self.lua, library)?.raw_set(name, value)
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
    if exchange.is_overdue() && exchange.phase.get() == Phase::Running {
        lua.named_registry_value::<Function>(TICK)?.call::<()>(())?;
    }
    match exchange.killed.get() {
        Some(killed) => Err(mlua::Error::runtime(killed.text())),
        None => Ok(()),
    }
}

/// Name in the registry of the function that gives the core back.
pub(super) const TICK: &str = "larder.tick";
