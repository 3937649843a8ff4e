//! `daffi-controller cert`: makes an authority, and certificates of it, as files.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use daffi_core::transport::{Authority, Identity, IssueError, StateError, Validity, read_secret};
use tempfile::NamedTempFile;

/// What to make, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cert {
    #[command(subcommand)]
    what: What,

    /// The directory of ca.pem and ca.key, and of what is made
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    dir: PathBuf,

    /// For how many days it is valid, from now on [default: 3650 for `ca`, else 365]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500), global = true)]
    days: Option<u32>,

    /// Replaces files that are there, as for a certificate that is about to expire
    #[arg(long, global = true)]
    force: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// An authority: ca.pem, which controller and nodes are given, and ca.key, which signs and is best kept away from both
    Ca,
    /// The controller's certificate, controller.pem and controller.key, of the authority in the directory
    Controller,
    /// A node's certificate, node-NAME.pem and node-NAME.key, of the authority in the directory
    Node {
        /// The name that the node joins under
        name: String,
    },
}

/// A file could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertError {
    #[error("{0} is there already: remove it, choose another `--dir`, or replace it with `--force`")]
    Exists(PathBuf),
    #[error("could not {action} {path}: {source}{}", hint(.path, .source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Key(#[from] StateError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

fn hint(path: &Path, error: &io::Error) -> &'static str {
    use io::ErrorKind::{NotFound, QuotaExceeded, StorageFull};
    let is_authority = path.file_stem().is_some_and(|stem| stem == "ca");
    match error.kind() {
        NotFound if is_authority => " (make an authority first, with `daffi-controller cert ca`)",
        StorageFull | QuotaExceeded => {
            " (make room there, or choose another `--dir`: nothing was changed or left half-written)"
        }
        _ => "",
    }
}

impl Cert {
    /// Makes it; the files.
    pub(crate) fn make(&self) -> Result<[PathBuf; 2], CertError> {
        let days = |default| Validity::days(self.days.unwrap_or(default));
        let (stem, identity) = match &self.what {
            What::Ca => ("ca".to_owned(), Authority::generate(days(3650))?.identity()),
            What::Controller => ("controller".to_owned(), self.authority()?.issue_controller(days(365))?),
            What::Node { name } => (format!("node-{name}"), self.authority()?.issue_node(name, days(365))?),
        };
        self.write(&stem, &identity)
    }

    fn authority(&self) -> Result<Authority, CertError> {
        let path = self.dir.join("ca.pem");
        let certificate = fs::read_to_string(&path).map_err(|source| CertError::Io { action: "read", path, source })?;
        let key = read_secret(self.dir.join("ca.key")).map_err(|error| match error {
            StateError::Io { action, path, source } => CertError::Io { action, path, source },
            exposed => exposed.into(),
        })?;
        Ok(Authority::from_pem(&certificate, &key)?)
    }

    fn write(&self, stem: &str, identity: &Identity) -> Result<[PathBuf; 2], CertError> {
        fs::create_dir_all(&self.dir).map_err(|source| CertError::Io {
            action: "create",
            path: self.dir.clone(),
            source,
        })?;
        let paths = ["pem", "key"].map(|kind| self.dir.join(format!("{stem}.{kind}")));
        if let Some(there) = paths.iter().find(|path| !self.force && path.exists()) {
            return Err(CertError::Exists(there.clone()));
        }
        let [certificate, key] = &paths;
        // Both first: what is left then are two moves, and between them there is a key that does not fit the certificate.
        let key_file = self.prepare(key, &identity.key_pem(), false)?;
        let certificate_file = self.prepare(certificate, &identity.certificates_pem(), true)?;
        self.put(key_file, key)?;
        self.put(certificate_file, certificate)?;
        Ok(paths)
    }

    /// A file that is to be moved to `path`.
    fn prepare(&self, path: &Path, text: &str, is_public: bool) -> Result<NamedTempFile, CertError> {
        let failed = |source| CertError::Io { action: "write", path: path.to_owned(), source };
        // Temporary files have mode 0600.
        let mut file = NamedTempFile::new_in(&self.dir).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        #[cfg(unix)]
        if is_public {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
        }
        #[cfg(not(unix))]
        let _ = is_public;
        file.as_file().sync_all().map_err(failed)?;
        Ok(file)
    }

    fn put(&self, file: NamedTempFile, path: &Path) -> Result<(), CertError> {
        let moved = if self.force { file.persist(path) } else { file.persist_noclobber(path) };
        moved.map(drop).map_err(|error| CertError::Io { action: "write", path: path.to_owned(), source: error.error })
    }
}
