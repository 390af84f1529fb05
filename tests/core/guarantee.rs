//! The page that states the guarantee names tests that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use snapback::testing::history::weakening::Weakening;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The functions with `#[test]`, those of `proptest!`, and the parts of the one test of the command line.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    rust_files(&root().join("src"), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let named = |rest: &str| rest.split_once("fn ").and_then(|(_, rest)| rest.split('(').next()).map(str::to_owned);
        names.extend(text.split("#[test]").skip(1).filter_map(named));
        names.extend(text.lines().filter_map(|line| line.trim().strip_suffix("(&lab);")).map(str::to_owned));
    }
    names
}

fn page() -> String {
    std::fs::read_to_string(root().join("tests/GUARANTEE.md")).unwrap()
}

/// Every text in backticks that looks like a test's name.
fn named(page: &str) -> BTreeSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.matches('_').count() > 1 && text.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
    };
    quoted.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn each_sentence_of_the_guarantee_has_its_test() {
    let page = page();
    let (named, tests) = (named(&page), tests());
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<&String> = named.difference(&tests).collect();
    assert!(missing.is_empty(), "tests/GUARANTEE.md names tests that do not exist: {missing:?}");
    let words = page.split(|c: char| !c.is_ascii_alphabetic());
    let blank = ["FIGURES", "CRASHTESTS", "REPEATTESTS", "WEAKENINGS", "TODO"];
    assert_eq!(words.filter(|word| blank.contains(word)).collect::<Vec<_>>(), Vec::<&str>::new());
    let rows = page
        .split("## What it assumes")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    for row in rows {
        let kept_by = row.split('|').nth(2).unwrap();
        assert!(kept_by.contains("*histories*") || kept_by.contains('`'), "nothing keeps this: {row}");
    }
}

#[test]
fn the_guarantee_lists_every_weakening() {
    let page = page();
    for weakening in Weakening::ALL {
        assert!(page.contains(&format!("`{weakening:?}`")), "tests/GUARANTEE.md does not list {weakening:?}");
    }
}
