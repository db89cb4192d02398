//! Wrong usage and help.

use crate::harness::run;

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
        "detect",
        "live",
        "serve",
        "import",
        "inspect",
        "bench",
        "demo",
    ] {
        assert!(help.stdout.contains(command), "{command}");
    }
    let version = run(folder.path(), &["--version"]).exits(0);
    assert!(version.stdout.starts_with("ssdlite "));
}

/// Every command, in words.
const COMMANDS: [&str; 20] = [
    "demo",
    "data",
    "data sample",
    "data check",
    "data stats",
    "data split",
    "classifier",
    "classifier train",
    "classifier eval",
    "classifier predict",
    "train",
    "eval",
    "detect",
    "live",
    "serve",
    "import",
    "inspect",
    "bench",
    "bench train",
    "bench infer",
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
        let said_twice = ran.stderr.matches("os error").count() > 1;
        assert!(!said_twice, "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}
