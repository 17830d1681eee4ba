//! Lua texts made of arbitrary bytes: scripts and libraries that come by their keys, and by `redis`, in every way there is.
//!
//! Most of a text is what `script::declared` understands, or nearly so: a name bound to a key, statements that may bind it anew,
//! assign to it or shadow it, and a command that names it. The same bytes give the same text.

/// A text, and what it is called with.
#[derive(Debug)]
pub struct Text {
    /// The code; of a library without its first line.
    pub code: String,
    /// Whether it is a library's.
    pub is_library: bool,
}

/// What a name of a key may be called; some of these are names of Lua's own, or bound without being written.
const NAMES: [&str; 18] = [
    "key", "key", "key", "k", "k", "self", "self", "arg", "arg", "_VERSION", "_VERSION", "t", "f",
    "x", "ipairs", "unpack", "KEYS", "redis",
];

/// What the first parameter of a library's functions may be called.
const TABLES: [&str; 8] = ["keys", "keys", "KEYS", "arg", "self", "math", "k", "redis"];

/// Between two statements, or two tokens.
const GAPS: [&str; 8] = [
    " ",
    " ",
    "\n",
    "; ",
    " --[[ x ]] ",
    " -- x\n",
    " --[==[ ]] \n ]==] ",
    "\t",
];

/// Commands, and what they are given: a key, any number of them, a value, any number of values.
const COMMANDS: [(&str, &str); 22] = [
    ("'GET'", "k"),
    ("'GET'", "k"),
    ("'GET'", "k"),
    ("'SET'", "kv"),
    ("\"incr\"", "k"),
    ("[[DEL]]", "k*"),
    ("'MGET'", "k*"),
    ("'MGET'", "*"),
    ("'RENAME'", "kk"),
    ("'RENAME'", "k*"),
    ("'MSET'", "kvkv"),
    ("'MSET'", "kv*"),
    ("'MSET'", "km"),
    ("'RENAME'", "km"),
    ("'BITOP'", "vkk*"),
    ("'COPY'", "kk"),
    ("'PING'", "v"),
    ("'nonsense'", "v*"),
    ("'DBSIZE'", ""),
    ("'G\\69T'", "k"),
    ("ARGV[1]", "k"),
    ("'MSETEX'", "vkv"),
];

/// Ways to come by other keys, or by commands, each of them whole. `$h` is the name that the text is about, `$t` the table of keys.
const TRICKS: [&str; 46] = [
    "table.insert($t, 1, 'x') redis.call('GET', $t[1])",
    "rawset($t, 1, 'x') redis.call('GET', $t[1])",
    "_G.redis.call('GET', 'x')",
    "loadstring(\"redis.call('GET', 'x')\")()",
    "local piece = \"redis.call('GET', 'x')\" load(function() local p = piece piece = nil return p end)()",
    "pcall(redis.call, 'GET', 'x')",
    "local call = redis.call call('GET', 'x')",
    "local r = redis r.call('GET', 'x')",
    "redis['call']('GET', 'x')",
    "coroutine.wrap(redis.call)('GET', 'x')",
    "redis.call(unpack({'GET', 'x'}))",
    "(function(redis) redis.call('GET', 'x') end)({call = redis.call})",
    "f(redis).call('GET', 'x')",
    "local ks = $t ks[1] = 'x' redis.call('GET', $t[1])",
    "local _, ks = ipairs($t) ks[1] = 'x' redis.call('GET', $t[1])",
    "local _, ks = ipairs($t) do ks[1] = 'x' end redis.call('GET', $t[1])",
    "for $h, v in ipairs($t) do redis.call('GET', $h) end",
    "local _, ks = pairs($t) ks[1] = 'x' redis.call('GET', $t[1])",
    "local unpack = function(of) of[1] = 'x' end unpack($t) redis.call('GET', $t[1])",
    "local function unpack(of) of[1] = 'x' end unpack($t) redis.call('GET', $t[1])",
    "t.unpack = function(of) of[1] = 'x' end t.unpack($t) redis.call('GET', $t[1])",
    "function t:unpack(of) of[1] = 'x' end t:unpack($t) redis.call('GET', $t[1])",
    "local ipairs = function(of) of[1] = 'x' return pairs(of) end for _ in ipairs($t) do end redis.call('GET', $t[1])",
    "f(function() a, $h, b = 1, 'x', 2 end) local c, d = 1 a, $h, b = 1, 'x', 2",
    "t.r = function() a, $h, b = 1, 'x', 2 end t.r()",
    "f(function() a, $h, b = 1, 'x', 2 end)",
    "pcall(function() a, $h, b = 1, 'x', 2 end) redis.call('GET', $h)",
    "pcall(function() a, $t[1], b = 1, 'x', 2 end) redis.call('GET', $t[1])",
    "a, $h, b = 1, 'x', 2",
    "a, $t[1], b = 1, 'x', 2 redis.call('GET', $t[1])",
    "t[1], $h, t[2] = 1, 'x', 2",
    "local function p($h) redis.call('GET', $h) end p('x')",
    "local function p(a, $h, ...) redis.call('GET', $h) end p(1, 'x')",
    "for $h in pairs({x = 1}) do redis.call('GET', $h) end",
    "for _, $h in ipairs($t), ARGV, 0 do redis.call('GET', $h) end",
    "for _, $h in pairs({'x'}) do redis.call('GET', $h) end",
    "do local $h = 'x' redis.call('GET', $h) end",
    "local c, $h = $t[1] .. 'x', $t[1] .. 'x' redis.call('GET', $h)",
    "-- [[\nredis.call('GET', 'x') -- ]]\n",
    "local c = [[\"]] redis.call('GET', 'x') local d = [[\"]]",
    "local c = [==[ ]] \" ]==] redis.call('GET', 'x') local d = [==[ ]] \" ]==]",
    "local c = '\\'' redis.call('GET', 'x') local d = '\\''",
    "local c = 0 --[==[ ]] ]==] redis.call('GET', 'x') --[==[ ]==]",
    "local c = a ..redis.call('GET', 'x')",
    "redis.call('OBJECT', 'ENCODING', 'x')",
    "redis.call('MEMORY', 'USAGE', 'x')",
];

/// Makes a text of bytes. When they end, each choice is the first.
pub fn text_of(bytes: &[u8]) -> Text {
    let mut writer = Writer {
        bytes,
        code: String::new(),
        hero: "key",
        table: "KEYS",
        depth: 0,
        may_nest: true,
    };
    let is_library = writer.below(5) >= 3;
    match is_library {
        true => writer.library(),
        false => writer.script(),
    }
    Text {
        code: writer.code,
        is_library,
    }
}

struct Writer<'a> {
    bytes: &'a [u8],
    code: String,
    /// The name that most of the text is about.
    hero: &'static str,
    /// The table of keys.
    table: &'static str,
    /// Blocks and values around what is being written.
    depth: usize,
    /// Whether functions may stand here.
    may_nest: bool,
}

impl Writer<'_> {
    fn below(&mut self, end: usize) -> usize {
        let Some((&byte, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        usize::from(byte) % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn put(&mut self, text: &str) {
        self.code.push_str(text);
    }

    fn gap(&mut self) {
        let gap = self.of(&GAPS);
        self.put(gap);
    }

    /// A name: mostly the one that the text is about.
    fn name(&mut self) {
        let name = match self.below(3) {
            0 | 1 => self.hero,
            _ => self.of(&NAMES),
        };
        self.put(name);
    }

    /// A name of something that does no harm.
    fn plain_name(&mut self) {
        let name = self.of(&["a", "b", "t", "c"]);
        self.put(name);
    }

    fn some_name(&mut self) {
        match self.below(2) {
            0 => self.name(),
            _ => self.plain_name(),
        }
    }

    fn script(&mut self) {
        self.hero = self.of(&NAMES);
        if self.below(8) < 7 {
            self.put("local t, f, a, b = {}, function(...) return ... end, 1, 2 t.m = f ");
            self.put("local function g() return 'v', 'x', 'v' end");
            self.gap();
        }
        self.hero_bound();
        for _ in 0..1 + self.below(3) {
            self.statement();
            self.gap();
        }
        match self.below(2) {
            0 => self.plain_command(),
            _ => self.command(),
        }
        if self.below(4) == 3 {
            self.put(" return ");
            self.value();
        }
    }

    /// Binds the name to a key, nearly always.
    fn hero_bound(&mut self) {
        let (hero, table) = (self.hero, self.table);
        let (begin, end) = match self.below(17) {
            0..=4 => (format!("local {hero} = {table}[1]"), ""),
            5 => (format!("local c, {hero} = 1, {table}[1]"), ""),
            6 => (
                format!("local {hero}, c, d = {table}[1], {table}[2], {table}[3]"),
                "",
            ),
            7 => (format!("do local {hero} = {table}[1] end"), ""),
            8 => (format!("for _, {hero} in ipairs({table}) do "), " end"),
            9 => (format!("for _, {hero} in pairs({table}) do "), " end"),
            10 => (format!("local {hero} = ARGV[1]"), ""),
            11 => (format!("local {hero} = {table}[1] .. 'x'"), ""),
            12 => (format!("local {hero} = {table}[1] and 'x'"), ""),
            13 => (format!("local {hero} = {table}[9] or 'x'"), ""),
            14 => (format!("local {hero} = f({table}[1])"), ""),
            15 => (format!("local c, {hero} = g(), {table}[1]"), ""),
            _ => (String::new(), ""),
        };
        self.put(&begin);
        if !end.is_empty() {
            self.command();
        }
        self.put(end);
        self.gap();
    }

    fn library(&mut self) {
        let functions = 1 + self.below(2);
        if self.below(2) == 1 {
            self.put("local kept ");
        }
        if self.below(8) == 7 {
            self.put("local q = function(keys) redis.call('GET', keys[1]) end ");
        }
        let mut named = Vec::new();
        for number in 0..functions {
            self.table = self.of(&TABLES);
            self.hero = self.of(&NAMES);
            self.may_nest = self.below(8) == 7;
            let is_named = self.below(2) == 1;
            let name = ["g", "h"][number];
            if is_named {
                self.put("local function ");
                self.put(name);
                named.push(name);
            } else {
                self.registered(number);
                self.put("function");
            }
            let table = self.table;
            let params = match self.below(6) {
                0..=2 => format!("({table}, ARGV)"),
                3 => format!("({table}, ...)"),
                4 => format!("({table})"),
                _ => format!("(ARGV, {table})"),
            };
            self.put(&params);
            self.put(" ");
            if self.below(8) == 7 {
                self.put("local t, f, a, b = {}, tostring, 1, 2 ");
            }
            self.hero_bound();
            for _ in 0..self.below(3) {
                self.statement();
                self.gap();
            }
            self.library_trick(&named);
            self.command();
            self.put(" end");
            self.put(if is_named { " " } else { ") " });
        }
        for (number, name) in named.iter().enumerate() {
            self.registered(2 + number);
            self.put(name);
            let call = self.of(&["", "", "", "({'x'})", "{'x'}"]);
            self.put(call);
            self.put(") ");
        }
    }

    /// Begins to register a function; the parenthesis is left open.
    fn registered(&mut self, number: usize) {
        let begin = match self.below(4) {
            3 => format!(
                "redis.register_function({{function_name = 'f{number}', callback = tostring}}) redis.register_function('n{number}', "
            ),
            _ => format!("redis.register_function('n{number}', "),
        };
        self.put(&begin);
    }

    /// What functions of a library may do with each other, and keep for the next call.
    fn library_trick(&mut self, named: &[&str]) {
        let (table, hero) = (self.table, self.hero);
        let trick = match self.below(11) {
            0 => format!("kept = kept or {table} redis.call('GET', kept[1])"),
            1 => format!("kept = kept or {table}[1] redis.call('GET', kept)"),
            2 => format!("kept = kept or function() redis.call('GET', {hero}) end kept()"),
            3 => format!("redis.call('GET', {table}['n'])"),
            4 => "redis.call('GET', math['pi'])".to_owned(),
            5 | 9 | 10 => format!(
                "redis.register_function('y', {}({{'x'}}))",
                named.first().unwrap_or(&"g")
            ),
            6 => format!(
                "redis.register_function{{callback = {}{{'x'}}}}",
                named.first().unwrap_or(&"g")
            ),
            7 => format!("{}({{'x'}})", named.first().unwrap_or(&"g")),
            8 => "q({'x'})".to_owned(),
            _ => String::new(),
        };
        self.put(&trick);
        self.put(" ");
    }

    fn block(&mut self) {
        self.put(" ");
        self.depth += 1;
        for _ in 0..1 + self.below(2) {
            self.statement();
            self.gap();
        }
        self.depth -= 1;
    }

    fn statement(&mut self) {
        let kinds = match (self.depth < 3, self.may_nest) {
            (true, true) => 20,
            (true, false) => 16,
            (false, _) => 10,
        };
        match self.below(kinds) {
            0..=2 => self.command(),
            3 => self.local(),
            4 | 5 => self.assignment(),
            6 => self.loose_assignment(),
            7 => match self.below(2) {
                0 => self.trick(),
                _ => self.plain_command(),
            },
            8 | 9 => self.call(),
            10 => self.framed("do", "end"),
            11 => {
                self.put("if ");
                self.value();
                self.framed(" then", "else");
                self.block();
                self.put("end");
            }
            12 => {
                self.put("repeat");
                self.block();
                self.put("until true or ");
                self.value();
            }
            13 => {
                self.put("while not t.z do t.z = 1 ");
                self.block();
                self.put("end");
            }
            14 | 15 => self.for_loop(),
            16 | 17 => {
                self.put("local function ");
                self.some_name();
                self.function_body();
            }
            18 => {
                let of = self.of(&["function t:", "function t.", "function "]);
                self.put(of);
                self.some_name();
                self.function_body();
            }
            _ => self.method(),
        }
    }

    fn trick(&mut self) {
        let trick = self.of(&TRICKS);
        let trick = trick.replace("$h", self.hero).replace("$t", self.table);
        self.put(&trick);
    }

    fn framed(&mut self, begin: &str, end: &str) {
        self.put(begin);
        self.block();
        self.put(end);
    }

    /// A function of a table, which is called right away.
    fn method(&mut self) {
        let head = self.of(&[
            "function t:w() ",
            "function t.w(...) ",
            "function t.w(self) ",
            "t.w = function(...) ",
        ]);
        self.put(head);
        self.plain_command();
        let call = self.of(&[
            " end t.w('x')",
            " end t.w({'x'})",
            " end t:w('x')",
            " end t.w()",
        ]);
        self.put(call);
    }

    fn local(&mut self) {
        self.put("local ");
        self.names();
        if self.below(8) < 7 {
            self.put(" = ");
            self.values();
        }
    }

    fn names(&mut self) {
        self.some_name();
        for _ in 0..self.below(3) {
            self.put(", ");
            self.some_name();
        }
    }

    fn assignment(&mut self) {
        self.target();
        for _ in 0..self.below(3) {
            self.put(", ");
            self.target();
        }
        self.put(" = ");
        self.values();
    }

    /// One right behind another statement, which ends in any way a statement can.
    fn loose_assignment(&mut self) {
        let former = self.of(&[
            "local c = ...",
            "local c = a;",
            "local c = a",
            "local c = 1",
            "local c = 'a'",
            "local c = [[a]]",
            "local c = {}",
            "local c = t[1]",
            "local c = f(1)",
            "local c = f'a'",
            "local c = nil",
            "local c = true",
            "local c = a .. b",
            "t.y = KEYS[1]",
            "f{}",
        ]);
        self.put(former);
        self.put(" ");
        let (hero, table) = (self.hero, self.table);
        match self.below(4) {
            0 => self.put(&format!("{hero}, a = 'x', 1")),
            1 => self.put(&format!("{table}[1], a = 'x', 1")),
            _ => self.assignment(),
        }
    }

    fn target(&mut self) {
        match self.below(8) {
            0..=3 => self.name(),
            4 | 5 => {
                let table = self.table;
                self.put(&format!("{table}[1]"));
            }
            6 => {
                self.put("t.");
                self.name();
            }
            _ => self.plain_name(),
        }
    }

    fn for_loop(&mut self) {
        self.put("for ");
        let table = self.table;
        match self.below(4) {
            0 => {
                self.name();
                self.put(" = 1, 2");
            }
            1 => {
                self.put("_, ");
                self.name();
                self.put(" in ipairs(ARGV)");
            }
            2 => {
                self.put("_, ");
                self.name();
                self.put(&format!(" in ipairs({table})"));
            }
            _ => {
                self.names();
                self.put(&format!(" in pairs({table})"));
            }
        }
        self.framed(" do", "end");
    }

    fn function_body(&mut self) {
        self.put("(");
        if self.below(2) == 1 {
            self.names();
            let more = self.of(&["", ", ..."]);
            self.put(more);
        } else {
            let params = self.of(&["", "..."]);
            self.put(params);
        }
        self.put(")");
        self.block();
        self.put("end");
    }

    fn call(&mut self) {
        let called = self.of(&["f", "t.m", "(f or a)", "pcall", "t:m", "tostring", "select"]);
        self.put(called);
        match self.below(6) {
            0 => self.put("'x'"),
            1 => self.put("{'x'}"),
            2 => {
                self.put("(");
                self.name();
                self.put(", 'x')");
            }
            _ => {
                self.put("(");
                self.values();
                self.put(")");
            }
        }
    }

    /// A call of a command.
    fn command(&mut self) {
        let caller = self.of(&[
            "redis.call(",
            "redis.call(",
            "redis.pcall(",
            "redis.call (",
            "server.call(",
        ]);
        self.put(caller);
        let (name, shape) = self.of(&COMMANDS);
        self.put(name);
        let shape = match self.below(16) {
            15 => "kk*",
            14 => "kv",
            _ => shape,
        };
        for what in shape.bytes() {
            self.put(", ");
            match what {
                b'k' => self.key(),
                b'*' => {
                    let table = self.table;
                    let all = self.of(&["", ", 1, 2", ", 2", ", 1, #ARGV"]);
                    self.put(&format!("unpack({table}{all})"));
                }
                b'm' => {
                    let several = self.of(&[
                        "g()",
                        "g'x'",
                        "g{}",
                        "t.m('v', 'x', 'v')",
                        "unpack({'v', 'x', 'v'})",
                        "...",
                    ]);
                    self.put(several);
                }
                _ => self.value(),
            }
        }
        self.put(")");
    }

    /// A command that names the key that the text is about.
    fn plain_command(&mut self) {
        let hero = self.hero;
        self.put(&format!("redis.call('GET', {hero})"));
    }

    /// An argument where a key is to stand: a key, nearly always.
    fn key(&mut self) {
        let (hero, table) = (self.hero, self.table);
        match self.below(32) {
            0..=17 => self.put(hero),
            18..=29 => {
                self.put(table);
                self.put("[");
                self.index();
                self.put("]");
            }
            30 => self.value(),
            _ => {
                let of = self.of(&[
                    "$h .. 'x'",
                    "$h or 'x'",
                    "$t[1] .. 'x'",
                    "$t[9] or 'x'",
                    "unpack($t)",
                    "unpack($t) or 'x'",
                ]);
                self.put(&of.replace("$h", hero).replace("$t", table));
            }
        }
    }

    fn index(&mut self) {
        let index = self.of(&[
            "1",
            "2",
            "#ARGV",
            "'n'",
            "t[1] or 1",
            "f(1)",
            "tonumber(ARGV[2])",
            "0",
            "9",
        ]);
        self.put(index);
    }

    fn values(&mut self) {
        self.value();
        for _ in 0..self.below(3) {
            self.put(", ");
            self.value();
        }
    }

    fn value(&mut self) {
        self.depth += 1;
        let kinds = if self.depth < 4 { 22 } else { 13 };
        let table = self.table;
        match self.below(kinds) {
            0 => self.put("'x'"),
            1 => self.put("[[x]]"),
            2 => self.put("\"x\\\"y\""),
            3 => self.put("1"),
            4 => self.put("..."),
            5 => self.put("ARGV[1]"),
            6 | 7 => self.name(),
            8 => self.put(&format!("{table}[1]")),
            9 => self.put(&format!("#{table}")),
            10 => self.put("nil"),
            11 => self.put("a"),
            12 => self.put("t.m"),
            13 => {
                self.value();
                let operator = self.of(&[" .. ", " or ", " and ", " == ", ".."]);
                self.put(operator);
                self.value();
            }
            14 => {
                self.put("(");
                self.value();
                self.put(")");
            }
            15 => {
                self.put("{");
                self.values();
                self.put("}");
            }
            16 => self.call(),
            17 => self.command(),
            18 => self.put(&format!("unpack({table}, 1, 2)")),
            19 => self.put("unpack(ARGV)"),
            20 => self.put(table),
            _ if self.may_nest => {
                self.put("function");
                self.function_body();
            }
            _ => self.put("true"),
        }
        self.depth -= 1;
    }
}
