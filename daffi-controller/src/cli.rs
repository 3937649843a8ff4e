//! The command line.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use daffi_controller::{CertificateFiles, Config, ConfigFile, DEFAULT_GRACE, DEFAULT_PORT, Limits, listen_address};
use daffi_core::transport::{StateDir, StateError};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::cert::Cert;

const ABOUT: &str = "Connects the processes of a daffi system";

const LONG_ABOUT: &str = "\
Connects the processes of a daffi system.

Every process (node) joins the controller under a name and tells which callbacks it offers. The controller tells nodes of each \
other and carries their calls and streams; it runs no callback and decodes no argument.

Once it listens it prints one line to stdout, `listening on 127.0.0.1:8888`. Logs go to stderr.";

const MORE: &str = "\
Example:
  $ daffi-controller &
  listening on 127.0.0.1:8888
  $ my-worker &
  $ my-program

How nodes find it:
  A node looks at localhost, port 8888, unless its program says otherwise. On this machine and for this user that is all: the \
node finds the token in the state directory by itself.
  For other machines, listen on a network with `--host 0.0.0.0`, and give the host and the token to the nodes:
  $ DAFFI_TOKEN=$(daffi-controller token)

The token:
  Nobody joins without the controller's join token. It is made at the first start and kept, with the controller's key, in the \
state directory, ~/.local/state/daffi on Linux; both files are readable by their owner only. The token is a secret. It pins the \
controller's key too, so a node that has it talks to no other controller. `daffi-controller token --rotate` makes a new one; the old \
one stays valid until `token --retire`.

Certificates and rules:
  Besides the token, nodes may have, or need, certificates of an authority of yours (`--ca`, `--require-certificate`), and a config \
file may say which node may call, offer and stream which callback (`--config`). `daffi-controller cert --help` makes certificates.

Limits:
  How much others may use of it stands in the config file's table `limits`; what is said on the command line counts more. They hold \
from the start: to change them, start it again.

Environment:
  DAFFI_HOST, DAFFI_PORT, DAFFI_STATE_DIR, DAFFI_CONFIG, DAFFI_GRACE, DAFFI_MAX_NODES, DAFFI_MAX_BYTES_PER_SECOND and DAFFI_LOG stand \
for the options; an option on the command line counts more.
  DAFFI_TOKEN, DAFFI_TOKEN_FILE, DAFFI_CERT, DAFFI_KEY and DAFFI_CA are read by nodes, not by the controller.

Signals:
  SIGINT (Ctrl-C) and SIGTERM stop it: it takes no new work, lets calls and streams under way finish within the grace, tells every \
node, and exits with 0. A second signal stops it at once, with 130. If it cannot start it exits with 1.
  SIGHUP has it read config file, tokens and certificates again. If there is a mistake in one of them it logs that, and goes on as before.";

#[derive(Debug, Parser)]
#[command(version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = MORE)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The name or address to listen at; 0.0.0.0 is every network of this machine
    #[arg(long, env = "DAFFI_HOST", default_value = "localhost")]
    host: String,

    /// The UDP port to listen on; 0 is any free one
    #[arg(long, env = "DAFFI_PORT", default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,

    /// Where key and token are kept [default: `daffi` in the user's state directory]
    #[arg(long, env = "DAFFI_STATE_DIR", value_name = "DIR", global = true)]
    state_dir: Option<PathBuf>,

    /// A TOML file with rules, certificates and limits; SIGHUP has the first two read again
    #[arg(long, env = "DAFFI_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    certificates: Certificates,

    /// How long calls and streams under way may go on after a signal
    #[arg(long, env = "DAFFI_GRACE", value_name = "TIME", default_value_t = DEFAULT_GRACE.into())]
    pub(crate) grace: humantime::Duration,

    /// How many nodes may have joined at a time [default: 10000]
    #[arg(long, env = "DAFFI_MAX_NODES", value_name = "COUNT")]
    max_nodes: Option<usize>,

    /// How much each node may send in a second, such as `50 MiB`; what it sends beyond that waits [default: no limit]
    #[arg(long, env = "DAFFI_MAX_BYTES_PER_SECOND", value_name = "SIZE")]
    max_bytes_per_second: Option<ByteSize>,

    /// What to log: error, warn, info, debug, trace, off, or a filter such as `info,quinn=debug`
    #[arg(long, env = "DAFFI_LOG", value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub(crate) log: EnvFilter,
}

/// The certificates of a controller, and of those who ask for its token. Not of `cert`, which would take no notice of them.
#[derive(Debug, Clone, Default, Args)]
struct Certificates {
    /// The controller's own certificate, a PEM file, instead of one that it makes itself
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The authority that vouches for nodes and for the controller, a PEM file
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Lets no node join without a certificate of the authority
    #[arg(long)]
    require_certificate: bool,
}

impl Certificates {
    /// Their files, and of the others' what these leave open.
    fn files(&self, others: &Self) -> CertificateFiles {
        let mut files = CertificateFiles::default();
        files.certificate = self.cert.clone().or_else(|| others.cert.clone());
        files.key = self.key.clone().or_else(|| others.key.clone());
        files.ca = self.ca.clone().or_else(|| others.ca.clone());
        files.required = self.require_certificate || others.require_certificate;
        files
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Prints this user's join token, made now if there is none yet, or changes it
    ///
    /// It is the token of the controller that runs with this state directory. If other certificates are named, here or in the config file,
    /// it is the one for a controller with those.
    Token(Token),
    /// Makes an authority, or a certificate of it for the controller or a node
    Cert(Cert),
}

/// What is to become of the token.
#[derive(Debug, Clone, Args)]
pub(crate) struct Token {
    /// Makes a new token; the old one stays valid until it is retired
    #[arg(long)]
    pub(crate) rotate: bool,

    /// Ends the validity of the old token
    #[arg(long, conflicts_with = "rotate")]
    pub(crate) retire: bool,

    /// For how long the old token stays valid, such as `7d`, if it is not retired before
    #[arg(long, value_name = "TIME", requires = "rotate")]
    pub(crate) old_for: Option<humantime::Duration>,

    #[command(flatten)]
    certificates: Certificates,
}

impl Token {
    /// How long an old token stays valid, in words.
    pub(crate) fn how_long(&self) -> String {
        self.old_for.map_or_else(|| "until `daffi-controller token --retire`".into(), |time| format!("for {time}"))
    }
}

impl Cli {
    /// Where the controller's key and token are.
    pub(crate) fn state_dir(&self) -> Result<StateDir, StateError> {
        self.state_dir.as_ref().map_or_else(StateDir::of_user, |path| Ok(StateDir::at(path)))
    }

    /// These limits, with those that were set on the command line.
    fn limits(&self, mut limits: Limits) -> Limits {
        limits.nodes = self.max_nodes.unwrap_or(limits.nodes);
        let bytes_per_second = self.max_bytes_per_second.map(|size| size.as_u64());
        limits.bytes_per_second_per_node = bytes_per_second.or(limits.bytes_per_second_per_node);
        limits
    }

    /// What the controller needs to start.
    pub(crate) fn config(&self) -> Result<Config, Box<dyn std::error::Error>> {
        let mut config = self.kept()?;
        config.listen = listen_address(&self.host, self.port)?;
        if self.max_nodes.is_some() || self.max_bytes_per_second.is_some() {
            let file = self.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
            config = config.with_limits(self.limits(file.limits));
        }
        Ok(config)
    }

    /// What does not depend on where it listens.
    pub(crate) fn kept(&self) -> Result<Config, StateError> {
        let certificates = match &self.command {
            Some(Command::Token(token)) => token.certificates.files(&self.certificates),
            _ => self.certificates.files(&Certificates::default()),
        };
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config::ephemeral(anywhere).with_state(self.state_dir()?).with_certificates(certificates);
        config.file.clone_from(&self.config);
        Ok(config)
    }
}

/// Left to itself, clap would take the conversion that passes over what it does not understand; and a misspelled level would be taken
/// for a part of the program, of which alone there is something logged.
fn filter(text: &str) -> Result<EnvFilter, String> {
    let is_level = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    match text.split(',').map(str::trim).find(|part| part.ends_with('=') || !is_level(part)) {
        Some(part) => {
            let part = part.trim_end_matches('=');
            Err(format!(
                "`{part}` is no level: error, warn, info, debug, trace or off; for one part write `{part}=debug`"
            ))
        }
        None => EnvFilter::try_new(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn localhost_is_the_ipv4_one() {
        let cli = Cli::parse_from(["daffi-controller", "--host", "localhost", "--port", "9", "--state-dir", "x"]);
        assert_eq!(cli.config().unwrap().listen, SocketAddr::from(([127, 0, 0, 1], 9)));
    }

    #[test]
    fn limits_are_what_the_command_line_says() {
        let cli = Cli::parse_from(["daffi-controller", "--max-nodes", "3", "--max-bytes-per-second", "50 MiB"]);
        let limits = cli.limits(Limits::default());
        assert_eq!((limits.nodes, limits.bytes_per_second_per_node), (3, Some(50 << 20)));
        assert_eq!(Cli::parse_from(["daffi-controller"]).limits(Limits::default()), Limits::default());
        assert!(Cli::try_parse_from(["daffi-controller", "--max-bytes-per-second", "much"]).is_err());
    }

    #[test]
    fn limits_on_the_command_line_count_more_than_those_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("daffi.toml");
        std::fs::write(&file, "[limits]\nnodes = 5\nitem_size = \"16 MiB\"\n").unwrap();
        let given = ["daffi-controller", "--state-dir", "x", "--config", file.to_str().unwrap()];
        assert_eq!(Cli::parse_from(given).config().unwrap().limits, None, "the file says them all");
        let limits =
            Cli::parse_from(given.into_iter().chain(["--max-nodes", "10000"])).config().unwrap().limits.unwrap();
        assert_eq!((limits.nodes, limits.item_size), (10_000, 16 << 20));
        std::fs::write(&file, "[limits]\nnodes = 0\n").unwrap();
        let wrong = Cli::parse_from(given.into_iter().chain(["--max-nodes", "3"])).config().unwrap_err().to_string();
        assert!(wrong.contains("daffi.toml:2: ") && wrong.contains("`nodes`"), "{wrong}");
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(Cli::try_parse_from(["daffi-controller", "--log", "info,quinn=debug"]).is_ok());
        for wrong in ["a=b=c", "loud", "quinn=", "info,loud"] {
            assert!(Cli::try_parse_from(["daffi-controller", "--log", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_state_dir_may_stand_on_either_side_of_the_command() {
        for line in
            [["daffi-controller", "--state-dir", "x", "token"], ["daffi-controller", "token", "--state-dir", "x"]]
        {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.state_dir().unwrap(), StateDir::at("x"));
        }
    }

    #[test]
    fn certificates_may_stand_on_either_side_of_the_token() {
        for line in ["--cert c --key k --ca a token", "token --cert c --key k --ca a", "--ca a token --cert c --key k"]
        {
            let line = ["daffi-controller", "--state-dir", "x"].into_iter().chain(line.split(' '));
            let CertificateFiles { certificate, key, ca, required, .. } =
                Cli::try_parse_from(line).unwrap().kept().unwrap().certificates;
            assert_eq!((certificate, key, ca), (Some("c".into()), Some("k".into()), Some("a".into())));
            assert!(!required);
        }
        assert!(Cli::try_parse_from(["daffi-controller", "cert", "ca", "--ca", "x"]).is_err(), "it has no use for it");
    }
}
