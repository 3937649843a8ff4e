//! A receiver: writes its copy block by block.

use std::{
    error::Error,
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use daffi::{Global, callback};

use crate::{
    block::{Block, Sum, Summing},
    controller::say,
    processes::until_the_starter_is_through,
};

/// What is there of the copy.
struct Copy {
    file: File,
    summing: Summing,
}

static COPY: OnceLock<Mutex<Copy>> = OnceLock::new();

fn copy() -> Result<MutexGuard<'static, Copy>, String> {
    let copy = COPY.get().ok_or("this process is no receiver")?;
    Ok(copy.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A sync callback may block: it has a thread of its own for the whole stream.
#[callback]
fn write_block(block: Block) -> Result<(), String> {
    let mut copy = copy()?;
    if block.offset != copy.summing.bytes() {
        return Err(format!("the block of {} came at {}", block.offset, copy.summing.bytes()));
    }
    copy.file.write_all(&block.bytes).map_err(|error| format!("could not write the copy: {error}"))?;
    copy.summing.add(&block.bytes);
    Ok(())
}

#[callback]
fn sum() -> Result<Sum, String> {
    Ok(copy()?.summing.sum())
}

/// Plays the receiver.
pub(crate) fn run(host: &str, port: u16, name: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let file = File::create(path).map_err(|error| format!("{name} could not create {}: {error}", path.display()))?;
    COPY.get_or_init(|| Mutex::new(Copy { file, summing: Summing::new() }));
    // The controller listens already. If it is gone, so is the sender, and there is nothing to look for.
    let g = Global::builder()
        .host(host)
        .port(port)
        .process_name(name)
        .connect_timeout(Duration::from_secs(10))
        .reconnect(false)
        .start()
        .wait()?;
    say("joined")?;
    until_the_starter_is_through();
    g.stop().wait();
    Ok(())
}
