//! `man`: manual pages.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use ssdlite_files::write_atomically;

use crate::command_line;
use crate::console::{self, counted};
use crate::outcome::Outcome;
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct ManArgs {
    /// The folder for the pages, which `man -M` finds in a folder that is called `man1`;
    /// pages of another version are replaced
    dir: PathBuf,
}

impl ManArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let folder = &self.dir;
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
        finish_writing()?;
        let pages = pages()?;
        for page in &pages {
            let path = folder.join(&page.file);
            write_atomically(&path, &page.text).with_context(|| path.display().to_string())?;
        }
        let pages = counted(pages.len(), "page");
        console::note(&format!("{}: {pages}", folder.display()));
        Ok(Outcome::Done)
    }
}

/// A manual page.
struct Page {
    /// Its name, such as `ssdlite-train.1`.
    file: String,
    text: Vec<u8>,
}

/// The pages of all commands.
fn pages() -> Result<Vec<Page>> {
    // `help` explains the others, and would be a page of each of them again.
    let mut command = command_line().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &Command, pages: &mut Vec<Page>) -> Result<()> {
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)?;
    let file = man.get_filename();
    pages.push(Page { file, text });
    command
        .get_subcommands()
        .try_for_each(|inner| add_pages(inner, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let pages = pages().unwrap();
        let text = |file: &str| {
            let page = pages.iter().find(|page| page.file == file);
            let text = page.unwrap_or_else(|| panic!("{file}")).text.clone();
            // Hyphens of options are escaped.
            String::from_utf8(text).unwrap().replace('\\', "")
        };
        for (file, words) in [
            ("ssdlite.1", "ssdlite-train(1)"),
            ("ssdlite-train.1", "--weights"),
            ("ssdlite-data-check.1", "--voc-zero-based"),
            ("ssdlite-bench-infer.1", "--layers"),
            ("ssdlite-man.1", "--quiet"),
        ] {
            assert!(text(file).contains(words), "{file}: {}", text(file));
        }
        let mut files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        assert_eq!(files.len(), pages.len());
        assert!(files.iter().all(|file| !file.contains("help")), "{files:?}");
    }
}
