//! Runs the binary and reads what it says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A call of the binary that has ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A call of the binary in `folder`, not started yet.
pub(crate) fn command<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssdlite"));
    command.args(args).current_dir(folder);
    command
}

/// Runs the binary in `folder` to its end.
pub(crate) fn run<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Ran {
    let output = command(folder, args).output().expect("the binary starts");
    Ran::from(output)
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Self {
            code: output.status.code().expect("no signal ended the binary"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ran {
    /// Asserts the exit code, showing what was said.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "standard output:\n{}\nstandard error:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Standard output as JSON, a value a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("a line is JSON");
        self.stdout.lines().map(parse).collect()
    }
}

/// The files of a folder and the folders in it, by their paths seen from it.
pub(crate) fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                files.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for (name, bytes) in files_below(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The lines of a run's `results.csv` without the columns that time gives.
pub(crate) fn losses(run: &Path) -> Vec<String> {
    let csv = fs::read_to_string(run.join("results.csv")).unwrap();
    let heading: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let without_time = |line: &str| {
        let cells = line.split(',').zip(&heading);
        let kept = cells.filter(|(_, name)| !["images_per_second", "seconds"].contains(name));
        kept.map(|(cell, _)| cell).collect::<Vec<_>>().join(",")
    };
    csv.lines().map(without_time).collect()
}
