//! Certificates of an authority: whom they vouch for, and why one was refused.
//!
//! A node's certificate names the node in its subject alternative names: as a DNS name where the node's name fits one, else as the
//! URI `daffi://node/NAME`, with what is not ASCII percent-encoded in UTF-8. Either counts, letter case included, and a wildcard
//! stands for nothing.

use std::{fmt, fs, io, path::PathBuf, sync::Arc};

use percent_encoding::{CONTROLS, utf8_percent_encode};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, DnsName, ServerName, UnixTime},
};

use super::{
    Identity, IdentityError, StateError,
    identity::{SERVER_NAME, certificates_in},
    quic::provider,
    secret,
};

/// What stands before a node's name in a URI.
const NODE_URI: &str = "daffi://node/";

/// Authorities that are trusted: whoever has a certificate of one of them is who it says.
#[derive(Clone)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
}

/// The certificate or key in a file, or that of an authority, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("could not read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key cannot be read, or others may have read it too.
    #[error(transparent)]
    Key(#[from] StateError),
    /// There is a certificate without a key, or a key without a certificate.
    #[error("a certificate needs its key and a key its certificate: {missing} is missing")]
    Half {
        /// What is missing, and how it is given.
        missing: &'static str,
    },
    /// Certificate and key cannot be used.
    #[error("{path}: {source}")]
    Identity {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// The file does not hold authorities.
    #[error("{path} is to hold the certificates of authorities: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl Authorities {
    /// Reads one or several certificates from PEM text.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let certificates = certificates_in(text).map_err(|error| error.to_string())?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| error.to_string())?;
        }
        Ok(Self { certificates, roots: Arc::new(roots) })
    }

    /// Reads one or several certificates from a PEM file.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Io`], [`CertificateError::Authorities`].
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, CertificateError> {
        let path = path.into();
        match fs::read_to_string(&path) {
            Ok(text) => Self::from_pem(&text).map_err(|reason| CertificateError::Authorities { path, reason }),
            Err(source) => Err(CertificateError::Io { path, source }),
        }
    }

    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    pub(super) const fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorities").field(&self.certificates.len()).finish()
    }
}

/// Reads a certificate, those that vouch for it, and its key from two PEM files. They may be the same file.
///
/// # Errors
///
/// [`CertificateError`]; on Unix also if others may read the key's file, or if it is another user's.
pub fn read_identity(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Identity, CertificateError> {
    let (path, key) = (certificate.into(), key.into());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(CertificateError::Io { path, source }),
    };
    let secret = secret::read(&key)?.ok_or_else(|| CertificateError::Io { path: key, source: secret::missing() })?;
    Identity::from_pems(&text, &secret).map_err(|source| CertificateError::Identity { path, source })
}

/// The certificate of a peer. That of a connection was issued by an authority that this side trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate(CertificateDer<'static>);

impl PeerCertificate {
    /// This one, in DER. Whether anybody vouches for it is another question; what is no certificate names nobody.
    pub fn from_der(der: Vec<u8>) -> Self {
        Self(der.into())
    }

    /// What a connection says of its peer.
    pub(super) fn of(connection: &quinn::Connection) -> Option<Self> {
        let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        chain.into_iter().next().map(Self)
    }

    /// Whether it is the certificate of the node of this name.
    pub fn names(&self, node: &str) -> bool {
        let uri = node_uri(node);
        self.certificate().is_some_and(|certificate| {
            certificate.valid_dns_names().any(|name| name == node)
                || certificate.valid_uri_names().any(|name| name == uri)
        })
    }

    /// The names in it, for people.
    pub fn all_names(&self) -> Vec<String> {
        let Some(certificate) = self.certificate() else { return Vec::new() };
        certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(str::to_owned).collect()
    }

    fn certificate(&self) -> Option<webpki::EndEntityCert<'_>> {
        webpki::EndEntityCert::try_from(&self.0).ok()
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerCertificate").field(&self.all_names()).finish()
    }
}

/// What names a node in its certificate: a DNS name, or else a URI.
pub(super) enum NodeName {
    Dns,
    Uri(String),
}

impl NodeName {
    pub(super) fn of(node: &str) -> Self {
        if DnsName::try_from(node).is_ok() { Self::Dns } else { Self::Uri(node_uri(node)) }
    }
}

/// Beside letters and digits a name has `_`, `-` and `.` only, all of which may stand in a URI.
fn node_uri(node: &str) -> String {
    format!("{NODE_URI}{}", utf8_percent_encode(node, CONTROLS))
}

/// Why a peer refused this side's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It wants one and got none.
    #[error("it wants a certificate, and got none")]
    Missing,
    /// It is past its last day, or before its first.
    #[error("the certificate is not valid now: it has expired, or a clock is wrong")]
    Expired,
    /// Another authority has issued it than those that the peer trusts.
    #[error("the certificate is of an authority that it does not trust")]
    Foreign,
    /// It was revoked.
    #[error("the certificate was revoked")]
    Revoked,
    /// It is not made for this, or damaged.
    #[error("the certificate is not made for this, or is damaged")]
    Unfit,
}

impl CertificateFault {
    /// Reads it off the code of a QUIC connection's end, if that is what it says: 256 and a TLS alert (RFC 9001, section 4.8).
    pub const fn from_wire(code: u64) -> Option<Self> {
        match code.checked_sub(0x100) {
            Some(116) => Some(Self::Missing),
            Some(45) => Some(Self::Expired),
            Some(48) => Some(Self::Foreign),
            Some(44) => Some(Self::Revoked),
            // Bad, unsupported, unknown; and a signature that does not verify.
            Some(42 | 43 | 46 | 51) => Some(Self::Unfit),
            _ => None,
        }
    }
}

/// Whether a node that trusts one of `roots` would take this for a controller's certificate.
pub(super) fn check_controller<'a>(
    chain: &[CertificateDer<'_>],
    roots: impl Iterator<Item = &'a CertificateDer<'static>>,
) -> Result<(), rustls::Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone())?;
    }
    let (first, rest) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    let name = ServerName::try_from(SERVER_NAME).map_err(|error| rustls::Error::General(error.to_string()))?;
    controller_verifier(store.into())?.verify_server_cert(first, rest, &name, &[], UnixTime::now()).map(drop)
}

/// rustls' own check of a controller's certificate: its signatures, its name, its dates, its purpose.
pub(super) fn controller_verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Authority, Validity};

    fn certificate(node: &str) -> PeerCertificate {
        let issued = Authority::generate(Validity::days(1)).unwrap().issue_node(node, Validity::days(1)).unwrap();
        PeerCertificate(issued.chain[0].clone())
    }

    #[test]
    fn a_certificate_names_its_node_and_no_other() {
        for name in ["worker-1", "a.b", "_x", "überprüfung", "7", "Big", "x-"] {
            let certificate = certificate(name);
            assert!(certificate.names(name), "{name}: {certificate:?}");
            for other in ["worker-2", "b", "big", "*", "", "x", "a%2Eb"] {
                assert!(!certificate.names(other), "{name} is not {other}");
            }
        }
    }

    #[test]
    fn a_name_that_is_no_dns_name_is_a_uri() {
        assert_eq!(certificate("worker-1").all_names(), ["worker-1"]);
        assert_eq!(certificate("é").all_names(), ["daffi://node/%C3%A9"]);
        assert_eq!(certificate("7").all_names(), ["daffi://node/7"]);
    }

    #[test]
    fn alerts_are_read_and_other_codes_are_not() {
        assert_eq!(CertificateFault::from_wire(0x100 + 116), Some(CertificateFault::Missing));
        assert_eq!(CertificateFault::from_wire(116), None);
        assert_eq!(CertificateFault::from_wire(0x100 + 40), None);
    }

    #[test]
    fn what_is_no_authority_says_so() {
        assert!(Authorities::from_pem("").is_err());
        let missing = Authorities::from_file("/nowhere/ca.pem").unwrap_err().to_string();
        assert!(missing.contains("could not read /nowhere/ca.pem"), "{missing}");
    }
}
