//! Starts the video demo as the README says, and sees it end.

use std::{
    env, fs,
    fs::File,
    process::{Child, Command, Stdio},
    thread,
};

use tempfile::TempDir;

use crate::xserver::{XServer, soon};

/// A running demo. Killed when dropped; its viewers end with it.
pub(crate) struct Demo {
    child: Child,
    /// Where it writes what it says: a pipe that nobody reads would stop it some day.
    directory: TempDir,
}

impl Demo {
    /// Starts it with the test pattern and windows on that X server, to run until somebody ends it.
    pub(crate) fn start(server: &XServer) -> Self {
        // target/debug/deps/windows-... is this test, target/debug/examples/video is the demo.
        let test = env::current_exe().expect("this program's path");
        let target = test.ancestors().nth(2).expect("it is two directories down in target");
        let program = target.join("examples").join("video");
        assert!(program.exists(), "{} is not there: `cargo build --examples` builds it", program.display());
        let directory = tempfile::tempdir().expect("a directory");
        let log = File::create(directory.path().join(LOG)).expect("a file for what it says");
        let mut command = Command::new(program);
        command.args(["--source", "pattern"]).env("DISPLAY", server.display()).env_remove("XAUTHORITY");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("another handle of the file")).stderr(log);
        Self { child: command.spawn().expect("the demo starts"), directory }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ends(mut self) {
        soon("the demo ends", || self.child.try_wait().expect("it can be waited for"));
        let said = self.said();
        assert!(!said.contains("panicked"), "{said}");
    }

    fn said(&self) -> String {
        fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_else(|error| error.to_string())
    }
}

const LOG: &str = "demo.log";

impl Drop for Demo {
    fn drop(&mut self) {
        // If it has ended already, that is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the demo said:\n{}", self.said());
        }
    }
}
