//! Spans: what a call, a callback's run and a stream are to a trace.
//!
//! With the feature `opentelemetry` each call and each stream of this node is a client span, and each run of a callback, or
//! whole stream that one takes, is a server span. The names of their attributes are those of OpenTelemetry's conventions for
//! RPC, where it has one: <https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/>. Who records them, and where they go,
//! is the program's choice, by its `tracing` subscriber.
//!
//! Without the feature nothing is left of this but which trace a call belongs to: the one that it names, or that of the
//! callback which makes it.

#[cfg(feature = "opentelemetry")]
mod kind;
#[cfg(not(feature = "opentelemetry"))]
mod off;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;

#[cfg(not(feature = "opentelemetry"))]
pub(crate) use self::off::{Around, ClientSpan, ServerSpan, carry, carry_future};
#[cfg(feature = "opentelemetry")]
pub(crate) use self::opentelemetry::{Around, ClientSpan, ServerSpan, carry, carry_future};
