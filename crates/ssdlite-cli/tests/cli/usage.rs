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
        "import",
        "inspect",
    ] {
        assert!(help.stdout.contains(command), "{command}");
    }
    let version = run(folder.path(), &["--version"]).exits(0);
    assert!(version.stdout.starts_with("ssdlite "));
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
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}
