//! The config file: TOML, every part of it optional, and every mistake an error that says where it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::de::DeTable;

use crate::{limits::Limits, rules::Rules};

/// What a config file says.
///
/// ```toml
/// [certificates]
/// ca = "ca.pem"
/// certificate = "controller.pem"
/// key = "controller.key"
/// required = true
///
/// [limits]
/// nodes = 200
/// item_size = "16 MiB"
///
/// [[rule]]
/// nodes = "worker-*"
/// offer = ["resize", "thumb.*"]
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ConfigFile {
    /// Which certificates it shows and asks for.
    pub certificates: CertificateFiles,
    /// How much others may use of the controller.
    pub limits: Limits,
    /// What nodes may do.
    #[serde(rename = "rule")]
    pub rules: Rules,
}

/// The files of the certificates that a controller shows, and of those that it asks for. Paths in a config file begin at that file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CertificateFiles {
    /// The controller's own, with those that lead to its authority. Without it the controller makes its own.
    pub certificate: Option<PathBuf>,
    /// Its private key, which none but its owner may read.
    pub key: Option<PathBuf>,
    /// The authorities that vouch for nodes, and for the controller.
    pub ca: Option<PathBuf>,
    /// Whether a node must have a certificate, and not only may.
    pub required: bool,
}

/// A config file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("could not read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says what cannot be understood.
    #[error("{path}:{line}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

impl ConfigFile {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError`].
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigFileError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// The same of a file's text, which is at this path.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError::Invalid`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigFileError> {
        let invalid = |start: Option<usize>, message: String| {
            let before = start.and_then(|start| text.get(..start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigFileError::Invalid { path: path.to_owned(), line, message }
        };
        let mut file: Self = toml::from_str(text)
            .map_err(|error| invalid(error.span().map(|span| span.start), error.message().to_owned()))?;
        file.limits.check().map_err(|wrong| invalid(start_of(text, "limits", wrong.name()), wrong.to_string()))?;
        let CertificateFiles { certificate, key, ca, required: _ } = &mut file.certificates;
        for relative in [certificate, key, ca].into_iter().flatten() {
            // A path that is absolute stays as it is.
            *relative = path.parent().map_or_else(|| relative.clone(), |directory| directory.join(&relative));
        }
        Ok(file)
    }
}

/// Where the value of a key in a table begins.
fn start_of(text: &str, table: &str, key: &str) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    Some(file.get_ref().get(table)?.get_ref().get(key)?.span().start)
}

impl CertificateFiles {
    /// These, and of the others what these leave open.
    pub(crate) fn or(&self, others: Self) -> Self {
        // A certificate belongs to its key.
        let own = self.certificate.is_some() || self.key.is_some();
        Self {
            certificate: if own { self.certificate.clone() } else { others.certificate },
            key: if own { self.key.clone() } else { others.key },
            ca: self.ca.clone().or(others.ca),
            required: self.required || others.required,
        }
    }
}

#[cfg(test)]
mod tests {
    use daffi_core::wire::failure::Right;

    use super::*;

    fn read(text: &str) -> Result<ConfigFile, ConfigFileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daffi.toml");
        fs::write(&path, text).unwrap();
        ConfigFile::read(&path)
    }

    #[track_caller]
    fn assert_wrong(text: &str, at: usize, words: &[&str]) {
        match read(text).unwrap_err() {
            ConfigFileError::Invalid { line, message, .. } => {
                assert_eq!(line, at, "{message}");
                assert!(words.iter().all(|word| message.contains(word)), "{message}");
            }
            other => panic!("expected a mistake, got {other}"),
        }
    }

    #[test]
    fn rules_and_certificates_are_read() {
        let file = read(concat!(
            "[certificates]\nca = \"ca.pem\"\nkey = \"/keys/c.key\"\nrequired = true\n",
            "[[rule]]\nnodes = \"a\"\ncall = [\"x\", \"y.*\"]\n[[rule]]\nnodes = [\"b*\"]\noffer = \"*\"\n",
        ));
        let ConfigFile { certificates, limits: _, rules } = file.unwrap();
        assert!(certificates.ca.unwrap().is_absolute(), "it begins at the file");
        assert_eq!((certificates.key, certificates.required), (Some("/keys/c.key".into()), true));
        assert!(rules.allow("a", Right::Call, "y.1") && rules.allow("b1", Right::Offer, "z"));
        assert!(!rules.allow("a", Right::Offer, "z"));
        assert!(read("").unwrap().rules.is_empty());
    }

    #[test]
    fn mistakes_say_their_line_and_what_there_is() {
        assert_wrong("\n[rules]\n", 2, &["`rules`", "`certificates`", "`rule`"]);
        assert_wrong(
            "[[rule]]\nnodes = \"a\"\ncalls = \"x\"\n",
            3,
            &["`calls`", "`call`", "`offer`", "`stream`", "`nodes`"],
        );
        assert_wrong("[certificates]\nforced = true", 2, &["`forced`", "`required`"]);
        assert_wrong("[[rule]]\ncall = \"x\"\n", 1, &["`nodes`"]);
        assert_wrong("[[rule]]\nnodes = [\"a\",\n\"b c\"]\n", 2, &["\"b c\"", "no name"]);
        assert_wrong("[[rule]]\nnodes = 7\n", 2, &["a name or glob"]);
        assert_wrong("x = \n", 1, &[]);
        assert_wrong("[limits]\nnode = 7\n", 2, &["`node`", "`nodes`", "`item_size`"]);
        assert_wrong("[limits]\nnodes = 7\nhandshake_time = \"soon\"\n", 3, &["`soon` is no time"]);
        assert_wrong("[limits]\nnodes = 7\n\nmessage_size = \"1 KB\"\n", 4, &["`message_size`", "at least 1024"]);
        assert_wrong(
            "[certificates]\n[limits]\nitem_size = \"1 GiB\"\n",
            3,
            &["`item_size`", "may be 268435456 at most"],
        );
    }

    #[test]
    fn limits_are_read() {
        let text = "[limits]\nnodes = 7\nitem_size = \"16 MiB\"\nmessage_size = 4096\nhandshake_time = \"2s\"\nstreams_per_node = 3\n";
        let Limits { nodes, item_size, message_size, streams_per_node, .. } = read(text).unwrap().limits;
        assert_eq!((nodes, item_size, message_size, streams_per_node), (7, 16 << 20, 4_096, Some(3)));
        assert_eq!(read("").unwrap().limits, Limits::default());
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let error = ConfigFile::read(Path::new("/nowhere/daffi.toml")).unwrap_err().to_string();
        assert!(error.contains("could not read /nowhere/daffi.toml"), "{error}");
    }

    #[test]
    fn what_is_said_beside_the_file_counts_more() {
        let given = CertificateFiles { ca: Some("a".into()), ..CertificateFiles::default() };
        let file = CertificateFiles {
            ca: Some("b".into()),
            certificate: Some("c".into()),
            key: Some("k".into()),
            required: true,
        };
        let both = given.or(file.clone());
        assert_eq!((both.ca, both.certificate, both.required), (given.ca, file.certificate, true));
    }
}
