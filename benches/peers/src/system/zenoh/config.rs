//! Who listens where, and who trusts whom.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use serde_json::{Value, json};
use zenoh::Config;

use super::Link;
use crate::{Result, system::certificate::Certificate};

/// Of a router that listens there.
pub(super) fn router(link: Link, address: SocketAddr, dir: &Path) -> Result<Config> {
    let files = Certificate::at(dir);
    if link != Link::Tcp {
        files.make()?;
    }
    let tls = json!({"listen_certificate": files.certificate, "listen_private_key": files.key});
    config("router", "listen", link, address, tls)
}

/// Of a client of that router.
pub(super) fn client(link: Link, address: SocketAddr, dir: &Path) -> Result<Config> {
    config("client", "connect", link, address, json!({"root_ca_certificate": Certificate::at(dir).certificate}))
}

/// An address that was free a moment ago: zenoh does not tell which port it took.
pub(super) fn free_address(link: Link) -> io::Result<SocketAddr> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    match link {
        Link::Tcp | Link::Tls => TcpListener::bind(any)?.local_addr(),
        Link::Quic => UdpSocket::bind(any)?.local_addr(),
    }
}

fn config(mode: &str, verb: &str, link: Link, address: SocketAddr, tls: Value) -> Result<Config> {
    let protocol = match link {
        Link::Tcp => "tcp",
        Link::Tls => "tls",
        Link::Quic => "quic",
    };
    let mut config = json!({
        "mode": mode,
        // Others on this network are no part of the run.
        "scouting": {"multicast": {"enabled": false}},
        verb: {"endpoints": [format!("{protocol}/{address}")]},
    });
    if link != Link::Tcp {
        config["transport"] = json!({"link": {"tls": tls}});
    }
    Config::from_json5(&config.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zenoh_takes_the_configurations() {
        let dir = tempfile::tempdir().unwrap();
        for link in [Link::Tcp, Link::Tls, Link::Quic] {
            let address = free_address(link).unwrap();
            router(link, address, dir.path()).unwrap();
            let client = client(link, address, dir.path()).unwrap();
            assert!(client.to_string().contains(&address.to_string()), "{client}");
        }
    }
}
