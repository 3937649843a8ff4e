//! Why a node or its offers are not taken, and as much of what they say as is told on.

use daffi_core::wire::{
    limits::{MAX_CONTROL, MAX_NAME},
    name::{self, InvalidName},
    offer::Offer,
};

/// Why a node or its offers were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the node name {name:?} is not one: {why}")]
    NodeName { name: String, why: InvalidName },
    #[error("the callback name {name:?} is not one: {why}")]
    CallbackName { name: String, why: InvalidName },
    #[error("a node named {0:?} is here already: give this one another name, or stop that one")]
    NameTaken(String),
    #[error(
        "it offers {count} callbacks, and a node may offer {limit}: offer fewer, or raise `callbacks_per_node` in the controller's \
         configuration"
    )]
    TooManyCallbacks { count: usize, limit: usize },
    #[error("{0} nodes have joined, and no more may: stop one, or raise `nodes` in the controller's configuration")]
    TooManyNodes(usize),
    #[error(
        "all nodes and their callbacks have to fit into one message of {} MiB, and this one does not any more: fewer nodes, or fewer \
         callbacks of each",
        MAX_CONTROL >> 20
    )]
    DirectoryFull,
    #[error("no rule of this controller allows node {name:?} to offer {}; add one, or offer less", some_of(.callbacks))]
    NotAllowed { name: String, callbacks: Vec<String> },
    #[error("the controller is stopping")]
    Stopping,
}

/// Whether these are names, of a node and of its callbacks.
pub(crate) fn check_names(node: &str, offers: &[Offer]) -> Result<(), Refused> {
    name::check(node).map_err(|why| Refused::NodeName { name: beginning(node).to_owned(), why })?;
    check_callbacks(offers)
}

pub(crate) fn check_callbacks(offers: &[Offer]) -> Result<(), Refused> {
    let refused = |name: &str, why| Refused::CallbackName { name: beginning(name).to_owned(), why };
    let bad = |name: &str| name::check(name).err().map(|why| refused(name, why));
    offers.iter().find_map(|offer| bad(&offer.name)).map_or(Ok(()), Err)
}

/// As much of what a node says as a name may have: the rest is not for logs and answers.
pub(crate) fn beginning(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

/// A few of them: the reason for which a connection is closed has to fit into a packet.
pub(crate) fn some_of(names: &[String]) -> String {
    const SOME: usize = 4;
    let some: Vec<_> = names.iter().take(SOME).map(|name| format!("{name:?}")).collect();
    match names.len().saturating_sub(SOME) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}
