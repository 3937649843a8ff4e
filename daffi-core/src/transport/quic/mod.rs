//! QUIC over UDP with TLS 1.3: every setting of quinn and rustls, and why it is what it is.
//!
//! # Datagram size
//!
//! On loopback datagrams of 65,507 bytes carry about four times what 1,452 bytes do (2.0 against 0.5 GiB/s on one stream,
//! measured on two cores), because system calls, encryption calls and acknowledgements are paid per datagram. Elsewhere a path
//! carries 1,200 bytes for certain and usually some 1,450: quinn begins with the former and searches for the latter, and
//! uses the kernel's segmentation offload to send many at once. Which of the two applies is decided for each connection, by
//! whether the peer's address is a loopback address. Should a loopback interface have a smaller MTU, quinn notices that
//! large datagrams do not arrive and goes back to 1,200 bytes. It may take lost ones for that; so they are tried again soon.

mod ceiling;
mod connector;
mod listener;
mod lost;
#[cfg(test)]
mod pair;
mod pin;
mod reset;
mod runtime;
mod settings;
#[cfg(unix)]
mod socket;
mod tls;

pub(crate) use self::ceiling::Ceiling;
pub use self::{
    connector::{ConnectError, Connector},
    listener::{Incoming, Listener, ListenerSettings},
    tls::{ControllerCertificates, Credentials, NodeCertificates},
};
pub(super) use self::{
    lost::{connection_lost, read_lost, settled, write_lost},
    settings::admit,
    tls::provider,
};
use super::{RecvStream, SendStream};

pub(super) fn both((send, receive): (quinn::SendStream, quinn::RecvStream)) -> (SendStream, RecvStream) {
    (SendStream::Quic(send), RecvStream::Quic(receive))
}
