//! NATS: nats-server as Debian packages it, and async-nats.
//!
//! Over TLS it is version 1.3 with a P-256 certificate, as daffi has it.

mod calls;
mod streams;

use std::{ffi::OsString, io, net::SocketAddr, os::unix::process::CommandExt, path::Path, process::Command, sync::Arc};

use async_nats::{Client, ConnectOptions};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
    version::TLS13,
};

use super::{Calls, Streams, System, certificate::Certificate, locked};
use crate::{Result, role::Place};

pub(crate) const CLEAR: Nats = Nats { name: "nats", tls: false };
pub(crate) const TLS: Nats = Nats { name: "nats-tls", tls: true };

/// Where Debian's package puts it is not on every user's path.
const PROGRAMS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

#[derive(Debug)]
pub(crate) struct Nats {
    name: &'static str,
    tls: bool,
}

impl System for Nats {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tls(&self) -> bool {
        self.tls
    }

    fn version(&self) -> Result<String> {
        let output = first_program(|mut program| program.arg("--version").output())?;
        let server = String::from_utf8_lossy(&output.stdout).trim().replace(": v", " ");
        Ok(format!("{server}, {}", locked("async-nats")))
    }

    fn listens_at(&self, line: &str) -> Option<SocketAddr> {
        line.split_once("Listening for client connections on ")?.1.trim().parse().ok()
    }

    fn calls(&self) -> Option<&dyn Calls> {
        Some(self)
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

impl Nats {
    /// nats-server takes this process's place; its log goes where our answers would.
    fn serve(&self, dir: &Path, more: &[OsString]) -> Result<()> {
        let files = Certificate::at(dir);
        if self.tls {
            files.make()?;
        }
        first_program(|mut program| {
            // Port -1 is any free one.
            program.args(["--addr", "127.0.0.1", "--port", "-1"]).args(more).stderr(io::stdout());
            if self.tls {
                program.arg("--tls").arg("--tlscert").arg(&files.certificate).arg("--tlskey").arg(&files.key);
            }
            Err::<(), _>(program.exec())
        })
    }

    async fn connect(&self, Place { dir, router, .. }: &Place, options: ConnectOptions) -> Result<Client> {
        let mut options = options;
        if self.tls {
            options = options.require_tls(true).tls_client_config(trusting(&Certificate::at(dir).certificate)?);
        }
        Ok(options.connect(router.to_string()).await?)
    }
}

fn trusting(certificate: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots).with_no_client_auth())
}

/// Does it with the first nats-server that there is.
fn first_program<T>(run: impl Fn(Command) -> io::Result<T>) -> Result<T> {
    for program in PROGRAMS {
        match run(Command::new(program)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done.map_err(|error| format!("could not run {program}: {error}").into()),
        }
    }
    Err("there is no nats-server; install it with `apt-get install nats-server`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_the_address() {
        let line = "[91] 2026/11/02 10:00:00.000001 [INF] Listening for client connections on 127.0.0.1:40123";
        assert_eq!(CLEAR.listens_at(line), Some(([127, 0, 0, 1], 40_123).into()));
        assert_eq!(CLEAR.listens_at("[91] 2026/11/02 10:00:00.000001 [INF] Server is ready"), None);
    }
}
