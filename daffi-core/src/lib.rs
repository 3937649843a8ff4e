//! What every part of daffi shares: the bytes between processes, what moves them, and a process's place among the others.
//!
//! - [`wire`] says what the bytes mean. It is sans-IO: bytes in, bytes out, no sockets, no tasks, no clock.
//! - [`transport`] moves bytes: QUIC with TLS and join tokens, or an in-memory network for tests, behind one face.
//! - [`link`] is a connection that speaks the wire format: what nodes and controllers both do with one.
//! - [`node`] is a process that joined: its session with the controller, its callbacks, its calls and its streams.
//!
//! Programs use the facade crate `daffi`; this crate is for the controller, the facade and for tools.

mod clock;
pub mod link;
pub mod node;
pub mod transport;
pub mod wire;
