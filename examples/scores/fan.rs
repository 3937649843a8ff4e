//! Follows a game from wherever it is.
//!
//! ```text
//! cargo run --example scores_game
//! cargo run --example scores_fan -- --name fan
//! ```

use std::sync::Mutex;

use clap::Parser;
use daffi::{Event, callback};

#[path = "../common/mod.rs"]
mod common;
#[path = "told.rs"]
mod told;

use told::Score;

/// Nothing, until the first item has told it: a stream never begins in the middle of nowhere.
static SCORE: Mutex<Option<(u32, u32)>> = Mutex::new(None);

#[callback]
fn score(score: Score) {
    let mut known = SCORE.lock().expect("nothing panics while it is held");
    let now = match (score, *known) {
        (Score::Whole { home, guests }, _) => (home, guests),
        (Score::Goal { by_home: true }, Some((home, guests))) => (home + 1, guests),
        (Score::Goal { by_home: false }, Some((home, guests))) => (home, guests + 1),
        (Score::Goal { .. }, None) => unreachable!("the first item is a whole score"),
    };
    println!("{} : {}", now.0, now.1);
    *known = Some(now);
}

#[derive(Parser)]
struct Options {
    /// The name of this process
    #[arg(long, default_value = "fan")]
    name: String,
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { name, place } = Options::parse();
    let g = place.global().process_name(name).start().await?;
    let mut events = g.events();
    while let Some(event) = events.next().await {
        if let Event::StreamEnded { end, .. } = event {
            println!("the game is over: {end:?}");
            break;
        }
    }
    g.stop().await;
    Ok(())
}
