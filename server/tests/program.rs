//! The program itself: what it says without serving. With this, `cargo test --workspace` builds it, too.

use std::process::Command;

fn printed(argument: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_larder-server"))
        .arg(argument)
        .output()
        .expect("the program was built for this test");
    assert!(output.status.success(), "{argument}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn it_tells_its_version() {
    let expected = concat!("larder-server ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(printed("--version"), expected);
}

#[test]
fn its_help_tells_how_it_is_called_and_its_own_directives() {
    let help = printed("--help");
    for part in [
        "Usage: larder-server",
        "--cores",
        "--io-backend",
        "redis.conf",
    ] {
        assert!(help.contains(part), "{part} is missing:\n{help}");
    }
}
