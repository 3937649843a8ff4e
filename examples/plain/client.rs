//! Every execution modifier in a program without a word of async: what others await, this one waits for.
//!
//! ```text
//! cargo run --example plain_service
//! cargo run --example plain_client
//! ```

use std::{error::Error, thread, time::Duration};

use clap::Parser;
use daffi::{CallError, fetcher};

#[path = "../common/mod.rs"]
mod common;

#[fetcher]
fn square(number: i64) -> i64;

#[fetcher(BG, name = "square")]
fn begin_square(number: i64) -> i64;

#[fetcher(BG(no_return))]
fn note(text: &str);

#[fetcher(BROADCAST, name = "square")]
fn square_everywhere(number: i64) -> i64;

#[fetcher(STREAM, name = "note")]
fn note_all(text: String);

#[fetcher(STREAM)]
fn sum(number: i64) -> i64;

#[fetcher]
fn count_down(from: u32) -> impl Iterator<Item = u32>;

#[fetcher(PERIOD, name = "note")]
fn note_often(text: &str);

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn Error>> {
    let g = Options::parse().place.global().process_name("client").start().wait()?;
    println!("FG: {}", square(3).wait()?);

    let task = begin_square(4).start().wait()?;
    println!("BG: {}", task.wait()?);
    note("nobody waits for this").wait()?;

    for reply in square_everywhere(5).timeout(Duration::from_secs(5)).wait()? {
        println!("BROADCAST: {} says {}", reply.node, reply.result?);
    }

    let report = note_all(["one", "two", "three"].map(String::from)).wait()?;
    println!("STREAM: {} items, complete: {}", report.sent, report.is_complete());

    for receiver in sum(1..=10).wait()?.receivers {
        println!("STREAM: {} has the sum {}", receiver.node, receiver.result?);
    }

    for number in count_down(3).wait()?.iter() {
        println!("results: {}", number?);
    }

    let schedule = note_often("tick").every(Duration::from_millis(50)).start().wait()?;
    // When it fires for the third time, the second is over.
    while schedule.fired() < 3 {
        thread::sleep(Duration::from_millis(10));
    }
    schedule.cancel();
    schedule.ended().wait();
    println!("PERIOD: ended, failed: {}", schedule.failed());

    println!("four threads: {:?}", squares_of_threads()?);
    g.stop().wait();
    Ok(())
}

/// Calls belong to no thread: each of these makes its own.
fn squares_of_threads() -> Result<Vec<i64>, CallError> {
    thread::scope(|scope| {
        let threads = [6, 7, 8, 9].map(|number| scope.spawn(move || square(number).wait()));
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(CallError::Cancelled))).collect()
    })
}
