//! Every limit of the protocol, in one place. What exceeds one is refused, with a typed error or with the end of the connection,
//! and never answered by growing.

use std::time::Duration;

/// The longest name of a node or callback, in bytes.
pub const MAX_NAME: usize = 128;

/// How many bytes are taken of what a peer says when it closes a connection: somewhat less than fits into a packet.
pub const MAX_REASON: usize = 1 << 10;

/// The largest control message, in bytes. A welcome lists all nodes and their callbacks: 4 MiB is some 10,000 nodes with
/// a few callbacks each.
pub const MAX_CONTROL: usize = 4 << 20;

/// How many bytes of control messages are read of a node a second, beyond the first [`MAX_CONTROL`]: it has little to say there, but for
/// what it offers, and all that fits into that.
pub const CONTROL_RATE: u64 = 64 << 10;

/// How many bytes of control messages may wait to be sent to a node. One that reads so slowly is let go: it would act on what was long
/// ago. Everybody may come and go once while it is welcomed.
pub const MAX_CONTROL_BACKLOG: usize = 4 * MAX_CONTROL;

/// The largest payload of one call, one reply or one stream item, in bytes.
pub const MAX_PAYLOAD: usize = 256 << 20;

/// Room for everything in a frame or batch but its payload: headers, and the targets of a broadcast.
pub const MAX_HEAD: usize = 64 << 10;

/// Frames up to this size share the call lane; a larger one gets a QUIC stream of its own, so that it does not hold up
/// the small ones behind it. At 16 KiB the small ones wait for 8 µs at 2 GiB/s.
pub const LANE_FRAME: usize = 16 << 10;

/// A large frame above this size takes of [`LARGE_TOGETHER`].
pub const LARGE_ALONE: usize = 1 << 20;

/// How many bytes the large frames above [`LARGE_ALONE`] may have together that are on their way over a connection at a time, in one
/// direction: as many as the largest of them. Further ones wait, at their sender; the other end reads no more of them, and does not
/// gather what many of them begin.
pub const LARGE_TOGETHER: usize = MAX_HEAD + MAX_PAYLOAD;

/// A batch is closed when it has this many bytes. Measured with 64-byte items through one hop: 1 KiB batches carry 8
/// million items/s, 16 KiB 19 million, 64 KiB 17 to 22 million, 128 KiB 18 million.
pub const BATCH: usize = 64 << 10;

/// The size of the fragments that a large item of a stream goes in; one of up to twice as much goes whole. As much as QUIC's window
/// of a stream: less would not be on its way at a time.
pub const FRAGMENT: usize = 1 << 20;

/// The largest value or failure that is passed on, in bytes; it travels in a message that has a limit.
pub const MAX_ANSWER: usize = 256 << 10;

/// The most nodes that one broadcast or stream can go to; their ids must fit [`MAX_HEAD`].
pub const MAX_TARGETS: usize = 8 << 10;

/// The most callbacks that one node can offer.
pub const MAX_CALLBACKS: usize = 4 << 10;

/// How many items a stream may have on their way to one receiver: sent, and not yet through its callback.
pub const STREAM_WINDOW_ITEMS: u64 = 32 << 10;

/// How many bytes a stream may have on their way to one receiver. With five threads of three processes on two cores, each
/// waits for its turn: 4 MiB was measured a fifth faster than 1 MiB for large items, and 8 MiB no faster. (QUIC's own
/// windows are smaller, see `transport::quic`: the rest waits in the controller's memory, shared by all receivers.)
pub const STREAM_WINDOW_BYTES: u64 = 4 << 20;

/// How many calls a node may have under way; the next one waits until one of them ends.
pub const MAX_CALLS: usize = 16 << 10;

/// How many sync callbacks and blocking sources may run in a process at a time; further ones wait. Threads are made on demand.
pub const MAX_BLOCKING: usize = 4 << 10;

/// How many bytes of calls may wait to be sent to a node before the controller refuses further ones. Whatever the size of
/// the first: a call that alone is larger passes. When so many small frames wait for a node, answers to its own calls for the most
/// part, it is sent them before any further frame of it is taken.
pub const MAX_LANE_BACKLOG: usize = 64 << 20;

/// How many cancellations that came before their (large) call a controller remembers for each node.
pub const MAX_EARLY_CANCELS: usize = 256;

/// How long a connection may take from its first packet to a valid hello.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// A peer that was not heard of for this long is taken for dead, unless the controller's limit `silence` says otherwise. With
/// [`KEEP_ALIVE`] it is below three seconds: who asks waits for that long from its first question without an answer on.
pub const SILENCE: Duration = Duration::from_millis(2_400);

/// The longest silence that a controller may bear: as long as a stream waits for who is away. It is what nodes tell QUIC, which takes the
/// shorter time of both sides: so it is the controller that decides.
pub const MAX_SILENCE: Duration = RESUME;

/// How often a node keeps a silent connection alive: four times within [`SILENCE`], and QUIC asks again when one is lost. Where
/// the controller bears less than that, it asks as well.
pub const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// How long at most a stream waits for a node whose connection broke, or for the controller; for a shorter time, if it waits for a
/// stalled receiver for a shorter time. A killed process holds up for so long those who have to have all items: long enough for a
/// controller to be started again, and no longer.
pub const RESUME: Duration = Duration::from_secs(10);

/// How long a call waits for its result unless it says otherwise.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is told, at either end, how many items a receiver was too slow for: often enough to show it to people.
pub const TELL_DROPPED: Duration = Duration::from_millis(250);

/// How long a receiver may finish no item while items wait for it, before it leaves that stream.
pub const STALL: Duration = Duration::from_secs(10);
