//! What the drawing costs, and how long it takes until a frame is on the screen. Not a check: nothing can be wrong here but the code.

use std::{fs, thread, time::Duration};

use daffi_camera::clock;

use crate::{
    program::{Program, Role},
    xserver::{XServer, soon},
};

/// How long each of the figures is measured.
const PERIOD: Duration = Duration::from_secs(10);

/// Prints the figures: `cargo test --release -p daffi-camera --test window -- --ignored --nocapture`.
#[test]
#[ignore = "measures for a minute; run it in release mode, on a machine that does nothing else"]
fn figures() {
    let Some(server) = XServer::start() else { return };
    for size in [(320, 180), (1_280, 720)] {
        cost(&server, size);
        glass_to_glass(&server, size);
    }
    idle(&server);
}

/// CPU time, and the latency that the title and [`Shown`](daffi_camera::viewer::Shown) tell. Nobody looks at the screen meanwhile.
fn cost(server: &XServer, size: (u32, u32)) {
    let program = Program::start(Role::Video(size), server.display());
    let window = server.window_with_frames("process2");
    let cpu = || [run_time(program.id(), Some("window")), run_time(server.id(), None)];
    let before = cpu();
    thread::sleep(PERIOD);
    let after = cpu();
    let frames = 60.0 * PERIOD.as_secs_f64();
    let [client, x] = [0, 1].map(|who| (after[who] - before[who]).as_secs_f64() * 1_000.0 / frames);
    let title = server.title(window).expect("it has one");
    let shown_as = server.size(window).expect("it is there");
    server.close_button(window);
    let said = program.leaves();
    let said = said.lines().find_map(|line| line.strip_prefix("@shown ")).expect("it reports");
    println!("{size:?} shown as {shown_as:?}: {client:.2} ms CPU a frame in the window's thread, {x:.2} ms in Xvfb");
    println!("    title {title:?}; in all {said}");
}

/// The age of each new picture when a program has got it from the X server.
fn glass_to_glass(server: &XServer, size: (u32, u32)) {
    let program = Program::start(Role::Video(size), server.display());
    let window = server.window_with_frames("process2");
    let mut last = soon("a frame is on the screen", || server.screenshot(window)?.stamp()).frame;
    let mut ages = Vec::new();
    let until = clock::now() + PERIOD;
    while clock::now() < until {
        let (seen, at) = (server.screenshot(window).expect("it is there"), clock::now());
        if let Some(stamp) = seen.stamp().filter(|stamp| stamp.frame > last) {
            last = stamp.frame;
            ages.push(at.saturating_sub(stamp.drawn_at));
        }
    }
    ages.sort_unstable();
    let age = |part: f64| ages[((ages.len() - 1) as f64 * part) as usize].as_secs_f64() * 1_000.0;
    let (p50, p95, p99) = (age(0.5), age(0.95), age(0.99));
    println!("    read from the screen: p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms of {} pictures", ages.len());
    drop(program);
    server.gone(window);
}

/// What a window costs that shows a still picture.
fn idle(server: &XServer) {
    let mut program = Program::start(Role::OnRequest((320, 180)), server.display());
    let window = server.window("process2");
    program.request_frame();
    soon("the frame is on the screen", || server.screenshot(window)?.stamp());
    let before = run_time(program.id(), Some("window"));
    thread::sleep(PERIOD);
    let idle = run_time(program.id(), Some("window")) - before;
    println!(
        "a still picture: {:.2} % of a core in the window's thread",
        100.0 * idle.as_secs_f64() / PERIOD.as_secs_f64()
    );
}

/// How long the threads of a process have run that have this name, or all of them.
fn run_time(process: u32, name: Option<&str>) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let nanos = tasks.map(|task| {
        let path = task.expect("its threads can be listed").path();
        let read = |file| fs::read_to_string(path.join(file)).expect("the thread runs");
        let counts = name.is_none_or(|name| read("comm").trim() == name);
        let schedstat = read("schedstat");
        let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number of nanoseconds");
        if counts { nanos } else { 0 }
    });
    Duration::from_nanos(nanos.sum())
}
