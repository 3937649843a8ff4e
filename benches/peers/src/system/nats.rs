//! NATS request-reply: nats-server as Debian packages it, with its defaults, and async-nats with its own, on a runtime of one
//! thread.
//!
//! Over TLS it is version 1.3 with a P-256 certificate, as daffi has it.

use std::{fs, io, net::SocketAddr, os::unix::process::CommandExt, path::Path, process::Command, sync::Arc};

use async_nats::{Client, ConnectOptions};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
    version::TLS13,
};
use tokio_stream::StreamExt;

use super::{System, locked};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    work::calls,
};

pub(crate) const CLEAR: Nats = Nats { name: "nats", tls: false };
pub(crate) const TLS: Nats = Nats { name: "nats-tls", tls: true };

/// Where Debian's package puts it is not on every user's path.
const PROGRAMS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const SUBJECT: &str = "echo";

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

    /// nats-server takes this process's place; its log goes where our answers would.
    fn route(&self, dir: &Path) -> Result<()> {
        let (certificate, key) = (dir.join(CERTIFICATE), dir.join(KEY));
        if self.tls {
            // ECDSA with P-256 is what it makes unless told otherwise.
            let made = rcgen::generate_simple_self_signed([SocketAddr::from(([127, 0, 0, 1], 0)).ip().to_string()])?;
            fs::write(&certificate, made.cert.pem())?;
            fs::write(&key, made.signing_key.serialize_pem())?;
        }
        first_program(|mut program| {
            // Port -1 is any free one.
            program.args(["--addr", "127.0.0.1", "--port", "-1"]).stderr(io::stdout());
            if self.tls {
                program.arg("--tls").arg("--tlscert").arg(&certificate).arg("--tlskey").arg(&key);
            }
            Err::<(), _>(program.exec())
        })
    }

    fn listens_at(&self, line: &str) -> Option<SocketAddr> {
        line.split_once("Listening for client connections on ")?.1.trim().parse().ok()
    }

    fn respond(&self, place: &Place) -> Result<()> {
        block_on(async {
            let client = self.connect(place).await?;
            let mut requests = client.subscribe(SUBJECT).await?;
            let echo = async {
                while let Some(request) = requests.next().await {
                    let inbox = request.reply.ok_or("a request that wants no answer")?;
                    client.publish(inbox, request.payload).await?;
                }
                Err("the subscription has ended".into())
            };
            // The server handles what a client sends in order: once this is answered, others' requests will be.
            let ready = async {
                client.request(SUBJECT, "".into()).await?;
                tell(&())?;
                std::future::pending::<Result<()>>().await
            };
            tokio::select! { ended = echo => ended, failed = ready => failed }
        })
    }

    fn call(&self, place: &Place, orders: Orders) -> Result<()> {
        block_on(async {
            let client = self.connect(place).await?;
            let call = move |bytes: [u8; calls::LENGTH]| {
                let client = client.clone();
                async move { Ok(client.request(SUBJECT, bytes.to_vec().into()).await?.payload) }
            };
            calls::carry_out(orders, call).await
        })
    }
}

impl Nats {
    async fn connect(&self, Place { dir, router }: &Place) -> Result<Client> {
        let mut options = ConnectOptions::new();
        if self.tls {
            options = options.require_tls(true).tls_client_config(trusting(&dir.join(CERTIFICATE))?);
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
