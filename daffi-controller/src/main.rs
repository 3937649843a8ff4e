//! The `daffi-controller` program: runs a controller until a signal ends it, or prints or changes its join token, or makes
//! certificates.

mod cert;
mod cli;
mod signals;

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use daffi_controller::Controller;

use self::{
    cli::{Cli, Command, Token},
    signals::{Reloads, Signals},
};

/// What a shell reports for a program that an interrupt ended.
const INTERRUPTED: u8 = 128 + 2;

const TAKE_UP: &str = "A controller that runs goes by what it knows until it gets SIGHUP.";

// The controller has a thread of its own; this one only waits for signals.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match &cli.command {
        Some(Command::Token(token)) => print_token(&cli, token).map(|()| ExitCode::SUCCESS),
        Some(Command::Cert(cert)) => {
            cert.make().map_err(Box::from).and_then(|paths| print_paths(&paths)).map(|()| ExitCode::SUCCESS)
        }
        None => run(&cli).await,
    };
    ended.unwrap_or_else(|error| {
        eprintln!("daffi-controller: {error}");
        ExitCode::FAILURE
    })
}

fn print_paths(paths: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    Ok(paths.iter().try_for_each(|path| writeln!(out, "{}", path.display()))?)
}

/// Prints the token that nodes are to be given; first changes it, if it is asked to.
fn print_token(cli: &Cli, asked: &Token) -> Result<(), Box<dyn Error>> {
    let (state, config) = (cli.state_dir()?, cli.kept()?);
    let is_new = state.token()?.is_none();
    let tokens = if asked.rotate {
        let tokens = config.rotate_token(asked.old_for.map(Into::into))?;
        eprintln!("daffi-controller: the old token stays valid {}. {TAKE_UP}", asked.how_long());
        tokens
    } else if asked.retire {
        let had_two = config.retire_token()?;
        eprintln!(
            "daffi-controller: {} {TAKE_UP}",
            if had_two { "the old token is retired." } else { "there is no old token." }
        );
        config.tokens()?
    } else {
        config.tokens()?
    };
    let token = tokens.current;
    if is_new {
        eprintln!(
            "daffi-controller: made this token in {}, for the controller that starts with this state directory; one that runs already \
             with another has another token",
            state.path().display()
        );
    }
    writeln!(io::stdout(), "{token}")?;
    Ok(())
}

async fn run(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(cli.log.clone())
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    // Before anybody is told that it listens: from then on a signal is to find it ready.
    let (mut signals, mut reloads) = (Signals::new()?, Reloads::new()?);
    let config = cli.config()?;
    // It reads or makes a key.
    let controller = tokio::task::spawn_blocking(move || Controller::start(&config)).await??;
    announce(&controller, cli)?;

    loop {
        tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, grace = %cli.grace, "stopping; once more stops at once");
                break;
            }
            // This thread has nothing else to do: it may wait for files.
            () = reloads.next() => {
                if let Err(error) = controller.reload() {
                    tracing::error!(%error, "did not reload: all stays as it was");
                }
            }
            () = controller.stopped() => return Err("the controller's thread ended by itself".into()),
        }
    }
    tokio::select! {
        () = controller.stop(cli.grace.into()) => Ok(ExitCode::SUCCESS),
        signal = signals.next() => {
            tracing::warn!(signal, "stopped without waiting for what runs");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Tells programs where it listens, on stdout, and people how to join, on stderr. The token is a secret and in neither.
fn announce(controller: &Controller, cli: &Cli) -> Result<(), Box<dyn Error>> {
    let address = controller.address();
    let mut out = io::stdout();
    // A reader that has gone is no reason to stop.
    if let Err(error) = writeln!(out, "listening on {address}").and_then(|()| out.flush()) {
        tracing::warn!(%error, "could not write to stdout");
    }
    let state = cli.state_dir()?;
    tracing::info!(state = %state.path().display(), "processes of this user on this machine find the token there by themselves");
    if address.ip().is_loopback() {
        tracing::info!("reachable from this machine only: `--host 0.0.0.0` opens it to every network of the machine");
    } else {
        tracing::info!(port = address.port(), "reachable from other machines, by this one's name or address");
    }
    tracing::info!(
        "others need the token that `daffi-controller token` prints, in their DAFFI_TOKEN or DAFFI_TOKEN_FILE"
    );
    Ok(())
}
