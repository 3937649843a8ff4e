//! Has documents copied: loses interest in the first, does not wait for the second, and gets the third although the copyist is
//! about to end. It runs the controller.
//!
//! ```text
//! cargo run --example drain_worker
//! cargo run --example drain_caller
//! ```
//!
//! and Ctrl-C at the worker, when the caller asks for it.

use std::{sync::Arc, time::Duration};

use clap::Parser;
use daffi::{CallError, callback, fetcher};
use tokio::sync::{Notify, watch};

#[path = "../common/mod.rs"]
mod common;

#[fetcher]
async fn copy(title: &str) -> Result<u32, String>;

#[fetcher]
async fn archive(title: &str) -> Result<u32, String>;

#[fetcher]
async fn are_you_there();

/// Documents of three pages each.
#[derive(Default)]
struct Archive {
    /// Somebody wants to have a second page.
    asked: Notify,
    /// The document whose second page may be had.
    allowed: watch::Sender<&'static str>,
}

#[callback]
impl Archive {
    /// The copyist fetches what it copies.
    #[callback]
    async fn page(&self, title: &str, number: u32) -> Option<String> {
        if number == 2 {
            self.asked.notify_one();
            self.allowed.subscribe().wait_for(|allowed| *allowed == title).await.ok()?;
        }
        (number <= 3).then(|| format!("page {number} of the {title}"))
    }
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let documents = Arc::new(Archive::default());
    let g = Options::parse().place.global().process_name("editor").init_controller(true);
    let g = g.serve(documents.clone()).start().await?;
    g.wait_process("copyist").await?;

    // Whichever comes first, the other future is dropped, and with it the call.
    tokio::select! {
        pages = copy("letter") => println!("the letter is copied, pages: {}", pages?),
        () = documents.asked.notified() => println!("the letter is not wanted any more"),
    }
    tokio::select! {
        pages = archive("contract") => println!("the contract is copied, pages: {}", pages?),
        () = documents.asked.notified() => println!("nobody waits for the contract"),
    }
    documents.allowed.send_replace("contract");

    let book = tokio::spawn(copy("book").into_future());
    documents.asked.notified().await;
    println!("the book is being copied: press Ctrl-C at the copyist");
    let refused = until_refused().await;
    println!("nothing new: {refused}");
    documents.allowed.send_replace("book");
    println!("the book is copied, pages: {}", book.await??);
    g.stop().await;
    Ok(())
}

/// Asks again and again whether the copyist takes calls.
async fn until_refused() -> CallError {
    let mut turn = tokio::time::interval(Duration::from_millis(50));
    loop {
        turn.tick().await;
        if let Err(error) = are_you_there().await {
            return error;
        }
    }
}
