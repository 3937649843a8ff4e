//! The video demo as a user has it: one command, and two windows in a real X server that show what it streams.
//!
//! With `DAFFI_SCREENSHOT=docs/video.png` the picture for the README is made on the way.

#![cfg(target_os = "linux")]

#[path = "windows/demo.rs"]
mod demo;
#[path = "common/programs.rs"]
mod programs;
#[path = "../daffi-camera/tests/xserver/mod.rs"]
mod xserver;

use std::time::Duration;

use daffi_camera::{
    clock,
    pattern::{Picture as Pattern, Stamp},
    viewer::save_png,
};

use demo::Demo;
use programs::is_running;
use xserver::{ESCAPE, Picture, Window, XServer, soon};

/// The size of the pattern, which each window shows twice as large.
const SIZE: (u32, u32) = (320, 180);

/// Between the windows and around them, and where that puts the left edge of each, in pixels.
const MARGIN: usize = 16;
const PLACES: [usize; 2] = [MARGIN, 640 + 2 * MARGIN];

/// The viewers, each of which is a process, by the titles of their windows.
const VIEWERS: [&str; 2] = ["process2", "process3"];

/// How many pictures of each window are looked at.
const PICTURES: usize = 60;

#[test]
fn both_windows_show_the_video_as_it_was_drawn() {
    let Some(server) = XServer::start() else { return };
    let _demo = Demo::start(&server);
    let windows = side_by_side(&server);
    let pattern = Pattern::new(SIZE).expect("a size that a pattern can have");
    for (window, name) in windows.into_iter().zip(VIEWERS) {
        let mut last = None;
        for _ in 0..PICTURES {
            let frame = soon(&format!("{name} shows the next picture, as it was drawn"), || {
                let (stamp, seen) = picture(&server, window)?;
                // Xlib sends a picture in parts. It may be looked at between two of them, of which one is new.
                let is_whole = seen.halved().frame().data() == pattern.draw(stamp).data();
                (is_whole && Some(stamp.frame) > last).then_some(stamp.frame)
            });
            last = Some(frame);
        }
        let title = server.title_that(window, |title| title.contains(" fps, "));
        assert!(title.starts_with(&format!("{name}: ")) && title.ends_with(" missed"), "{title}");
    }
}

#[test]
fn both_windows_show_the_same_video() {
    let Some(server) = XServer::start() else { return };
    let _demo = Demo::start(&server);
    let windows = side_by_side(&server);
    let (stamp, screen) = soon("both windows show the same frame at the same time", || {
        let screen = server.screen();
        let [left, right] = PLACES.map(|x| screen.cut((x..x + 640, MARGIN..MARGIN + 360)));
        let stamp = left.stamp()?;
        // The frame's number and the time at which it was drawn: two sources do not agree in both.
        (left == right).then_some((stamp, screen))
    });
    for window in windows {
        moves_on(&server, window, stamp.frame);
    }
    if let Some(path) = std::env::var_os("DAFFI_SCREENSHOT") {
        let both = screen.cut((0..PLACES[1] + 640 + MARGIN, 0..360 + 2 * MARGIN));
        save_png(&both.frame(), path).expect("the screenshot can be saved");
    }
}

#[test]
fn a_window_keeps_the_aspect_and_the_other_its_size() {
    let Some(server) = XServer::start() else { return };
    let _demo = Demo::start(&server);
    let [left, right] = side_by_side(&server);
    server.resize(left, (400, 400));
    let stamp = soon("the picture fits its new window", || {
        let seen = server.screenshot(left).filter(|seen| seen.size() == (400, 400))?;
        let (columns, rows) = seen.inside_of_borders();
        let fits = columns == (0..400) && rows.len().abs_diff(225) <= 1;
        fits.then(|| seen.stamp()).flatten()
    });
    assert_eq!(server.size(right), Some((640, 360)));
    moves_on(&server, right, stamp.frame);
}

#[test]
fn closing_one_window_leaves_the_other_running() {
    let Some(server) = XServer::start() else { return };
    let demo = Demo::start(&server);
    let [left, right] = side_by_side(&server);
    let [leaving, staying] = VIEWERS.map(|name| demo.viewer(name));
    server.tap(left, ESCAPE);
    server.gone(left);
    soon("the viewer's process has ended", || (!is_running(leaving)).then_some(()));
    let (stamp, _) = soon("the other one shows the video", || picture(&server, right));
    moves_on(&server, right, stamp.frame);
    assert!(is_running(staying));
    // And with the last viewer the demo ends.
    server.close_button(right);
    server.gone(right);
    let (status, said) = demo.ends();
    assert!(status.success(), "{status}: {said}");
}

#[test]
fn the_demo_ends_when_the_x_server_is_lost() {
    let Some(server) = XServer::start() else { return };
    let demo = Demo::start(&server);
    side_by_side(&server);
    server.kill();
    demo.ends();
}

/// Prints how old the pictures are that a program gets from the X server. Not a check: that is how busy the machine is.
#[test]
#[ignore = "measures for ten seconds; run it in release mode, alone, on a machine that does nothing else"]
fn glass_to_glass() {
    let Some(server) = XServer::start() else { return };
    let _demo = Demo::start(&server);
    for (window, name) in side_by_side(&server).into_iter().zip(VIEWERS) {
        let (mut last, mut ages) = (0, Vec::new());
        let until = clock::now() + Duration::from_secs(5);
        while clock::now() < until {
            let Some((stamp, _)) = picture(&server, window).filter(|(stamp, _)| stamp.frame > last) else { continue };
            last = stamp.frame;
            ages.push(clock::now().saturating_sub(stamp.drawn_at));
        }
        ages.sort_unstable();
        let [p50, p95, p99] = [50, 95, 99].map(|part| ages[ages.len() * part / 100]);
        let title = server.title(window).expect("it has one");
        println!("from the screen: p50 {p50:.1?}, p95 {p95:.1?}, p99 {p99:.1?} of {} pictures of {name}", ages.len());
        println!("    its title {title:?}");
    }
}

/// Waits until both windows show the video, and puts one beside the other.
fn side_by_side(server: &XServer) -> [Window; 2] {
    let windows = VIEWERS.map(|name| server.window(name));
    for (window, x) in windows.into_iter().zip(PLACES) {
        server.place(window, x as i32, MARGIN as i32);
    }
    for window in windows {
        let (stamp, _) = soon("the video is in the window", || picture(server, window));
        // The first one may have been drawn while another window lay above it.
        moves_on(server, window, stamp.frame);
    }
    windows
}

/// Waits until the window shows a frame half a second after this one.
fn moves_on(server: &XServer, window: Window, frame: u32) {
    soon("the picture moves on", || picture(server, window).filter(|(now, _)| now.frame > frame + 30));
}

/// What is in the window, if it is the test pattern in its first size.
fn picture(server: &XServer, window: Window) -> Option<(Stamp, Picture)> {
    let seen = server.screenshot(window)?;
    let is_first_size = seen.size() == (2 * SIZE.0 as usize, 2 * SIZE.1 as usize);
    is_first_size.then_some((seen.stamp()?, seen))
}
