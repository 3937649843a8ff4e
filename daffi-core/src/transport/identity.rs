//! The controller's certificate and key.

use std::{fmt, sync::Arc};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};

/// The DNS name in a controller's certificate. It is the same for all: a node knows its controller by the certificate's
/// fingerprint and not by a host name, so the certificate stays valid when the controller moves.
pub(super) const SERVER_NAME: &str = "controller.daffi";

/// A controller's self-signed certificate and its private key.
#[derive(Clone)]
pub struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: Arc<PrivateKeyDer<'static>>,
}

/// An identity could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The key or certificate could not be generated.
    #[error("could not make a key and certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// The PEM text holds no certificate or no private key.
    #[error("the PEM text needs one CERTIFICATE and one PRIVATE KEY: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
}

impl Identity {
    /// Makes a new key (ECDSA P-256) and a certificate for it, which does not expire: it is replaced by making a new token,
    /// not by the passing of time.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Generate`].
    pub fn generate() -> Result<Self, IdentityError> {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        Ok(Self { certificate: cert.der().clone(), key: Arc::new(key) })
    }

    /// Reads certificate and key from one PEM text, in any order.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Pem`].
    pub fn from_pem(text: &str) -> Result<Self, IdentityError> {
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(text.as_bytes())?,
            key: Arc::new(PrivateKeyDer::from_pem_slice(text.as_bytes())?),
        })
    }

    /// Certificate and key as PEM text. It holds the private key: keep it as secret as that.
    pub fn to_pem(&self) -> String {
        use base64::Engine;
        let mut text = String::new();
        for (label, der) in [("CERTIFICATE", &*self.certificate), ("PRIVATE KEY", self.key.secret_der())] {
            let body = base64::engine::general_purpose::STANDARD.encode(der);
            text.push_str(&format!("-----BEGIN {label}-----\n"));
            for start in (0..body.len()).step_by(64) {
                text.push_str(&body[start..body.len().min(start + 64)]);
                text.push('\n');
            }
            text.push_str(&format!("-----END {label}-----\n"));
        }
        text
    }

    /// The SHA-256 of the certificate, by which nodes know their controller.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.certificate)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate.len()).finish_non_exhaustive()
    }
}

pub(super) fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_round_trips() {
        let made = Identity::generate().unwrap();
        let read = Identity::from_pem(&made.to_pem()).unwrap();
        assert_eq!(read.fingerprint(), made.fingerprint());
        assert_eq!(read.key.secret_der(), made.key.secret_der());
    }

    #[test]
    fn debug_shows_no_key() {
        let identity = Identity::generate().unwrap();
        assert!(!format!("{identity:?}").contains("key"));
    }
}
