//! Sizes of the processor's caches, by which kernels choose their blocks.

use std::fs;
use std::sync::OnceLock;

/// Bytes of a core's data caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caches {
    /// The first level.
    pub(crate) first: usize,
    /// The second level.
    pub(crate) second: usize,
}

impl Caches {
    /// Those of small cores, for where the system doesn't tell.
    const USUAL: Self = Self {
        first: 32 << 10,
        second: 256 << 10,
    };

    /// This machine's, as Linux tells them of its first core.
    pub(crate) fn of_this_machine() -> Self {
        static CACHES: OnceLock<Caches> = OnceLock::new();
        *CACHES.get_or_init(|| {
            let read = |index: u32, name: &str| {
                let folder = "/sys/devices/system/cpu/cpu0/cache";
                fs::read_to_string(format!("{folder}/index{index}/{name}")).ok()
            };
            Self::from_files(read)
        })
    }

    /// What the system's files say of each cache.
    fn from_files(read: impl Fn(u32, &str) -> Option<String>) -> Self {
        let mut caches = Self::USUAL;
        for index in 0.. {
            let (Some(level), Some(kind), Some(size)) = (
                read(index, "level"),
                read(index, "type"),
                read(index, "size"),
            ) else {
                break;
            };
            let size = size.trim().strip_suffix('K').map(str::parse::<usize>);
            let Some(Ok(size @ 1..=0xF_FFFF)) = size else {
                continue;
            };
            match (level.trim(), kind.trim()) {
                ("1", "Data" | "Unified") => caches.first = size << 10,
                ("2", "Data" | "Unified") => caches.second = size << 10,
                _ => {}
            }
        }
        caches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_understood() {
        let files = [
            ("1", "Data", "48K"),
            ("1", "Instruction", "64K"),
            ("2", "Unified", "2048K"),
            ("3", "Unified", "30720K"),
        ];
        let read = |index: u32, name: &str| {
            let (level, kind, size) = files.get(index as usize)?;
            let found = match name {
                "level" => level,
                "type" => kind,
                _ => size,
            };
            Some(format!("{found}\n"))
        };
        let caches = Caches::from_files(read);
        assert_eq!((caches.first, caches.second), (48 << 10, 2 << 20));
    }

    #[test]
    fn without_them_or_with_nonsense_the_usual_is_taken() {
        assert_eq!(Caches::from_files(|_, _| None), Caches::USUAL);
        let nonsense = |index: u32, name: &str| {
            let size = ["-1K", "0K", "1G", "", "99999999999999999999K"].get(index as usize)?;
            Some(if name == "size" { size } else { "1" }.to_string())
        };
        assert_eq!(Caches::from_files(nonsense), Caches::USUAL);
    }
}
