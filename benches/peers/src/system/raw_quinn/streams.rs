//! Streams: the router gives each piece that comes from the sender to each receiver, one after the other, without a copy.

use std::path::Path;

use bytes::Bytes;

use super::{PIECES, RawQuinn, accept, connect, listen};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    system::Streams,
    work::stream::{self, Intake, Kind, Scene, Source, Splitter},
};

/// How much is written at a time, of items that are smaller: as much as daffi has in a batch.
const CHUNK: usize = 64 << 10;

impl Streams for RawQuinn {
    fn carries(&self, kind: Kind) -> bool {
        kind != Kind::SlowReceiver
    }

    fn lossless(&self, _: Kind) -> bool {
        true
    }

    fn relay(&self, dir: &Path, scene: &Scene) -> Result<()> {
        block_on(async {
            let mut listener = listen(dir)?;
            // A connection lives as long as it is held.
            let mut receivers = Vec::new();
            for _ in 0..scene.receivers {
                receivers.push(accept(&mut listener).await?);
            }
            let (_sender, (_, mut items)) = accept(&mut listener).await?;
            let mut pieces = vec![Bytes::new(); PIECES];
            while let Some(count) = items.read_chunks(&mut pieces).await? {
                for (_, (receiver, _)) in &mut receivers {
                    receiver.write_all_chunks(&mut pieces[..count].to_vec()).await?;
                }
            }
            Ok(())
        })
    }

    fn receive(&self, place: &Place, scene: &Scene, intake: &'static Intake) -> Result<()> {
        block_on(async {
            let (_connector, _connection, (_send, mut stream)) = connect(place).await?;
            tell(&())?;
            let mut items = Splitter::new(scene.length as usize);
            let mut pieces = vec![Bytes::new(); PIECES];
            while let Some(count) = stream.read_chunks(&mut pieces).await? {
                pieces[..count].iter().for_each(|piece| items.feed(piece, |marks| intake.take_marks(marks)));
            }
            Ok(())
        })
    }

    fn send(&self, place: &Place, scene: &Scene, orders: Orders) -> Result<()> {
        block_on(async {
            let (_connector, _connection, (mut stream, _receive)) = connect(place).await?;
            let send = async |mut source: Source| {
                while let Some(bytes) = source.next_bytes(CHUNK).await {
                    stream.write_chunk(bytes.into()).await?;
                }
                Ok(())
            };
            stream::carry_out(scene, orders, send).await
        })
    }
}
