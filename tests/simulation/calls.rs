//! Calls and what must hold of them.

use std::time::Duration;

use daffi::{CallError, Node, Retry};
use tokio::time::{Instant, timeout};

use crate::{
    ledger::Process,
    ms,
    plan::{Call, Results, To, What},
    service::{Answer, remote},
    world::{World, name},
};

/// By how much a call may be late: the timers are exact to a millisecond.
const LATE: Duration = Duration::from_millis(5);

/// The calls of the end have numbers from here on.
const LAST: u64 = 1 << 20;

pub(crate) async fn call(world: World, node: Node, call: Call) {
    let (id, began) = (call.id, Instant::now());
    let outcome = async {
        match call.to {
            To::All => broadcast(&world, &node, &call).await,
            _ => one(&world, &node, &call).await,
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

async fn one(world: &World, node: &Node, call: &Call) {
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
    world.ledger.note(format_args!("call {id}: {result:?}"));
    match result {
        Ok(answer) => check_answer(world, id, &answer, None),
        Err(error) => check_error(world, id, &error, idempotent, None),
    }
}

async fn broadcast(world: &World, node: &Node, call: &Call) {
    let Call { id, timeout, .. } = *call;
    let replies = remote::all::work(id, call.takes.as_millis() as u64).on(node).timeout(timeout).await;
    world.ledger.note(format_args!("call {id}: {replies:?}"));
    match replies {
        Ok(replies) => {
            for reply in replies {
                match reply.result {
                    Ok(answer) => check_answer(world, id, &answer, Some(&reply.node)),
                    Err(error) => check_error(world, id, &error, false, Some(&reply.node)),
                }
            }
        }
        Err(error) => check_error(world, id, &error, false, None),
    }
}

pub(crate) async fn results(world: World, node: Node, call: Results) {
    let Results { id, to, items, every, enough, .. } = call;
    let stream = remote::count(id, items, every.as_millis() as u64).on(&node).to(name(to)).await;
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => {
            world.ledger.note(format_args!("results {id}: {error}"));
            return check_error(&world, id, &error, false, None);
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

/// The answer of a call belongs to it, and comes from one who ran it.
fn check_answer(world: &World, id: u64, answer: &Answer, node: Option<&str>) {
    let Answer { call, process } = *answer;
    world.ledger.check(call == id, || format!("call {id} has the answer of call {call}"));
    let ran = world.ledger.runs(id).iter().any(|(ran, _)| *ran == process);
    world.ledger.check(ran, || format!("call {id} did not run in process {process}, which answered it"));
    if let Some(node) = node {
        let is_its = world.ledger.processes(node).iter().any(|(number, _)| *number == process);
        world.ledger.check(is_its, || format!("call {id}: process {process} answered for {node}"));
    }
}

/// Nothing ran of what says so, not even later. To be idempotent does not count: an earlier attempt may have run.
fn check_error(world: &World, id: u64, error: &CallError, idempotent: bool, node: Option<&str>) {
    let errs = matches!(
        error,
        CallError::BadReply { .. }
            | CallError::Panicked { .. }
            | CallError::BadArguments { .. }
            | CallError::Unknown { .. }
    );
    world.ledger.check(!errs, || format!("call {id}: {error}"));
    if error.is_retryable() && !idempotent {
        world.ledger.must_not_run(id, node);
    }
}

/// A call at the end of a run, when nothing is broken.
pub(crate) async fn last(world: &World, node: &Node, to: &str, process: Process) {
    let id = LAST + u64::from(process);
    let result = remote::work(id, 0).on(node).to(to).timeout(ms(1_000)).await;
    let expected = Ok(Answer { call: id, process });
    world.ledger.check(result == expected, || format!("{} calls {to} at the end: {result:?}", node.name()));
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
        let (id, once) = match &step.what {
            What::Call(call) if call.idempotent => continue,
            What::Call(call) => (call.id, call.to != To::All),
            What::Results(call) => (call.id, true),
            _ => continue,
        };
        let runs = world.ledger.runs(id);
        let again = runs.iter().any(|(_, times)| *times > 1) || (once && runs.len() > 1);
        world.ledger.check(!again, || format!("call {id} ran more than once: {runs:?}"));
    }
}
