//! The book in docs/book: that it is whole, and that its tutorial does what it says. Its other snippets are doctests, by src/book.rs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[path = "common/programs.rs"]
mod programs;
#[path = "book/tutorial.rs"]
mod tutorial;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page: its path below docs/book/src, and its text.
struct Page {
    path: PathBuf,
    text: String,
}

/// Every page but the table of contents.
fn pages() -> Vec<Page> {
    let source = root().join("docs/book/src");
    let (mut pages, mut directories) = (Vec::new(), vec![source.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("SUMMARY.md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push(Page { path: path.strip_prefix(&source).unwrap().to_owned(), text });
            }
        }
    }
    assert!(!pages.is_empty(), "there is no book");
    pages
}

/// What stands between these two, each time.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split_once(after).map(|(found, _)| found))
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

#[test]
fn every_page_is_in_the_summary_and_its_snippets_are_run() {
    let pages: BTreeSet<_> = pages().into_iter().map(|page| page.path).collect();
    let summary = read("docs/book/src/SUMMARY.md");
    let listed: BTreeSet<_> = between(&summary, "](", ")").map(PathBuf::from).collect();
    assert_eq!(listed, pages, "docs/book/src/SUMMARY.md lists the pages that there are");
    let tests = read("src/book.rs");
    let run: BTreeSet<_> = between(&tests, " = \"", "\"").map(PathBuf::from).collect();
    assert_eq!(run, pages, "src/book.rs runs the pages that there are");
}

#[test]
fn links_lead_somewhere() {
    for Page { path, text } in pages() {
        let here = root().join("docs/book/src").join(&path);
        for link in between(&prose(&text), "](", ")").filter(|link| !link.contains("://")) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { here.clone() } else { here.with_file_name(file) };
            let target = fs::read_to_string(&target).unwrap_or_else(|_| panic!("{}: {link}", path.display()));
            let places = target.lines().filter(|line| line.starts_with('#')).map(anchor);
            assert!(place.is_empty() || places.into_iter().any(|found| found == place), "{}: {link}", path.display());
        }
    }
}

/// What mdBook calls a heading in links.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars();
    let kept = kept.filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn blocks_say_their_language() {
    const LANGUAGES: [&str; 9] =
        ["rust", "rust,no_run", "rust,ignore", "rust,compile_fail", "text", "toml", "sh", "ini", "protobuf"];
    for Page { path, text } in pages() {
        let fences: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("```")).collect();
        assert!(fences.len() % 2 == 0, "{}: a block does not end", path.display());
        for fences in fences.chunks(2) {
            assert!(LANGUAGES.contains(&fences[0]) && fences[1].is_empty(), "{}: {fences:?}", path.display());
            // What the doctests leave out is the tutorial's, which is run below.
            assert!(fences[0] != "rust,ignore" || path.starts_with("tutorial"), "{}: {fences:?}", path.display());
        }
    }
}

#[test]
fn every_error_and_event_is_explained() {
    for (source, of, page) in [
        ("daffi-core/src/node/error.rs", "pub enum CallError", "guide/errors.md"),
        ("daffi-core/src/node/error/join.rs", "pub enum JoinError", "guide/errors.md"),
        ("daffi-core/src/node/event.rs", "pub enum Event ", "guide/presence.md"),
        ("daffi-core/src/node/event.rs", "pub enum StreamEnded", "guide/incoming.md"),
    ] {
        let (source, explained) = (read(source), read(Path::new("docs/book/src").join(page)));
        let body = between(&source, of, "\n}\n").next().unwrap_or_else(|| panic!("there is no `{of}`"));
        let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
        let variants = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
        let names: Vec<_> = variants.map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap()).collect();
        assert!(!names.is_empty(), "`{of}` has variants");
        for name in names {
            let begins = |end| explained.contains(&format!("`{name}{end}"));
            assert!(begins("`") || begins(" ") || begins("("), "{page} does not explain {of}::{name}");
        }
    }
}
