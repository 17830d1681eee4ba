//! Keys, values and commands of the benches: fixed, so that counts can be compared from run to run.

use larder_engine::UnixMillis;
use larder_server::resp::encode_command;

/// Seeds of the hasher.
pub const SEEDS: [u64; 4] = [1, 2, 3, 4];
/// The time at which everything happens.
pub const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
/// Memory a shard may grow to: the arena has granules of 4 bytes, whatever the machine.
pub const MEMORY_CEILING_BYTES: u64 = 16 << 30;
/// The ordinary value.
pub const VALUE: [u8; 64] = [b'x'; 64];

/// Bytes of [`key`].
pub const KEY_BYTES: usize = 16;

/// Key number `number`: `key:000000000042`.
pub fn key(number: usize) -> [u8; KEY_BYTES] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// `count` numbers below `keys` in a scattered order, each as often as any other where `keys` is a power of two.
pub fn scattered(count: usize, keys: usize) -> impl Iterator<Item = usize> + Clone {
    (0..count).map(move |at| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % keys)
}

/// `GET` of key number `number`, as a client sends it.
pub fn get(number: usize) -> Vec<u8> {
    encode_command([b"GET".as_slice(), &key(number)].into_iter())
}

/// `SET` of key number `number` to `value`, as a client sends it.
pub fn set(number: usize, value: &[u8]) -> Vec<u8> {
    encode_command([b"SET".as_slice(), &key(number), value].into_iter())
}

/// As [`set`], with a time to live.
pub fn set_px(number: usize, value: &[u8], ttl_ms: u64) -> Vec<u8> {
    let ttl = ttl_ms.to_string();
    let args = [
        b"SET".as_slice(),
        &key(number),
        value,
        b"PX",
        ttl.as_bytes(),
    ];
    encode_command(args.into_iter())
}

/// Bytes of a reply that is [`VALUE`].
pub const BULK_BYTES: usize = b"$64\r\n".len() + VALUE.len() + 2;

/// The ordinary element of a list.
pub const ELEMENT: [u8; 16] = *b"element:00000000";

/// `BLPOP` of the list at key number `number`, without an end, as a client sends it.
pub fn blpop(number: usize) -> Vec<u8> {
    encode_command([b"BLPOP".as_slice(), &key(number), b"0"].into_iter())
}

/// `RPUSH` of [`ELEMENT`] to the list at key number `number`, as a client sends it.
pub fn rpush(number: usize) -> Vec<u8> {
    encode_command([b"RPUSH".as_slice(), &key(number), &ELEMENT].into_iter())
}

/// Bytes of the reply to [`blpop`].
pub const HANDED_OVER_BYTES: usize =
    b"*2\r\n$16\r\n".len() + KEY_BYTES + b"\r\n$16\r\n".len() + ELEMENT.len() + 2;

/// A script that reads its first key and writes its last.
pub const SCRIPT: &str =
    "local value = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[#KEYS], ARGV[1]) return value";

/// Its SHA-1.
pub const SCRIPT_SHA: &str = "32729050ae53aed5a14d0b3ffc217e4c43a74826";

/// A library whose function `f` does what [`SCRIPT`] does.
pub const LIBRARY: &str = "#!lua name=perf
redis.register_function('f', function(keys, argv)
    local value = redis.call('GET', keys[1]) redis.call('SET', keys[#keys], argv[1]) return value
end)";

/// Loads [`LIBRARY`].
pub fn load_library() -> Vec<u8> {
    encode_command([b"FUNCTION".as_slice(), b"LOAD", LIBRARY.as_bytes()].into_iter())
}

/// `command`, one that runs a script, with what it is to run and these keys, as a client sends it.
pub fn script(command: &str, what: &str, numbers: &[usize]) -> Vec<u8> {
    let count = numbers.len().to_string();
    let keys: Vec<_> = numbers.iter().map(|&number| key(number)).collect();
    let head = [command.as_bytes(), what.as_bytes(), count.as_bytes()].into_iter();
    let args: Vec<&[u8]> = head
        .chain(keys.iter().map(<[u8; KEY_BYTES]>::as_slice))
        .chain([VALUE.as_slice()])
        .collect();
    encode_command(args.into_iter())
}

/// The commands in pieces of `pipeline`, each what one read from a socket would give.
pub fn pipelines(commands: impl Iterator<Item = Vec<u8>>, pipeline: usize) -> Vec<Vec<u8>> {
    let commands: Vec<_> = commands.collect();
    commands.chunks(pipeline).map(<[_]>::concat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_holds_the_commands_of_a_pipeline_as_a_client_writes_them() {
        let pieces = pipelines((0..3).map(get), 2);
        assert_eq!(
            pieces[0],
            b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n"
        );
        assert_eq!(pieces[1], get(2));
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn a_script_is_called_by_its_text_its_sha_and_as_a_function() {
        use crate::server::Server;
        let mut server = Server::filled(2);
        server.turn(&load_library());
        for (command, what) in [("EVAL", SCRIPT), ("EVALSHA", SCRIPT_SHA), ("FCALL", "f")] {
            let replied = server.turn(&script(command, what, &[0, 1]));
            assert_eq!(replied, BULK_BYTES, "{command}");
        }
    }

    #[test]
    fn scattered_numbers_reach_every_key_equally_often() {
        let mut seen = vec![0; 64];
        scattered(256, 64).for_each(|number| seen[number] += 1);
        assert!(seen.iter().all(|&times| times == 4));
    }
}
