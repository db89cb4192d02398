//! How much memory this machine has for a process, where the system tells it: Linux, by
//! `/proc/meminfo` and the limits of control groups.
//!
//! Sources: `proc_meminfo(5)`, `cgroups(7)`; the kernel's `admin-guide/cgroup-v2.rst`
//! (`memory.max`) and `admin-guide/cgroup-v1/memory.rst` (`memory.limit_in_bytes`).

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The memory of a machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MachineMemory {
    /// The most that a process can have: all that there is, or its control group's limit.
    pub(crate) limit: u64,
    /// What can be had now without taking it from other processes.
    pub(crate) free: u64,
}

impl MachineMemory {
    /// The memory of this machine, if the system tells.
    pub(crate) fn of_this_machine() -> Option<Self> {
        Self::read(Path::new("/"))
    }

    /// The memory by the files below `root`.
    fn read(root: &Path) -> Option<Self> {
        let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
        let total = bytes_of(&text, "MemTotal:")?;
        let free = bytes_of(&text, "MemAvailable:").unwrap_or(total);
        let limits = limit_files(root).into_iter().filter_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            // A group without a limit has the word `max`.
            text.trim().parse::<u64>().ok()
        });
        let limit = limits.fold(total, u64::min);
        Some(Self {
            limit,
            free: free.min(limit),
        })
    }
}

/// A number of a line such as `MemTotal:       24684092 kB`.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let number = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = number.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The files that may limit this process: those of its control groups and of all groups
/// around them.
fn limit_files(root: &Path) -> Vec<PathBuf> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (base, name) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // A group outside of what this process sees begins with `..`.
        let parts = Path::new(group).components();
        let within: PathBuf = parts
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect();
        let groups = within.ancestors();
        files.extend(groups.map(|group| root.join(base).join(group).join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       2048 kB\nMemFree: 7 kB\nMemAvailable:   1024 kB\n";

    /// Memory by files of these names.
    fn memory(files: &[(&str, &str)]) -> Option<MachineMemory> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        MachineMemory::read(root.path())
    }

    #[test]
    fn the_least_limit_counts() {
        assert_eq!(memory(&[]), None);
        assert_eq!(memory(&[("proc/meminfo", "MemTotal: much\n")]), None);
        let found = |files: &[(&str, &str)]| {
            let all = [&[("proc/meminfo", MEMINFO)], files].concat();
            let memory = memory(&all).unwrap();
            (memory.limit, memory.free)
        };
        let machine = (2048 * 1024, 1024 * 1024);
        assert_eq!(found(&[]), machine);
        let second = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "500000\n"),
        ];
        assert_eq!(found(&second), (500_000, 500_000));
        let first = [
            ("proc/self/cgroup", "3:cpu:/x\n2:memory,hugetlb:/c\n0::/\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1500000\n"),
        ];
        assert_eq!(found(&first), (1_500_000, 1024 * 1024));
        // As in a container, whose own group is the top that it sees.
        let container = [
            ("proc/self/cgroup", "0::/../../d\n"),
            ("sys/fs/cgroup/memory.max", "4096"),
        ];
        assert_eq!(found(&container), (4096, 4096));
        let broken = [("proc/self/cgroup", "0\n0::\n:::\n\u{0}")];
        assert_eq!(found(&broken), machine);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        let memory = MachineMemory::of_this_machine().unwrap();
        assert!(memory.free > 0 && memory.free <= memory.limit);
    }
}
