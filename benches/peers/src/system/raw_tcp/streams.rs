//! Streams: the router copies the sender's bytes to each receiver, one after the other.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use super::{RawTcp, accept, connect, listen};
use crate::{
    Result,
    role::{Orders, Place, tell},
    system::Streams,
    work::stream::{self, Intake, Kind, Scene, Source, Splitter},
};

/// How much is read and written at a time.
const CHUNK: usize = 256 << 10;

impl Streams for RawTcp {
    fn carries(&self, kind: Kind) -> bool {
        kind != Kind::SlowReceiver
    }

    fn lossless(&self, _: Kind) -> bool {
        true
    }

    fn relay(&self, _: &Path, scene: &Scene) -> Result<()> {
        let listener = listen()?;
        let mut receivers = (0..scene.receivers).map(|_| accept(&listener)).collect::<std::io::Result<Vec<_>>>()?;
        let mut sender = accept(&listener)?;
        read_all(&mut sender, |bytes| receivers.iter_mut().try_for_each(|receiver| Ok(receiver.write_all(bytes)?)))
    }

    fn receive(&self, place: &Place, scene: &Scene, intake: &'static Intake) -> Result<()> {
        let mut stream = connect(place)?;
        tell(&())?;
        let mut items = Splitter::new(scene.length as usize);
        read_all(&mut stream, |bytes| {
            items.feed(bytes, |marks| intake.take_marks(marks));
            Ok(())
        })
    }

    fn send(&self, place: &Place, scene: &Scene, orders: Orders) -> Result<()> {
        let mut stream = connect(place)?;
        stream::carry_out_blocking(scene, orders, |mut source: Source| {
            let mut bytes = Vec::new();
            loop {
                bytes.clear();
                source.fill(&mut bytes, CHUNK);
                if bytes.is_empty() {
                    return Ok(());
                }
                stream.write_all(&bytes)?;
            }
        })
    }
}

/// Until the other side ends.
fn read_all(stream: &mut TcpStream, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut bytes = vec![0; CHUNK];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            length => take(&bytes[..length])?,
        }
    }
}
