//! Calls, as many at a time as wanted: a stream each way and hop that lives as long as the run.

use std::path::Path;

use quinn::{RecvStream, SendStream};

use super::{PIECES, RawQuinn, accept, connect, listen};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    system::{
        Calls,
        pipeline::{Pipeline, READ},
    },
    work::calls::Outcome,
};

impl Calls for RawQuinn {
    fn route(&self, dir: &Path) -> Result<()> {
        block_on(async {
            let mut listener = listen(dir)?;
            // The caller starts when the responder is there. A connection lives as long as it is held.
            let (_responder, (answers_to, answers)) = accept(&mut listener).await?;
            let (_caller, (calls_to, calls)) = accept(&mut listener).await?;
            tokio::try_join!(copy(calls, answers_to), copy(answers, calls_to))?;
            Ok(())
        })
    }

    fn respond(&self, place: &Place) -> Result<()> {
        block_on(async {
            let (_connector, _connection, (send, receive)) = connect(place).await?;
            tell(&())?;
            copy(receive, send).await
        })
    }

    fn call(&self, place: &Place, mut orders: Orders) -> Result<()> {
        block_on(async {
            let (_connector, _connection, (mut send, mut receive)) = connect(place).await?;
            tell(&())?;
            while let Some(order) = orders.next().await? {
                tell(&calls(Pipeline::new(order), &mut send, &mut receive).await?)?;
            }
            Ok(())
        })
    }
}

async fn calls(mut pipeline: Pipeline, send: &mut SendStream, receive: &mut RecvStream) -> Result<Outcome> {
    let mut out = Vec::new();
    loop {
        if let Some(outcome) = pipeline.outcome() {
            return Ok(outcome);
        }
        out.clear();
        pipeline.call(&mut out);
        send.write_all(&out).await?;
        let arrived = receive.read_chunk(READ, true).await?.ok_or("the router has hung up")?;
        pipeline.take(&arrived.bytes)?;
    }
}

/// Until the one side ends.
async fn copy(mut from: RecvStream, mut to: SendStream) -> Result<()> {
    let mut pieces = vec![bytes::Bytes::new(); PIECES];
    while let Some(count) = from.read_chunks(&mut pieces).await? {
        to.write_all_chunks(&mut pieces[..count]).await?;
    }
    Ok(())
}
