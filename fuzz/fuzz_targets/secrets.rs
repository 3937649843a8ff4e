#![no_main]
//! Join tokens, PEM files, and the file of a token that retires: what parses prints as what it was, and debugging does not show it.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

use daffi_core::transport::{Identity, JoinToken, Retiring, StateDir, Tokens};
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

fuzz_target!(|text: &str| {
    for text in [text, &format!("daffi-{text}")] {
        if let Ok(token) = within(text.len(), 8, || text.parse::<JoinToken>()) {
            assert_eq!(token.to_string(), text.trim());
            assert!(token.admits(token.secret()) && !token.admits(&token.secret()[1..]));
            assert!(!format!("{token:?}").contains(text.trim()));
        }
    }
    if let Ok(identity) = within(text.len(), 16, || Identity::from_pem(text)) {
        let again = Identity::from_pem(&identity.to_pem()).expect("what was written can be read");
        assert_eq!(again.fingerprint(), identity.fingerprint());
        assert_eq!(again.to_pem(), identity.to_pem());
    }
    check_retiring(text);
    check_retiring(&format!("{}\n{text}", STATE.token));
});

/// A file that has nothing in the first line but a token, and in the second nothing but a time, if anything.
fn check_retiring(text: &str) {
    let tokens = within(text.len() + OWN, 16, || read(text));
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let token = first.parse::<JoinToken>();
    let Some(tokens) = tokens else {
        assert!(token.is_err() || !rest.trim().is_empty(), "a token alone is all it takes");
        return;
    };
    let secret = token.expect("it was read").secret().to_owned();
    assert!(!format!("{tokens:?}").contains(first.trim()));
    let Retiring { token, until, .. } = tokens.retiring.clone().expect("there is a file");
    assert_eq!((token.secret(), token.fingerprint()), (&secret, tokens.current.fingerprint()));
    let Some(until) = until else {
        assert!(rest.trim().is_empty(), "{rest:?} is no time without an end");
        return;
    };
    let seconds = until.duration_since(UNIX_EPOCH).expect("there is no sign").as_secs();
    assert_eq!(read(&format!("{token}\nuntil {seconds}\n")).as_ref(), Some(&tokens));
    // The present one is another, or has no end.
    let has_end = tokens.current != token;
    assert_eq!(tokens.admits(&secret, until), !has_end);
    assert!(seconds == 0 || tokens.admits(&secret, until - Duration::from_secs(1)));
}

/// The bytes of the other files that are read with it.
const OWN: usize = 4 << 10;

struct State {
    folder: TempDir,
    token: JoinToken,
}

static STATE: LazyLock<State> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let state = StateDir::at(folder.path());
    state.controller_with(None).expect("there is room for a key");
    // Makes the file, which others may not read.
    let rotated = state.rotate(None).expect("there is one token so far");
    State { folder, token: rotated.current }
});

/// The tokens of a controller with this text in the file of the one that retires.
fn read(text: &str) -> Option<Tokens> {
    let folder = STATE.folder.path();
    fs::write(folder.join("token-retiring"), text).expect("there is room for a file");
    StateDir::at(folder).controller_with(None).ok().map(|(_, tokens)| tokens)
}
