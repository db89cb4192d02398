//! `bench`: what it prints, and which numbers it refuses.

use crate::harness::{Ran, run};

/// The least that can be measured.
const SMALLEST: [&str; 6] = ["--size", "32", "--classes", "3", "--threads", "1"];

fn bench(args: &[&[&str]]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[&["bench"], &args.concat()[..]].concat())
}

#[test]
fn inference_is_told_as_json() {
    for task in ["detect", "classify"] {
        let runs = ["--task", task, "--runs", "3", "--json"];
        let found = bench(&[&["infer"], &SMALLEST, &runs]).exits(0).json();
        let [found] = &found[..] else {
            panic!("expected one line, found {found:?}");
        };
        let (median, min) = (&found["median_ms"], &found["min_ms"]);
        assert!(min.as_f64().unwrap() > 0.0, "{found}");
        assert!(min.as_f64() <= median.as_f64(), "{found}");
        assert_eq!((&found["runs"], &found["threads"]), (&3.into(), &1.into()));
        assert!(found.get("layers").is_none(), "{found}");
    }
}

#[test]
fn every_head_can_be_measured_and_a_classifier_has_none() {
    let fpn = ["--head", "fpn"];
    let options: [(&str, &[&str]); 2] = [
        ("infer", &["--runs", "2", "--layers", "--json"]),
        ("train", &["--batch", "2", "--steps", "1", "--json"]),
    ];
    for (command, options) in options {
        let found = bench(&[&[command], &SMALLEST, options, &fpn])
            .exits(0)
            .json();
        match command {
            "infer" => assert!(
                found[0]["layers"].to_string().contains("neck.lateral"),
                "{found:?}"
            ),
            _ => assert_eq!(found[0]["head"], "fpn"),
        }
        let classifier = ["--task", "classify"];
        let ran = bench(&[&[command], &classifier, &fpn]).exits(2);
        assert!(ran.stderr.contains("--head"), "{}", ran.stderr);
    }
}

#[test]
fn layers_are_told_as_a_table_and_as_json() {
    let runs = ["--runs", "2", "--batch", "2", "--layers"];
    let table = bench(&[&["infer"], &SMALLEST, &runs]).exits(0).stdout;
    let heading: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    let columns = [
        "layer",
        "operation",
        "shape",
        "ms",
        "share",
        "GFLOP/s",
        "peak",
    ];
    assert_eq!(heading, columns);
    let first = table.lines().nth(2).unwrap();
    assert!(first.starts_with("backbone.features.0.0"), "{table}");

    let found = bench(&[&["infer"], &SMALLEST, &runs, &["--json"]])
        .exits(0)
        .json();
    let layers = found[0]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), table.lines().count() - 2);
    let share = |layer: &serde_json::Value| layer["share"].as_f64().unwrap();
    let total: f64 = layers.iter().map(share).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
}

#[test]
fn training_is_told_as_json() {
    for task in ["detect", "classify"] {
        let steps = ["--task", task, "--batch", "2", "--steps", "2", "--json"];
        let found = bench(&[&["train"], &SMALLEST, &steps]).exits(0).json();
        let found = &found[0];
        let (median, min) = (&found["median_s_per_step"], &found["min_s_per_step"]);
        assert!(min.as_f64().unwrap() > 0.0, "{found}");
        assert!(min.as_f64() <= median.as_f64(), "{found}");
        assert_eq!((&found["steps"], &found["batch"]), (&2.into(), &2.into()));
        assert_eq!(found["device"], "cpu");
    }
}

#[test]
fn an_instruction_set_can_be_chosen() {
    let portable = ["--isa", "portable"];
    let infer = ["--runs", "2", "--json"];
    let found = bench(&[&["infer"], &SMALLEST, &infer, &portable])
        .exits(0)
        .json();
    assert_eq!(found[0]["isa"], "portable");
    let train = ["--batch", "2", "--steps", "1"];
    bench(&[&["train"], &SMALLEST, &train, &portable]).exits(0);
    for command in ["infer", "train"] {
        let ran = bench(&[&[command], &["--isa", "mmx"]]).exits(2);
        assert!(ran.stderr.contains("portable"), "{}", ran.stderr);
    }
}

#[test]
fn numbers_beyond_all_limits_are_refused() {
    let most = u64::MAX.to_string();
    let side = u32::MAX.to_string();
    let common = [
        ["--classes", &most],
        ["--classes", "0"],
        ["--batch", &most],
        ["--batch", "0"],
        ["--size", &side],
        ["--threads", &most],
    ];
    let infer = [["--runs", &most], ["--runs", "0"]];
    let train = [["--steps", &most], ["--steps", "0"]];
    for (command, own) in [("infer", infer), ("train", train)] {
        for option in common.iter().chain(&own) {
            let ran = bench(&[&[command], option]).exits(2);
            assert!(ran.stderr.contains(option[0]), "{}", ran.stderr);
            assert!(
                ran.stderr.contains("expected"),
                "{option:?}: {}",
                ran.stderr
            );
            assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
            assert_eq!(ran.stdout, "", "{option:?}");
        }
    }
}
