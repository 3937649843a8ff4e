#![no_main]
//! The controller's config file: every mistake says a line of the file, and what is read holds what it promises.

use std::{fs, sync::LazyLock};

use daffi_controller::{ConfigFile, ConfigFileError};
use daffi_core::wire::failure::Right;
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// What a file may take of memory for each of its bytes: rules hold regular expressions.
const TIMES: usize = 8 << 10;

const RIGHTS: [Right; 3] = [Right::Call, Right::Offer, Right::Stream];
const NAMES: [&str; 6] = ["a", "worker-1", "gpu", "thumb.small", "überprüfung", "_"];

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room for a folder"));

fuzz_target!(|text: &str| {
    let read_within = within(text.len() + 256, TIMES, || read(text));
    let Some(file) = read_within else { return };
    assert_eq!(file.limits.check(), Ok(()));
    for path in [&file.certificates.certificate, &file.certificates.key, &file.certificates.ca].into_iter().flatten() {
        assert!(path.is_absolute(), "{path:?} begins at the file");
    }

    // What says nothing changes nothing.
    let text = text.trim_start_matches('\u{feff}');
    let again = read(&format!("# A comment.\n\n{text}\n\n# And another.")).expect("it was one before");
    assert_eq!(shown(&again), shown(&file));

    // A key that is none is a mistake, whatever else there is.
    let wrong = FOLDER.path().join("daffi.toml");
    fs::write(&wrong, format!("nonsense = 7\n{text}")).expect("there is room for a file");
    match ConfigFile::read(&wrong) {
        Err(ConfigFileError::Invalid { line: 1, message, .. }) => assert!(message.contains("`nonsense`"), "{message}"),
        // Or it is written twice now, or within another.
        Err(ConfigFileError::Invalid { .. }) if text.contains("nonsense") => {}
        other => panic!("read as {other:?}"),
    }

    // One more rule allows more, and nothing less. A file whose rules are written in brackets takes none in this form.
    if let Some(more) = read(&format!("{text}\n[[rule]]\nnodes = \"*\"\ncall = \"*\"\n")) {
        for (node, callback) in NAMES.iter().flat_map(|node| NAMES.map(|callback| (*node, callback))) {
            for right in RIGHTS {
                let before = file.rules.allow(node, right, callback);
                let expected = right == Right::Call || before && !file.rules.is_empty();
                assert_eq!(more.rules.allow(node, right, callback), expected, "{node} {right} {callback}");
            }
        }
    }
});

/// What the text says as a file; nothing, if it is a mistake that says where it is.
fn read(text: &str) -> Option<ConfigFile> {
    let path = FOLDER.path().join("daffi.toml");
    fs::write(&path, text).expect("there is room for a file");
    match ConfigFile::read(&path) {
        Ok(file) => Some(file),
        Err(ConfigFileError::Invalid { line, message, .. }) => {
            // A file that ends too early does so on the line after its last.
            assert!((1..=text.matches('\n').count() + 1).contains(&line), "line {line}: {message}");
            assert!(!message.trim().is_empty());
            None
        }
        Err(other) => panic!("it is there, and text: {other}"),
    }
}

fn shown(file: &ConfigFile) -> String {
    format!("{file:?}")
}
