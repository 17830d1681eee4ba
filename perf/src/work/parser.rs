//! The command parser: whole commands, and commands that arrive in two pieces.

use larder_server::resp::{Parsed, Parser, ProtocolLimits};

/// Parses all commands of each piece. Returns the number of arguments found.
pub fn whole(pieces: &[Vec<u8>]) -> usize {
    let limits = ProtocolLimits::default();
    let mut parser = Parser::new();
    let mut args = Vec::new();
    let mut found = 0;
    for piece in pieces {
        let mut at = 0;
        args.clear();
        while let Ok(Parsed::Command) = parser.next(piece, &mut at, &mut args, &limits) {}
        found += args.len();
    }
    found
}

/// Parses each piece, one command, in two steps: its first half, then all of it. Returns the number of arguments found.
pub fn halved(pieces: &[Vec<u8>]) -> usize {
    let limits = ProtocolLimits::default();
    let mut parser = Parser::new();
    let mut args = Vec::new();
    let mut found = 0;
    for piece in pieces {
        args.clear();
        for input in [&piece[..piece.len() / 2], piece] {
            let parsed = parser.next(input, &mut 0, &mut args, &limits);
            assert!(parsed.is_ok(), "a half is the beginning of a command");
        }
        found += args.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{get, pipelines};

    #[test]
    fn every_argument_is_found_whole_or_in_halves() {
        assert_eq!(whole(&pipelines((0..10).map(get), 4)), 20);
        assert_eq!(halved(&pipelines((0..10).map(get), 1)), 20);
    }
}
