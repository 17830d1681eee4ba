//! Every function of every library that scripts find, called with extreme and odd arguments (`lua.driver.lua`); for address
//! sanitizer to watch, Lua's C included. The oracle: no panic, and the machine serves an honest script afterwards.

#![no_main]

use std::time::{Duration, Instant};

use larder_server::config::LogLevel;
use larder_server::resp::{Protocol, Reply};
use larder_server::script::{Ask, GoOn, RunOptions, Step, Vm};
use libfuzzer_sys::fuzz_target;

/// Turns the input into calls. It enumerates the functions itself, so that new ones are called too.
const DRIVER: &str = include_str!("lua.driver.lua");

/// What a script may hold; little, so that inputs reach the bound.
const MEMORY_MAX_BYTES: usize = 16 << 20;
/// Times a script gives the core back before it is killed.
const TICKS_MAX: usize = 20;

const DRIVER_ID: u64 = 1;
const INPUT_ID: u64 = 2;
const HONEST_ID: u64 = 3;

/// Runs a compiled script with one argument, and gives its reply.
fn run(vm: &mut Vm, id: u64, argument: &[u8]) -> Vec<u8> {
    let options = RunOptions { protocol: Protocol::Resp3, patience: Some(Duration::ZERO), log_level: LogLevel::Warning, began: Instant::now() };
    {
        let mut words = vm.words();
        words.clear();
        assert!(words.push(argument));
    }
    let mut ticks = 0;
    let mut step = vm.eval(id, 0, &"sha".into(), &options);
    loop {
        step = match step {
            Step::Done => return vm.reply().clone(),
            Step::Tick => {
                ticks += 1;
                vm.resume(if ticks > TICKS_MAX { GoOn::Die } else { GoOn::On })
            }
            Step::Call(ask) => {
                answer(vm, ask);
                vm.resume(GoOn::On)
            }
        };
    }
}

/// Answers a command with a reply of every kind in turn, by its number of bytes.
fn answer(vm: &Vm, ask: Ask) {
    let words = vm.words();
    let words: Vec<&[u8]> = words.range(0, words.len()).collect();
    let mut out = vm.reply();
    out.clear();
    let mut reply = Reply::new(&mut out, vm.protocol());
    if ask == Ask::Permission {
        return reply.integer(1);
    }
    match words.iter().map(|word| word.len()).sum::<usize>() % 10 {
        0 => reply.null(),
        1 => reply.integer(i64::MIN),
        2 => reply.boolean(true),
        3 => reply.double_text("inf"),
        4 => reply.verbatim("txt", words.concat().as_slice()),
        5 => {
            reply.map(1);
            reply.bulk(b"key");
            reply.null_array();
        }
        6 => reply.raw(b"-ERR no\r\n"),
        7 => {
            reply.set(2);
            reply.null();
            reply.double_text("nan");
        }
        _ => {
            reply.array(words.len());
            words.iter().for_each(|word| reply.bulk(word));
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut vm = Vm::with_memory(1, MEMORY_MAX_BYTES).expect("there is memory for a stack");
    vm.compile(DRIVER_ID, DRIVER.as_bytes().into()).expect("the driver is a script");
    let driven = run(&mut vm, DRIVER_ID, input);
    let driven = String::from_utf8_lossy(&driven);
    let is_known = [":", "-ERR Script killed", "-ERR not enough memory", "-ERR user_script"].iter().any(|begin| driven.starts_with(begin));
    assert!(is_known || driven.contains("not enough memory"), "the driver ended with {driven}");
    // The input as it is, for the parser.
    if vm.compile(INPUT_ID, input.into()).is_ok() {
        run(&mut vm, INPUT_ID, b"");
    }
    vm.collect();
    vm.compile(HONEST_ID, (*b"return cjson.encode({unpack({1, 2})})").into()).expect("it is a script");
    assert_eq!(run(&mut vm, HONEST_ID, b""), b"$5\r\n[1,2]\r\n");
});
