//! Whether what came of a call or stream is what may have come of it.

use std::fmt::Debug;

use daffi::{CallError, Right};

use crate::terms::{Law, Since};

/// Something that one of the two nodes asked of the other.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) law: &'a Law,
    pub(crate) since: Since,
    pub(crate) right: Right,
    /// Who asked whom for which callback.
    pub(crate) names: [&'a str; 3],
}

impl Asked<'_> {
    /// Whether it was done: if so it was allowed at some time, and if not, the refusal has its reason.
    ///
    /// # Panics
    ///
    /// If it was done without a right, or refused without a reason.
    pub(crate) fn is_done<T: Debug, E: Debug>(&self, result: &Result<T, CallError<E>>) -> bool {
        let Self { law, since, right: asked, names } = *self;
        let [caller, node, callback] = names;
        match result {
            Ok(_) => assert!(law.allowed(since, asked, names), "{names:?} was not allowed: {result:?}"),
            Err(CallError::NotAllowed { caller: who, node: whom, callback: what, right }) => {
                assert_eq!([who.as_str(), whom, what], names);
                let lacking = if *right == Right::Offer { node } else { caller };
                assert!(*right == asked || *right == Right::Offer, "{names:?}: {result:?}");
                assert!(law.lacked(since, lacking, *right, callback), "{names:?} was allowed: {result:?}");
            }
            Err(CallError::Limit { name, allowed }) => {
                let limits = law.limits();
                let is_set = match (name.as_str(), asked) {
                    ("calls_per_node", Right::Call) => limits.calls_per_node as u64,
                    ("streams_per_node", Right::Stream) => limits.streams_per_node.map_or(0, u64::from),
                    _ => panic!("{names:?} met {name}"),
                };
                // Only what others do does not count: so it takes more than one of its own.
                assert_eq!(*allowed, is_set, "{names:?}: {result:?}");
            }
            Err(other) => panic!("{names:?} failed: {other:?}"),
        }
        result.is_ok()
    }
}
