//! Streams and what must hold of them.

use std::time::Duration;

use daffi::{CallError, Node, OnSlow, StreamCall, StreamReport, limits};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::{
    ledger::Process,
    plan::{Form, Place, Stream, What},
    rules::Verdict,
    service::{Item, Large, paced, remote},
    world::{World, name},
};

/// More than a batch takes that goes whole.
const LARGE: usize = 5 << 19;

/// How long what was sent while it was allowed may take to be taken: the longest partition, and the queue of the slowest receiver.
const ON_ITS_WAY: Duration = Duration::from_secs(18);

/// What became of a stream at one receiver.
#[derive(Debug)]
struct Entry {
    node: String,
    first: u64,
    delivered: u64,
    dropped: u64,
    /// What the callback returned, if it took the whole stream.
    result: Result<Option<u64>, CallError>,
}

#[derive(Debug)]
struct Report {
    sent: u64,
    entries: Vec<Entry>,
}

type Outcome = Result<Report, CallError>;

pub(crate) async fn stream(world: World, node: Node, process: Process, stream: Stream) {
    let (id, from) = (stream.id, world.ledger.now());
    let items = paced(stream.items, stream.every).map(move |number| Item { stream: id, number });
    let outcome = async {
        match stream.form {
            Form::Items => run(remote::take(items), &node, &stream, |()| None).await,
            Form::Whole => run(remote::swallow(items), &node, &stream, Some).await,
            Form::Large => {
                let large = |item: Item| Large { item, bytes: vec![item.number as u8 + 1; LARGE] };
                run(remote::weigh(items.map(large)), &node, &stream, |()| None).await
            }
        }
    };
    let outcome = match stream.dropped {
        None => outcome.await,
        Some(patience) => match timeout(patience, outcome).await {
            Ok(outcome) => outcome,
            Err(_) => return world.ledger.note(format_args!("stream {id} is dropped")),
        },
    };
    world.ledger.note(format_args!("stream {id}: {outcome:?}"));
    let span = (from, world.ledger.now());
    Check { world: &world, stream: &stream, process, span }.outcome(&outcome);
}

async fn run<T: Send + 'static>(
    call: StreamCall<T>,
    node: &Node,
    stream: &Stream,
    count: fn(T) -> Option<u64>,
) -> Outcome {
    let call = call.on(node).on_slow(stream.on_slow).live(stream.live).stall_after(stream.stall);
    let StreamReport { sent, receivers, .. } = call.await?;
    let entries = receivers.into_iter().map(|receiver| Entry {
        node: receiver.node,
        first: receiver.first,
        delivered: receiver.delivered,
        dropped: receiver.dropped,
        result: receiver.result.map(count),
    });
    Ok(Report { sent, entries: entries.collect() })
}

/// A stream that is over, and what is looked at.
struct Check<'a> {
    world: &'a World,
    stream: &'a Stream,
    /// The producer's.
    process: Process,
    /// From when to when it was under way.
    span: (Duration, Duration),
}

impl Check<'_> {
    fn outcome(&self, outcome: &Outcome) {
        match outcome {
            Ok(report) => self.report(report),
            Err(CallError::ControllerLost) => {
                self.holds(!self.lasts(self.stream.from) || !self.is_bearable(&[self.stream.from]), || {
                    "ended, though little was broken".into()
                });
            }
            // At the beginning there may be nobody.
            Err(CallError::NotConnected { .. } | CallError::NoCallback { .. } | CallError::Stopping { .. }) => {}
            Err(error) => self.holds(false, || format!("{error:?}")),
        }
    }

    /// Whether the producer was allowed this all the time.
    fn verdict(&self) -> Verdict {
        self.world.allowed_since(self.span.0, self.stream.from, callback(self.stream.form))
    }

    fn report(&self, report: &Report) {
        self.holds(report.sent <= self.stream.items, || format!("sent {} items", report.sent));
        for entry in &report.entries {
            match &entry.result {
                Ok(count) => self.went_on(report, entry, *count),
                Err(error) => self.left(entry, error),
            }
            let most = self.taken(&entry.node).into_iter().map(|taken| taken.len()).max().unwrap_or_default();
            self.holds(entry.delivered <= most as u64, || format!("{most} items came: {entry:?}"));
        }
    }

    /// Of a receiver that went on to the end all items are accounted for.
    fn went_on(&self, report: &Report, entry: &Entry, count: Option<u64>) {
        let Entry { node, first, delivered, dropped, .. } = entry;
        self.holds(self.verdict() != Verdict::Forbidden, || format!("it was not allowed: {entry:?}"));
        let finished = self.stream.form != Form::Whole || count == Some(*delivered);
        self.holds(finished, || format!("the callback returned {count:?}: {entry:?}"));
        self.holds(delivered + dropped + first == report.sent, || {
            format!("{} were sent, and not all are accounted for: {entry:?}", report.sent)
        });
        self.holds(report.sent == self.stream.items, || format!("sent {} items, and all is well", report.sent));
        if self.stream.on_slow == OnSlow::Block {
            self.holds(*dropped == 0, || format!("lossless, and {dropped} were dropped at {node}"));
        }
        // One that came again to a live stream, at the next controller, may be counted from the stream's beginning, with what went before it
        // as dropped; its process has what came the first time, too.
        let came_again = report.entries.iter().filter(|other| other.node == *node).count() > 1;
        let has_them = self.taken(node).iter().any(|taken| {
            let since = taken.iter().filter(|item| *item >= first).count() as u64;
            since == *delivered || (came_again && since >= *delivered)
        });
        self.holds(has_them || *delivered == 0, || format!("nobody has what was delivered: {entry:?}"));
    }

    /// A receiver leaves for a reason.
    fn left(&self, entry: &Entry, error: &CallError) {
        let Some(place) = place(&entry.node) else { return self.holds(false, || format!("nobody: {entry:?}")) };
        let nodes = [self.stream.from, place];
        let lasts = nodes.iter().all(|node| self.lasts(*node));
        let excused = match error {
            CallError::NodeLost { .. } | CallError::Stalled { .. } => !lasts || !self.is_bearable(&nodes),
            CallError::NotAllowed { .. } => self.verdict() != Verdict::Allowed,
            CallError::Stopping { .. } | CallError::NoNode { .. } | CallError::NoCallback { .. } => true,
            _ => false,
        };
        self.holds(excused, || format!("no reason to leave: {entry:?}"));
    }

    /// Whether one process had the name from well before the stream to its end.
    fn lasts(&self, node: Place) -> bool {
        let mut lives = self.world.ledger.processes(&name(node)).into_iter();
        lives.any(|(_, life)| life.from <= self.span.0 && life.to.is_none_or(|to| to > self.span.1))
    }

    fn is_bearable(&self, nodes: &[Place]) -> bool {
        let (from, to) = self.span;
        // One that is not waited for as long as usual leaves sooner.
        if self.stream.stall < limits::STALL {
            return false;
        }
        self.world.plan.is_bearable(
            nodes,
            from.saturating_sub(self.world.began()),
            to.saturating_sub(self.world.began()),
        )
    }

    /// What came to the processes of this name.
    fn taken(&self, node: &str) -> Vec<Vec<u64>> {
        let processes = self.world.ledger.processes(node).into_iter();
        processes.map(|(process, _)| self.world.ledger.taken(self.stream.id, process)).collect()
    }

    fn holds(&self, holds: bool, what: impl FnOnce() -> String) {
        self.world.ledger.check(holds, || format!("stream {} of process {}: {}", self.stream.id, self.process, what()));
    }
}

/// What is known only when nothing runs any more: what came to each process is in order and there once, and without a gap if nothing
/// may go.
pub(crate) fn check_all(world: &World) {
    for step in &world.plan.steps {
        let What::Stream(stream) = &step.what else { continue };
        for process in (0..world.plan.nodes()).flat_map(|node| world.ledger.processes(&name(node))) {
            let taken = world.ledger.taken(stream.id, process.0);
            let id = stream.id;
            world.ledger.check(taken.is_sorted_by(|one, next| one < next), || {
                format!("stream {id} came out of order or twice to process {}: {taken:?}", process.0)
            });
            // Who has left a live stream comes to it again, where it is by then.
            let may_go = stream.live || stream.on_slow != OnSlow::Block;
            let whole = may_go || taken.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            world.ledger.check(whole, || format!("stream {id} has a gap at process {}: {taken:?}", process.0));
            let begins =
                stream.on_slow != OnSlow::Block || stream.live || taken.first().is_none_or(|first| *first == 0);
            world.ledger.check(begins, || format!("stream {id} begins late at process {}: {taken:?}", process.0));
            let late =
                world.forbidden_since(stream.from, callback(stream.form)).zip(world.ledger.last_taken(id, process.0));
            let late = late.filter(|(forbidden, taken)| *taken > *forbidden + ON_ITS_WAY);
            world.ledger.check(late.is_none(), || format!("stream {id} goes on at process {}: {late:?}", process.0));
            let verdict = world.allowed_since(world.began() + step.at, stream.from, callback(stream.form));
            let allowed = verdict != Verdict::Forbidden || taken.is_empty();
            world
                .ledger
                .check(allowed, || format!("stream {id} never was allowed: {taken:?} at process {}", process.0));
        }
    }
}

/// To which a stream of this form goes.
const fn callback(form: Form) -> &'static str {
    match form {
        Form::Items => "take",
        Form::Large => "weigh",
        Form::Whole => "swallow",
    }
}

fn place(node: &str) -> Option<Place> {
    node.strip_prefix('n')?.parse().ok()
}
