//! A process's place among the others: it joins a controller, offers callbacks, calls those of others and sends streams.

mod answers;
mod call;
mod callback;
mod choice;
mod client;
mod context;
mod contract;
mod credentials;
mod desk;
mod directory;
mod dynamic;
mod error;
mod event;
mod invoke;
mod join;
mod limit;
mod outgoing;
mod pending;
mod period;
mod registry;
mod retry;
mod runtime;
mod session;
mod span;
mod stream;
pub mod stub;
mod wait;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::{broadcast, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    call::{BackgroundCall, BroadcastCall, Call, NodeReply, OneWayCall, Task},
    callback::{Callback, Definition, Service},
    context::Context,
    directory::{CallbackInfo, NodeInfo},
    dynamic::{Dynamic, DynamicCall, WrongType},
    error::{CallError, JoinError, Never},
    event::{Event, Events, StreamEnded},
    join::Builder,
    period::{PeriodCall, Schedule, ScheduledCall},
    retry::Retry,
    runtime::Op,
    stream::{
        Fallible, Incoming, Iter, Next, OnError, OnSlow, ReceiverReport, Results, ResultsCall, Source, StartingAt,
        StreamCall, StreamReport, fallible, starting,
    },
    wait::{Wait, WaitError},
};
use self::{
    context::Scope,
    directory::Directory,
    pending::Pending,
    period::Schedules,
    registry::{Registry, Served},
    runtime::Runtimes,
    session::Link,
    stream::Arrivals,
    wait::What,
};
use crate::{
    clock::Clock,
    wire::{control::ToController, limits::MAX_CALLBACKS},
};

/// A node that has joined. Clones are the same node; when the last is dropped, it leaves without waiting for what runs.
#[derive(Debug, Clone)]
pub struct Node {
    inner: Arc<Inner>,
    /// Nothing if the node is on its way out already.
    _handle: Option<Arc<Handle>>,
}

/// Ends the node when the last handle is dropped.
#[derive(Debug)]
struct Handle(CancellationToken);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What the handles of a node and its tasks share.
#[derive(Debug)]
pub(crate) struct Inner {
    name: String,
    runtimes: Runtimes,
    /// What schedules at given times and the stamps of items go by.
    clock: Clock,
    registry: Registry,
    directory: watch::Sender<Directory>,
    /// Tells this node from others that had or will have its name: one that comes back from a process that was started again.
    instance: u64,
    /// The connection to the controller, while there is one.
    link: watch::Sender<Option<Arc<Link>>>,
    /// What runs for others, callbacks and streams. Closed when the node takes no more.
    tasks: TaskTracker,
    /// The streams that this node takes in.
    arrivals: Arrivals,
    pending: Pending,
    schedules: Schedules,
    events: broadcast::Sender<Event>,
    state: watch::Sender<State>,
    /// Cancelled when the node is asked to end: it joins no more.
    leaving: CancellationToken,
    /// Cancelled when the node ends.
    stopping: CancellationToken,
    call_timeout: Duration,
    connect_timeout: Duration,
    reconnect: bool,
    handle: Weak<Handle>,
}

/// Whether the node still takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    /// It has ended, because it was asked to, or for a reason.
    Ended(Result<(), String>),
}

impl Node {
    /// Sets a node up.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// A handle on a node that is known from the inside.
    pub(crate) fn of(inner: &Arc<Inner>) -> Self {
        Self { inner: inner.clone(), _handle: inner.handle.upgrade() }
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Everybody who is there, this node included, and what each offers.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.inner.directory.borrow().nodes()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        Events::new(self.inner.events.subscribe())
    }

    /// Waits until a node of this name is there; not at all if it is already. Cancel safe.
    pub fn wait_process(&self, name: impl Into<String>) -> Wait {
        Wait { inner: self.inner.clone(), what: What::Process(name.into()), timeout: None }
    }

    /// Waits until another node offers this callback; not at all if one does already. Cancel safe.
    pub fn wait_function(&self, name: impl Into<String>) -> Wait {
        Wait { inner: self.inner.clone(), what: What::Function(name.into()), timeout: None }
    }

    /// Offers further callbacks, made by `callbacks![..]`.
    ///
    /// # Errors
    ///
    /// [`JoinError::DuplicateCallback`], or [`JoinError::TooManyCallbacks`]; then none of them is offered.
    pub fn offer(&self, callbacks: impl IntoIterator<Item = Callback>) -> Result<(), JoinError> {
        self.add(&Served::functions(callbacks))
    }

    /// Offers the methods of a value whose impl block has `#[callback]`.
    ///
    /// # Errors
    ///
    /// [`JoinError::DuplicateCallback`], or [`JoinError::TooManyCallbacks`]; then none of them is offered.
    pub fn serve<S: Service>(&self, value: S) -> Result<(), JoinError> {
        self.add(&Served::value(value, None))
    }

    /// Offers the methods of a value under a name of its own: `bump` of one served as `left` is called `left.bump`. So a node can
    /// serve several values of one type.
    ///
    /// # Errors
    ///
    /// [`JoinError::DuplicateCallback`], [`JoinError::TooManyCallbacks`] or [`JoinError::InvalidCallbackName`]; then none of them is
    /// offered.
    pub fn serve_as<S: Service>(&self, name: impl Into<String>, value: S) -> Result<(), JoinError> {
        self.add(&Served::value(value, Some(name.into())))
    }

    fn add(&self, served: &Served) -> Result<(), JoinError> {
        let link = self.inner.link();
        let limit = link.as_ref().map_or(MAX_CALLBACKS as u64, |link| link.terms.callbacks);
        let offers = self.inner.registry.add(served, usize::try_from(limit).unwrap_or(usize::MAX))?;
        if let Ok(link) = link {
            // Without a link, the next hello offers them.
            let _ = link.control.send(ToController::Offer { offers });
        }
        Ok(())
    }

    /// A call by name, without a stub, through this node: `node.call("add").arg(1).arg(2)`.
    pub fn call(&self, callback: impl Into<String>) -> DynamicCall {
        DynamicCall::new(callback.into()).on(self)
    }

    /// The schedules that run here.
    pub fn schedules(&self) -> Vec<Schedule> {
        self.inner.schedules.all()
    }

    /// Runs a future so that the calls it makes go through this node.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        Scope::of_node(&self.inner).enter(future).await
    }

    /// Waits until the node has ended: stopped, refused, or disconnected for good. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`JoinError::Disconnected`], if it did not end because it was asked to.
    pub fn join(&self) -> Op<Result<(), JoinError>> {
        let mut state = self.inner.state.subscribe();
        Op::new(async move {
            let ended = state.wait_for(|state| matches!(state, State::Ended(_))).await.map(|state| state.clone());
            match ended {
                Ok(State::Ended(Err(reason))) => Err(JoinError::Disconnected { reason }),
                Ok(State::Ended(Ok(())) | State::Running) | Err(_) => Ok(()),
            }
        })
    }

    /// Leaves: takes no more calls, cancels its schedules, lets callbacks that run for others finish within `grace`, and its own
    /// calls without return too, and ends the connection. The stop goes on if the future is dropped.
    pub fn stop(&self, grace: Duration) -> Op<()> {
        let inner = self.inner.clone();
        context::unset_default(&inner);
        inner.leaving.cancel();
        let stopped = self.inner.runtimes.io.spawn(async move {
            inner.schedules.all().iter().for_each(Schedule::cancel);
            inner.tasks.close();
            if let Ok(link) = inner.link() {
                let finished = async { tokio::join!(inner.tasks.wait(), inner.pending.unwanted_ended()) };
                let _ = tokio::time::timeout(grace, finished).await;
                // The controller closes the connection on the farewell: what has been answered must be there before.
                let farewell = async {
                    link.frames.flush().await;
                    let _ = link.control.send(ToController::Leave);
                    link.connection.closed().await;
                };
                let _ = tokio::time::timeout(Duration::from_secs(1), farewell).await;
            }
            inner.stopping.cancel();
            let mut state = inner.state.subscribe();
            let _ = state.wait_for(|state| matches!(state, State::Ended(_))).await;
        });
        Op::new(async move { drop(stopped.await) })
    }
}

impl AsRef<Self> for Node {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Inner {
    /// The connection to the controller.
    pub(crate) fn link(&self) -> Result<Arc<Link>, CallError> {
        let link = self.link.borrow().clone();
        link.ok_or_else(|| CallError::NotConnected { reason: "the node is joining, or has stopped".into() })
    }

    /// Whether this is still the connection.
    pub(crate) fn has_link(&self, link: &Arc<Link>) -> bool {
        self.link.borrow().as_ref().is_some_and(|current| Arc::ptr_eq(current, link))
    }

    /// Waits for another connection than this one; nothing if there will be none. Cancel safe.
    pub(crate) async fn next_link(&self, link: &Arc<Link>) -> Option<Arc<Link>> {
        let mut links = self.link.subscribe();
        let next = links.wait_for(|next| next.as_ref().is_some_and(|next| !Arc::ptr_eq(next, link)));
        tokio::select! {
            next = next => next.ok().and_then(|next| next.clone()),
            () = self.leaving.cancelled() => None,
            () = self.stopping.cancelled() => None,
        }
    }

    fn enter(&self, link: Arc<Link>) {
        self.link.send_replace(Some(link));
    }

    fn leave(&self) {
        self.link.send_replace(None);
        self.pending.lose_all();
        self.directory.send_replace(Directory::default());
    }

    pub(crate) fn announce(&self, event: Event) {
        // Nobody need listen.
        let _ = self.events.send(event);
    }
}
