//! Whom a node trusts: the one controller whose certificate's fingerprint is in the join token.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::provider;
use crate::transport::identity::fingerprint;

/// Trusts the one certificate that has the pinned fingerprint, if it is valid now.
#[derive(Debug)]
pub(super) struct PinnedController {
    fingerprint: [u8; 32],
    /// Why the certificate was refused, if it was: quinn's error does not tell.
    pub(super) refusal: OnceLock<Refusal>,
}

#[derive(Debug)]
pub(super) enum Refusal {
    Fingerprint,
    Certificate(String),
}

impl PinnedController {
    pub(super) const fn new(fingerprint: [u8; 32]) -> Self {
        Self { fingerprint, refusal: OnceLock::new() }
    }
}

impl ServerCertVerifier for PinnedController {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The fingerprint is no secret: no need to compare it in constant time.
        if fingerprint(end_entity) != self.fingerprint {
            let _ = self.refusal.set(Refusal::Fingerprint);
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        // With the certificate itself as the only root, rustls checks its signature, its name and its dates.
        let verified = (|| {
            let mut roots = RootCertStore::empty();
            roots.add(end_entity.clone().into_owned())?;
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        })();
        verified.inspect_err(|error| {
            let _ = self.refusal.set(Refusal::Certificate(error.to_string()));
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
