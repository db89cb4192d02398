//! Stopping a training run and going on with it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{copy_folder, losses, run};
use crate::shared::{TINY, detection_data, detector, detector_run, text};

/// Signals are Unix's.
#[cfg(unix)]
mod signals {
    use std::fs;
    use std::io::{BufRead, BufReader, Read};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use crate::harness::{Ran, command, files_below, losses, run};
    use crate::media::wait_until;
    use crate::shared::{TINY, detection_data, text};

    const EPOCHS: &str = "4";

    /// A run under way, and what it has said so far.
    struct Running {
        child: Child,
        stderr: BufReader<std::process::ChildStderr>,
        said: String,
    }

    impl Running {
        fn start(folder: &Path, args: &[&str]) -> Self {
            let mut child = command(folder, args)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let stderr = BufReader::new(child.stderr.take().unwrap());
            Self {
                child,
                stderr,
                said: String::new(),
            }
        }

        /// Reads on until a line holds `words`.
        fn wait_for(&mut self, words: &str) {
            while !self.said.lines().last().unwrap_or("").contains(words) {
                let read = self.stderr.read_line(&mut self.said).unwrap();
                assert_ne!(read, 0, "it ended without {words:?}:\n{}", self.said);
            }
        }

        fn signal(&self, name: &str) {
            // The shell has a `kill` of its own on every Unix.
            let status = Command::new("sh")
                .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name])
                .arg(self.child.id().to_string())
                .status();
            assert!(status.unwrap().success());
        }

        fn end(mut self) -> Ran {
            self.stderr.read_to_string(&mut self.said).unwrap();
            Ran {
                code: self
                    .child
                    .wait()
                    .unwrap()
                    .code()
                    .expect("it ended by itself"),
                stdout: String::new(),
                stderr: self.said,
            }
        }
    }

    fn train(folder: &Path, name: &str) -> Vec<String> {
        let data = text(detection_data());
        let args = ["train", &data, "--runs", &text(folder), "--name", name];
        let args = [&args[..], &["--epochs", EPOCHS], &TINY].concat();
        args.into_iter().map(str::to_owned).collect()
    }

    /// Stops a run when it has said `words`; returns what it said in all.
    fn stop_at(folder: &Path, args: &[&str], words: &str, signal: &str) -> String {
        let mut running = Running::start(folder, args);
        running.wait_for(words);
        running.signal(signal);
        running.end().exits(1).stderr
    }

    #[test]
    fn a_stopped_run_goes_on_as_if_it_had_not_been_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        run(folder, &train(folder, "straight")).exits(0);
        let args = train(folder, "stopped");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let stopped = folder.join("stopped");
        let resume = ["train", "--resume", &text(&stopped)];
        let way_on = format!("`ssdlite {}` goes on", resume.join(" "));

        // Among the first steps, then after an epoch.
        let said = stop_at(folder, &args, "images to learn from", "TERM");
        assert!(!said.contains("epoch 4/4"), "{said}");
        assert!(said.contains(&way_on), "{said}");
        assert!(!files_below(&stopped.join("checkpoints")).is_empty());

        let said = stop_at(folder, &resume, "/4: loss", "INT");
        assert!(said.contains("going on after step"), "{said}");
        assert!(!said.contains("epoch 4/4"), "{said}");
        assert!(said.contains(&way_on), "{said}");

        let ran = run(folder, &resume).exits(0);
        assert!(ran.stderr.contains("going on after step"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("epoch 1/4"), "{}", ran.stderr);
        for words in ["numbers will differ", "going on from"] {
            assert!(!ran.stderr.contains(words), "{}", ran.stderr);
        }
        let straight = folder.join("straight");
        assert_eq!(losses(&stopped), losses(&straight));
        for name in ["last.safetensors", "best.safetensors"] {
            let read = |run: &Path| fs::read(run.join(name)).unwrap();
            assert!(read(&stopped) == read(&straight), "{name}");
        }

        // A finished run has nothing left to do.
        let ran = run(folder, &resume).exits(0);
        assert!(ran.stderr.contains("4 epochs done"), "{}", ran.stderr);
        assert_eq!(losses(&stopped), losses(&straight));
    }

    #[test]
    fn an_interrupted_sample_leaves_nothing() {
        for signal in ["INT", "TERM"] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let args = ["data", "sample", "set", "--images", "1000000"];
            let running = Running::start(folder, &args);
            let is_begun = || {
                let mut names = fs::read_dir(folder).unwrap().flatten();
                names.any(|entry| entry.path().join("JPEGImages").is_dir())
            };
            wait_until("the first images are written", is_begun);
            running.signal(signal);
            let ran = running.end().exits(1);
            assert!(ran.stderr.contains("was removed"), "{}", ran.stderr);
            assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
        }
        // What a kill leaves, the next one removes.
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("set.7-0.tmp");
        fs::create_dir_all(left.join("JPEGImages")).unwrap();
        let least = ["--images", "10", "--images-per-class", "1"];
        run(
            folder.path(),
            &[&["data", "sample", "set"], &least[..]].concat(),
        )
        .exits(0);
        assert!(!left.exists());
    }

    #[test]
    fn a_killed_run_goes_on_and_what_it_left_half_written_goes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        run(folder, &train(folder, "straight")).exits(0);
        let args = train(folder, "killed");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut running = Running::start(folder, &args);
        running.wait_for("epoch 1/4: loss");
        running.signal("KILL");
        let process = running.child.id();
        running.child.wait().unwrap();
        let killed = folder.join("killed");
        // What a kill in the midst of writing leaves.
        for name in [
            "checkpoints/step-0000000009.safetensors",
            "last.safetensors",
            "results.png",
            "eval/best.txt",
        ] {
            let left = killed.join(format!("{name}.{process}-77.tmp"));
            fs::write(left, b"half").unwrap();
        }
        fs::write(killed.join("notes.1-1.tmp"), b"mine").unwrap();

        run(folder, &["train", "--resume", &text(&killed)]).exits(0);
        // An event file has its session's time in its name.
        let without_time = |name: String| match name.starts_with("events.out.tfevents.") {
            true => "events".to_owned(),
            false => name,
        };
        let names = |run: &Path| {
            let names = files_below(run).into_keys().map(without_time);
            names.collect::<Vec<_>>()
        };
        let mut found = names(&killed);
        found.retain(|name| name != "notes.1-1.tmp");
        let straight = folder.join("straight");
        assert_eq!(found, names(&straight));
        assert!(found.contains(&"events".to_owned()), "{found:?}");
        assert!(killed.join("notes.1-1.tmp").exists());
        assert_eq!(losses(&killed), losses(&straight));
        for name in ["last.safetensors", "best.safetensors"] {
            let read = |run: &Path| fs::read(run.join(name)).unwrap();
            assert!(read(&killed) == read(&straight), "{name}");
        }
    }

    #[test]
    fn a_run_under_way_is_refused_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let args = train(folder, "run");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut running = Running::start(folder, &args);
        running.wait_for("images to learn from");
        running.signal("STOP");
        let path = text(&folder.join("run"));
        let resume = ["train", "--resume", &path];
        let refused = run(folder, &resume).exits(1);
        let process = format!("process {}", running.child.id());
        for words in [&path, &process] {
            assert!(refused.stderr.contains(words), "{}", refused.stderr);
        }
        run(folder, &args).exits(1);
        running.signal("CONT");
        running.signal("KILL");
        running.child.wait().unwrap();
        // The lock went with its process.
        run(folder, &resume).exits(0);
    }

    #[test]
    fn of_two_runs_begun_under_one_name_one_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let together = |args: &[&str]| {
            let running = [(); 2].map(|()| Running::start(folder, args));
            let mut codes = running.map(|running| {
                let output = running.child.wait_with_output().unwrap();
                output.status.code().expect("it ended by itself")
            });
            codes.sort_unstable();
            codes
        };
        let data = text(detection_data());
        let args = ["train", &data, "--epochs", "1"];
        let unnamed = [&args[..], &TINY].concat();
        assert_eq!(together(&[&unnamed[..], &["--name", "a"]].concat()), [0, 1]);
        assert_eq!(losses(&folder.join("runs/a")).len(), 2);
        assert_eq!(together(&unnamed), [0, 0]);
        for name in ["detector-1", "detector-2"] {
            assert_eq!(losses(&folder.join("runs").join(name)).len(), 2);
        }
    }
}

/// A copy of the finished run, and its checkpoints, the newest first.
fn copy_of_run(folder: &Path) -> (PathBuf, [PathBuf; 2]) {
    let copy = folder.join("copy");
    copy_folder(detector_run(), &copy);
    let checkpoint = |step| copy.join(format!("checkpoints/step-{step:010}.safetensors"));
    let checkpoints = [checkpoint(8), checkpoint(4)];
    (copy, checkpoints)
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap();
}

/// Flips a bit in the middle of the numbers.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() * 3 / 4;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn clear(path: &Path) {
    fs::write(path, b"").unwrap();
}

#[test]
fn a_damaged_checkpoint_costs_a_warning_and_an_epoch() {
    for damage in [truncate, flip, clear] {
        let folder = tempfile::tempdir().unwrap();
        let (copy, [newest, _]) = copy_of_run(folder.path());
        damage(&newest);
        let ran = run(folder.path(), &["train", "--resume", &text(&copy)]).exits(0);
        let warning = ran.stderr.lines().find(|line| line.contains("warning"));
        assert!(
            warning.is_some_and(|line| line.contains("step-0000000008")),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("going on after step 4"),
            "{}",
            ran.stderr
        );
        assert_eq!(losses(&copy), losses(detector_run()));
        for name in ["last.safetensors", "best.safetensors"] {
            let read = |run: &Path| fs::read(run.join(name)).unwrap();
            assert!(read(&copy) == read(detector_run()), "{name}");
        }
    }
}

#[test]
fn another_number_of_threads_is_said_to_change_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, [newest, _]) = copy_of_run(folder.path());
    truncate(&newest);
    let path = copy.join("config.toml");
    let config = fs::read_to_string(&path).unwrap();
    let (two, one) = ("\nthreads = 2\n", "\nthreads = 1\n");
    assert!(config.contains(two), "{config}");
    fs::write(&path, config.replace(two, one)).unwrap();
    let resume = ["train", "--resume", &text(&copy)];
    let ran = run(folder.path(), &resume).exits(0);
    for words in ["2 threads", "1 thread ", "differ"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    // From here on it is what it was.
    let ran = run(folder.path(), &resume).exits(0);
    assert!(!ran.stderr.contains("thread"), "{}", ran.stderr);
}

/// What lies under a checkpoint's name, but is a pipe, is passed over at once.
#[cfg(unix)]
#[test]
fn a_pipe_for_a_checkpoint_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, [newest, _]) = copy_of_run(folder.path());
    fs::remove_file(&newest).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&newest).status();
    assert!(made.unwrap().success());
    let ran = run(folder.path(), &["train", "--resume", &text(&copy)]).exits(0);
    for words in ["step-0000000008", "going on after step 4"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(losses(&copy), losses(detector_run()));
}

#[test]
fn a_run_goes_on_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    copy_folder(detection_data(), &here.join("set"));
    fs::create_dir(&there).unwrap();
    fs::copy(detector(), here.join("first.safetensors")).unwrap();
    let args = ["train", "set", "--weights", "first.safetensors"];
    let more = ["--epochs", "2", "--name", "run"];
    run(&here, &[&args[..], &more, &TINY].concat()).exits(0);
    let whole = losses(&here.join("runs/run"));
    truncate(&here.join("runs/run/checkpoints/step-0000000008.safetensors"));
    run(&there, &["train", "--resume", "../here/runs/run"]).exits(0);
    assert_eq!(losses(&here.join("runs/run")), whole);

    let config = "../here/runs/run/config.toml";
    run(&there, &["train", "--config", config, "--name", "again"]).exits(0);
    assert_eq!(losses(&there.join("runs/again")), whole);
}

#[test]
fn a_run_without_a_sound_checkpoint_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, [newest, before]) = copy_of_run(folder.path());
    truncate(&newest);
    flip(&before);
    let ran = run(folder.path(), &["train", "--resume", &text(&copy)]).exits(1);
    for step in ["step-0000000008", "step-0000000004"] {
        assert!(ran.stderr.contains(step), "{}", ran.stderr);
    }
    assert!(newest.exists() && before.exists());
}
