//! Everything that is neither y4m nor JPEGs is left to an ffmpeg process, whose output is read as y4m.

use std::{
    ffi::OsString,
    io::{self, BufReader, Write},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use super::{FrameError, HeaderError, Y4mReader, reader::Failure};
use crate::{Frame, Mode};

/// How much of what ffmpeg says is kept. Its last words say why it failed.
const MESSAGE: usize = 4 << 10;

/// How long an ffmpeg that has ended may hold back its last words, which it may do if it left a child behind.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// An ffmpeg process and the frames that it gives. Dropped, it is killed and waited for.
pub(super) struct Ffmpeg {
    frames: Y4mReader<BufReader<ChildStdout>>,
    process: Process,
}

/// Why there is no [`Ffmpeg`].
pub(super) enum StartError {
    /// The program could not be started.
    Spawn(io::Error),
    /// It gave no header.
    Header(HeaderError),
    /// It failed before it gave a header.
    Failed(Failure),
}

impl Ffmpeg {
    /// Starts the program and blocks until it gives the header, about 100 ms.
    pub(super) fn start(program: &Path, file: &Path) -> Result<Self, StartError> {
        let (mut process, output) = Process::start(program, file).map_err(StartError::Spawn)?;
        match Y4mReader::new(BufReader::new(output)) {
            Ok(frames) => Ok(Self { frames, process }),
            Err(HeaderError::Truncated) => {
                process.finish().map_err(StartError::Failed)?;
                Err(StartError::Header(HeaderError::Truncated))
            }
            Err(error) => Err(StartError::Header(error)),
        }
    }

    pub(super) const fn mode(&self) -> Mode {
        self.frames.mode()
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Failure> {
        let result = self.frames.next_frame();
        if matches!(result, Ok(None) | Err(FrameError::Truncated)) {
            // Why it ended matters more than where.
            self.process.finish()?;
        }
        Ok(result?)
    }
}

struct Process {
    child: Child,
    messages: Receiver<String>,
}

impl Process {
    fn start(program: &Path, file: &Path) -> io::Result<(Self, ChildStdout)> {
        let child = Command::new(program)
            .args(["-nostdin", "-hide_banner", "-loglevel", "error"])
            // A playlist may name what it likes; it is not to make this machine ask others.
            .args(["-protocol_whitelist", "file", "-i"])
            .arg(input(file))
            // The first video, without the pictures that music comes with.
            .args(["-map", "0:V:0"])
            // Most video has BT.709's matrix, which y4m has no word for.
            .args(["-vf", "scale=out_color_matrix=bt601:out_range=tv"])
            .args(["-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, messages) = mpsc::channel();
        let mut process = Self { child, messages };
        let Child { stdout, stderr, .. } = &mut process.child;
        let (output, errors) = stdout.take().zip(stderr.take()).ok_or(io::ErrorKind::BrokenPipe)?;
        // Nobody may be there any more to hear it.
        thread::Builder::new().name("ffmpeg-errors".into()).spawn(move || drop(sender.send(drain(errors))))?;
        Ok((process, output))
    }

    /// Waits for the program, whose output has ended.
    fn finish(&mut self) -> Result<(), Failure> {
        let status = self.child.wait().map_err(FrameError::Read)?;
        let message = self.messages.recv_timeout(LAST_WORDS).unwrap_or_default();
        if !status.success() {
            return Err(Failure::Ffmpeg { status, message });
        }
        if !message.is_empty() {
            tracing::warn!(message, "ffmpeg went on in spite of errors");
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it was waited for, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The file as ffmpeg's input: with `file:` before it, a path is a path, though it may look like an option or a URL.
fn input(file: &Path) -> OsString {
    let mut input = OsString::from("file:");
    input.push(file);
    input
}

/// Reads to the end, so that the program is never held up, and gives the end of it in one line.
fn drain(mut errors: ChildStderr) -> String {
    let mut tail = Tail(Vec::new());
    // What came before an error is all that there is.
    let _ = io::copy(&mut errors, &mut tail);
    let text = String::from_utf8_lossy(&tail.0);
    let lines = text.lines().map(|line| line.trim().replace(char::is_control, " ")).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// Keeps the last [`MESSAGE`] bytes.
struct Tail(Vec<u8>);

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        self.0.drain(..self.0.len().saturating_sub(MESSAGE));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_neither_an_option_nor_a_url() {
        for path in ["-i.mp4", "http://host/video.mp4", "concat:a|b", "/video.mp4"] {
            assert_eq!(input(Path::new(path)), OsString::from(format!("file:{path}")));
        }
    }

    #[test]
    fn the_last_words_are_kept() {
        let mut tail = Tail(Vec::new());
        for line in 0..10_000 {
            writeln!(tail, "line {line}").unwrap();
        }
        assert!(tail.0.len() == MESSAGE && tail.0.ends_with(b"line 9999\n"));
    }
}
