//! Starts the program with a window, talks to it, and sees it end.

use std::{
    env, fs,
    io::Write,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use crate::{roles::ROLE, xserver::soon};

/// What the program does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// Shows a video of that size, 60 frames a second, in which every tenth number is left out.
    Video((u32, u32)),
    /// Shows a frame of that size for each line that it reads, until it reads `end`.
    OnRequest((u32, u32)),
    /// Shows one grey.
    Grey,
    /// Shows the same video in two windows.
    TwoWindows,
}

impl Role {
    /// As the program reads it.
    fn words(self) -> String {
        let (kind, (width, height)) = match self {
            Self::Video(size) => ("video", size),
            Self::OnRequest(size) => ("request", size),
            Self::Grey => ("grey", (320, 180)),
            Self::TwoWindows => ("two", (320, 180)),
        };
        format!("{kind} {width}x{height}")
    }
}

/// A running program. Killed when dropped.
pub(crate) struct Program {
    child: Option<Child>,
}

impl Program {
    /// Starts it on this display; on none if that is empty.
    pub(crate) fn start(role: Role, display: &str) -> Self {
        Self { child: Some(command(role, display).spawn().expect("the program starts")) }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it is there until it has ended").id()
    }

    /// Has it show a frame.
    pub(crate) fn request_frame(&mut self) {
        self.tell("show");
    }

    /// Has it end its work.
    pub(crate) fn end_work(&mut self) {
        self.tell("end");
    }

    /// Waits until it has ended by itself: how, and what it said.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let child = self.child.as_mut().expect("it is there until it has ended");
        soon("the program ends", || child.try_wait().expect("it can be waited for"));
        let child = self.child.take().expect("it was there");
        // It says little enough for the pipes.
        let output = child.wait_with_output().expect("its words can be read");
        let said = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&said).into_owned())
    }

    /// Waits until it has ended by itself and in good order: what it said.
    pub(crate) fn leaves(self) -> String {
        let (status, said) = self.ends();
        assert!(status.success(), "{status}: {said}");
        said
    }

    fn tell(&mut self, line: &str) {
        let stdin = self.child.as_mut().and_then(|child| child.stdin.as_mut());
        writeln!(stdin.expect("its stdin is piped"), "{line}").expect("it reads its stdin");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // If it has ended already, that is as good.
        let _ = child.kill();
        let output = child.wait_with_output();
        if let Some(output) = output.ok().filter(|_| thread::panicking()) {
            eprintln!("the program said: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Runs it where the X library is no library: how it ends, and what it says.
pub(crate) fn run_without_libraries() -> (ExitStatus, String) {
    let directory = tempfile::tempdir().expect("a directory");
    // The last one is what libX11 itself needs, for where libX11 is found by its full path.
    for name in ["libX11.so.6", "libX11.so", "libxcb.so.1"] {
        fs::write(directory.path().join(name), "this is no library\n").expect("a file can be written");
    }
    let mut command = command(Role::Grey, ":64999");
    let child = command.env("LD_LIBRARY_PATH", directory.path()).spawn().expect("the program starts");
    Program { child: Some(child) }.ends()
}

fn command(role: Role, display: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program's path"));
    command.args(["participant", "--exact", "--nocapture"]).env(ROLE, role.words());
    command.env("DISPLAY", display).env_remove("WAYLAND_DISPLAY").env_remove("XAUTHORITY");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
