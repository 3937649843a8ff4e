//! quinn on tokio, such that the thread that has something to send sends it.

use std::{io, net::UdpSocket, pin::Pin, sync::Arc, time::Instant};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::Handle;

use crate::transport::Assisted;

/// Runs quinn's tasks on the runtime that it was made in; other threads may assist with them.
#[derive(Debug)]
pub(super) struct AssistedRuntime(Handle);

impl AssistedRuntime {
    /// For an endpoint that is made in this runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as everything that needs one.
    pub(super) fn current() -> Arc<Self> {
        Arc::new(Self(Handle::current()))
    }
}

impl Runtime for AssistedRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        // A timer belongs to the runtime that it is made in, which the assisting thread's need not be.
        let _runtime = self.0.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(Assisted::new(future));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        #[cfg(unix)]
        return Ok(super::socket::ReadSocket::new(socket, &self.0)?);
        #[cfg(not(unix))]
        TokioRuntime.wrap_udp_socket(socket)
    }

    // `now` is the system's clock, as by default: an assisting thread may belong to a runtime whose clock is paused.
}
