//! What a controller goes by: put together from its [`Config`], the config file, the state directory and the files of certificates, at
//! its start and whenever it reloads.

use std::time::Duration;

use daffi_core::transport::{
    Authorities, CertificateError, Identity, JoinToken, StateDir, Tokens,
    quic::{ControllerCertificates, NodeCertificates},
    read_identity,
};

use crate::{
    Config, StartError,
    config_file::{CertificateFiles, ConfigFile},
    limits::Limits,
    rules::Rules,
};

/// Where the settings come from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    config: Config,
    kept: Kept,
}

/// Where the controller's own identity and its tokens are.
#[derive(Debug, Clone)]
enum Kept {
    In(StateDir),
    /// In memory: for as long as the controller runs.
    Here(Identity, JoinToken),
}

/// What it goes by until it reloads.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) certificates: ControllerCertificates,
    pub(crate) tokens: Tokens,
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
}

impl Source {
    pub(crate) fn new(config: Config) -> Result<Self, StartError> {
        let kept = match &config.state {
            Some(state) => Kept::In(state.clone()),
            None => {
                let identity = Identity::generate()?;
                let token = JoinToken::generate(identity.fingerprint());
                Kept::Here(identity, token)
            }
        };
        Ok(Self { config, kept })
    }

    /// Reads all there is to read, and makes what is missing. It may block for as long as that takes.
    pub(crate) fn load(&self) -> Result<Settings, StartError> {
        let Config { certificates, rules, limits, .. } = &self.config;
        let file = self.config.read_file()?;
        let limits = limits.clone().unwrap_or(file.limits);
        limits.check()?;
        let (given, nodes) = read_certificates(certificates.or(file.certificates))?;
        let (identity, tokens) = match &self.kept {
            Kept::In(state) => state.controller_with(given)?,
            Kept::Here(identity, token) => {
                let identity = given.unwrap_or_else(|| identity.clone());
                let token = token.pinning(identity.fingerprint());
                (identity, token.into())
            }
        };
        let rules = rules.clone().and(file.rules);
        Ok(Settings { certificates: ControllerCertificates { identity, nodes }, tokens, rules, limits })
    }

    /// Has nodes that find the token in the state directory expect these certificates. Only for a controller that shows them now: nodes
    /// that join take what is there.
    pub(crate) fn pin(&self, certificates: &ControllerCertificates) -> Result<(), StartError> {
        match &self.kept {
            Kept::In(state) => Ok(state.pin(&certificates.identity)?),
            Kept::Here(..) => Ok(()),
        }
    }
}

/// The controller's own, if it was given one, and what it asks of nodes.
fn read_certificates(files: CertificateFiles) -> Result<(Option<Identity>, NodeCertificates), StartError> {
    let authorities = files.ca.map(Authorities::from_file).transpose()?;
    let identity = match (files.certificate, files.key) {
        (Some(certificate), Some(key)) => {
            let identity = read_identity(&certificate, key)?.under(authorities.as_ref());
            Some(identity.map_err(|source| StartError::Unfit { path: certificate, reason: source.to_string() })?)
        }
        (None, None) => None,
        (Some(_), None) => return Err(CertificateError::Half { missing: "the key" }.into()),
        (None, Some(_)) => return Err(CertificateError::Half { missing: "the certificate" }.into()),
    };
    let nodes = match (authorities, files.required) {
        (Some(authorities), true) => NodeCertificates::Required(authorities),
        (Some(authorities), false) => NodeCertificates::Accepted(authorities),
        (None, false) => NodeCertificates::Ignored,
        (None, true) => return Err(StartError::NoAuthority),
    };
    Ok((identity, nodes))
}

impl Config {
    /// The tokens of a controller with this config; makes what is missing, and changes nothing that is there. If no certificate is named
    /// they are for the controller that last started, or reloaded, with the state directory, whichever certificate it had. It may block for
    /// as long as it takes to read files.
    ///
    /// # Errors
    ///
    /// [`StartError`]; [`StartError::NoState`] without a state directory.
    pub fn tokens(&self) -> Result<Tokens, StartError> {
        let state = self.state.as_ref().ok_or(StartError::NoState)?;
        let (given, _) = read_certificates(self.certificates.or(self.read_file()?.certificates))?;
        Ok(state.tokens(given.as_ref())?)
    }

    /// Makes a new token. The present one stays valid for so long, or until it is retired. A controller that runs takes it up when it
    /// reloads. It may block for as long as it takes to read and write files.
    ///
    /// # Errors
    ///
    /// [`StartError::State`], also if there are two tokens already; [`StartError::NoState`].
    pub fn rotate_token(&self, keep: Option<Duration>) -> Result<Tokens, StartError> {
        let state = self.state.as_ref().ok_or(StartError::NoState)?;
        let pinned = *self.tokens()?.current.fingerprint();
        Ok(state.rotate(keep)?.pinning(pinned))
    }

    /// Ends the validity of the token before the present one; whether there was one. A controller that runs takes note when it reloads.
    ///
    /// # Errors
    ///
    /// [`StartError::State`], [`StartError::NoState`].
    pub fn retire_token(&self) -> Result<bool, StartError> {
        Ok(self.state.as_ref().ok_or(StartError::NoState)?.retire()?)
    }

    fn read_file(&self) -> Result<ConfigFile, StartError> {
        Ok(self.file.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default())
    }
}
