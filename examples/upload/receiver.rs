//! Takes a whole stream with one call of a callback, which returns one summary. It ends when the sender is gone.
//!
//! ```text
//! cargo run --example upload_receiver -- --name large
//! cargo run --example upload_receiver -- --name small --room 30000
//! cargo run --example upload_sender
//! ```

use clap::Parser;
use daffi::{Incoming, StreamEnded, callback};

use self::chunk::{Chunk, Summary, UploadError};

mod chunk;
#[path = "../common/mod.rs"]
mod common;

/// Where uploads go.
struct Disk {
    room: u64,
}

#[callback]
impl Disk {
    /// It begins when the stream does, sees each item and how the stream ends, and may return at any time.
    #[callback]
    fn upload(&self, mut chunks: Incoming<Chunk>) -> Result<Summary, UploadError> {
        println!("{} begins", chunks.producer());
        let mut summary = Summary { bytes: 0, sum: 0 };
        for chunk in chunks.iter() {
            if summary.bytes + chunk.bytes.len() as u64 > self.room {
                println!("that is too much");
                return Err(UploadError::NoRoom { room: self.room });
            }
            summary.bytes += chunk.bytes.len() as u64;
            summary.sum += chunk.bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
        println!("{} bytes, missed items: {}, end: {:?}", summary.bytes, chunks.missed(), chunks.end());
        match chunks.end() {
            Some(StreamEnded::Finished) => Ok(summary),
            other => Err(UploadError::Incomplete { how: format!("{other:?}") }),
        }
    }
}

#[derive(Parser)]
struct Options {
    /// The name of this process
    #[arg(long, default_value = "large")]
    name: String,
    /// How many bytes it takes
    #[arg(long, default_value_t = 1_000_000)]
    room: u64,
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { name, room, place } = Options::parse();
    println!("{name} has room for {room} bytes");
    // The controller is in the sender's process: when it is gone, there is nobody to wait for.
    let g = place.global().process_name(&name).serve(Disk { room }).reconnect(false).start().wait()?;
    g.join().wait()?;
    Ok(())
}
