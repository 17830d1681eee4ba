//! The command parser: bytes that come in pieces give the commands, and the error, that they give at once.

#![no_main]

use larder_server::resp::{Parsed, Parser, ProtocolError, ProtocolLimits};
use libfuzzer_sys::fuzz_target;

/// All that a parser finds in its input.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    commands: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
}

/// Parses an input that grows piece by piece, as a session does.
fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &ProtocolLimits) -> Found {
    let mut parser = Parser::new();
    let mut input = Vec::new();
    let mut found = Found::default();
    for piece in pieces {
        input.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let before = at;
            let mut args = Vec::new();
            match parser.next(&input, &mut at, &mut args, limits) {
                Ok(Parsed::Command) => {
                    found.commands.push(args.iter().map(|arg| arg.of(&input).to_vec()).collect());
                }
                Ok(Parsed::Inline(words)) => found.commands.push(words),
                Ok(Parsed::Nothing) => {}
                Ok(Parsed::Incomplete) => {
                    assert_eq!(at, before, "an incomplete command is left where it is");
                    break;
                }
                Err(error) => {
                    found.error = Some(error);
                    return found;
                }
            }
            assert!(at > before, "a command takes bytes");
            assert!(at <= input.len(), "and no more than there are");
        }
        // A session throws away what commands were made of.
        input.drain(..at);
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let Some((&[manner, seed], sent)) = data.split_first_chunk::<2>() else { return };
    // small limits, so that short inputs reach them
    let limits = ProtocolLimits {
        max_bulk_bytes: 1000,
        max_args: 100,
        max_inline_bytes: 64,
        authenticated: manner & 1 == 0,
    };
    let whole = parse(std::iter::once(sent), &limits);
    let bytewise = parse(sent.chunks(1), &limits);
    assert_eq!(whole, bytewise, "byte by byte");
    let mut state = u32::from(seed) + 1;
    let mut rest = sent;
    let pieces = std::iter::from_fn(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (1 + (state >> 27) as usize).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(whole, parse(pieces, &limits), "in pieces");
});
