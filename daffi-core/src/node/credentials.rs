//! What a node shows its controller: the join token and a certificate, and where both come from. They are read for each attempt to
//! join, so that a new token or certificate in a file holds from the next one on.

use std::{ffi::OsString, path::PathBuf};

use super::{error::JoinError, session::Attempt};
use crate::transport::{
    Authorities, CertificateError, InvalidToken, JoinToken, StateDir, quic, read_identity, read_secret,
};

/// Where a node's token and certificates come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) token: TokenSource,
    /// The files of the node's certificate and key; else those that DAFFI_CERT and DAFFI_KEY name.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// The file of the authorities that vouch for controllers; else the one that DAFFI_CA names.
    pub(crate) ca: Option<PathBuf>,
}

/// Where the join token comes from.
#[derive(Debug, Clone, Default)]
pub(crate) enum TokenSource {
    Given(JoinToken),
    Invalid(String, InvalidToken),
    File(PathBuf),
    /// From the environment, else from the user's state directory.
    #[default]
    Find,
    /// From the state directory of a controller on this machine.
    In(StateDir),
}

impl Credentials {
    /// The token; `local` if the controller is on this machine.
    pub(super) fn token(&self, local: bool) -> Result<JoinToken, Attempt> {
        match &self.token {
            TokenSource::Given(token) => Ok(token.clone()),
            TokenSource::Invalid(origin, source) => {
                Err(JoinError::InvalidToken { origin: origin.clone(), source: source.clone() }.into())
            }
            TokenSource::File(path) => Ok(token_from(path)?),
            TokenSource::Find => {
                if let Some(text) = given("DAFFI_TOKEN") {
                    let text = text.to_string_lossy();
                    let invalid = |source| JoinError::InvalidToken { origin: "DAFFI_TOKEN".into(), source };
                    return Ok(text.parse().map_err(invalid)?);
                }
                if let Some(path) = given("DAFFI_TOKEN_FILE") {
                    return Ok(token_from(&path.into())?);
                }
                token_in(&StateDir::of_user().map_err(JoinError::State)?, local)
            }
            TokenSource::In(state) => token_in(state, local),
        }
    }

    /// The certificates.
    pub(super) fn certificates(&self) -> Result<quic::Credentials, JoinError> {
        let identity = match &self.certificate {
            Some((certificate, key)) => Some(read_identity(certificate, key)?),
            None => match (given("DAFFI_CERT"), given("DAFFI_KEY")) {
                (Some(certificate), Some(key)) => Some(read_identity(certificate, key)?),
                (None, None) => None,
                (Some(_), None) => return Err(CertificateError::Half { missing: "DAFFI_KEY" }.into()),
                (None, Some(_)) => return Err(CertificateError::Half { missing: "DAFFI_CERT" }.into()),
            },
        };
        let ca = self.ca.clone().or_else(|| given("DAFFI_CA").map(PathBuf::from));
        let authorities = ca.map(Authorities::from_file).transpose()?;
        Ok(quic::Credentials { identity, authorities })
    }
}

fn token_from(path: &PathBuf) -> Result<JoinToken, JoinError> {
    let text = read_secret(path).map_err(JoinError::State)?;
    text.parse().map_err(|source| JoinError::InvalidToken { origin: path.display().to_string(), source })
}

/// A variable of the environment, unless it is empty.
fn given(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

fn token_in(state: &StateDir, local: bool) -> Result<JoinToken, Attempt> {
    match state.token().map_err(JoinError::State)? {
        Some(token) => Ok(token),
        // A local controller may be about to start for the first time, and to make the token.
        None if local => Err(Attempt::Failed(JoinError::NoToken { searched: state.path().to_owned() })),
        None => Err(JoinError::NoToken { searched: state.path().to_owned() }.into()),
    }
}
