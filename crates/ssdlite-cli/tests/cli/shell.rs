//! `completions` and `man`.

use std::process::{Command, Stdio};

use crate::harness::{files_below, run};

#[test]
fn each_shell_gets_a_script_and_bash_takes_its() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(folder.path(), &["completions", shell]).exits(0);
        assert!(ran.stdout.contains("max-megapixels"), "{shell}");
        assert_eq!(ran.stderr, "", "{shell}");
    }
    let ran = run(folder.path(), &["completions", "csh"]).exits(2);
    assert!(ran.stderr.contains("fish"), "{}", ran.stderr);

    let bash = Command::new("bash")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !bash.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no bash");
        return;
    }
    let script = run(folder.path(), &["completions", "bash"]).exits(0).stdout;
    // What bash calls for `ssdlite data s` and the tab key.
    let call = "COMP_WORDS=(ssdlite data s); COMP_CWORD=2; _ssdlite ssdlite s data; \
                echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["-c", &format!("{script}\n{call}")])
        .output();
    let output = output.unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.sort_unstable();
    assert!(output.status.success());
    assert!(
        words.contains(&"sample") && words.contains(&"stats"),
        "{words:?}"
    );
    assert!(!words.contains(&"check"), "{words:?}");
}

#[test]
fn there_is_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    // Pages of an earlier version are replaced, and nothing else is touched.
    for round in 0..2 {
        let ran = run(folder.path(), &["man", "share/man1"]).exits(0);
        assert!(ran.stderr.starts_with("share/man1: "), "{}", ran.stderr);
        let pages = files_below(&folder.path().join("share/man1"));
        assert!(pages.len() > 20, "{:?}", pages.keys());
        for (name, page) in &pages {
            let page = std::str::from_utf8(page).unwrap();
            assert!(
                name.starts_with("ssdlite") && name.ends_with(".1"),
                "{name}"
            );
            assert!(page.contains(".TH "), "{name}");
            assert!(page.contains("quiet"), "{name}");
        }
        let page = folder.path().join("share/man1/ssdlite-train.1");
        assert!(round == 0 || std::fs::read(&page).unwrap() == pages["ssdlite-train.1"]);
        std::fs::write(&page, b"old").unwrap();
    }
    std::fs::write(folder.path().join("file"), b"").unwrap();
    let ran = run(folder.path(), &["man", "file"]).exits(1);
    assert!(ran.stderr.contains("file"), "{}", ran.stderr);
}
