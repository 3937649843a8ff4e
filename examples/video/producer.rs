//! The producer: reads the video and streams it to all viewers, whoever is there.

use std::{collections::BTreeSet, error::Error, time::Duration};

use daffi::{CallError, Event, Events, Global, NodeReply, fetcher};
use daffi_camera::{Counts, Frame, VideoSource};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    feed::{Feed, Turn},
    outcome::{Outcome, Seen, Viewing},
    signals::interrupted,
    source::VideoOptions,
    table::{Notes, Table},
};

/// How often the viewers are asked how it goes.
const TABLE_PERIOD: Duration = Duration::from_secs(1);

/// How long the viewers have to say what they have seen in all.
const LAST_WORD: Duration = Duration::from_secs(10);

#[fetcher(STREAM)]
async fn show_stream(frame: Frame) -> Result<(), String>;

#[fetcher(BROADCAST)]
async fn viewing() -> Result<Viewing, String>;

/// Streams the video to whoever is there until it ends, or somebody wants it to; what became of it. With `lasting`, it goes
/// on when all viewers are gone, and waits for others.
pub(crate) async fn run(
    g: &Global,
    source: Box<dyn VideoSource>,
    options: &VideoOptions,
    lasting: bool,
) -> Result<Outcome, Box<dyn Error>> {
    let mut table = Table::new();
    let notes = table.notes();
    let mode = source.mode();
    let name = source.name().to_owned();
    notes.say(format_args!("{name}: {mode}, sent as {}", options.way(mode)));
    let feed = Feed::new(source, options.pipeline(mode), options.frames, notes.clone());
    let mut seen = Seen::new();
    let streamed = tokio::select! {
        streamed = stream(g, &feed, lasting, &notes) => streamed,
        signal = interrupted() => signal.map(|signal| notes.say(format_args!("stopped by {signal}"))).map_err(Into::into),
        () = watch(g, &mut seen, &mut table) => unreachable!("it watches for ever"),
    };
    streamed?;
    for silent in ask(g, &mut seen, LAST_WORD).await {
        notes.say(format_args!("{silent} did not say what it has seen"));
    }
    let Counts { given, lost, damaged } = feed.counts();
    if lost + damaged > 0 {
        notes.say(format_args!("{name}: {given} frames, and {lost} lost and {damaged} damaged before they got here"));
    }
    table.end();
    Ok(Outcome { seen, failure: feed.failure().map(ToString::to_string) })
}

/// Streams the video, turn by turn: a stream has the receivers that were there at its beginning.
async fn stream(g: &Global, feed: &Feed, lasting: bool, notes: &Notes) -> Result<(), Box<dyn Error>> {
    let mut events = g.events();
    let mut goes_on = false;
    loop {
        let turn = feed.turn(goes_on);
        let mut present = viewers(g);
        let streamed = tokio::select! {
            streamed = show_stream(turn.clone()).on(g) => streamed,
            () = others_join(g, &mut events, &turn, &mut present, notes) => unreachable!("it waits for ever"),
        };
        match streamed {
            Ok(report) => {
                // Those of whom nobody was told in time.
                for viewer in report.failed().filter(|viewer| present.contains(&viewer.node)) {
                    notes.say(format_args!("{} has left the video", viewer.node));
                }
            }
            Err(CallError::NoCallback { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if feed.is_over() {
            return Ok(());
        }
        goes_on = turn.was_stopped();
        if !goes_on {
            if !lasting {
                notes.say("all viewers are gone");
                return Ok(());
            }
            notes.say("waiting for a viewer");
            another_joins(g, &mut events, &mut BTreeSet::new(), notes).await;
        }
    }
}

/// Ends the turn after the frame at hand when another viewer joins: the next turn is for all.
async fn others_join(g: &Global, events: &mut Events, turn: &Turn, present: &mut BTreeSet<String>, notes: &Notes) {
    loop {
        another_joins(g, events, present, notes).await;
        turn.stop();
    }
}

/// Waits for a viewer who is not one of these.
async fn another_joins(g: &Global, events: &mut Events, present: &mut BTreeSet<String>, notes: &Notes) {
    while let Some(event) = events.next().await {
        match event {
            // One of the same name may come back.
            Event::NodeLeft { node, reason } if present.remove(&node) => {
                notes.say(format_args!("{node} has left the video: {reason}"));
            }
            Event::ReceiverLeft { node, reason, .. } if viewers(g).contains(&node) => {
                notes.say(format_args!("{node} gets the video no more: {reason}"));
            }
            Event::NodeJoined { .. } | Event::CallbacksOffered { .. } | Event::Missed(_) => {
                let now = viewers(g);
                if !now.is_subset(present) {
                    *present = now;
                    return;
                }
            }
            _ => {}
        }
    }
    // The node has ended: nobody joins any more.
    std::future::pending::<()>().await;
}

/// Who would get the video now.
fn viewers(g: &Global) -> BTreeSet<String> {
    let nodes = g.nodes().into_iter();
    let viewers = nodes.filter(|node| node.callbacks.iter().any(|callback| callback.name == "show_stream"));
    viewers.map(|node| node.name).collect()
}

/// Asks the viewers again and again, and shows what they say.
async fn watch(g: &Global, seen: &mut Seen, table: &mut Table) {
    let mut ticks = interval(TABLE_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        ask(g, seen, TABLE_PERIOD).await;
        let present = viewers(g);
        table.show(seen.iter().filter(|(viewer, _)| present.contains(*viewer)));
    }
}

/// Asks all viewers how it goes; those who are there and do not answer. Who does not answer keeps what it said last, but sees
/// nothing of late.
async fn ask(g: &Global, seen: &mut Seen, patience: Duration) -> Vec<String> {
    seen.values_mut().for_each(|viewing| viewing.lately = Default::default());
    for viewer in viewers(g) {
        seen.entry(viewer).or_default();
    }
    let replies = viewing().on(g).timeout(patience).await.unwrap_or_default();
    let mut silent = Vec::new();
    for NodeReply { node, result, .. } in replies {
        match result {
            Ok(viewing) => drop(seen.insert(node, viewing)),
            Err(CallError::NodeLost { .. }) => {}
            Err(_) => silent.push(node),
        }
    }
    silent
}
