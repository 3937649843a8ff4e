//! A certificate and its key: the controller's, or a node's.

use std::{fmt, sync::Arc};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{
    certificate::{Authorities, check_controller},
    quic::provider,
};

/// The DNS name in a controller's certificate. It is the same for all: a node knows its controller by the certificate's
/// fingerprint or by its authority, and not by a host name, so the certificate stays valid when the controller moves.
pub(super) const SERVER_NAME: &str = "controller.daffi";

/// A certificate, those that vouch for it, and its private key. A controller makes its own, which nobody vouches for; or both it and
/// the nodes have one of an authority.
#[derive(Clone)]
pub struct Identity {
    /// The certificate itself, then those that lead to the authority. Never empty.
    pub(super) chain: Vec<CertificateDer<'static>>,
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
    /// The key is another certificate's, or of a kind that TLS 1.3 does not know.
    #[error("the private key does not fit the certificate: {0}")]
    Mismatch(rustls::Error),
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
        Ok(Self { chain: vec![cert.der().clone()], key: Arc::new(key) })
    }

    /// Reads certificates and key from one PEM text, in any order, but for the certificate itself, which is the first.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Pem`], [`IdentityError::Mismatch`].
    pub fn from_pem(text: &str) -> Result<Self, IdentityError> {
        Self::from_pems(text, text)
    }

    /// Reads certificates and key from two PEM texts.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn from_pems(certificates: &str, key: &str) -> Result<Self, IdentityError> {
        let chain = certificates_in(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()).map_err(IdentityError::Mismatch)?;
        Ok(Self { chain, key: Arc::new(key) })
    }

    /// Certificates and key as PEM text. It holds the private key: keep it as secret as that.
    pub fn to_pem(&self) -> String {
        self.certificates_pem() + &self.key_pem()
    }

    /// The certificates as PEM text, which is no secret.
    pub fn certificates_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The private key as PEM text.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_der())
    }

    /// The SHA-256 of the last certificate, by which nodes know their controller: its own, or that of the authority that stands
    /// behind it. So a controller may renew its certificate without a new token.
    pub fn fingerprint(&self) -> [u8; 32] {
        // Never empty: those who make one see to it.
        self.chain.last().map_or([0; 32], |certificate| fingerprint(certificate))
    }

    /// A controller's identity, with the authority at its end that issued it, for nodes that know its fingerprint only.
    ///
    /// # Errors
    ///
    /// Why no node would accept it as a controller's: it is of no such authority, expired, or a node's.
    pub fn under(mut self, authorities: Option<&Authorities>) -> Result<Self, rustls::Error> {
        let mut verdict = check_controller(&self.chain, self.chain.last().into_iter());
        for authority in authorities.into_iter().flat_map(Authorities::certificates) {
            if verdict.is_ok() {
                break;
            }
            verdict = check_controller(&self.chain, std::iter::once(authority));
            if verdict.is_ok() {
                self.chain.push(authority.clone());
            }
        }
        verdict.map(|()| self)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// The certificates in a PEM text, of which there is at least one.
pub(super) fn certificates_in(text: &str) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(rustls::pki_types::pem::Error::NoItemsFound) } else { Ok(chain) }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for start in (0..body.len()).step_by(64) {
        text.push_str(&body[start..body.len().min(start + 64)]);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
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

    #[test]
    fn the_key_of_another_certificate_is_noticed() {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let mixed = Identity::from_pems(&a.certificates_pem(), &b.key_pem());
        assert!(matches!(mixed, Err(IdentityError::Mismatch(_))), "{mixed:?}");
        assert!(matches!(Identity::from_pem("nothing"), Err(IdentityError::Pem(_))));
    }

    #[test]
    fn a_controller_that_vouches_for_itself_needs_no_authority() {
        let identity = Identity::generate().unwrap();
        assert_eq!(identity.clone().under(None).unwrap().fingerprint(), identity.fingerprint());
    }
}
