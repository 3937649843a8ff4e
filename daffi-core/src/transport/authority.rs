//! An authority of the user's own, that issues certificates to controllers and nodes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{
    Identity, IdentityError,
    certificate::NodeName,
    identity::{SERVER_NAME, certificates_in, fingerprint},
};
use crate::wire::name::{self, InvalidName};

/// How far a clock may be behind that of the machine where a certificate was made.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub from: SystemTime,
    /// Its last.
    pub until: SystemTime,
}

impl Validity {
    /// From an hour ago, for clocks that are behind, until so many days from now.
    pub fn days(days: u32) -> Self {
        let now = SystemTime::now();
        Self { from: now - CLOCK_SKEW, until: now + DAY * days }
    }
}

/// An authority that daffi has made. One of another make has tools of its own.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate could not be issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The node's name is not one.
    #[error("the node name {name:?} is not one: {source}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: InvalidName,
    },
    /// The name is the one that stands for controllers.
    #[error("no node is named {SERVER_NAME:?}: it is what stands in a controller's certificate")]
    Controllers,
    /// The dates cannot stand in a certificate.
    #[error("a certificate cannot be valid from before 1970, or until after the year 9999")]
    Validity,
    /// The authority is not of daffi's making.
    #[error("this authority was not made by `daffi-controller cert ca`: issue certificates with the tool that made it")]
    OtherAuthority,
    /// Key or certificate could not be made or read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl From<rcgen::Error> for IssueError {
    fn from(error: rcgen::Error) -> Self {
        IdentityError::from(error).into()
    }
}

impl Authority {
    /// Makes a new one, with a key (ECDSA P-256).
    ///
    /// # Errors
    ///
    /// [`IssueError::Validity`], [`IssueError::Identity`].
    pub fn generate(validity: Validity) -> Result<Self, IssueError> {
        let key = KeyPair::generate()?;
        let mut parameters = authority_parameters(&key);
        valid(&mut parameters, validity)?;
        let certificate = parameters.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(parameters, key) })
    }

    /// Reads one from the PEM texts of its certificate and key.
    ///
    /// # Errors
    ///
    /// [`IssueError::Identity`], [`IssueError::OtherAuthority`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, IssueError> {
        let identity = Identity::from_pems(certificate, key)?;
        let key = KeyPair::from_pem(key)?;
        let parameters = authority_parameters(&key);
        let certificate = certificates_in(certificate).map_err(IdentityError::from)?.swap_remove(0);
        let authority = Self { certificate, issuer: Issuer::new(parameters, key) };
        // Under another name it would issue what nobody accepts.
        let probe =
            authority.issue(&[SERVER_NAME.into()], None, ExtendedKeyUsagePurpose::ServerAuth, Validity::days(1))?;
        let anchored = super::certificate::check_controller(&probe.chain, identity.chain.first().into_iter());
        match anchored {
            Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
                Err(IssueError::OtherAuthority)
            }
            _ => Ok(authority),
        }
    }

    /// Its certificate and key, to be kept: the key is what all trust rests on.
    pub fn identity(&self) -> Identity {
        Identity { chain: vec![self.certificate.clone()], key: key_of(self.issuer.key()).into() }
    }

    /// Issues a controller's certificate. The authority's comes along, so that nodes that know its fingerprint only can check it.
    ///
    /// # Errors
    ///
    /// [`IssueError::Validity`], [`IssueError::Identity`].
    pub fn issue_controller(&self, validity: Validity) -> Result<Identity, IssueError> {
        let mut identity = self.issue(&[SERVER_NAME.into()], None, ExtendedKeyUsagePurpose::ServerAuth, validity)?;
        identity.chain.push(self.certificate.clone());
        Ok(identity)
    }

    /// Issues the certificate of the node of this name.
    ///
    /// # Errors
    ///
    /// [`IssueError`].
    pub fn issue_node(&self, node: &str, validity: Validity) -> Result<Identity, IssueError> {
        name::check(node).map_err(|source| IssueError::Name { name: node.to_owned(), source })?;
        if node.eq_ignore_ascii_case(SERVER_NAME) {
            return Err(IssueError::Controllers);
        }
        let (dns, uri) = match NodeName::of(node) {
            NodeName::Dns => (vec![node.to_owned()], None),
            NodeName::Uri(uri) => (Vec::new(), Some(uri)),
        };
        self.issue(&dns, uri, ExtendedKeyUsagePurpose::ClientAuth, validity)
    }

    fn issue(
        &self,
        dns: &[String],
        uri: Option<String>,
        purpose: ExtendedKeyUsagePurpose,
        validity: Validity,
    ) -> Result<Identity, IssueError> {
        let mut parameters = CertificateParams::new(dns)?;
        parameters.distinguished_name = DistinguishedName::new();
        if let Some(uri) = uri {
            parameters.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![purpose];
        parameters.use_authority_key_identifier_extension = true;
        valid(&mut parameters, validity)?;
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Identity { chain: vec![certificate.der().clone()], key: key_of(&key).into() })
    }
}

fn key_of(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

/// Its name has a part of its key's fingerprint in it, so that two of them are told apart, and so that the key alone says the name.
fn authority_parameters(key: &KeyPair) -> CertificateParams {
    let digest = fingerprint(&rcgen::PublicKeyData::subject_public_key_info(key));
    let short: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, format!("daffi authority {short}"));
    // It vouches for controllers and nodes, not for further authorities.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn valid(parameters: &mut CertificateParams, validity: Validity) -> Result<(), IssueError> {
    let moment = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).ok()?.try_into().ok()?;
        rcgen::date_time_ymd(1970, 1, 1).checked_add(since)
    };
    parameters.not_before = moment(validity.from).ok_or(IssueError::Validity)?;
    parameters.not_after = moment(validity.until).ok_or(IssueError::Validity)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Authorities;

    #[test]
    fn an_authority_read_again_issues_what_the_first_vouches_for() {
        let first = Authority::generate(Validity::days(2)).unwrap().identity();
        let again = Authority::from_pem(&first.certificates_pem(), &first.key_pem()).unwrap();
        let controller = again.issue_controller(Validity::days(1)).unwrap();
        assert_eq!(controller.under(None).unwrap().fingerprint(), first.fingerprint());
    }

    #[test]
    fn an_authority_of_another_make_is_left_alone() {
        let key = KeyPair::generate().unwrap();
        let mut parameters = authority_parameters(&key);
        parameters.distinguished_name.push(DnType::CommonName, "acme");
        let certificate = parameters.self_signed(&key).unwrap();
        let read = Authority::from_pem(&certificate.pem(), &key.serialize_pem());
        assert!(matches!(read, Err(IssueError::OtherAuthority)), "{read:?}");
    }

    #[test]
    fn no_node_is_taken_for_a_controller() {
        let authority = Authority::generate(Validity::days(2)).unwrap();
        assert!(matches!(authority.issue_node("Controller.daffi", Validity::days(1)), Err(IssueError::Controllers)));
        assert!(matches!(authority.issue_node("a b", Validity::days(1)), Err(IssueError::Name { .. })));
        let roots = Authorities::from_pem(&authority.identity().certificates_pem()).unwrap();
        let node = authority.issue_node("worker", Validity::days(1)).unwrap();
        assert!(node.under(Some(&roots)).is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        let authority = Authority::generate(Validity::days(2)).unwrap();
        let key = authority.identity().key_pem();
        let key = key.lines().nth(1).unwrap().to_owned();
        assert!(!format!("{authority:?}").contains(&key));
        let secret: Vec<_> = authority.issuer.key().serialize_der().iter().map(u8::to_string).collect();
        assert!(!format!("{authority:?}").contains(&secret.join(", ")));
    }
}
