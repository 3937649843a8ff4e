//! A copyist: fetches a document from the caller, page by page. It shows what becomes of a copy that nobody wants any more, and
//! of one that is under way when the process is to end, by Ctrl-C or SIGTERM.
//!
//! ```text
//! cargo run --example drain_worker
//! cargo run --example drain_caller
//! ```

use std::{error::Error, time::Duration};

use clap::Parser;
use daffi::{CallError, callback, fetcher};

use self::signals::interrupted;

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/signals.rs"]
mod signals;

/// Of the caller.
#[fetcher]
async fn page(title: &str, number: u32) -> Option<String>;

/// It ends where it waits, when its caller has lost interest.
#[callback]
async fn copy(title: String) -> Result<u32, String> {
    fetch_all(&title).await.map_err(|error| error.to_string())
}

/// It is through with what it has begun, whoever waits for it.
#[callback(no_cancel)]
async fn archive(title: String) -> Result<u32, String> {
    fetch_all(&title).await.map_err(|error| error.to_string())
}

#[callback]
fn are_you_there() {}

async fn fetch_all(title: &str) -> Result<u32, CallError> {
    let mut copied = Copied { title, pages: 0, complete: false };
    while page(title, copied.pages + 1).await?.is_some() {
        copied.pages += 1;
    }
    copied.complete = true;
    Ok(copied.pages)
}

/// Says how a copy ended: one that is stopped is dropped where it waits.
struct Copied<'a> {
    title: &'a str,
    pages: u32,
    complete: bool,
}

impl Drop for Copied<'_> {
    fn drop(&mut self) {
        let end = if self.complete { "is complete" } else { "was stopped" };
        println!("the copy of the {} {end}, with pages: {}", self.title, self.pages);
    }
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("the copyist looks for work");
    // Listened for before there is any work: until then a signal ends the process at once.
    let interrupted = tokio::spawn(interrupted());
    let g = Options::parse().place.global().process_name("copyist").reconnect(false).start().await?;
    tokio::select! {
        signal = interrupted => {
            println!("stopping, because of {}", signal??);
            // From here on every new call is refused; what runs has ten seconds.
            g.stop_within(Duration::from_secs(10)).await;
            println!("stopped");
        }
        ended = g.join() => {
            ended?;
            println!("the caller is gone");
        }
    }
    Ok(())
}
