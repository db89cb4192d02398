//! `--quiet`, `--verbose` and colours.

use std::fs;
use std::path::Path;

use crate::harness::{Ran, command, run};
use crate::shared::{TINY, classification_data, classifier, detection_data, detector, text};

/// A call with `--quiet`, as usual, and with `--verbose`.
fn three_ways(folder: &Path, args: &[&str]) -> [Ran; 3] {
    let call = |options: &[&str]| run(folder, &[args, options].concat());
    [call(&["--quiet"]), call(&[]), call(&["--verbose"])]
}

#[test]
fn results_and_errors_are_told_however_little_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let images = text(&detection_data().join("JPEGImages"));
    let (model, data) = (detector(), text(detection_data()));
    let (names, class) = (
        classifier(),
        text(&classification_data().join("test/apple")),
    );
    let calls: [&[&str]; 6] = [
        &["detect", &model, &images, "absent.jpg"],
        &["eval", &model, &data],
        &["inspect", &model],
        &["data", "check", &data],
        &["classifier", "predict", &names, &class],
        &["completions", "bash"],
    ];
    for args in calls {
        let [quiet, usual, verbose] = three_ways(folder.path(), args);
        assert_eq!(quiet.code, usual.code, "{args:?}");
        assert_eq!(quiet.stdout, usual.stdout, "{args:?}");
        assert_eq!(verbose.stdout, usual.stdout, "{args:?}");
        let is_fault = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
        let faults = |ran: &Ran| ran.stderr.lines().filter(is_fault).count();
        assert_eq!(faults(&quiet), faults(&usual), "{args:?}");
        assert_eq!(
            faults(&quiet),
            quiet.stderr.lines().count(),
            "{}",
            quiet.stderr
        );
        // Which program ran where, and how long it took.
        let told: Vec<&str> = verbose.stderr.lines().collect();
        assert!(told[0].starts_with("ssdlite "), "{}", verbose.stderr);
        assert!(verbose.stderr.contains("\ntook "), "{}", verbose.stderr);
        assert!(!usual.stderr.contains("took "), "{}", usual.stderr);
    }
}

#[test]
fn a_quiet_run_tells_its_results_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let args = [&["-q", "train", &data, "--epochs", "1"][..], &TINY].concat();
    let ran = run(folder.path(), &args).exits(0);
    assert!(ran.stdout.contains("mAP"), "{}", ran.stdout);
    let mut lines = ran.stderr.lines();
    let is_warning = |line: &str| line.starts_with("warning: ") || line.starts_with("  ");
    assert!(lines.all(is_warning), "{}", ran.stderr);
}

#[test]
fn lists_are_told_to_their_ends_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    crate::harness::copy_folder(detection_data(), &set);
    let list = fs::read_to_string(set.join("ImageSets/Main/train.txt")).unwrap();
    for id in list.lines().take(14) {
        let path = set.join(format!("Annotations/{id}.xml"));
        fs::write(path, "<annotation>").unwrap();
    }
    let model = detector();
    let args = ["eval", &model, "set", "--split", "train"];
    let [quiet, usual, verbose] = three_ways(folder.path(), &args);
    let is_named = |line: &&str| line.starts_with("warning: Annotations/");
    let named = |ran: &Ran| ran.stderr.lines().filter(is_named).count();
    assert_eq!((named(&quiet), named(&usual)), (10, 10), "{}", usual.stderr);
    assert_eq!(named(&verbose), 14, "{}", verbose.stderr);
    assert!(usual.stderr.contains("4 more"), "{}", usual.stderr);
    assert!(!verbose.stderr.contains("more"), "{}", verbose.stderr);
}

#[test]
fn one_of_both_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        ["-q", "-v", "inspect", "absent"],
        ["-q", "inspect", "absent", "-v"],
        ["inspect", "absent", "--verbose", "--quiet"],
    ] {
        let ran = run(folder.path(), &args).exits(2);
        assert!(ran.stderr.contains("--quiet"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--verbose"), "{}", ran.stderr);
    }
}

/// `CLICOLOR_FORCE` stands for a terminal, which a test has none of.
#[test]
fn there_is_color_on_a_terminal_alone_and_none_with_no_color() {
    let folder = tempfile::tempdir().unwrap();
    let call = |variables: &[(&str, &str)]| {
        let mut command = command(folder.path(), &["inspect", "absent.safetensors"]);
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        let output = command.envs(variables.iter().copied()).output();
        Ran::from(output.unwrap()).exits(1).stderr
    };
    let plain = call(&[]);
    assert!(plain.starts_with("error: absent"), "{plain}");
    let forced = call(&[("CLICOLOR_FORCE", "1")]);
    assert!(forced.starts_with("\u{1b}["), "{forced:?}");
    assert!(forced.contains("error:\u{1b}[0m absent"), "{forced:?}");
    assert_eq!(call(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), plain);
}
