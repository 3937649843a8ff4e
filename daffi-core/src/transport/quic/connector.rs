//! The side that makes connections: its socket, how it finds that the controller is the right one, and why it gets none.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{ClientConfig, Endpoint, EndpointConfig};

use super::{
    lost::connection_lost,
    pin::{Refusal, Trust, TrustedController},
    settings::{Side, endpoint, socket, transport},
    tls::{self, Credentials},
};
use crate::transport::{ConnectionLost, JoinToken, identity::SERVER_NAME};

/// A socket that connections to controllers are made from.
#[derive(Debug)]
pub struct Connector {
    endpoint: Endpoint,
}

impl Connector {
    /// Opens a socket on a free port, of the kind that can reach `target`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(target: SocketAddr) -> io::Result<Self> {
        let any = match target.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let endpoint = endpoint(socket(SocketAddr::new(any, 0))?, EndpointConfig::default(), None)?;
        Ok(Self { endpoint })
    }

    /// Connects to the controller that the token names, within `patience`, without a certificate. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(
        &self,
        address: SocketAddr,
        token: &JoinToken,
        patience: Duration,
    ) -> Result<quinn::Connection, ConnectError> {
        self.connect_with(address, token, &Credentials::default(), patience).await
    }

    /// Connects to the controller that the token names, or to one for which the authorities in `credentials` vouch, within
    /// `patience`. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]. What the controller thinks of the node's certificate may show only when the connection stands, as its end
    /// with [`ConnectionLost::CertificateRefused`].
    pub async fn connect_with(
        &self,
        address: SocketAddr,
        token: &JoinToken,
        credentials: &Credentials,
        patience: Duration,
    ) -> Result<quinn::Connection, ConnectError> {
        let unreachable = |message: String| ConnectError::Unreachable { address: address.to_string(), message };
        let trust = match &credentials.authorities {
            Some(authorities) => Trust::Roots(authorities.roots().clone()),
            None => Trust::Fingerprint(*token.fingerprint()),
        };
        let verifier = Arc::new(TrustedController::new(trust));
        let crypto = tls::client(verifier.clone(), credentials.identity.as_ref())
            .map_err(|reason| ConnectError::OwnCertificate { reason })?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport(address.ip(), Side::Connecting));
        let connecting =
            self.endpoint.connect_with(config, address, SERVER_NAME).map_err(|error| unreachable(error.to_string()))?;
        match tokio::time::timeout(patience, connecting).await {
            Err(_) => Err(ConnectionLost::TimedOut.into()),
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(match verifier.refusal.get() {
                Some(Refusal::Fingerprint) => ConnectError::WrongController { address },
                Some(Refusal::Foreign) => ConnectError::ForeignController { address },
                Some(Refusal::Certificate(reason)) => ConnectError::Certificate { address, reason: reason.clone() },
                None => connection_lost(&error).into(),
            }),
        }
    }

    /// Waits until closed connections have told their peers. At most a second.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

/// A connection could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers, or the connection broke before it stood.
    #[error(transparent)]
    Lost(#[from] ConnectionLost),
    /// There is no local socket, or no such host.
    #[error("could not connect to {address}: {message}")]
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        message: String,
    },
    /// The controller's certificate is not the one that the token names.
    #[error(
        "the controller at {address} is not the one that the join token belongs to; get the token of this one \
         with `daffi-controller token`"
    )]
    WrongController {
        /// The address.
        address: SocketAddr,
    },
    /// The controller's certificate is of none of the authorities that the node was given.
    #[error(
        "no authority that this node trusts has issued the certificate of the controller at {address}; give the node that of this \
         one, by `.ca(..)` or DAFFI_CA, or none, to trust the join token alone"
    )]
    ForeignController {
        /// The address.
        address: SocketAddr,
    },
    /// The certificate is the right one, and not valid now, or not a controller's.
    #[error(
        "the certificate of the controller at {address} is not valid: {reason}; the controller needs a new one, made with \
         `daffi-controller cert controller`"
    )]
    Certificate {
        /// The address.
        address: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The node's own certificate cannot be used.
    #[error("this node's own certificate cannot be used: {reason}")]
    OwnCertificate {
        /// What is wrong with it.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Authority, Identity, Validity, quic::pair::pair};

    #[tokio::test]
    async fn another_certificate_is_refused() {
        let token = JoinToken::generate(Identity::generate().unwrap().fingerprint());
        let (node, controller) = pair(&Identity::generate().unwrap(), &token).await;
        assert!(matches!(node.unwrap_err(), ConnectError::WrongController { .. }));
        assert!(controller.is_none());
    }

    #[tokio::test]
    async fn whoever_only_sends_the_pinned_certificate_along_is_refused() {
        let (right, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let token = JoinToken::generate(right.fingerprint());
        let authority = Authority::generate(Validity::days(1)).unwrap();
        let of_authority = authority.issue_controller(Validity::days(1)).unwrap();
        for mut impostor in [other, of_authority] {
            impostor.chain.push(right.chain[0].clone());
            let (node, controller) = pair(&impostor, &token).await;
            assert!(matches!(
                node.unwrap_err(),
                ConnectError::ForeignController { .. } | ConnectError::Certificate { .. }
            ));
            assert!(controller.is_none());
        }
    }

    #[tokio::test]
    async fn an_expired_certificate_is_refused() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new([SERVER_NAME.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        let identity = Identity::from_pem(&format!("{}{}", certificate.pem(), key.serialize_pem())).unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let (node, _) = pair(&identity, &token).await;
        let error = node.unwrap_err();
        assert!(matches!(&error, ConnectError::Certificate { reason, .. } if reason.contains("xpired")), "{error}");
    }
}
