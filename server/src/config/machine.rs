//! How much memory the machine has, and how much of it the process may use.

use std::path::Path;
use std::sync::OnceLock;

/// The machine's memory, as `/proc/meminfo` gives it.
pub(super) fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The machine's memory, or what the process's control group may use of it, as it was when first asked.
pub(super) fn usable_bytes() -> Option<u64> {
    static USABLE: OnceLock<Option<u64>> = OnceLock::new();
    *USABLE.get_or_init(|| {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let limit = group_limit_bytes(&groups, Path::new("/sys/fs/cgroup"));
        memory_bytes().into_iter().chain(limit).min()
    })
}

/// The least limit of memory among the process's control groups and those around them. `groups` is what
/// `/proc/self/cgroup` says: `0::/path` in version 2, `number:memory:/path` in version 1. A container may see its own group
/// as the root of `mount` and be told the path it has outside, so that the root is looked at too.
fn group_limit_bytes(groups: &str, mount: &Path) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kind, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let is_of_memory = kind.split(',').any(|kind| kind == "memory");
        let (root, file) = match kind {
            "" => (mount.to_owned(), "memory.max"),
            _ if is_of_memory => (mount.join("memory"), "memory.limit_in_bytes"),
            _ => return Vec::new(),
        };
        let path = Path::new(path.trim_start_matches('/'));
        let around = path.ancestors().map(|path| root.join(path).join(file));
        around.filter_map(|file| limit_in(&file)).collect()
    });
    limits.min()
}

/// The limit in a file; none if it says `max`.
fn limit_in(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_the_group_and_those_around_it_counts() {
        let mount = std::env::temp_dir().join(format!("larder-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = mount.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(group_limit_bytes("0::/a/b\n", &mount), None);
        write("a/memory.max", "2000000\n");
        write("a/b/memory.max", "max\n");
        assert_eq!(group_limit_bytes("0::/a/b\n", &mount), Some(2_000_000));
        write("memory/c/memory.limit_in_bytes", "1000000\n");
        let groups = "9:name=systemd:/\n4:cpu,memory:/c\n0::/a/b\n";
        assert_eq!(group_limit_bytes(groups, &mount), Some(1_000_000));
        write("memory/memory.limit_in_bytes", "900000\n");
        assert_eq!(
            group_limit_bytes("4:memory:/outside/c\n", &mount),
            Some(900_000)
        );
        std::fs::remove_dir_all(&mount).unwrap();
    }
}
