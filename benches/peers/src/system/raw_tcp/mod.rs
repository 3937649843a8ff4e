//! The floor: blocking TCP of the standard library, in clear text, and a router that copies bytes and knows of nothing.

mod calls;
mod streams;

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use super::{Calls, Streams, System};
use crate::{
    Result,
    role::{Place, tell},
};

#[derive(Debug)]
pub(crate) struct RawTcp;

impl System for RawTcp {
    fn name(&self) -> &'static str {
        "raw-tcp"
    }

    fn tls(&self) -> bool {
        false
    }

    fn version(&self) -> Result<String> {
        Ok("std".into())
    }

    fn calls(&self) -> Option<&dyn Calls> {
        Some(self)
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

/// Listens, and says where.
fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    tell(&listener.local_addr()?)?;
    Ok(listener)
}

fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn connect(place: &Place) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(place.router)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
