//! The `larder-bench` binary: load generator and comparison harness.

fn main() {
    eprintln!("larder-bench: the load generator is not built yet; see README.md");
    std::process::exit(2);
}
