//! The viewer's window in a real X server, and processes that have none. This program starts itself once more for each window,
//! since the display is in a process's environment, and since a lost X server ends the process.

#![cfg(target_os = "linux")]

#[path = "window/figures.rs"]
mod figures;
#[path = "window/program.rs"]
mod program;
#[path = "window/roles.rs"]
mod roles;
mod xserver;

use std::env;

use daffi_camera::{
    clock,
    pattern::{Picture as Pattern, Stamp},
};

use program::{Program, Role};
use roles::NO_WINDOW;
use xserver::{ESCAPE, Picture, SPACE, Window, XServer, soon};

/// Not a test: the program with a window that a test started. Done at once in the process that runs the tests.
#[test]
fn participant() {
    roles::play();
}

#[test]
fn frames_are_shown_and_move_on() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::Video((320, 180)), server.display());
    let window = server.window("process2");
    let first = soon("a frame is on the screen", || stamp(&server, window));
    let later = soon("the picture moves", || {
        let now = stamp(&server, window)?;
        (now.frame > first.frame + 20).then_some((now, clock::now()))
    });
    assert!(later.0.drawn_at > first.drawn_at && later.0.drawn_at < later.1);
    assert_eq!(server.size(window), Some((640, 360)));
    // Xlib sends a picture in parts, and it may be looked at between two of them.
    let pattern = Pattern::new((320, 180)).expect("a size that a pattern can have");
    soon("every pixel is as it was drawn", || {
        let seen = server.screenshot(window)?;
        (seen.halved().frame().data() == pattern.draw(seen.stamp()?).data()).then_some(())
    });
    drop(program);
}

#[test]
fn the_title_has_name_rate_latency_and_missed_frames() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::Video((320, 180)), server.display());
    let window = server.window("process2");
    let title = server.title_that(window, |title| title.contains(" fps, "));
    let figures = title.strip_prefix("process2: ").expect("the name comes first");
    let [fps, latency, missed] = figures.split(", ").collect::<Vec<_>>()[..] else { panic!("{title}") };
    assert!(fps.strip_suffix(" fps").unwrap().parse::<f64>().unwrap() > 0.0, "{title}");
    assert!(latency.strip_suffix(" ms").unwrap().parse::<f64>().unwrap() > 0.0, "{title}");
    // The source leaves out a number now and then.
    assert!(missed.strip_suffix(" missed").unwrap().parse::<u64>().unwrap() > 0, "{title}");
    drop(program);
}

#[test]
fn a_window_waits_for_frames_and_then_fits_the_first() {
    let Some(server) = XServer::start() else { return };
    let mut program = Program::start(Role::OnRequest((160, 120)), server.display());
    let waiting = server.window("process2: waiting for frames");
    assert_eq!(server.size(waiting), Some((640, 360)));
    let grey = |picture: Picture| picture.pixels().iter().all(|pixel| *pixel == [0x30; 3]).then_some(());
    soon("the window is grey", || server.screenshot(waiting).and_then(grey));
    program.request_frame();
    server.gone(waiting);
    let window = server.window("process2");
    assert_eq!(server.size(window), Some((480, 360)));
    soon("the frame is on the screen", || stamp(&server, window));
    drop(program);
}

#[test]
fn resizing_keeps_the_aspect() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::Video((320, 180)), server.display());
    let window = server.window("process2");
    server.place(window, 0, 0);
    // Borders above and below, borders left and right, and none. A pixel more or less is rounding.
    for (size, picture) in [((600, 600), (600, 337)), ((900, 180), (320, 180)), ((1_000, 562), (1_000, 562))] {
        server.resize(window, (size.0 as u32, size.1 as u32));
        // A frame that was on its way during the change may be drawn in the old size.
        soon(&format!("the picture fits a window of {size:?}"), || {
            let seen = server.screenshot(window)?;
            seen.stamp()?;
            let (columns, rows) = seen.inside_of_borders();
            let near = |is: usize, wanted: usize, most: usize| is.abs_diff(wanted) <= most;
            let fits = near(columns.len(), picture.0, 1) && near(rows.len(), picture.1, 1);
            let is_central = near(columns.start + columns.end, size.0, 2) && near(rows.start + rows.end, size.1, 2);
            (fits && is_central).then_some(())
        });
    }
    // As small as it gets, and back.
    server.resize(window, (1, 1));
    soon("it is small", || (server.size(window) == Some((1, 1))).then_some(()));
    server.resize(window, (640, 360));
    soon("the picture is back", || stamp(&server, window));
    drop(program);
}

#[test]
fn a_still_picture_comes_back_after_it_was_covered() {
    let Some(server) = XServer::start() else { return };
    let mut program = Program::start(Role::OnRequest((320, 180)), server.display());
    let window = server.window("process2");
    program.request_frame();
    let before = soon("the frame is on the screen", || stamp(&server, window));
    server.cover();
    let after = soon("the frame is on the screen again", || stamp(&server, window));
    assert_eq!(before, after);
    // It also follows the window's size, though no frame comes.
    server.resize(window, (320, 180));
    soon("the frame has the new size", || {
        let seen = server.screenshot(window).filter(|seen| seen.size() == (320, 180))?;
        (seen.stamp()? == before).then_some(())
    });
    drop(program);
}

#[test]
fn grey_frames_are_shown() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::Grey, server.display());
    let window = server.window("process2");
    let even = |picture: Picture| picture.pixels().iter().all(|pixel| *pixel == [77; 3]).then_some(());
    soon("the window is of that grey", || server.screenshot(window).and_then(even));
    drop(program);
}

#[test]
fn escape_ends_it_and_no_other_key() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::Video((320, 180)), server.display());
    let window = server.window("process2");
    server.tap(window, SPACE);
    let at = soon("a frame is on the screen", || stamp(&server, window)).frame;
    soon("the picture moves", || stamp(&server, window).filter(|now| now.frame > at + 20));
    server.tap(window, ESCAPE);
    server.gone(window);
    program.leaves();
}

#[test]
fn the_close_button_ends_it() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::Video((320, 180)), server.display());
    let window = server.window("process2");
    server.close_button(window);
    server.gone(window);
    program.leaves();
}

#[test]
fn the_window_closes_when_the_work_is_done() {
    let Some(server) = XServer::start() else { return };
    let mut program = Program::start(Role::OnRequest((320, 180)), server.display());
    let window = server.window("process2");
    program.request_frame();
    soon("the frame is on the screen", || stamp(&server, window));
    program.end_work();
    server.gone(window);
    let said = program.leaves();
    assert!(said.contains("@shown 1 frames, 0 skipped, 0 missed"), "{said}");
}

#[test]
fn a_process_may_have_two_windows() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::TwoWindows, server.display());
    let windows = [server.window("process2"), server.window("process3")];
    server.place(windows[0], 0, 0);
    server.place(windows[1], 640, 0);
    for window in windows {
        soon("a frame is on the screen", || stamp(&server, window));
    }
    server.tap(windows[0], ESCAPE);
    server.gone(windows[0]);
    let at = soon("the other one shows frames", || stamp(&server, windows[1])).frame;
    soon("the other one goes on", || stamp(&server, windows[1]).filter(|now| now.frame > at + 20));
    server.close_button(windows[1]);
    program.leaves();
}

#[test]
fn without_a_display_the_remedy_is_told() {
    let program = Program::start(Role::Video((320, 180)), "");
    let (status, said) = program.ends();
    assert_eq!(status.code(), Some(NO_WINDOW), "{said}");
    assert!(said.contains("DISPLAY is not set"), "{said}");
    assert!(said.contains("--headless") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_display_that_does_not_answer_is_named() {
    let (status, said) = Program::start(Role::Video((320, 180)), ":64999").ends();
    if said.contains("could not load a library") {
        assert!(env::var_os("CI").is_none(), "libX11 is not installed, and CI is to run this test");
        eprintln!("skipped: libX11 is not installed");
        return;
    }
    assert_eq!(status.code(), Some(NO_WINDOW), "{said}");
    assert!(said.contains("DISPLAY=:64999 cannot be reached") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_missing_library_is_told_with_the_packages() {
    let (status, said) = program::run_without_libraries();
    assert_eq!(status.code(), Some(NO_WINDOW), "{said}");
    assert!(said.contains("apt install libx11-6 libxcursor1") && !said.contains("panicked"), "{said}");
}

/// The X library does that, and all that can be asked is that it is not a panic or a hang.
#[test]
fn a_lost_x_server_ends_the_process() {
    let Some(server) = XServer::start() else { return };
    let program = Program::start(Role::Video((320, 180)), server.display());
    let window = server.window("process2");
    soon("a frame is on the screen", || stamp(&server, window));
    server.kill();
    let (status, said) = program.ends();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// What the strip says that is on the screen where the window is, if there is a frame.
fn stamp(server: &XServer, window: Window) -> Option<Stamp> {
    server.screenshot(window)?.stamp()
}
