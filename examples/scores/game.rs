//! A game whose score is streamed to whoever looks, for as long as it is played. It runs the controller.
//!
//! ```text
//! cargo run --example scores_game
//! cargo run --example scores_fan -- --name fan
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::{Event, Events, fetcher, starting};

#[path = "../common/mod.rs"]
mod common;
#[path = "told.rs"]
mod told;

use told::Score;

/// It may drop what is old, so it is live: fans come and go.
#[fetcher(STREAM, on_slow = DropOldest(16))]
async fn score(score: Score);

#[derive(Parser)]
struct Options {
    /// How long the game is, in goals
    #[arg(long, default_value_t = 60)]
    goals: u32,
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { goals, place } = Options::parse();
    let g = place.global().process_name("game").init_controller(true).callbacks([]).start().await?;
    println!("waiting for a fan");
    let events = g.events();
    // A goal means something only to who knows the score before it. Who comes late begins with the whole score.
    let source = starting(play(goals), |score| matches!(score, Score::Whole { .. }));
    let report = tokio::select! {
        report = score(source).wait_for_receiver(Duration::MAX) => report?,
        () = tell_of_fans(events) => unreachable!("it listens for ever"),
    };
    for fan in &report.receivers {
        println!("{} saw {} of {} from number {} on", fan.node, fan.delivered, report.sent, fan.first);
    }
    g.stop().await;
    Ok(())
}

/// Who comes and goes.
async fn tell_of_fans(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::ReceiverJoined { node, .. } => println!("{node} has come"),
            Event::ReceiverLeft { node, .. } => println!("{node} has left"),
            _ => {}
        }
    }
    std::future::pending::<()>().await;
}

/// A goal every now and then, and after every third the whole score.
fn play(goals: u32) -> impl Iterator<Item = Score> {
    let (mut home, mut guests) = (0, 0);
    let goals = (0..goals).flat_map(move |number| {
        std::thread::sleep(Duration::from_millis(50));
        let by_home = number % 3 != 1;
        if by_home {
            home += 1;
        } else {
            guests += 1;
        };
        let whole = (number % 3 == 2).then_some(Score::Whole { home, guests });
        std::iter::once(Score::Goal { by_home }).chain(whole)
    });
    std::iter::once(Score::Whole { home: 0, guests: 0 }).chain(goals)
}
