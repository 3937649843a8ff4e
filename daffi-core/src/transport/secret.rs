//! Files that hold a secret: read only if nobody else can have read or written them.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use super::{StateError, state::io_error};

/// The text of a file that holds a secret: a token, or a key. Blocks for as long as it takes to read it.
///
/// # Errors
///
/// [`StateError::Io`]; on Unix also [`StateError::Foreign`] if it is neither the effective user's nor root's, and [`StateError::Exposed`] if
/// others than its owner may read it, or if it is root's, others than its group.
pub fn read_secret(path: impl AsRef<Path>) -> Result<String, StateError> {
    let path = path.as_ref();
    read(path)?.ok_or_else(|| io_error("read", path)(missing()))
}

/// Why a file that is needed cannot be read, when [`read`] has found that there is none.
pub(super) fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "there is no such file")
}

/// A secret file's text, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, StateError> {
    let mut file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io_error("read", path))?,
    };
    // Of the file that is open: by its path it might be another one a moment later.
    #[cfg(unix)]
    check(path, &file.metadata().map_err(io_error("read", path))?, rustix::process::geteuid().as_raw())?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io_error("read", path))?;
    Ok(Some(text))
}

/// Whether this user may take a file's content for a secret of its own.
#[cfg(unix)]
fn check(path: &Path, metadata: &fs::Metadata, user: u32) -> Result<(), StateError> {
    use std::os::unix::fs::MetadataExt;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
    if ![user, ROOT].contains(&owner) {
        return Err(StateError::Foreign { path: path.to_owned(), owner });
    }
    if is_exposed(mode, owner) {
        return Err(StateError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(unix)]
const ROOT: u32 = 0;

/// Whether others may read a file than those who should. A file of root's may be there for a group to read: that is how the secrets of
/// a container come.
#[cfg(unix)]
const fn is_exposed(mode: u32, owner: u32) -> bool {
    let closed = if owner == ROOT { 0o037 } else { 0o077 };
    mode & closed != 0
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secret").unwrap();
        assert_eq!(read_secret(file.path()).unwrap(), "secret");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read_secret(file.path()), Err(StateError::Exposed { mode: 0o644, .. })));
        let nothing = file.path().with_extension("nothing");
        assert!(matches!(read_secret(nothing), Err(StateError::Io { action: "read", .. })));
    }

    #[test]
    fn a_group_may_read_what_root_gives_it() {
        assert!([0o600, 0o400].into_iter().all(|mode| !is_exposed(mode, 1_000) && !is_exposed(mode, ROOT)));
        assert!([0o640, 0o440].into_iter().all(|mode| is_exposed(mode, 1_000) && !is_exposed(mode, ROOT)));
        assert!([0o644, 0o604, 0o660].into_iter().all(|mode| is_exposed(mode, 1_000) && is_exposed(mode, ROOT)));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        const ANOTHER: u32 = 4_242;
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let owner = metadata.uid();
        assert!(check(file.path(), &metadata, owner).is_ok());
        // Root's is everybody's to use who can read it.
        let refused = matches!(check(file.path(), &metadata, ANOTHER), Err(StateError::Foreign { .. }));
        assert_eq!(refused, owner != ROOT);
        // Only root can give a file away, and so be given one.
        if owner == ROOT {
            chown(file.path(), Some(ANOTHER), None).unwrap();
            assert!(matches!(read_secret(file.path()), Err(StateError::Foreign { owner: ANOTHER, .. })));
            assert!(check(file.path(), &file.as_file().metadata().unwrap(), ANOTHER).is_ok());
        }
    }
}
