//! Wrong usage and help.

use crate::harness::{Ran, command, run};
use crate::shared::{detection_data, detector, text};

#[test]
fn wrong_usage_exits_2_and_prints_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let calls: [&[&str]; 5] = [
        &[],
        &["fly"],
        &["data", "split"],
        &["detect", "model.safetensors"],
        &["data", "stats", ".", "--size", "large"],
    ];
    for args in calls {
        let ran = run(folder.path(), args).exits(2);
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_exit_0() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]).exits(0);
    for command in [
        "data",
        "classifier",
        "train",
        "eval",
        "compare",
        "detect",
        "live",
        "serve",
        "import",
        "inspect",
        "bench",
        "demo",
        "completions",
        "man",
    ] {
        assert!(help.stdout.contains(command), "{command}");
    }
    let version = run(folder.path(), &["--version"]).exits(0);
    assert!(version.stdout.starts_with("ssdlite "));
}

/// Every command, in words.
const COMMANDS: [&str; 26] = [
    "demo",
    "data",
    "data sample",
    "data check",
    "data stats",
    "data split",
    "data convert",
    "data pick",
    "classifier",
    "classifier train",
    "classifier eval",
    "classifier predict",
    "train",
    "eval",
    "compare",
    "detect",
    "live",
    "serve",
    "import",
    "export",
    "inspect",
    "bench",
    "bench train",
    "bench infer",
    "completions",
    "man",
];

#[test]
fn every_command_has_help() {
    let folder = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = run(folder.path(), &args).exits(0);
        let usage = format!("Usage: ssdlite {command}");
        assert!(help.stdout.contains(&usage), "{command}: {}", help.stdout);
        assert_eq!(help.stderr, "", "{command}");
    }
}

#[test]
fn a_misspelt_word_is_answered_with_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let calls: [(&[&str], &str); 6] = [
        (&["detct"], "detect"),
        (&["data", "chek"], "check"),
        (&["train", "set", "--epoch", "3"], "--epochs"),
        (&["train", "set", "--backbone", "smal"], "small"),
        (&["eval", "m", "set", "--metric", "cocoa"], "coco"),
        (
            &["detect", "m", "a.jpg", "--max-detection", "3"],
            "--max-detections",
        ),
    ];
    for (args, suggestion) in calls {
        let ran = run(folder.path(), args).exits(2);
        let tip = ran.stderr.lines().find(|line| line.contains("tip:"));
        assert!(
            tip.is_some_and(|tip| tip.contains(suggestion)),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn missing_files_are_named_and_exit_1() {
    let folder = tempfile::tempdir().unwrap();
    let calls: [&[&str]; 6] = [
        &["data", "check", "absent"],
        &["inspect", "absent.safetensors"],
        &["detect", "absent.safetensors", "absent.jpg"],
        &["eval", "absent.safetensors", "absent"],
        &["classifier", "predict", "absent.safetensors", "absent.jpg"],
        &["train", "absent"],
    ];
    for args in calls {
        let ran = run(folder.path(), args).exits(1);
        assert!(ran.stderr.contains("absent"), "{args:?}: {}", ran.stderr);
        let said =
            ["there is no such file", "does not exist"].map(|words| ran.stderr.matches(words));
        let said: usize = said.into_iter().map(Iterator::count).sum();
        assert_eq!(said, 1, "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("os error"), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[test]
fn names_of_files_never_command_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name = "a\u{1b}[2J\u{9b}1m\u{202e}\nerror: all is lost";
    for args in [&["inspect", name][..], &["train", name], &[name]] {
        let ran = run(folder.path(), args);
        assert_ne!(ran.code, 0);
        let is_harmless = |char: char| char == '\n' || !char.is_control() && char != '\u{202e}';
        assert!(ran.stderr.chars().all(is_harmless), "{:?}", ran.stderr);
        assert!(ran.stderr.contains("\\u{9b}1m\\u{202e}"), "{}", ran.stderr);
        let mut lines = ran.stderr.lines();
        assert!(!lines.any(|line| line.starts_with("error: all")));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_can_not_be_printed_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    let images = text(&detection_data().join("JPEGImages"));
    let calls: [&[&str]; 7] = [
        &["--help"],
        &["inspect", &model],
        &["inspect", &model, "--json"],
        &["detect", &model, &images, "--json"],
        &["eval", &model, &data, "--json"],
        &["data", "check", &data],
        &["data", "stats", &data, "--json"],
    ];
    for args in calls {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let output = command(folder.path(), args).stdout(full.unwrap()).output();
        let ran = Ran::from(output.unwrap()).exits(1);
        assert!(ran.stderr.contains("standard output"), "{}", ran.stderr);
        // Not once for each image.
        let errors = ran.stderr.matches("error: ").count();
        assert_eq!(errors, 1, "{args:?}: {}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_word_that_is_not_utf_8_is_named() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = OsStr::from_bytes(b"b\xe4um").to_owned();
    let word = |text: &str| OsString::from(text);
    let optimizer = [word("train"), word("set"), word("--optimizer"), odd.clone()];
    let ran = run(folder.path(), &optimizer).exits(2);
    assert!(ran.stderr.contains("b\u{fffd}um"), "{}", ran.stderr);
    // Paths may be anything where a run need not keep them.
    let ran = run(folder.path(), &[word("inspect"), odd.clone()]).exits(1);
    assert!(ran.stderr.contains("b\u{fffd}um"), "{}", ran.stderr);
    for (args, argument) in [
        (vec![word("train"), odd.clone()], "[DATA]"),
        (
            vec![word("classifier"), word("train"), odd.clone()],
            "[DATA]",
        ),
        (
            vec![word("train"), word("set"), word("--weights"), odd],
            "--weights",
        ),
    ] {
        let ran = run(folder.path(), &args).exits(2);
        let words = ["UTF-8", "config.toml", argument];
        let all = words.iter().all(|words| ran.stderr.contains(words));
        assert!(all, "{}", ran.stderr);
    }
}

#[test]
fn numbers_that_can_not_be_read_are_told_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let huge = "99999999999999999999999";
    for (option, value, words) in [
        ("--epochs", "-1", "a whole number of 0 to 4294967295"),
        ("--epochs", huge, "the number is too large"),
        ("--batch", "many", "a whole number of 0 to 4096"),
        ("--batch", "-1", "a whole number of 0 to 4096"),
        ("--batch", "", "a whole number of 0 to 4096"),
        ("--batch", huge, "a whole number of 0 to 4096"),
        ("--batch", "4294967296", "0 to 4096"),
        ("--threads", "4294967296", "0 to 256"),
        ("--workers", "4294967296", "0 to 256"),
        ("--size", "-1", "32 to 2048"),
        ("--size", "4294967295", "32 to 2048"),
        ("--candidates", "4294967296", "1 to 10000"),
        ("--max-detections", "0", "1 to 10000"),
        ("--conf", "nan", "0 to 1"),
        ("--cache", "-1", "0 to 9223372036854775807"),
        ("--empty-negatives", "many", "0 to 9223372036854775807"),
        ("--seed", "18446744073709551615", "0 to 9223372036854775807"),
        ("--lr", "high", "expected a number"),
        ("--lr", "", "expected a number"),
    ] {
        let given = format!("{option}={value}");
        for given in [&[given.as_str()][..], &[option, value]] {
            let ran = run(folder.path(), &[&["train", "set"], given].concat()).exits(2);
            assert!(ran.stderr.contains(option), "{given:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(words), "{given:?}: {}", ran.stderr);
        }
    }
    for (option, value, words) in [
        ("--width", "nan", "0.1 to 4"),
        ("--width", "inf", "0.1 to 4"),
        ("--lr", "nan", "0 or more"),
        ("--lr", "-1e308", "found -1e308"),
        ("--ema", "1e308", "found 1e308"),
        ("--milestones", "inf", "above 0"),
    ] {
        let given = format!("{option}={value}");
        let ran = run(folder.path(), &["train", "set", &given]).exits(2);
        let told = format!("error: {option}: ");
        assert!(ran.stderr.starts_with(&told), "{given}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{given}: {}", ran.stderr);
    }
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn options_out_of_bounds_are_wrong_usage_and_no_fault_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    for (option, value, words) in [
        ("--score", "-1", "0 to 1"),
        ("--nms", "nan", "0 to 1"),
        ("--soft-nms", "inf", "above 0"),
        ("--candidates", "0", "1 to 10000"),
        ("--conf", "1.5", "0 to 1"),
        ("--max-detections", "4294967296", "1 to 10000"),
        ("--max-detections", "-1", "1 to 10000"),
    ] {
        for command in ["detect", "eval"] {
            let args = [command, &model, &data, option, value];
            let ran = run(folder.path(), &args).exits(2);
            assert!(ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
            assert!(!ran.stderr.contains(&model), "{args:?}: {}", ran.stderr);
            let named = format!("'{option} <");
            assert!(ran.stderr.contains(&named), "{args:?}: {}", ran.stderr);
        }
    }
    let least = ["data", "sample", "set", "--images", "9"];
    let ran = run(folder.path(), &least).exits(2);
    assert!(ran.stderr.contains("10 to 1000000"), "{}", ran.stderr);
    for command in [&["detect"][..], &["classifier", "predict"]] {
        for threads in ["-1", "0", "257", "18446744073709551615"] {
            let args = [command, &[&model, &data, "--threads", threads]].concat();
            let ran = run(folder.path(), &args).exits(2);
            assert!(ran.stderr.contains("1 to 256"), "{args:?}: {}", ran.stderr);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_as_a_file_of_options_or_names_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let data = text(detection_data());
    std::fs::create_dir(folder.path().join("run")).unwrap();
    std::fs::rename(&pipe, folder.path().join("run/config.toml")).unwrap();
    for args in [
        ["train", "--config", "run/config.toml"],
        ["train", "--resume", "run"],
        ["data", "check", &data],
    ] {
        let classes = ["--classes", "run/config.toml"];
        let more = if args[0] == "data" { &classes[..] } else { &[] };
        let ran = run(folder.path(), &[&args[..], more].concat()).exits(1);
        assert!(ran.stderr.contains("run/config.toml"), "{}", ran.stderr);
        assert!(ran.stderr.contains("found a pipe"), "{}", ran.stderr);
    }
}

#[test]
fn a_mistyped_name_is_answered_with_the_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in [
        "photos",
        "model.safetensors",
        "a.jpg",
        "list.txt",
        "own.toml",
    ] {
        std::fs::write(path.join(name), b"").unwrap();
    }
    let (model, data) = (detector(), text(detection_data()));
    let calls: [(&[&str], &str); 17] = [
        (&["train", "photo"], "photos"),
        (
            &["train", &data, "--weights", "model.safetensor"],
            "model.safetensors",
        ),
        (&["train", &data, "--config", "owm.toml"], "own.toml"),
        (&["train", "--resume", "photo"], "photos"),
        (&["eval", &model, "photo"], "photos"),
        (&["eval", "model.safetensor", &data], "model.safetensors"),
        (
            &["detect", "model.safetensor", "a.jpg"],
            "model.safetensors",
        ),
        (&["detect", &model, "a.jpeg"], "a.jpg"),
        (&["data", "check", "photo"], "photos"),
        (&["data", "stats", "photo"], "photos"),
        (&["data", "split", "photo"], "photos"),
        (
            &["data", "check", &data, "--classes", "lists.txt"],
            "list.txt",
        ),
        (&["classifier", "train", "photo"], "photos"),
        (
            &["classifier", "predict", "model.safetensor", "a.jpg"],
            "model.safetensors",
        ),
        (&["live", "model.safetensor"], "model.safetensors"),
        (&["serve", "model.safetensor"], "model.safetensors"),
        (&["inspect", "modell.safetensors"], "model.safetensors"),
    ];
    for (args, meant) in calls {
        let ran = run(path, args).exits(1);
        let told = ran.stderr.contains(&format!("; is {meant} meant?"));
        assert!(told, "{args:?}: {}", ran.stderr);
        let said = ["there is no such file", "does not exist"];
        let said = said.map(|words| ran.stderr.matches(words).count());
        assert_eq!(said.iter().sum::<usize>(), 1, "{args:?}: {}", ran.stderr);
    }
    let import = [
        "import",
        "model.pht",
        "--arch",
        "ssdlite-small",
        "--out",
        "m",
    ];
    std::fs::write(path.join("model.pth"), b"").unwrap();
    let ran = run(path, &[&import[..], &["--classes", "coco"]].concat()).exits(1);
    assert!(
        ran.stderr.contains("; is model.pth meant?"),
        "{}",
        ran.stderr
    );
}
