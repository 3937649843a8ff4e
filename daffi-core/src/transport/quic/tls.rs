//! The TLS side of QUIC: what each end shows, and what it asks to be shown.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    crypto::CryptoProvider,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};

use super::pin::TrustedController;
use crate::transport::{Authorities, Identity};

/// The protocol's name in the TLS handshake. It has no version in it: a version mismatch is found behind the handshake,
/// where both sides can say so in words.
const ALPN: &[u8] = b"daffi";

/// What a controller shows its nodes, and what it asks of them.
#[derive(Debug, Clone)]
pub struct ControllerCertificates {
    /// Its own.
    pub identity: Identity,
    /// Those of the nodes.
    pub nodes: NodeCertificates,
}

/// Whether a controller wants to see certificates of its nodes. One that is shown and not in order is refused in any case.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum NodeCertificates {
    /// It asks for none.
    #[default]
    Ignored,
    /// A node may have one of these authorities.
    Accepted(Authorities),
    /// A node must have one of these authorities.
    Required(Authorities),
}

impl NodeCertificates {
    /// The authorities, if there are any.
    pub const fn authorities(&self) -> Option<&Authorities> {
        match self {
            Self::Ignored => None,
            Self::Accepted(authorities) | Self::Required(authorities) => Some(authorities),
        }
    }
}

/// What a node shows its controller, and whose word it takes for it.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The node's certificate, if it has one.
    pub identity: Option<Identity>,
    /// The authorities that vouch for controllers. Without them it is the fingerprint in the join token.
    pub authorities: Option<Authorities>,
}

pub(super) fn server(certificates: &ControllerCertificates) -> io::Result<quinn::crypto::rustls::QuicServerConfig> {
    let ControllerCertificates { identity, nodes } = certificates;
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?;
    let builder = match nodes.authorities() {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut verifier = WebPkiClientVerifier::builder_with_provider(authorities.roots().clone(), provider());
            if let NodeCertificates::Accepted(_) = nodes {
                verifier = verifier.allow_unauthenticated();
            }
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        }
    };
    let mut tls =
        builder.with_single_cert(identity.chain.clone(), identity.key.clone_key()).map_err(io::Error::other)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // A session that is resumed shows no certificate: one that has expired meanwhile would go unnoticed. No node resumes one.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.try_into().map_err(io::Error::other)
}

/// # Errors
///
/// What is wrong with the node's own certificate, in words.
pub(super) fn client(
    verifier: Arc<TrustedController>,
    identity: Option<&Identity>,
) -> Result<quinn::crypto::rustls::QuicClientConfig, String> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut tls = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|error| error.to_string())?,
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.try_into().map_err(|error: quinn::crypto::rustls::NoInitialCipherSuite| error.to_string())
}

/// ring with AES-128-GCM first: it was measured fastest (ChaCha20 a fifth slower) and QUIC needs it for its handshake anyway.
pub(in crate::transport) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            use rustls::crypto::ring::{cipher_suite, default_provider};
            Arc::new(CryptoProvider {
                cipher_suites: vec![
                    cipher_suite::TLS13_AES_128_GCM_SHA256,
                    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
                    cipher_suite::TLS13_AES_256_GCM_SHA384,
                ],
                ..default_provider()
            })
        })
        .clone()
}
