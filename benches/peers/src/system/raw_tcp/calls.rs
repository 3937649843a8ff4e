//! Calls, as many at a time as wanted: the router copies bytes from one connection to the other, a thread for each direction.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    thread,
};

use super::{RawTcp, accept, connect, listen};
use crate::{
    Result,
    role::{Orders, Place, tell},
    system::{
        Calls,
        pipeline::{Pipeline, READ},
    },
    work::calls::Outcome,
};

impl Calls for RawTcp {
    fn route(&self, _: &Path) -> Result<()> {
        let listener = listen()?;
        // The caller starts when the responder is there.
        let (responder, caller) = (accept(&listener)?, accept(&listener)?);
        let (answers, calls) = (responder.try_clone()?, caller.try_clone()?);
        let answering = thread::spawn(move || copy(answers, caller));
        copy(calls, responder)?;
        Ok(answering.join().map_err(|_| "the thread that carries answers has panicked")??)
    }

    fn respond(&self, place: &Place) -> Result<()> {
        let stream = connect(place)?;
        tell(&())?;
        Ok(copy(stream.try_clone()?, stream)?)
    }

    fn call(&self, place: &Place, mut orders: Orders) -> Result<()> {
        let mut stream = connect(place)?;
        tell(&())?;
        while let Some(order) = orders.next_blocking()? {
            tell(&calls(Pipeline::new(order), &mut stream)?)?;
        }
        Ok(())
    }
}

fn calls(mut pipeline: Pipeline, stream: &mut TcpStream) -> Result<Outcome> {
    let (mut out, mut arrived) = (Vec::new(), vec![0; READ]);
    loop {
        if let Some(outcome) = pipeline.outcome() {
            return Ok(outcome);
        }
        out.clear();
        pipeline.call(&mut out);
        stream.write_all(&out)?;
        match stream.read(&mut arrived)? {
            0 => return Err("the router has hung up".into()),
            length => pipeline.take(&arrived[..length])?,
        }
    }
}

/// Until the one side ends.
fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut bytes = vec![0; READ];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(()),
            length => to.write_all(&bytes[..length])?,
        }
    }
}
