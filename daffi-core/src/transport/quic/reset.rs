//! What lets a controller that was killed and started again tell nodes at once that it knows nothing of their connections: QUIC's
//! stateless reset.
//!
//! With each connection id a listener gives its peer a reset token, which it can make again from the id alone, with a key. A packet for a
//! connection that it does not know it answers with that token, and the peer, which knows it, gives the connection up. So the key has to
//! be the same after a restart, and nobody else's: whoever has it can end connections. It is derived from the private key of the
//! listener's certificate, which is kept as a secret anyway, lives as long as the state directory, and is known to no node.
//!
//! The address is derived in too. If two listeners had one key, one of them could be asked for the tokens of the other's connections, by
//! whoever sees their ids on the network (RFC 9000, section 21.11).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quinn::EndpointConfig;
use quinn_proto::RandomConnectionIdGenerator;
use ring::{hkdf, hmac};

use crate::transport::Identity;

const SALT: &[u8] = b"daffi: keys from the controller's private key";
const LABEL: &[u8] = b"stateless reset";

/// How far resets are apart at least. quinn's 20 ms would have the last of a thousand nodes wait for 20 s, which is longer than any silence
/// that they bear. A reset is smaller than the packet that it answers, so it is of no use to a flood.
const BETWEEN_RESETS: Duration = Duration::from_millis(1);

/// The settings of a listener with this identity at this address, that knows the connection ids of the one before it for its own.
pub(super) fn listening(identity: &Identity, address: SocketAddr) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(key(identity, address)));
    config.min_reset_interval(BETWEEN_RESETS);
    // quinn's own choice are ids that it can tell from others by a key, and answers no others. But there are only 16 million of them: with
    // a key that stays, somebody could ask for the reset tokens of all of them, and use them once the ids are in use.
    config.cid_generator(|| Box::<RandomConnectionIdGenerator>::default());
    config
}

fn key(identity: &Identity, address: SocketAddr) -> hmac::Key {
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(identity.key.secret_der());
    let address = address.to_string();
    let info = [LABEL, address.as_bytes()];
    let derived = secret.expand(&info, hmac::HMAC_SHA256);
    // HKDF only refuses to make more than 255 times a digest.
    derived.expect("one key is less than HKDF can make").into()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::runtime::Runtime;

    use super::*;
    use crate::{
        transport::{
            ConnectionLost, JoinToken,
            quic::{Connector, Listener, connection_lost},
        },
        wire::limits,
    };

    const PATIENCE: Duration = Duration::from_secs(20);

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    /// Why a node loses a controller that is killed, and started again at the same address with this other identity.
    fn lost_to_a_restart(identity: &Identity, again: &Identity) -> ConnectionLost {
        let (node, killed, restarted) = (runtime(), runtime(), runtime());
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = killed.block_on(async { Listener::bind(anywhere, identity) }).unwrap();
        let address = listener.local_addr().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let connecting = node.spawn(async move {
            let connector = Connector::new(address).unwrap();
            (connector.connect(address, &token, PATIENCE).await.unwrap(), connector)
        });
        let accepted =
            killed.block_on(async { listener.accept().await.unwrap().establish(limits::SILENCE).await }).unwrap();
        let (connection, _connector) = node.block_on(connecting).unwrap();
        // Without its runtime it has no chance to say goodbye.
        drop(killed);
        drop((listener, accepted));
        let _listener = restarted.block_on(async { Listener::bind(address, again) }).unwrap();
        let closed = async { tokio::time::timeout(PATIENCE, connection.closed()).await };
        connection_lost(&node.block_on(closed).unwrap())
    }

    #[test]
    fn a_listener_with_the_same_identity_ends_the_connections_of_the_one_before() {
        let identity = Identity::generate().unwrap();
        let kept = Identity::from_pem(&identity.to_pem()).unwrap();
        assert_eq!(lost_to_a_restart(&identity, &kept), ConnectionLost::Forgotten);
    }

    #[test]
    fn a_listener_with_another_identity_cannot_end_them() {
        let (identity, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        assert_eq!(lost_to_a_restart(&identity, &other), ConnectionLost::TimedOut);
    }

    #[test]
    fn two_listeners_have_different_keys() {
        let identity = Identity::generate().unwrap();
        let token = |port| hmac::sign(&key(&identity, (Ipv4Addr::LOCALHOST, port).into()), b"an id");
        assert_eq!(token(8888).as_ref(), token(8888).as_ref());
        assert_ne!(token(8888).as_ref(), token(8889).as_ref());
    }
}
