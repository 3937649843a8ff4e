//! An authority of the tests, and the files that it issues.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use daffi::Builder;
use daffi_core::transport::{Authority, Identity, Validity};
use tempfile::TempDir;

pub(crate) struct Files {
    pub(crate) authority: Authority,
    dir: TempDir,
}

/// A certificate and its key.
pub(crate) struct Pair(pub(crate) PathBuf, pub(crate) PathBuf);

impl Files {
    pub(crate) fn new() -> Self {
        let authority = Authority::generate(Validity::days(2)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), authority.identity().certificates_pem()).unwrap();
        Self { authority, dir }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The certificate of a node.
    pub(crate) fn node(&self, name: &str) -> Pair {
        self.save("node", &self.authority.issue_node(name, Validity::days(1)).unwrap())
    }

    /// One that was valid until an hour ago.
    pub(crate) fn expired_node(&self, name: &str) -> Pair {
        self.save("expired", &self.authority.issue_node(name, past()).unwrap())
    }

    /// That of a controller.
    pub(crate) fn controller(&self) -> Pair {
        self.save("controller", &self.authority.issue_controller(Validity::days(1)).unwrap())
    }

    pub(crate) fn save(&self, stem: &str, identity: &Identity) -> Pair {
        let [certificate, key] = ["pem", "key"].map(|kind| self.dir.path().join(format!("{stem}.{kind}")));
        fs::write(&certificate, identity.certificates_pem()).unwrap();
        fs::write(&key, identity.key_pem()).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Pair(certificate, key)
    }

    /// A config file that asks nodes for certificates of this authority.
    pub(crate) fn asks(&self, required: bool) -> String {
        format!("[certificates]\nca = {:?}\nrequired = {required}\n", self.ca())
    }

    /// The same with a certificate of the controller's, too.
    pub(crate) fn asks_and_shows(&self, required: bool) -> String {
        let Pair(certificate, key) = self.controller();
        format!("{}certificate = {certificate:?}\nkey = {key:?}\n", self.asks(required))
    }
}

pub(crate) fn past() -> Validity {
    let hour = Duration::from_secs(3600);
    let until = SystemTime::now() - hour;
    Validity { from: until - 24 * hour, until }
}

/// Shows a certificate.
pub(crate) trait Shows {
    fn shows(self, pair: &Pair) -> Self;
}

impl Shows for Builder {
    fn shows(self, Pair(certificate, key): &Pair) -> Self {
        self.certificate(certificate, key)
    }
}
