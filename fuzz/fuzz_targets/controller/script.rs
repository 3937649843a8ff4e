//! What may happen, as the fuzzer makes it up.

use arbitrary::Arbitrary;

use crate::terms::{SomeLimits, SomeRule};

#[derive(Debug, Arbitrary)]
pub(crate) struct Input {
    pub(crate) limits: SomeLimits,
    pub(crate) rules: Vec<SomeRule>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Step {
    /// A node that behaves does something.
    Work(Work),
    /// One of the other peers does.
    Peer { peer: u8, does: Act },
    /// The same as often again.
    Again { times: u8 },
    /// Time passes.
    Pass { millis: u16 },
    /// Other rules hold from now on.
    Rules(Vec<SomeRule>),
}

/// Between the two nodes that behave.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum Work {
    Call {
        to_b: bool,
        a: i32,
    },
    Broadcast {
        a: i32,
    },
    /// A call whose future is dropped after so many milliseconds.
    Dropped {
        millis: u8,
    },
    /// A payload with a stream of its own.
    Large {
        kilobytes: u8,
    },
    Stream {
        items: u16,
    },
    /// One of which items may go.
    Latest {
        items: u8,
    },
    /// One that is taken as a whole.
    Sum {
        items: u16,
    },
    Results {
        items: u8,
    },
}

#[derive(Debug, Clone, Arbitrary)]
pub(crate) enum Act {
    /// Joins as it should, under a name that may be taken, and offers callbacks.
    Join {
        name: u8,
        offers: Vec<u8>,
        reads: bool,
    },
    /// Opens the control stream with anything.
    Open {
        bytes: Vec<u8>,
    },
    Control(Control),
    Lane(Lane),
    /// A frame on a stream of its own.
    Alone(Lane),
    /// Opens an item stream.
    Stream(Request),
    /// Something on the last item stream that it opened.
    Send(Batch),
    /// Something on the last item stream that was opened to it.
    Answer(Reply),
    /// A stream of a kind that it is not.
    Odd {
        bidirectional: bool,
        bytes: Vec<u8>,
    },
    /// The link is cut, or loses everything.
    Cut,
    Partition,
    Delay {
        millis: u8,
    },
    Close,
}

#[derive(Debug, Clone, Arbitrary)]
pub(crate) enum Control {
    Offer { offers: Vec<u8> },
    Leave,
    Alive,
    Hello,
    Raw(Vec<u8>),
}

#[derive(Debug, Clone, Arbitrary)]
pub(crate) enum Lane {
    Call { id: u8, to: u8, callback: u8, payload: Vec<u8> },
    Broadcast { id: u8, to: Vec<u8>, callback: u8, payload: Vec<u8> },
    Reply { tag: u8, place: u8, status: u8, payload: Vec<u8> },
    Cancel { id: u8 },
    Raw(Vec<u8>),
}

#[derive(Debug, Clone, Arbitrary)]
pub(crate) struct Request {
    pub(crate) callback: u8,
    pub(crate) targets: Vec<u8>,
    pub(crate) stall_millis: u16,
    /// The tag and the place of a call.
    pub(crate) answers: Option<(u8, u8)>,
    pub(crate) keep: Option<u8>,
    pub(crate) live: bool,
    /// What it is known by, and the receivers that it goes on with, if it has begun before.
    pub(crate) stream: Option<u8>,
    pub(crate) resumed: Option<Going>,
}

/// How far a stream says that it is.
#[derive(Debug, Clone, Arbitrary)]
pub(crate) struct Going {
    pub(crate) callback: u8,
    pub(crate) from: Place,
    /// The receivers by their nodes' names, and whether each has to have all.
    pub(crate) receivers: Vec<(u8, bool)>,
}

/// A place in a stream, near its beginning or the last that there could be.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) struct Place {
    pub(crate) item: u16,
    pub(crate) is_far: bool,
    pub(crate) is_behind_end: bool,
    pub(crate) items: u32,
    pub(crate) bytes: u32,
}

#[derive(Debug, Clone, Arbitrary)]
pub(crate) enum Batch {
    /// Whole items, numbered as they should be unless `off` says otherwise.
    Items {
        items: Vec<Vec<u8>>,
        dependents: bool,
        off: u8,
    },
    /// A part of an item of which more is to come.
    Fragment {
        body: Vec<u8>,
    },
    Newcomers {
        nodes: Vec<u8>,
    },
    Mark(Place),
    Finished,
    Raw(Vec<u8>),
    Finish,
    Reset,
    Stop,
}

#[derive(Debug, Clone, Arbitrary)]
pub(crate) enum Reply {
    Standing { first: Option<u8>, place: Place, missed: u16, granted: Place },
    Rewind(Place),
    Grant { items: u32, bytes: u32 },
    Pace { items: u32, bytes: u32, held_micros: u32 },
    Ended { delivered: u16, fails: bool },
    Dropped { node: u8, items: u8 },
    Raw(Vec<u8>),
    Finish,
    Reset,
    Stop,
}
