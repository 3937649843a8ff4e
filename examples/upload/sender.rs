//! Uploads a hundred chunks to two receivers, and prints what each of them has to say in the end. It runs the controller.
//!
//! ```text
//! cargo run --example upload_receiver -- --name large
//! cargo run --example upload_receiver -- --name small --room 30000
//! cargo run --example upload_sender
//! ```

use clap::Parser;
use daffi::{CallError, fetcher};

use self::chunk::{Chunk, Summary, UploadError};

mod chunk;
#[path = "../common/mod.rs"]
mod common;

/// A stream whose stub has a result wants one of each receiver.
#[fetcher(STREAM)]
async fn upload(chunk: Chunk) -> Result<Summary, UploadError>;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("sender").init_controller(true).start().await?;
    for name in ["large", "small"] {
        g.wait_process(name).await?;
    }
    let chunks = (0..100).map(|number| Chunk { bytes: vec![number; 1000] });
    let report = upload(chunks).await?;
    println!("sent {} chunks", report.sent);
    for receiver in report.receivers {
        match receiver.result {
            Ok(Summary { bytes, sum }) => println!("{} has {bytes} bytes, their sum is {sum}", receiver.node),
            Err(CallError::App(error)) => println!("{} says no: {error}", receiver.node),
            Err(error) => println!("{} failed: {error}", receiver.node),
        }
    }
    g.stop().await;
    Ok(())
}
