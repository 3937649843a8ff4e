//! quinn's errors as daffi's: how a connection, or one side of a stream, was lost.

use quinn::{TransportErrorCode, VarInt};

use crate::transport::{CertificateFault, CloseCode, ConnectionLost, GiveUp, StreamLost};

pub(in crate::transport) fn connection_lost(error: &quinn::ConnectionError) -> ConnectionLost {
    use quinn::ConnectionError::{ApplicationClosed, ConnectionClosed, LocallyClosed, Reset, TimedOut};
    match error {
        ApplicationClosed(close) => {
            ConnectionLost::closed_by_peer(CloseCode::from_wire(close.error_code.into_inner()), &close.reason)
        }
        ConnectionClosed(close) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
            ConnectionLost::Refused
        }
        LocallyClosed => ConnectionLost::ClosedHere,
        TimedOut => ConnectionLost::TimedOut,
        Reset => ConnectionLost::Forgotten,
        ConnectionClosed(close) => match CertificateFault::from_wire(close.error_code.into()) {
            Some(fault) => ConnectionLost::CertificateRefused(fault),
            None => ConnectionLost::failed(error),
        },
        other => ConnectionLost::failed(other),
    }
}

/// What [`SendStream::settled`](crate::transport::SendStream::settled) says of a stream's end.
pub(in crate::transport) fn settled(end: Result<Option<VarInt>, quinn::StoppedError>) -> Result<(), StreamLost> {
    match end {
        Ok(None) => Ok(()),
        Ok(Some(code)) => Err(GiveUp::lost(code.into_inner(), StreamLost::Stopped)),
        Err(quinn::StoppedError::ConnectionLost(error)) => Err(connection_lost(&error).into()),
        Err(quinn::StoppedError::ZeroRttRejected) => Err(StreamLost::Reset),
    }
}

pub(in crate::transport) fn write_lost(error: &quinn::WriteError) -> StreamLost {
    match error {
        quinn::WriteError::ConnectionLost(error) => connection_lost(error).into(),
        quinn::WriteError::Stopped(code) => GiveUp::lost(code.into_inner(), StreamLost::Stopped),
        quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => StreamLost::Reset,
    }
}

pub(in crate::transport) fn read_lost(error: &quinn::ReadError) -> StreamLost {
    match error {
        quinn::ReadError::ConnectionLost(error) => connection_lost(error).into(),
        quinn::ReadError::Reset(code) => GiveUp::lost(code.into_inner(), StreamLost::Reset),
        quinn::ReadError::ClosedStream | quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => {
            StreamLost::Stopped
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transport::{Identity, JoinToken, quic::pair::pair};

    #[tokio::test]
    async fn a_dropped_stream_is_a_reset_and_a_close_says_why() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let (node, controller) = pair(&identity, &token).await;
        let (node, controller) = (node.unwrap(), controller.unwrap());
        let mut stream = node.open_uni().await.unwrap();
        stream.write(&mut [Bytes::from_static(b"x")]).await.unwrap();
        let mut received = controller.accept_uni().await.unwrap();
        drop(stream);
        let mut chunks = Vec::new();
        let lost = loop {
            match received.read(&mut chunks).await {
                Ok(true) => {}
                other => break other,
            }
        };
        assert_eq!(lost, Err(StreamLost::Reset));
        controller.close(CloseCode::NameTaken, "taken");
        let lost = ConnectionLost::ClosedByPeer { code: CloseCode::NameTaken, reason: "taken".into() };
        assert_eq!(node.closed().await, lost);
    }
}
