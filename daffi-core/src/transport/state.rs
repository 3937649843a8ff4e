//! The user's state directory: where a controller keeps its identity and join token, and where a node of the same user on
//! the same machine finds the token by itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Identity, IdentityError, InvalidToken, JoinToken,
    secret::{read, read_secret},
};

/// The environment variable that names another directory.
const VARIABLE: &str = "DAFFI_STATE_DIR";

const IDENTITY: &str = "controller.pem";
const TOKEN: &str = "token";

/// An empty file, locked by those who change what is there.
const LOCK: &str = "lock";

/// A directory with a controller's secrets: `controller.pem` (certificate and key) and `token`, both readable by their owner
/// only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// There is no place for it.
    #[error("there is no home directory to keep state in: set {VARIABLE} to a directory of your own")]
    NoHome,
    /// A file could not be read or written.
    #[error("could not {action} {path}: {source}{}", hint(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others may read a secret file.
    #[error(
        "{path} holds a secret and others may read it (mode {mode:o}): run `chmod 600 {path}`, and replace the secret if somebody may have it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A secret file is another user's.
    #[error(
        "{path} belongs to another user (id {owner}), who may know the secret in it: run as that user, or use a file of your own or of root's"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The identity file is no identity.
    #[error("{path}: {source}; move it and the token beside it away to make new ones, then give nodes the new token")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// The token file holds no token.
    #[error("{path}: {source}")]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidToken,
    },
    /// There are two tokens already.
    #[error(
        "two tokens are valid already: retire the older one with `daffi-controller token --retire`, which removes {path}"
    )]
    Rotating {
        /// The older one's file.
        path: PathBuf,
    },
    /// The time until which a token is valid is none.
    #[error(
        "{path}: after the token comes `until` and a number of seconds since 1970, or nothing; remove the file to retire the token"
    )]
    Until {
        /// The token's file.
        path: PathBuf,
    },
    /// The token belongs to another identity: to a certificate that the controller was given, or to one of its own that is gone.
    #[error(
        "{path} is for a controller with another certificate, and nodes have it: name that certificate, on the command line or in the \
         config file. For a certificate of the controller's own and a new token, move this file away; then every node needs the new one"
    )]
    Mismatch {
        /// The token's file.
        path: PathBuf,
    },
}

impl StateError {
    /// Whether it is the system's state at this moment, so that the same may work in a while: there is no file descriptor left, say.
    /// Not what somebody has to mend: a file that is not there, or that this user may not read.
    pub(crate) fn is_passing(&self) -> bool {
        use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied};
        let for_good = [InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied];
        matches!(self, Self::Io { source, .. } if !for_good.contains(&source.kind()))
    }
}

impl StateDir {
    /// The user's own: `$DAFFI_STATE_DIR`, else `daffi` in the state directory of the platform (`~/.local/state` on Linux).
    ///
    /// # Errors
    ///
    /// [`StateError::NoHome`].
    pub fn of_user() -> Result<Self, StateError> {
        if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(Self::at(path));
        }
        let base = dirs::state_dir().or_else(dirs::data_local_dir).ok_or(StateError::NoHome)?;
        Ok(Self::at(base.join("daffi")))
    }

    /// The one at this path. It need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A controller's identity and token; makes what is missing, but no identity beside a token, which is another's. Of several
    /// controllers that start at the same time for the first time, one makes them and the others use the same.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub fn controller(&self) -> Result<(Identity, JoinToken), StateError> {
        self.create()?;
        let mismatch = || StateError::Mismatch { path: self.token_path() };
        let path = self.path.join(IDENTITY);
        // The token first: whoever makes both makes the identity first.
        let token = self.token()?;
        let text = match token {
            Some(_) => read(&path)?.ok_or_else(mismatch)?,
            None => self.read_or_make(&path, || {
                Identity::generate()
                    .map(|made| made.to_pem())
                    .map_err(|source| StateError::Identity { path: path.clone(), source })
            })?,
        };
        let identity = Identity::from_pem(&text).map_err(|source| StateError::Identity { path, source })?;
        let fingerprint = identity.fingerprint();
        let token = token.map_or_else(|| self.make_token(fingerprint), Ok)?;
        if *token.fingerprint() == fingerprint { Ok((identity, token)) } else { Err(mismatch()) }
    }

    /// The token for a node of the same user; `None` if no controller has made one yet.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub fn token(&self) -> Result<Option<JoinToken>, StateError> {
        let path = self.token_path();
        match read(&path)? {
            Some(text) => text.parse().map(Some).map_err(|source| StateError::Token { path, source }),
            None => Ok(None),
        }
    }

    pub(super) fn token_path(&self) -> PathBuf {
        self.path.join(TOKEN)
    }

    /// The token; one that pins this certificate is made if there is none.
    pub(super) fn make_token(&self, fingerprint: [u8; 32]) -> Result<JoinToken, StateError> {
        let path = self.token_path();
        let text = self.read_or_make(&path, || Ok(format!("{}\n", JoinToken::generate(fingerprint))))?;
        text.parse().map_err(|source| StateError::Token { path, source })
    }

    pub(super) fn create(&self) -> Result<(), StateError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.path).map_err(io_error("create", &self.path))
    }

    /// Reads a file; if there is none, makes it whole under another name and moves it there, unless another process was
    /// first.
    fn read_or_make(
        &self,
        path: &Path,
        make: impl FnOnce() -> Result<String, StateError>,
    ) -> Result<String, StateError> {
        if let Some(text) = read(path)? {
            return Ok(text);
        }
        let text = make()?;
        match self.prepare(path, &text)?.persist_noclobber(path) {
            Ok(_) => self.sync().map(|()| text),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => read_secret(path),
            Err(error) => Err(io_error("write", path)(error.error)),
        }
    }

    /// Holds off all others that change what is there, until it is dropped. Blocks while another holds it.
    pub(super) fn lock(&self) -> Result<fs::File, StateError> {
        self.create()?;
        let path = self.path.join(LOCK);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // In a directory of somebody else's it may be a link, to where a file is to appear.
            options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        }
        let locked = options.open(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(io_error("lock", &path))
    }

    /// Moves a file to `path`, whatever is there.
    pub(super) fn put(&self, file: tempfile::NamedTempFile, path: &Path) -> Result<(), StateError> {
        file.persist(path).map_err(|error| io_error("write", path)(error.error))?;
        self.sync()
    }

    /// Has what was moved or removed here stay so after a power cut.
    pub(super) fn sync(&self) -> Result<(), StateError> {
        #[cfg(unix)]
        match fs::File::open(&self.path).and_then(|directory| directory.sync_all()) {
            // There are file systems that do it by themselves, or not at all.
            Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                return Err(io_error("write", &self.path)(error));
            }
            _ => {}
        }
        Ok(())
    }

    /// A file that is to be moved to `path`.
    pub(super) fn prepare(&self, path: &Path, text: &str) -> Result<tempfile::NamedTempFile, StateError> {
        // Temporary files have mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.path).map_err(io_error("write in", &self.path))?;
        io::Write::write_all(&mut file, text.as_bytes()).map_err(io_error("write", path))?;
        file.as_file().sync_all().map_err(io_error("write", path))?;
        Ok(file)
    }
}

fn hint(error: &io::Error) -> &'static str {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            " (make room there, or choose another state directory: nothing was left half-written)"
        }
        PermissionDenied | ReadOnlyFilesystem => {
            " (a state directory has to belong to the user of the controller: choose another, or change its owner)"
        }
        _ => "",
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_what_later_starts_find() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path().join("deep/daffi"));
        assert!(state.token().unwrap().is_none());
        let (identity, token) = state.controller().unwrap();
        let (again, same) = state.controller().unwrap();
        assert_eq!(identity.fingerprint(), again.fingerprint());
        assert_eq!(token, same);
        assert_eq!(state.token().unwrap(), Some(token));
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path());
        state.controller().unwrap();
        for name in [IDENTITY, TOKEN] {
            assert_eq!(fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::set_permissions(dir.path().join(TOKEN), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(state.token(), Err(StateError::Exposed { mode: 0o644, .. })));
    }

    #[test]
    fn a_token_of_another_identity_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path());
        state.controller().unwrap();
        let path = dir.path().join(IDENTITY);
        fs::remove_file(&path).unwrap();
        for _ in 0..2 {
            assert!(matches!(state.controller(), Err(StateError::Mismatch { .. })));
            assert!(!path.exists(), "no identity is made that the token is not for");
        }
        fs::write(&path, Identity::generate().unwrap().to_pem()).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert!(matches!(state.controller(), Err(StateError::Mismatch { .. })));
    }

    #[test]
    fn controllers_that_start_together_agree() {
        let dir = tempfile::tempdir().unwrap();
        let tokens: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| StateDir::at(dir.path()).controller().map(|(_, token)| token))).collect();
            starts.into_iter().map(|start| start.join().unwrap().unwrap()).collect()
        });
        assert!(tokens.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
