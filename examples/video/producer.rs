//! The producer: reads the video and streams it to all viewers, whoever is there.

use std::{collections::BTreeSet, error::Error, time::Duration};

use daffi::{CallError, Event, Events, Global, NodeReply, fetcher, starting};
use daffi_camera::{Counts, Frame, VideoSource};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    feed::Feed,
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

/// Streams the video to whoever is there, while viewers come and go. Unless it is `lasting`, it ends when all are gone.
async fn stream(g: &Global, feed: &Feed, lasting: bool, notes: &Notes) -> Result<(), Box<dyn Error>> {
    let mut events = g.events();
    let mut present = viewers(g);
    if present.is_empty() && lasting {
        notes.say("waiting for a viewer");
    }
    let patience = if lasting { Duration::MAX } else { Duration::ZERO };
    // Nothing is dropped: what the demo shows is that every frame arrives. `.on_slow(OnSlow::KeepLatest)` would be the other way.
    let stream = show_stream(starting(feed.clone(), Frame::is_sync)).on(g).live(true).wait_for_receiver(patience);
    let streamed = tokio::select! {
        streamed = stream => streamed,
        () = follow(g, &mut events, feed, lasting, &mut present, notes) => unreachable!("it follows for ever"),
    };
    match streamed {
        Ok(report) => {
            // Those of whom nobody was told in time.
            for viewer in report.failed().filter(|viewer| present.contains(&viewer.node)) {
                notes.say(format_args!("{} has left the video", viewer.node));
            }
            Ok(())
        }
        Err(CallError::NoCallback { .. }) => {
            notes.say("all viewers are gone");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells who comes and goes.
async fn follow(
    g: &Global,
    events: &mut Events,
    feed: &Feed,
    lasting: bool,
    present: &mut BTreeSet<String>,
    notes: &Notes,
) {
    let mut receiving = present.clone();
    while let Some(event) = events.next().await {
        match event {
            Event::NodeLeft { node, reason } if present.remove(&node) => {
                receiving.remove(&node);
                notes.say(format_args!("{node} has left the video: {reason}"));
            }
            Event::ReceiverLeft { node, reason, .. } => {
                receiving.remove(&node);
                if viewers(g).contains(&node) {
                    notes.say(format_args!("{node} gets the video no more: {reason}"));
                }
            }
            Event::ReceiverJoined { node, .. } => {
                // It has the last frame that it can begin with, and need not wait long for the next.
                feed.force_sync();
                present.insert(node.clone());
                receiving.insert(node);
            }
            Event::NodeJoined { .. } | Event::CallbacksOffered { .. } | Event::Missed(_) => {
                present.extend(viewers(g));
                continue;
            }
            _ => continue,
        }
        if receiving.is_empty() && !lasting {
            notes.say("all viewers are gone");
            feed.stop();
        }
    }
    // The node has ended: nobody comes any more.
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
