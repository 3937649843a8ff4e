//! Calls and what must hold of them.

use std::time::Duration;

use daffi::{CallError, Node, Retry};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    ledger::Process,
    ms,
    plan::{Call, Place, Results, Schedule, To, What},
    rules::Verdict,
    service::{Answer, remote},
    world::{World, name},
};

/// By how much a call may be late: the timers are exact to a millisecond.
const LATE: Duration = Duration::from_millis(5);

/// The calls of the end have numbers from here on.
const LAST: u64 = 1 << 20;

pub(crate) async fn call(world: World, node: Node, call: Call) {
    let (id, began) = (call.id, Instant::now());
    let asked = Asked::now(&world, id, call.from, "work");
    let outcome = async {
        match call.to {
            To::All => broadcast(&asked, &node, &call).await,
            _ => one(&asked, &node, &call).await,
        }
    };
    let dropped = match call.dropped {
        Some(patience) => timeout(patience, outcome).await.is_err(),
        None => {
            outcome.await;
            false
        }
    };
    world.ledger.note(format_args!("call {id} is over{}", if dropped { ", dropped" } else { "" }));
    let took = began.elapsed();
    world
        .ledger
        .check(took <= call.timeout + LATE, || format!("call {id} took {took:?}, and was to take {:?}", call.timeout));
}

async fn one(asked: &Asked<'_>, node: &Node, call: &Call) {
    let Call { id, to, timeout, retries, idempotent, .. } = *call;
    let takes = call.takes.as_millis() as u64;
    let mut work = if idempotent { remote::idempotent::work(id, takes) } else { remote::work(id, takes) };
    work = work.on(node).timeout(timeout);
    if retries {
        work = work.retry(Retry::times(6));
    }
    if let To::One(to) = to {
        work = work.to(name(to));
    }
    let result = work.await;
    asked.world.ledger.note(format_args!("call {id}: {result:?}"));
    match result {
        Ok(answer) => asked.answered(&answer, None),
        Err(error) => asked.failed(&error, idempotent, None),
    }
}

async fn broadcast(asked: &Asked<'_>, node: &Node, call: &Call) {
    let Call { id, timeout, .. } = *call;
    let replies = remote::all::work(id, call.takes.as_millis() as u64).on(node).timeout(timeout).await;
    asked.world.ledger.note(format_args!("call {id}: {replies:?}"));
    match replies {
        Ok(replies) => {
            for reply in replies {
                match reply.result {
                    Ok(answer) => asked.answered(&answer, Some(&reply.node)),
                    Err(error) => asked.failed(&error, false, Some(&reply.node)),
                }
            }
        }
        Err(error) => asked.failed(&error, false, None),
    }
}

pub(crate) async fn results(world: World, node: Node, call: Results) {
    let Results { id, from, to, items, every, enough } = call;
    let asked = Asked::now(&world, id, from, "count");
    let stream = remote::count(id, items, every.as_millis() as u64).on(&node).to(name(to)).await;
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => {
            world.ledger.note(format_args!("results {id}: {error}"));
            return asked.failed(&error, false, None);
        }
    };
    let mut next = 0;
    loop {
        if enough == Some(next) {
            break;
        }
        match stream.next().await {
            Some(Ok(item)) => {
                world.ledger.check(item == next, || format!("results {id}: {item} came, and {next} was to come"));
                next += 1;
            }
            Some(Err(error)) => {
                world.ledger.note(format_args!("results {id}: {error} after {next}"));
                asked.may_fail_so(&error);
                break;
            }
            None => {
                world.ledger.check(next == items, || format!("results {id}: {next} of {items} came"));
                break;
            }
        }
    }
    world.ledger.note(format_args!("results {id}: {next} came"));
}

pub(crate) async fn schedule(world: World, node: Node, plan: Schedule) {
    let Schedule { id, from, every, takes, lasts } = plan;
    let asked = Asked::now(&world, id, from, "work");
    let work = remote::repeated::work(id, takes.as_millis() as u64).on(&node).timeout(ms(2_000));
    let schedule = match work.every(every).start().await {
        Ok(schedule) => schedule,
        Err(error) => return world.ledger.fault(format!("schedule {id} does not start: {error}")),
    };
    sleep(lasts).await;
    schedule.cancel();
    let ended = timeout(LATE, schedule.ended()).await;
    world.ledger.check(ended.is_ok(), || format!("schedule {id} goes on after it was cancelled"));
    let (fired, failed, last) = (schedule.fired(), schedule.failed(), schedule.last_error());
    world.ledger.note(format_args!("schedule {id}: {failed} of {fired} failed, at last with {last:?}"));
    let most = 1 + lasts.as_millis() / every.as_millis();
    let least = u128::from(!lasts.is_zero());
    world.ledger.check((least..=most).contains(&u128::from(fired)), || {
        format!("schedule {id} fired {fired} times, and {least} to {most} times were right")
    });
    world.ledger.fired(id, fired);
    let runs: u64 = world.ledger.runs(id).iter().map(|(_, times)| u64::from(*times)).sum();
    // The one that was cancelled may have run, and been on its way back.
    world.ledger.check((fired - failed..=fired + 1).contains(&(runs + 1)), || {
        format!("schedule {id}: {failed} of {fired} failed, and {runs} ran")
    });
    let forbids = last.is_some_and(|last| last.contains("no rule of the controller"));
    world.ledger.check(!forbids || asked.verdict() != Verdict::Allowed, || format!("schedule {id} was allowed"));
}

/// What was asked of others, and when.
struct Asked<'a> {
    world: &'a World,
    id: u64,
    from: Place,
    callback: &'static str,
    /// In the time of the ledger.
    since: Duration,
}

impl<'a> Asked<'a> {
    fn now(world: &'a World, id: u64, from: Place, callback: &'static str) -> Self {
        Self { world, id, from, callback, since: world.ledger.now() }
    }

    /// The answer of a call belongs to it, and comes from one who ran it.
    fn answered(&self, answer: &Answer, node: Option<&str>) {
        let Answer { call, process } = *answer;
        let Self { world, id, .. } = *self;
        world.ledger.check(call == id, || format!("call {id} has the answer of call {call}"));
        let ran = world.ledger.runs(id).iter().any(|(ran, _)| *ran == process);
        world.ledger.check(ran, || format!("call {id} did not run in process {process}, which answered it"));
        if let Some(node) = node {
            let is_its = world.ledger.processes(node).iter().any(|(number, _)| *number == process);
            world.ledger.check(is_its, || format!("call {id}: process {process} answered for {node}"));
        }
    }

    /// Nothing ran of what says so, not even later. To be idempotent does not count: an earlier attempt may have run.
    fn failed(&self, error: &CallError, idempotent: bool, node: Option<&str>) {
        self.may_fail_so(error);
        // The results of a call that ran may be forbidden by rules that changed meanwhile.
        let not_allowed = matches!(error, CallError::NotAllowed { .. }) && self.callback != "count";
        if (error.is_retryable() || not_allowed) && !idempotent {
            self.world.ledger.must_not_run(self.id, node);
        }
    }

    fn may_fail_so(&self, error: &CallError) {
        let errs = match error {
            CallError::BadReply { .. }
            | CallError::Panicked { .. }
            | CallError::BadArguments { .. }
            | CallError::Unknown { .. } => true,
            CallError::NotAllowed { .. } => self.verdict() == Verdict::Allowed,
            _ => false,
        };
        self.world.ledger.check(!errs, || format!("call {}: {error}", self.id));
    }

    fn verdict(&self) -> Verdict {
        self.world.allowed_since(self.since, self.from, self.callback)
    }
}

/// A call at the end of a run, when nothing is broken.
pub(crate) async fn last(world: &World, from: Place, node: &Node, to: &str, process: Process) {
    let id = LAST + u64::from(process);
    let result = remote::work(id, 0).on(node).to(to).timeout(ms(1_000)).await;
    let holds = match world.allowed_since(world.ledger.now(), from, "work") {
        Verdict::Allowed => result == Ok(Answer { call: id, process }),
        _ => matches!(result, Err(CallError::NotAllowed { .. })),
    };
    world.ledger.check(holds, || format!("{} calls {to} at the end: {result:?}", node.name()));
}

/// What is known only when nothing runs any more.
pub(crate) fn check_all(world: &World) {
    for (id, node) in world.ledger.never_ran() {
        let ran = match node {
            None => !world.ledger.runs(id).is_empty(),
            Some(node) => {
                let processes = world.ledger.processes(&node);
                world.ledger.runs(id).iter().any(|(ran, _)| processes.iter().any(|(process, _)| process == ran))
            }
        };
        world.ledger.check(!ran, || format!("call {id} ran, and was said not to have run"));
    }
    for step in &world.plan.steps {
        let (id, from, callback, most) = match &step.what {
            What::Call(call) => (call.id, call.from, "work", times(call)),
            What::Results(call) => (call.id, call.from, "count", Times::Once),
            What::Schedule(schedule) => (schedule.id, schedule.from, "work", fired(world, schedule)),
            _ => continue,
        };
        let runs = world.ledger.runs(id);
        let holds = match most {
            Times::Once => runs.len() <= 1 && runs.iter().all(|(_, times)| *times == 1),
            Times::OnceEach => runs.iter().all(|(_, times)| *times == 1),
            Times::AtMost(most) => runs.iter().map(|(_, times)| u64::from(*times)).sum::<u64>() <= most,
            Times::Any => true,
        };
        world.ledger.check(holds, || format!("call {id} ran too often: {runs:?}"));
        let forbidden = world.allowed_since(world.began() + step.at, from, callback) == Verdict::Forbidden;
        world.ledger.check(!forbidden || runs.is_empty(), || format!("call {id} ran, and never was allowed: {runs:?}"));
    }
}

/// How often a call may run.
enum Times {
    Once,
    /// At each node.
    OnceEach,
    AtMost(u64),
    Any,
}

/// One whose process ended is not known to be over.
fn fired(world: &World, schedule: &Schedule) -> Times {
    world.ledger.firings(schedule.id).map_or(Times::Any, Times::AtMost)
}

fn times(call: &Call) -> Times {
    match call.to {
        _ if call.idempotent => Times::Any,
        To::All => Times::OnceEach,
        _ => Times::Once,
    }
}
