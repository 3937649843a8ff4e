//! The sender: starts the others, streams the file, and asks what they have.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use daffi::{Global, ReceiverReport, fallible, fetcher};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Options,
    block::{self, Block, Sum, Summing},
    processes::Processes,
    signals::interrupted,
    summary::{Copied, PeakRss, Summary, peak_rss_mib},
};

/// The size of the file that is made if none is given.
const MADE: usize = 64 << 20;

/// How long a receiver may take over a block: a disk with much to write pauses for seconds.
const STALL: Duration = Duration::from_secs(60);

#[fetcher(STREAM)]
async fn write_block(block: Block) -> Result<(), String>;

#[fetcher]
async fn sum() -> Result<Sum, String>;

/// Copies the file. No process is left behind, however this ends.
pub(crate) async fn run(options: &Options) -> Result<Summary, Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let mut processes = Processes::new(&scratch.path().join("state"))?;
    let done = tokio::select! {
        biased;
        signal = interrupted() => Err(format!("stopped by {}; the copies are not complete", signal?).into()),
        done = copy(options, scratch.path(), &mut processes) => done,
    };
    processes.end().await;
    done
}

async fn copy(options: &Options, scratch: &Path, processes: &mut Processes) -> Result<Summary, Box<dyn Error>> {
    let made = scratch.join("input.bin");
    let input = match &options.input {
        Some(input) => input,
        None => make_file(&made).map(|()| &made)?,
    };
    let (file, length) = open(input).map_err(|error| format!("could not read {}: {error}", input.display()))?;
    let out = options.out.clone().unwrap_or_else(|| scratch.join("copies"));
    fs::create_dir_all(&out).map_err(|error| format!("could not create {}: {error}", out.display()))?;

    let at = |port: u16| ["--host".to_owned(), options.host.clone(), "--port".to_owned(), port.to_string()];
    let (controller, port) = processes.start(at(options.port).iter().map(String::as_str).chain(["controller"])).await?;
    let port: u16 = port.parse()?;
    let names: Vec<_> = (1..=options.receivers).map(|number| format!("receiver-{number}")).collect();
    let mut receivers = Vec::new();
    for name in &names {
        let copy = out.join(format!("{name}.bin"));
        let place = at(port);
        let arguments = place.iter().map(AsRef::as_ref).chain(["receiver".as_ref(), name.as_ref(), copy.as_os_str()]);
        receivers.push(processes.start(arguments).await?.0);
    }

    let token = scratch.join("state").join("token");
    let g = Global::builder().host(&options.host).port(port).process_name("sender").token_file(token).start().await?;
    for name in &names {
        g.wait_process(name).timeout(Duration::from_secs(10)).await?;
    }
    let sent = Arc::new(OnceLock::new());
    let bar = ProgressBar::new(length)
        .with_style(ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")?);
    let began = Instant::now();
    let blocks = Blocks { file, summing: Summing::new(), sent: sent.clone(), bar: bar.clone() };
    let report = write_block(fallible(blocks)).stall_after(STALL).await?;
    let seconds = began.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let sent = sent.get().cloned().ok_or("the file was not read to its end")?;
    let mut copies = Vec::new();
    for name in names {
        let failure = report.receiver(&name).and_then(failure);
        let sum = match failure {
            Some(failure) => Err(failure),
            None => sum().to(&name).await.map_err(|error| error.to_string()),
        };
        copies.push(Copied { receiver: name, sum });
    }
    let peak_rss_mib = PeakRss {
        sender: peak_rss_mib(std::process::id()),
        controller: peak_rss_mib(controller),
        receiver: receivers.into_iter().filter_map(peak_rss_mib).reduce(f64::max),
    };
    g.stop().await;
    Ok(Summary { sent, copies, seconds, peak_rss_mib })
}

fn failure(report: &ReceiverReport<(), String>) -> Option<String> {
    report.result.as_ref().err().map(ToString::to_string)
}

/// The file, block by block.
struct Blocks {
    file: File,
    summing: Summing,
    /// Where the sum goes at the end.
    sent: Arc<OnceLock<Sum>>,
    bar: ProgressBar,
}

impl Iterator for Blocks {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::with_capacity(block::SIZE);
        if let Err(error) = (&self.file).take(block::SIZE as u64).read_to_end(&mut bytes) {
            return Some(Err(error));
        }
        if bytes.is_empty() {
            self.sent.get_or_init(|| self.summing.sum());
            return None;
        }
        let offset = self.summing.bytes();
        self.summing.add(&bytes);
        self.bar.inc(bytes.len() as u64);
        Some(Ok(Block { offset, bytes }))
    }
}

/// Opens a file to read it, and looks up its length.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((file, metadata.len()))
}

/// Makes a file in which no two blocks are equal.
fn make_file(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    // Xorshift: anything that does not repeat itself will do.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0; block::SIZE];
    for _ in 0..MADE / block::SIZE {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    Ok(())
}
