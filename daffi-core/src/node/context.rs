//! What surrounds a callback while it runs, so that the calls it makes belong to it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Inner, error::CallError};

tokio::task_local! {
    static CURRENT: Context;
}

/// The node of this process that calls go through when nothing else is said.
static DEFAULT: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

/// The surroundings of a running callback.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) node: Arc<Inner>,
    /// When the caller stops waiting; the calls made from here end then too.
    pub(crate) deadline: Option<Instant>,
    /// The caller has lost interest.
    pub(crate) cancelled: CancellationToken,
}

impl Context {
    /// That of the callback which is running here, if one is.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs a callback's future in these surroundings.
    pub(crate) async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Runs a sync callback in these surroundings.
    pub(crate) fn sync_scope<T>(self, run: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, run)
    }
}

/// The node that a call goes through: the one it names, else the one whose callback is running here, else the process's
/// first.
pub(crate) fn node_for(named: Option<Arc<Inner>>) -> Result<(Arc<Inner>, Option<Context>), CallError> {
    let context = Context::current();
    let node = match (named, &context) {
        (Some(node), _) => node,
        (None, Some(context)) => context.node.clone(),
        (None, None) => lock().upgrade().ok_or(CallError::NotStarted)?,
    };
    Ok((node, context))
}

/// Makes this the node that calls go through when nothing else is said, unless there is one.
pub(crate) fn set_default(node: &Arc<Inner>) {
    let mut default = lock();
    if default.strong_count() == 0 {
        *default = Arc::downgrade(node);
    }
}

/// Leaves the place of the default node to the next one that starts.
pub(crate) fn unset_default(node: &Arc<Inner>) {
    let mut default = lock();
    if default.as_ptr() == Arc::as_ptr(node) {
        *default = Weak::new();
    }
}

fn lock() -> std::sync::MutexGuard<'static, Weak<Inner>> {
    // It is replaced whole or not at all.
    DEFAULT.lock().unwrap_or_else(PoisonError::into_inner)
}
