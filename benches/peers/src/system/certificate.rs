//! The certificate of routers that are not daffi's: made by them for the run, trusted by the others.
//!
//! It is one of P-256, as daffi has it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Result;

/// Where certificate and key are kept.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Certificate {
    /// That of this run's directory, made or not.
    pub(super) fn at(dir: &Path) -> Self {
        Self { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") }
    }

    /// Makes one for loopback.
    pub(super) fn make(&self) -> Result<()> {
        // ECDSA with P-256 is what it makes unless told otherwise.
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        fs::write(&self.certificate, made.cert.pem())?;
        Ok(fs::write(&self.key, made.signing_key.serialize_pem())?)
    }
}
