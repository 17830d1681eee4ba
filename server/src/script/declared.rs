//! Which keys a script reaches, by its text: whether each of its commands names its keys as elements of `KEYS`.
//!
//! ```text
//!  local key = KEYS[1]                        a key, by another name
//!  redis.call('SET', key, ARGV[1])            SET  key one
//!  redis.call('MGET', unpack(KEYS))           MGET key                   perhaps several
//!  redis.call('GET', 'lock:' .. KEYS[1])      GET  one                 not declared, as far as the text shows
//!  local call = redis.call                    nothing is known of the script
//! ```
//! What a script does may depend on its arguments and on data, so that its runs prove nothing of the next one. Its text can: if
//! `redis` and `KEYS` are only ever used in the forms above, what stands behind `KEYS[…]` is a declared key or nothing, whatever
//! else the script does. A text that is not understood shows nothing; that is slower and right.
//!
//! Of a library, the same is asked of the first parameter of each function that it registers, and it may have no others: what a
//! function keeps for its next call would be the keys of another.
//!
//! Nothing is parsed: a pass over the tokens, O(text), looks at what stands beside each use of these names.

mod tokens;

use std::collections::{HashMap, HashSet};

use tokens::{Token, tokens};

/// A command that a script runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The command's name.
    pub name: &'a [u8],
    /// What the text shows of its arguments.
    pub args: Vec<Arg<'a>>,
}

/// An argument of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg<'a> {
    /// A declared key; as the last argument, any number of them.
    Key,
    /// This text.
    Text(&'a [u8]),
    /// Any one value.
    One,
    /// Any number of values; the last argument.
    Any,
}

/// All commands that a script may run. None: its text does not show them.
pub fn calls_of_script(text: &[u8]) -> Option<Vec<Call<'_>>> {
    let tokens = tokens(text)?;
    let tables = HashSet::from([&b"KEYS"[..]]);
    Text::new(tokens, tables, HashSet::new())?.calls()
}

/// All commands that the functions of a library may run. None: its code does not show them.
pub fn calls_of_library(code: &[u8]) -> Option<Vec<Call<'_>>> {
    let tokens = tokens(code)?;
    let (tables, bindings) = callbacks(&tokens)?;
    Text::new(tokens, tables, bindings)?.calls()
}

/// Names by which a script could come by `redis` or `KEYS` in another way, or run what is no part of its text.
const LOOPHOLES: [&[u8]; 3] = [b"_G", b"load", b"loadstring"];

/// Functions that are given all keys and do nothing to them.
const ON_ALL_KEYS: [&[u8]; 3] = [b"unpack", b"ipairs", b"pairs"];

/// By these names a script calls commands, and must not give them to something else.
const CALLERS: [&[u8]; 2] = [b"redis", b"server"];

/// Names that stand for something else where a text does not bind them, or that Lua binds without their being written: `self` in
/// a method, `arg` in a function of any number of arguments. By none of these a key is known, nor a table of keys.
const BOUND_UNSEEN: [&[u8]; 34] = [
    b"_VERSION",
    b"__redis__err__handler",
    b"arg",
    b"assert",
    b"bit",
    b"cjson",
    b"cmsgpack",
    b"collectgarbage",
    b"coroutine",
    b"error",
    b"gcinfo",
    b"getmetatable",
    b"ipairs",
    b"math",
    b"next",
    b"os",
    b"pairs",
    b"pcall",
    b"rawequal",
    b"rawget",
    b"rawset",
    b"redis",
    b"select",
    b"self",
    b"server",
    b"setmetatable",
    b"string",
    b"struct",
    b"table",
    b"tonumber",
    b"tostring",
    b"type",
    b"unpack",
    b"xpcall",
];

/// A text of which it is known where its names are bound.
struct Text<'a> {
    tokens: Vec<Token<'a>>,
    /// By token: how many parentheses and braces are open around it, within its function.
    depths: Vec<u32>,
    /// The names of the tables of keys, and where they are bound.
    tables: HashSet<&'a [u8]>,
    table_bindings: HashSet<usize>,
    /// Other names of single keys.
    keys: HashSet<&'a [u8]>,
    /// Where values of lists behind `local … =` begin.
    listed: HashSet<usize>,
}

impl<'a> Text<'a> {
    fn new(
        tokens: Vec<Token<'a>>,
        tables: HashSet<&'a [u8]>,
        table_bindings: HashSet<usize>,
    ) -> Option<Self> {
        let mut text = Self {
            depths: depths(&tokens)?,
            tokens,
            tables,
            table_bindings,
            keys: HashSet::new(),
            listed: HashSet::new(),
        };
        text.find_names_of_keys();
        Some(text)
    }

    fn at(&self, at: usize) -> Token<'a> {
        self.tokens.get(at).copied().unwrap_or(Token::End)
    }

    fn before(&self, at: usize) -> Token<'a> {
        at.checked_sub(1).map_or(Token::End, |at| self.at(at))
    }

    /// Whether the name at `at` is that of a field or a method.
    fn is_field(&self, at: usize) -> bool {
        matches!(self.before(at), Token::Symbol(b"." | b":"))
    }

    /// All commands it may run, if it shows them.
    fn calls(&self) -> Option<Vec<Call<'a>>> {
        let mut calls = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let Token::Name(name) = token else { continue };
            if LOOPHOLES.contains(name) {
                return None;
            }
            if self.is_field(at) {
                continue;
            }
            if self.tables.contains(name) && !self.is_plain_use_of_table(at) {
                return None;
            }
            if CALLERS.contains(name)
                && let Some(call) = self.use_of_caller(at)?
            {
                calls.push(call);
            }
            if ON_ALL_KEYS.contains(name) && !self.is_called(at) {
                return None;
            }
        }
        Some(calls)
    }

    /// Whether the function named at `at` is called there, and not defined or assigned.
    fn is_called(&self, at: usize) -> bool {
        self.at(at + 1) == Token::Symbol(b"(") && self.before(at) != Token::Name(b"function")
    }

    /// What is done with `redis` at `at`: it runs a command, or something harmless. None: something else.
    fn use_of_caller(&self, at: usize) -> Option<Option<Call<'a>>> {
        let (Token::Symbol(b"."), Token::Name(what)) = (self.at(at + 1), self.at(at + 2)) else {
            return None;
        };
        if self.before(at) == Token::Name(b"function") {
            return None;
        }
        if ![&b"call"[..], b"pcall"].contains(&what) {
            return (self.at(at + 3) != Token::Symbol(b"=")).then_some(None);
        }
        if self.at(at + 3) != Token::Symbol(b"(") {
            return None;
        }
        let mut args = self.args(at + 4)?.into_iter();
        let Some(Arg::Text(name)) = args.next() else {
            return None;
        };
        let args = args.collect();
        Some(Some(Call { name, args }))
    }

    /// The arguments that begin at `from`, up to the parenthesis that ends them.
    fn args(&self, from: usize) -> Option<Vec<Arg<'a>>> {
        let mut args = Vec::new();
        let mut begin = from;
        loop {
            let end = self.end_of_value(begin)?;
            let is_last = self.at(end) == Token::Symbol(b")");
            if begin < end {
                args.push(self.arg(begin, end, is_last));
            }
            if is_last {
                return Some(args);
            }
            begin = end + 1;
        }
    }

    /// Where the value that begins at `at` ends: at a comma, or what closes what it stands in.
    fn end_of_value(&self, mut at: usize) -> Option<usize> {
        let mut open = 0_u32;
        loop {
            match self.at(at) {
                Token::End => return None,
                Token::Symbol(b"(" | b"[" | b"{") => open += 1,
                Token::Symbol(b")" | b"]" | b"}" | b",") if open == 0 => return Some(at),
                Token::Symbol(b")" | b"]" | b"}") => open -= 1,
                // Its statements would have commas of their own.
                Token::Name(b"function") => return None,
                _ => {}
            }
            at += 1;
        }
    }

    fn arg(&self, begin: usize, end: usize, is_last: bool) -> Arg<'a> {
        if self.is_key(begin, end) || self.is_all_keys(begin, end) {
            return Arg::Key;
        }
        match self.at(begin) {
            Token::Text(Some(text)) if end == begin + 1 => return Arg::Text(text),
            _ if !is_last => return Arg::One,
            _ => {}
        }
        // A call gives any number of values, and so does `...`.
        match self.at(end - 1) {
            Token::Name(_) | Token::Number | Token::Symbol(b"]") => Arg::One,
            Token::Text(_) if end == begin + 1 || self.at(end - 2) == Token::Symbol(b"..") => {
                Arg::One
            }
            _ => Arg::Any,
        }
    }

    /// Whether the tokens from `begin` to before `end` are `KEYS[…]`, or another name of a key.
    fn is_key(&self, begin: usize, end: usize) -> bool {
        match self.at(begin) {
            Token::Name(name) if end == begin + 1 => self.keys.contains(name),
            Token::Name(_) => self.end_of_element(begin) == Some(end),
            _ => false,
        }
    }

    /// Where `KEYS[…]` that begins at `at` ends.
    fn end_of_element(&self, at: usize) -> Option<usize> {
        let Token::Name(name) = self.at(at) else {
            return None;
        };
        let is_element = self.tables.contains(name) && self.at(at + 1) == Token::Symbol(b"[");
        let end = is_element.then(|| self.end_of_value(at + 2))??;
        (self.at(end) == Token::Symbol(b"]")).then_some(end + 1)
    }

    /// Whether the tokens are `unpack(KEYS)`, or a part of these.
    fn is_all_keys(&self, begin: usize, end: usize) -> bool {
        let is_call = self.at(begin) == Token::Name(b"unpack")
            && self.at(begin + 1) == Token::Symbol(b"(")
            && matches!(self.at(begin + 2), Token::Name(name) if self.tables.contains(name))
            && matches!(self.at(begin + 3), Token::Symbol(b"," | b")"));
        is_call && self.args(begin + 2).is_some() && {
            let mut close = begin + 2;
            while self.at(close) != Token::Symbol(b")") {
                match self.end_of_value(close) {
                    Some(at) if self.at(at) == Token::Symbol(b",") => close = at + 1,
                    Some(at) => close = at,
                    None => return false,
                }
            }
            close + 1 == end
        }
    }

    /// Whether a table of keys is only read at `at`: an element, their number, or as a whole by what does nothing to it.
    fn is_plain_use_of_table(&self, at: usize) -> bool {
        if self.table_bindings.contains(&at) || self.before(at) == Token::Symbol(b"#") {
            return true;
        }
        if let Some(end) = self.end_of_element(at) {
            return self.is_value(at, end);
        }
        // `ipairs` gives the table itself to whoever takes it apart from its loop.
        let is_given = match at
            .checked_sub(2)
            .map(|function| (self.before(function), self.at(function)))
        {
            Some((Token::Symbol(b"." | b":"), _)) => false,
            Some((_, Token::Name(b"unpack"))) => {
                matches!(self.at(at + 1), Token::Symbol(b")" | b","))
            }
            Some((Token::Name(b"in"), Token::Name(b"ipairs" | b"pairs"))) => {
                self.at(at + 1) == Token::Symbol(b")")
            }
            _ => false,
        };
        is_given && self.before(at) == Token::Symbol(b"(")
    }

    /// Whether what stands from `begin` to before `end` is a value, and is not assigned to.
    fn is_value(&self, begin: usize, end: usize) -> bool {
        let may_begin = match self.before(begin) {
            // The first of these end a value.
            Token::Symbol(symbol) => !matches!(symbol, b")" | b"]" | b"}" | b"..." | b";"),
            Token::Name(word) => matches!(
                word,
                b"return"
                    | b"in"
                    | b"and"
                    | b"or"
                    | b"not"
                    | b"if"
                    | b"elseif"
                    | b"while"
                    | b"until"
            ),
            Token::Text(_) | Token::Number | Token::End => false,
        };
        let is_in_list_of_targets = self.before(begin) == Token::Symbol(b",")
            && self.at(end) == Token::Symbol(b",")
            && self.depths[begin] == 0
            && !self.listed.contains(&begin);
        may_begin && !is_in_list_of_targets && self.at(end) != Token::Symbol(b"=")
    }

    /// Finds the names that stand for single keys wherever they stand: `local key = KEYS[1]`, `for _, key in ipairs(KEYS)`.
    fn find_names_of_keys(&mut self) {
        // By name: how often it is bound to a key, and how often it is bound or assigned at all.
        let mut to_keys: HashMap<&[u8], usize> = HashMap::new();
        let mut in_all: HashMap<&[u8], usize> = HashMap::new();
        for at in 0..self.tokens.len() {
            match self.at(at) {
                Token::Name(b"local") if self.at(at + 1) == Token::Name(b"function") => {}
                Token::Name(word @ (b"local" | b"for")) => {
                    let (names, end) = self.names_from(at + 1);
                    let are_keys = match (word, self.at(end)) {
                        (b"local", Token::Symbol(b"=")) => self.are_keys(end + 1, names.len()),
                        (b"for", Token::Name(b"in")) => self.iterates_over_keys(end, names.len()),
                        _ => Vec::new(),
                    };
                    for (number, name) in names.into_iter().enumerate() {
                        *in_all.entry(name).or_default() += 1;
                        let is_key = are_keys.get(number).copied().unwrap_or_default();
                        *to_keys.entry(name).or_default() += usize::from(is_key);
                    }
                }
                Token::Name(b"function") => {
                    let mut open = at + 1;
                    while matches!(self.at(open), Token::Name(_) | Token::Symbol(b"." | b":")) {
                        if let Token::Name(name) = self.at(open) {
                            *in_all.entry(name).or_default() += 1;
                        }
                        open += 1;
                    }
                    for name in self.names_from(open + 1).0 {
                        *in_all.entry(name).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        for (name, count) in to_keys {
            let is_bound_to_keys = count > 0
                && in_all[name] == count
                && !is_keyword(name)
                && !BOUND_UNSEEN.contains(&name);
            if is_bound_to_keys && !self.is_ever_assigned(name) {
                self.keys.insert(name);
            }
        }
    }

    /// Whether a name may be assigned to somewhere, its bindings apart.
    fn is_ever_assigned(&self, name: &[u8]) -> bool {
        let mut uses = (0..self.tokens.len()).filter(|at| self.at(*at) == Token::Name(name));
        uses.any(|at| {
            let is_bound = matches!(self.before(at), Token::Name(b"local" | b"for"))
                || self.is_in_names_bound(at);
            !self.is_field(at) && !is_bound && !self.is_value(at, at + 1)
        })
    }

    /// Whether `at` is in the list of names behind `local` or `for`.
    fn is_in_names_bound(&self, mut at: usize) -> bool {
        while let (Token::Symbol(b","), Some(former)) = (self.before(at), at.checked_sub(2)) {
            match (self.before(former), self.at(former)) {
                (Token::Name(b"local" | b"for"), Token::Name(_)) => return true,
                (_, Token::Name(_)) => at = former,
                _ => return false,
            }
        }
        false
    }

    /// The names of a list that begins at `at`, and where it ends.
    fn names_from(&self, mut at: usize) -> (Vec<&'a [u8]>, usize) {
        let mut names = Vec::new();
        while let Token::Name(name) = self.at(at) {
            names.push(name);
            at += 1;
            if self.at(at) != Token::Symbol(b",") {
                break;
            }
            at += 1;
        }
        (names, at)
    }

    /// Which of the first `count` values of a list that begins at `at` are keys. From one on that may be several values, or none,
    /// they are not.
    fn are_keys(&mut self, mut at: usize, count: usize) -> Vec<bool> {
        let mut are_keys = Vec::new();
        while are_keys.len() < count {
            let end = match self.at(at) {
                Token::Name(_) if self.at(at + 1) == Token::Symbol(b"[") => {
                    self.end_of_value(at + 2).map(|end| end + 1)
                }
                Token::Text(_) | Token::Number => Some(at + 1),
                _ => None,
            };
            let Some(end) = end else { break };
            let is_ended = match self.at(end) {
                Token::Symbol(b"," | b";") | Token::End => true,
                Token::Name(word) => ![&b"and"[..], b"or"].contains(&word),
                _ => false,
            };
            if !is_ended {
                break;
            }
            self.listed.insert(at);
            are_keys.push(self.end_of_element(at) == Some(end));
            if self.at(end) != Token::Symbol(b",") {
                break;
            }
            at = end + 1;
        }
        are_keys
    }

    /// As [`Self::are_keys`], of a loop whose `in` stands at `at`.
    fn iterates_over_keys(&self, at: usize, count: usize) -> Vec<bool> {
        let is_over_keys = matches!(self.at(at + 1), Token::Name(b"ipairs" | b"pairs"))
            && self.at(at + 2) == Token::Symbol(b"(")
            && matches!(self.at(at + 3), Token::Name(name) if self.tables.contains(name))
            && self.at(at + 4) == Token::Symbol(b")")
            && self.at(at + 5) == Token::Name(b"do");
        match (is_over_keys, count) {
            (true, 2) => vec![false, true],
            _ => Vec::new(),
        }
    }
}

fn is_keyword(word: &[u8]) -> bool {
    const KEYWORDS: [&[u8]; 21] = [
        b"and",
        b"break",
        b"do",
        b"else",
        b"elseif",
        b"end",
        b"false",
        b"for",
        b"function",
        b"if",
        b"in",
        b"local",
        b"nil",
        b"not",
        b"or",
        b"repeat",
        b"return",
        b"then",
        b"true",
        b"until",
        b"while",
    ];
    KEYWORDS.contains(&word)
}

/// By token: how many parentheses and braces are open around it, within its function. None: they do not match.
fn depths(tokens: &[Token<'_>]) -> Option<Vec<u32>> {
    let mut depths = Vec::with_capacity(tokens.len());
    let mut depth = 0_u32;
    // What ends with `end`: a function, with the depth outside it, or another block.
    let mut blocks: Vec<Option<u32>> = Vec::new();
    // A loop's `do` is the block; its head begins none.
    for token in tokens {
        match token {
            Token::Symbol(b")" | b"}") => depth = depth.checked_sub(1)?,
            Token::Name(b"end") => {
                if let Some(outside) = blocks.pop()? {
                    depth = outside;
                }
            }
            _ => {}
        }
        depths.push(depth);
        match token {
            Token::Symbol(b"(" | b"{") => depth += 1,
            Token::Name(b"function") => {
                blocks.push(Some(depth));
                depth = 0;
            }
            Token::Name(b"do" | b"if") => blocks.push(None),
            _ => {}
        }
    }
    Some(depths)
}

/// The names that the functions of a library have for their keys, and where they are bound. None: not all of its functions are
/// registered ones, as far as the code shows.
fn callbacks<'a>(tokens: &[Token<'a>]) -> Option<(HashSet<&'a [u8]>, HashSet<usize>)> {
    let at = |at: usize| tokens.get(at).copied().unwrap_or(Token::End);
    let is_local = |function: usize| function > 0 && at(function - 1) == Token::Name(b"local");
    let mut tables = HashSet::new();
    let mut bindings = HashSet::new();
    // Those that have a name, and where that stands.
    let mut named: HashMap<&[u8], usize> = HashMap::new();
    let mut ends = 0_usize;
    let mut function_ends_at = None;
    for (number, token) in tokens.iter().enumerate() {
        match token {
            Token::Name(b"function") => {
                // One within another could keep that one's keys.
                if function_ends_at.is_some() {
                    return None;
                }
                function_ends_at = Some(ends);
                ends += 1;
                let mut open = number + 1;
                if let Token::Name(name) = at(open) {
                    if !is_local(number) || named.insert(name, open).is_some() {
                        return None;
                    }
                    open += 1;
                } else if !is_registered(tokens, number) {
                    return None;
                }
                if at(open) != Token::Symbol(b"(") {
                    return None;
                }
                if let Token::Name(table) = at(open + 1) {
                    if BOUND_UNSEEN.contains(&table) {
                        return None;
                    }
                    tables.insert(table);
                    bindings.insert(open + 1);
                }
            }
            Token::Name(b"do" | b"if") => ends += 1,
            Token::Name(b"end") => {
                ends = ends.checked_sub(1)?;
                if function_ends_at == Some(ends) {
                    function_ends_at = None;
                }
            }
            _ => {}
        }
    }
    // A function with a name is only registered, and not called for what to register.
    for (number, token) in tokens.iter().enumerate() {
        if let Token::Name(name) = token
            && let Some(&bound) = named.get(name)
            && bound != number
            && !(is_registered(tokens, number)
                && matches!(at(number + 1), Token::Symbol(b")" | b"," | b"}" | b";")))
        {
            return None;
        }
    }
    Some((tables, bindings))
}

/// Whether the function that stands or is named at `at` is registered there: `redis.register_function('name', …)`, or
/// `callback = …` in the table that this is given.
fn is_registered(tokens: &[Token<'_>], at: usize) -> bool {
    let before = |of: usize, count: usize| match of.checked_sub(count) {
        Some(at) => tokens[at],
        None => Token::End,
    };
    let registers = |at: usize| {
        before(at, 1) == Token::Name(b"register_function")
            && before(at, 2) == Token::Symbol(b".")
            && matches!(before(at, 3), Token::Name(name) if CALLERS.contains(&name))
            && !matches!(before(at, 4), Token::Symbol(b"." | b":"))
    };
    if before(at, 1) == Token::Symbol(b",") && matches!(before(at, 2), Token::Text(_)) {
        return before(at, 3) == Token::Symbol(b"(") && registers(at - 3);
    }
    if before(at, 1) != Token::Symbol(b"=") || before(at, 2) != Token::Name(b"callback") {
        return false;
    }
    let mut open = 0_u32;
    for brace in (0..at).rev() {
        match tokens[brace] {
            Token::Symbol(b"}") => open += 1,
            Token::Symbol(b"{") if open > 0 => open -= 1,
            Token::Symbol(b"{") => {
                let is_in_parentheses = before(brace, 1) == Token::Symbol(b"(");
                return registers(brace - usize::from(is_in_parentheses));
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests;
