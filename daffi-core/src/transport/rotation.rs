//! Join tokens that change: the present one, and for a while the one before it.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Identity, JoinToken, StateDir, StateError};

/// The file of the token before the present one. Beside the token it may have a line `until` and seconds since 1970.
const RETIRING: &str = "token-retiring";

const UNTIL: &str = "until ";

/// The join tokens that a controller admits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tokens {
    /// The present one, which new nodes are given.
    pub current: JoinToken,
    /// The one before, while nodes still have it.
    pub retiring: Option<Retiring>,
}

/// A join token on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retiring {
    /// The token.
    pub token: JoinToken,
    /// Until when it is valid; until it is retired, if that is not said.
    pub until: Option<SystemTime>,
}

impl Retiring {
    fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl From<JoinToken> for Tokens {
    fn from(current: JoinToken) -> Self {
        Self { current, retiring: None }
    }
}

impl Tokens {
    /// Whether a node knows the secret of one that is valid at this time. Takes as long for a wrong one as for a right one.
    pub fn admits(&self, secret: &[u8], now: SystemTime) -> bool {
        let current = self.current.admits(secret);
        let retiring = self.retiring.as_ref().is_some_and(|retiring| {
            let knows = retiring.token.admits(secret);
            knows & !retiring.is_over(now)
        });
        current | retiring
    }

    /// The same for a controller whose certificates have this fingerprint: the secrets stay.
    #[must_use]
    pub fn pinning(&self, fingerprint: [u8; 32]) -> Self {
        let retiring = self.retiring.as_ref();
        Self {
            current: self.current.pinning(fingerprint),
            retiring: retiring.map(|old| Retiring { token: old.token.pinning(fingerprint), until: old.until }),
        }
    }
}

impl StateDir {
    /// A controller's identity, given or its own, and its tokens for that one; makes what is missing. What is there stays as it is:
    /// [`pin`](Self::pin) has nodes find the token as it is now.
    ///
    /// # Errors
    ///
    /// [`StateError`]; without a given identity also [`StateError::Mismatch`], if the token is for another.
    pub fn controller_with(&self, given: Option<Identity>) -> Result<(Identity, Tokens), StateError> {
        let identity = given.map_or_else(|| self.controller().map(|(own, _)| own), Ok)?;
        let tokens = self.tokens(Some(&identity))?;
        Ok((identity, tokens))
    }

    /// The tokens for a controller with this identity; without one, for the controller that they are for already. Makes what is missing,
    /// and leaves what is there as it is.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub fn tokens(&self, given: Option<&Identity>) -> Result<Tokens, StateError> {
        let current = match (self.token()?, given) {
            (Some(token), _) => token,
            (None, Some(identity)) => {
                self.create()?;
                self.make_token(identity.fingerprint())?
            }
            (None, None) => self.controller()?.1,
        };
        let fingerprint = given.map_or_else(|| *current.fingerprint(), Identity::fingerprint);
        Ok(Tokens { current, retiring: self.retiring()? }.pinning(fingerprint))
    }

    /// Has nodes that find the token here expect a controller with this identity. The secret stays.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub fn pin(&self, identity: &Identity) -> Result<(), StateError> {
        let fingerprint = identity.fingerprint();
        let is_pinned = |token: &JoinToken| *token.fingerprint() == fingerprint;
        if self.token()?.as_ref().is_none_or(is_pinned) {
            return Ok(());
        }
        let _lock = self.lock()?;
        // Anew: it may have been rotated meanwhile.
        let Some(token) = self.token()? else { return Ok(()) };
        let path = self.token_path();
        self.put(self.prepare(&path, &format!("{}\n", token.pinning(fingerprint)))?, &path)
    }

    /// Makes a new token. The present one stays valid for so long, or until it is retired. Of several at once, in whichever process, one
    /// goes after the other.
    ///
    /// # Errors
    ///
    /// [`StateError::Rotating`] if there are two already, and other [`StateError`]s.
    pub fn rotate(&self, keep: Option<Duration>) -> Result<Tokens, StateError> {
        let _lock = self.lock()?;
        let tokens = self.tokens(None)?;
        let now = SystemTime::now();
        // The same token twice is a rotation that was broken off: it is made again.
        let is_rotating = |retiring: &&Retiring| !retiring.is_over(now) && retiring.token != tokens.current;
        if tokens.retiring.as_ref().filter(is_rotating).is_some() {
            return Err(StateError::Rotating { path: self.retiring_path() });
        }
        // A time beyond all clocks is no limit.
        let until = keep.and_then(|keep| now.checked_add(keep));
        let retiring = Retiring { token: tokens.current.clone(), until };
        let until = until.and_then(|until| until.duration_since(UNIX_EPOCH).ok());
        let until = until.map_or_else(String::new, |until| format!("{UNTIL}{}\n", until.as_secs()));
        let current = JoinToken::generate(*tokens.current.fingerprint());
        let (old_path, path) = (self.retiring_path(), self.token_path());
        let old_file = self.prepare(&old_path, &format!("{}\n{until}", retiring.token))?;
        let file = self.prepare(&path, &format!("{current}\n"))?;
        // This one first: at no moment is a token that nodes have in neither file.
        self.put(old_file, &old_path)?;
        self.put(file, &path)?;
        Ok(Tokens { current, retiring: Some(retiring) })
    }

    /// Removes the token before the present one; whether there was one. It waits for others as [`rotate`](Self::rotate) does.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn retire(&self) -> Result<bool, StateError> {
        let _lock = self.lock()?;
        let path = self.retiring_path();
        match std::fs::remove_file(&path) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StateError::Io { action: "remove", path, source }),
        }
    }

    fn retiring(&self) -> Result<Option<Retiring>, StateError> {
        let path = self.retiring_path();
        let Some(text) = super::secret::read(&path)? else { return Ok(None) };
        let (token, until) = text.split_once('\n').unwrap_or((&text, ""));
        let token = token.parse().map_err(|source| StateError::Token { path: path.clone(), source })?;
        let until = match until.trim() {
            "" => None,
            line => {
                let seconds = line.strip_prefix(UNTIL).and_then(|seconds| seconds.parse().ok());
                let until = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
                Some(until.ok_or(StateError::Until { path })?)
            }
        };
        Ok(Some(Retiring { token, until }))
    }

    fn retiring_path(&self) -> PathBuf {
        self.path().join(RETIRING)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path());
        (dir, state)
    }

    fn secrets(tokens: &Tokens, now: SystemTime) -> (bool, bool) {
        let old = tokens.retiring.as_ref().is_some_and(|old| tokens.admits(old.token.secret(), now));
        (tokens.admits(tokens.current.secret(), now), old)
    }

    #[test]
    fn two_are_valid_until_the_old_one_is_retired() {
        let (_dir, state) = state();
        let (_, first) = state.controller_with(None).unwrap();
        let made = state.rotate(None).unwrap();
        let (_, read) = state.controller_with(None).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.retiring.as_ref().unwrap().token, first.current);
        assert_eq!(secrets(&read, SystemTime::now()), (true, true));
        assert!(matches!(state.rotate(None), Err(StateError::Rotating { .. })));
        assert!(state.retire().unwrap() && !state.retire().unwrap());
        let (_, last) = state.controller_with(None).unwrap();
        assert!(!last.admits(first.current.secret(), SystemTime::now()));
        assert!(state.rotate(None).is_ok());
    }

    #[test]
    fn of_rotations_at_once_one_is_made_and_its_token_stays() {
        const AT_ONCE: usize = 4;
        for _ in 0..20 {
            let (_dir, state) = state();
            let first = state.tokens(None).unwrap();
            let given = Identity::generate().unwrap();
            let start = Barrier::new(AT_ONCE + 1);
            let made: Vec<_> = thread::scope(|scope| {
                let rotating = || {
                    start.wait();
                    state.rotate(None)
                };
                let rotations: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(rotating)).collect();
                start.wait();
                state.pin(&given).unwrap();
                rotations.into_iter().filter_map(|rotation| rotation.join().unwrap().ok()).collect()
            });
            assert_eq!(made.len(), 1);
            let pinned = given.fingerprint();
            assert_eq!(state.tokens(None).unwrap(), made[0].pinning(pinned));
            assert_eq!(made[0].retiring.as_ref().unwrap().token.pinning(pinned), first.current.pinning(pinned));
        }
    }

    #[test]
    fn an_old_token_ends_at_its_time() {
        let (_dir, state) = state();
        state.rotate(Some(Duration::from_secs(100))).unwrap();
        let (_, read) = state.controller_with(None).unwrap();
        let now = SystemTime::now();
        assert_eq!(secrets(&read, now), (true, true));
        assert_eq!(secrets(&read, now + Duration::from_secs(101)), (true, false));
    }

    #[test]
    fn a_rotation_that_was_broken_off_is_made_again() {
        let (dir, state) = state();
        let (_, first) = state.controller_with(None).unwrap();
        std::fs::copy(dir.path().join("token"), dir.path().join(RETIRING)).unwrap();
        assert_ne!(state.rotate(None).unwrap().current, first.current);
    }

    #[test]
    fn another_identity_keeps_the_secrets_and_is_pinned_when_that_is_asked_for() {
        let (_dir, state) = state();
        let (_, own) = state.controller_with(None).unwrap();
        let other = Identity::generate().unwrap();
        let (_, tokens) = state.controller_with(Some(other.clone())).unwrap();
        assert_eq!(tokens, own.pinning(other.fingerprint()));
        assert_eq!(state.token().unwrap(), Some(own.current), "to ask changes nothing");
        state.pin(&other).unwrap();
        assert_eq!(state.token().unwrap(), Some(tokens.current.clone()));
        // Whoever does not name the identity is told the token that holds.
        assert_eq!(state.tokens(None).unwrap(), tokens);
    }

    #[test]
    fn a_token_of_a_given_identity_has_no_other_made_beside_it() {
        let (dir, state) = state();
        let given = Identity::generate().unwrap();
        let (_, tokens) = state.controller_with(Some(given)).unwrap();
        assert_eq!(state.tokens(None).unwrap(), tokens);
        assert_eq!(state.rotate(None).unwrap().current.fingerprint(), tokens.current.fingerprint());
        assert!(matches!(state.controller_with(None), Err(StateError::Mismatch { .. })));
        assert!(!dir.path().join("controller.pem").exists());
    }

    #[test]
    fn a_time_that_is_none_is_an_error() {
        let (dir, state) = state();
        state.rotate(None).unwrap();
        let path = dir.path().join(RETIRING);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "until tomorrow\n").unwrap();
        assert!(matches!(state.controller_with(None), Err(StateError::Until { .. })));
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = JoinToken::generate([7; 32]);
        let tokens = Tokens { current: token.clone(), retiring: Some(Retiring { token: token.clone(), until: None }) };
        let shown = format!("{tokens:?}");
        assert!(!shown.contains(&token.to_string()) && !shown.contains(&format!("{}", token.secret()[0])), "{shown}");
    }
}
