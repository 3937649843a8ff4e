//! Whom a node trusts: the one controller whose certificate's fingerprint is in the join token, or whose authority's is; or any that
//! has a certificate of the authorities that the node was given.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::provider;
use crate::transport::{certificate::controller_verifier, identity::fingerprint};

/// Trusts the controllers that it was made for, if their certificates are valid now.
#[derive(Debug)]
pub(super) struct TrustedController {
    trust: Trust,
    /// Why the certificate was refused, if it was: quinn's error does not tell.
    pub(super) refusal: OnceLock<Refusal>,
}

/// On whose word a node takes a controller for its own.
#[derive(Debug)]
pub(super) enum Trust {
    /// That of the certificate with this fingerprint, the controller's own or its authority's.
    Fingerprint([u8; 32]),
    /// That of one of these.
    Roots(Arc<RootCertStore>),
}

#[derive(Debug)]
pub(super) enum Refusal {
    Fingerprint,
    /// Nobody whom the node trusts has issued it.
    Foreign,
    Certificate(String),
}

impl TrustedController {
    pub(super) const fn new(trust: Trust) -> Self {
        Self { trust, refusal: OnceLock::new() }
    }

    fn roots(&self, certificates: &[&CertificateDer<'_>]) -> Result<Arc<RootCertStore>, Refusal> {
        match &self.trust {
            Trust::Roots(roots) => Ok(roots.clone()),
            Trust::Fingerprint(pinned) => {
                // The fingerprint is no secret: no need to compare it in constant time.
                let found = certificates.iter().find(|certificate| fingerprint(certificate) == *pinned);
                let found = found.ok_or(Refusal::Fingerprint)?;
                // With that as the only root, rustls checks signatures, name and dates.
                let mut roots = RootCertStore::empty();
                let added = roots.add(CertificateDer::clone(found).into_owned());
                added.map_err(|error| Refusal::Certificate(error.to_string()))?;
                Ok(roots.into())
            }
        }
    }
}

impl ServerCertVerifier for TrustedController {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificates: Vec<_> = std::iter::once(end_entity).chain(intermediates).collect();
        let roots = match self.roots(&certificates) {
            Ok(roots) => roots,
            Err(refusal) => {
                let _ = self.refusal.set(refusal);
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        };
        let verified = controller_verifier(roots).and_then(|verifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        verified.inspect_err(|error| {
            let _ = self.refusal.set(match error {
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Refusal::Foreign,
                error => Refusal::Certificate(error.to_string()),
            });
        })
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC has no TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
