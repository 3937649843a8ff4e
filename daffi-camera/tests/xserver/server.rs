//! The X server's process.

use std::{
    env,
    io::{self, BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use x11rb::rust_connection::RustConnection;

/// How long to wait for what is certain to come, however loaded the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often to look whether it has come. An X server does not tell what a picture looks like by itself.
const LOOK: Duration = Duration::from_millis(5);

/// Looks again and again until there is something; fails after half a minute.
pub(crate) fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it took more than {} s until {what}", PATIENCE.as_secs());
        thread::sleep(LOOK);
    }
}

/// An X server of 1400x800 pixels on a free display, and a connection to it. Killed when dropped.
pub(crate) struct XServer {
    child: Child,
    display: String,
    pub(super) connection: RustConnection,
    pub(super) root: u32,
}

impl XServer {
    /// Starts it. `None`, with a line on stderr, if Xvfb is not installed; on CI, where CI is set, that is a failure.
    pub(crate) fn start() -> Option<Self> {
        // -noreset: else it begins anew when its last client leaves, and the next one may find it in the midst of that.
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-noreset", "-nolisten", "tcp", "-screen", "0", "1400x800x24"]);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = match spawned {
            Ok(child) => Started(Some(child)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                assert!(env::var_os("CI").is_none(), "Xvfb is not installed, and CI is to run this test");
                eprintln!("skipped: Xvfb is not installed");
                return None;
            }
            Err(error) => panic!("Xvfb does not start: {error}"),
        };
        // It picks a number that is free, and says it when it is ready.
        let stdout = child.0.as_mut().and_then(|child| child.stdout.take()).expect("its stdout is piped");
        let mut number = String::new();
        BufReader::new(stdout).read_line(&mut number).expect("its stdout can be read");
        let display = format!(":{}", number.trim().parse::<u32>().expect("Xvfb says the number of its display"));
        let (connection, screen) = RustConnection::connect(Some(&display)).expect("the X server lets us in");
        let root = x11rb::connection::Connection::setup(&connection).roots[screen].root;
        let child = child.0.take().expect("it is there until here");
        Some(Self { child, display, connection, root })
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What DISPLAY is to be for its clients.
    pub(crate) fn display(&self) -> &str {
        &self.display
    }

    /// Kills it, as when the power of its machine fails.
    pub(crate) fn kill(mut self) {
        reap(&mut self.child);
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        reap(&mut self.child);
    }
}

/// A server that is not ready yet, and is killed if it never will be.
struct Started(Option<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(reap);
    }
}

/// If it has ended already, that is as good.
fn reap(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
