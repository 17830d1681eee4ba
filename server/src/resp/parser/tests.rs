//! Tests of the command parser: a table of cases, and that the pieces in which input arrives make no difference.

use super::{ArgRange, Parsed, Parser, ProtocolError, ProtocolLimits};
use proptest::prelude::*;

/// Everything a stream of bytes came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    commands: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
    left: Vec<u8>,
}

/// Feeds `pieces` as a session would: what is not read is kept and the next piece put behind it.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &ProtocolLimits) -> Outcome {
    let mut parser = Parser::new();
    let mut outcome = Outcome::default();
    let mut kept = Vec::new();
    for piece in pieces {
        // A byte in front: positions are the buffer's, not the command's.
        let mut buffer = vec![b'!'];
        buffer.append(&mut kept);
        buffer.extend_from_slice(piece);
        let mut at = 1;
        let mut args = vec![ArgRange { start: 0, len: 1 }];
        loop {
            args.truncate(1);
            let before = at;
            match parser.next(&buffer, &mut at, &mut args, limits) {
                Ok(Parsed::Command) => {
                    assert_eq!(args[0], ArgRange { start: 0, len: 1 });
                    let command = args[1..]
                        .iter()
                        .map(|arg| arg.of(&buffer).to_vec())
                        .collect();
                    outcome.commands.push(command);
                }
                Ok(Parsed::Inline(words)) => outcome.commands.push(words),
                Ok(Parsed::Nothing) => assert!(at > before, "nothing found must step on"),
                Ok(Parsed::Incomplete) => {
                    assert_eq!(
                        (at, args.len()),
                        (before, 1),
                        "incomplete must leave all as it was"
                    );
                    break;
                }
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
        kept = buffer[at..].to_vec();
    }
    outcome.left = kept;
    outcome
}

fn whole(input: &[u8]) -> Outcome {
    feed([input], &ProtocolLimits::default())
}

fn bytes(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", command.len()).into_bytes();
    for arg in command {
        wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        wire.extend_from_slice(arg);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

#[test]
fn commands_are_found_one_after_another() {
    let cases: &[(&str, &[&[&str]])] = &[
        ("*1\r\n$4\r\nPING\r\n", &[&["PING"]]),
        (
            "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
            &[&["GET", "k"], &["GET", ""]],
        ),
        (
            "*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n",
            &[&["GET", "0123456789"]],
        ),
        ("*0\r\n*-1\r\n*-5\r\nPING\r\n", &[&["PING"]]),
        ("\r\n\n   \r\nPING\r\n", &[&["PING"]]),
        (
            "set  k 'a b'\nget k\r\n",
            &[&["set", "k", "a b"], &["get", "k"]],
        ),
        ("set k \"\\x41\\n\"\r\n", &[&["set", "k", "A\n"]]),
        ("''\r\n\"\" x\n", &[&[""], &["", "x"]]),
        // Line ends are not looked at closely.
        ("*1\rX$4\rXPINGXX*1\r\n$1\r\na\r\n", &[&["PING"], &["a"]]),
        ("PING\r\r\n", &[&["PING"]]),
        // The mark of a bulk string alone is an inline word.
        ("$4\r\nPING\r\n", &[&["$4"], &["PING"]]),
    ];
    for (input, expected) in cases {
        let outcome = whole(input.as_bytes());
        assert_eq!(outcome.error, None, "{input:?}");
        assert_eq!(
            outcome.commands,
            expected
                .iter()
                .map(|words| bytes(words))
                .collect::<Vec<_>>(),
            "{input:?}"
        );
        assert!(outcome.left.is_empty(), "{input:?}");
    }
}

#[test]
fn lengths_of_every_number_of_digits_are_read() {
    for length in [0, 1, 9, 10, 99, 100, 101, 999, 1000, 65_536, 1_000_000] {
        let command = vec![b"SET".to_vec(), vec![b'x'; length]];
        assert_eq!(whole(&encode(&command)).commands, [command]);
    }
    let many = vec![b"a".to_vec(); 1234];
    assert_eq!(whole(&encode(&many)).commands, [many]);
}

#[test]
fn malformed_input_gets_the_errors_redis_gives() {
    let long_header = [&b"*"[..], &[b'1'; 70_000]].concat();
    let long_bulk_header = [&b"*1\r\n$"[..], &[b'1'; 70_000]].concat();
    let cases: &[(&[u8], &str)] = &[
        (b"*3000000000\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*abc\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*1a\r\n$1\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (
            b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
            "expected '$', got 'f'",
        ),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (
            b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
            "invalid bulk length",
        ),
        (
            b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n",
            "invalid bulk length",
        ),
        (
            b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n",
            "invalid bulk length",
        ),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$9999999999999999999999\r\n", "invalid bulk length"),
        (
            b"set \"\"\"test-key\"\"\" test-value\r\n",
            "unbalanced quotes in request",
        ),
        (b"set 'k\r\n", "unbalanced quotes in request"),
        (&[b'a'; 70_000], "too big inline request"),
        (&long_header, "too big mbulk count string"),
        (&long_bulk_header, "too big bulk count string"),
    ];
    for (input, expected) in cases {
        let shown = String::from_utf8_lossy(&input[..input.len().min(40)]);
        let outcome = whole(input);
        let text = outcome
            .error
            .unwrap_or_else(|| panic!("{shown:?} is taken"))
            .text();
        assert_eq!(
            String::from_utf8_lossy(&text),
            format!("ERR Protocol error: {expected}"),
            "{shown:?}"
        );
    }
}

#[test]
fn a_client_that_must_authenticate_is_kept_short() {
    let limits = ProtocolLimits {
        authenticated: false,
        ..ProtocolLimits::default()
    };
    let cases: &[(&[u8], Option<&str>)] = &[
        (b"*10\r\n", None),
        (
            b"*11\r\n$1\r\na\r\n",
            Some("Protocol error: unauthenticated multibulk length"),
        ),
        (b"*1\r\n$16384\r\n", None),
        (
            b"*1\r\n$16385\r\n",
            Some("Protocol error: unauthenticated bulk length"),
        ),
        (
            b"*1\r\n$600000000\r\n",
            Some("Protocol error: invalid bulk length"),
        ),
    ];
    for (input, expected) in cases {
        let error = feed([*input], &limits).error.map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            *expected,
            "{}",
            String::from_utf8_lossy(input)
        );
    }
    let long = vec![b"ECHO".to_vec(), vec![b'x'; 16_385]];
    assert_eq!(
        feed([&encode(&long)[..]], &limits).error,
        Some(ProtocolError::UnauthenticatedBulkLength)
    );
}

#[test]
fn the_missing_bytes_of_a_large_argument_are_known() {
    let mut parser = Parser::new();
    let mut args = Vec::new();
    let mut at = 0;
    let limits = ProtocolLimits::default();
    let input = b"*2\r\n$3\r\nGET\r\n$100000\r\nabc";
    assert_eq!(
        parser.next(input, &mut at, &mut args, &limits),
        Ok(Parsed::Incomplete)
    );
    assert_eq!(parser.missing_hint(), 100_000 - 3 + 2);
    assert!(parser.is_under_way());
    parser.reset();
    assert!(!parser.is_under_way());
    assert_eq!(
        parser.next(b"*1\r\n$4", &mut at, &mut args, &limits),
        Ok(Parsed::Incomplete)
    );
    assert_eq!(parser.missing_hint(), 0);
}

#[test]
fn a_command_of_many_arguments_in_many_pieces_is_read_once() {
    let command: Vec<Vec<u8>> = (0..50_000)
        .map(|number: u32| number.to_string().into_bytes())
        .collect();
    let wire = encode(&command);
    let limits = ProtocolLimits::default();
    let mut parser = Parser::new();
    let mut args = Vec::new();
    let mut at = 0;
    // The buffer only grows, so that a quadratic parser would be the only slow part: 6,000 calls of 50,000 arguments.
    for end in (100..wire.len()).step_by(100) {
        let parsed = parser.next(&wire[..end], &mut at, &mut args, &limits);
        assert_eq!(parsed, Ok(Parsed::Incomplete));
        assert!(
            parser.remaining > 0 && parser.cursor + 200 > end,
            "all that was there has been read"
        );
    }
    assert_eq!(
        parser.next(&wire, &mut at, &mut args, &limits),
        Ok(Parsed::Command)
    );
    assert_eq!(
        args.iter().map(|arg| arg.of(&wire)).collect::<Vec<_>>(),
        command
    );
}

/// Wire bytes: well-formed commands, inline lines, and now and then bytes out of place.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let argument = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => proptest::collection::vec(any::<u8>(), 90..120),
        1 => Just(vec![b'v'; 1200]),
    ];
    let command = proptest::collection::vec(argument, 1..6).prop_map(|args| encode(&args));
    let inline = r#"[a-c"'\\x1 \t]{0,12}(\r\n|\n)"#.prop_map(String::into_bytes);
    let odd = prop_oneof![
        Just(b"*0\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"*02\r\n".to_vec()),
        Just(b"*1\r\n$99999999999\r\n".to_vec()),
        Just(b"*1\r\n\r\n".to_vec()),
        Just(vec![b'x'; 150]),
        Just([&b"*1\r\n$"[..], &[b'7'; 150]].concat()),
        proptest::collection::vec(any::<u8>(), 0..6),
        r"[*$0-9\r\n]{1,8}".prop_map(String::into_bytes),
    ];
    let item = prop_oneof![6 => command, 2 => inline, 1 => odd];
    proptest::collection::vec(item, 0..8).prop_map(|items| items.concat())
}

proptest! {
    #[test]
    fn the_pieces_input_arrives_in_make_no_difference(
        wire in wire(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        each_byte in any::<bool>(),
        authenticated in any::<bool>(),
    ) {
        let limits = ProtocolLimits {
            max_bulk_bytes: 1100,
            max_args: 5,
            max_inline_bytes: 128,
            authenticated,
        };
        let pieces: Vec<&[u8]> = if each_byte {
            wire.chunks(1).collect()
        } else {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]).collect()
        };
        prop_assert_eq!(feed(pieces, &limits), feed([&wire[..]], &limits));
    }

    #[test]
    fn every_command_sent_comes_out_as_it_was(
        commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..20), 0..6),
    ) {
        let wire: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        let outcome = whole(&wire);
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(outcome.commands, commands);
    }
}
