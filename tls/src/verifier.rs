//! The check of the peer's certificate.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use crate::der;

/// The shortest RSA key whose signatures the library accepts, in bits.
const LEAST_RSA: usize = 2048;

/// Checks a certificate as the TLS library does, and finds out more about one that is refused. The
/// host name is not checked if the settings say so.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) inner: Arc<WebPkiServerVerifier>,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) checks_host_name: bool,
}

/// A reason why a certificate is refused that the library does not tell.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It has signed itself, and is not trusted.
    SelfSigned,
    /// The authority at the end of the chain is not trusted.
    UnknownIssuer {
        /// Its name, if it has one that can be shown.
        issuer: Option<String>,
        sent: Intermediates,
    },
    /// The trust store has its issuer by name, with a key that has not signed it.
    OtherKey { issuer: Option<String> },
    /// An RSA key, its own or that of one above it, is shorter than [`LEAST_RSA`].
    ShortKey { bits: usize },
    /// One above it is not valid now.
    Above(CertificateError),
}

/// Whether a server has sent certificates above its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intermediates {
    None,
    Some,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

impl Verifier {
    /// Finds out more about a certificate that the library refuses.
    fn explain(
        &self,
        reason: CertificateError,
        certificate: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
    ) -> Error {
        let own = EndEntityCert::try_from(certificate);
        match reason {
            CertificateError::UnknownIssuer => match own {
                Ok(own) if own.issuer() == own.subject() => Refusal::SelfSigned.into(),
                Ok(own) => {
                    let issuer = der::name(&last_issuer(own.issuer(), above));
                    let sent = match above {
                        [] => Intermediates::None,
                        _ => Intermediates::Some,
                    };
                    Refusal::UnknownIssuer { issuer, sent }.into()
                }
                Err(_) => CertificateError::UnknownIssuer.into(),
            },
            CertificateError::BadSignature => self.signature(certificate, above),
            // The dates that the library names are those of any certificate of the chain.
            CertificateError::ExpiredContext { not_after: date, .. }
            | CertificateError::NotValidYetContext { not_before: date, .. }
                if !der::has_date(certificate, date.as_secs()) =>
            {
                Refusal::Above(reason).into()
            }
            reason => reason.into(),
        }
    }

    /// Finds out why a signature in a chain is bad.
    fn signature(&self, certificate: &CertificateDer<'_>, above: &[CertificateDer<'_>]) -> Error {
        let bad = || CertificateError::BadSignature.into();
        let Ok(own) = EndEntityCert::try_from(certificate) else { return bad() };
        let last = last_issuer(own.issuer(), above);
        let anchor = self.roots.roots.iter().find(|anchor| *anchor.subject == *last);
        let sent = above.iter().filter_map(|sent| {
            Some(EndEntityCert::try_from(sent).ok()?.subject_public_key_info().to_vec())
        });
        let trusted = anchor.map(|anchor| wrapped(&anchor.subject_public_key_info));
        let short = sent.chain(trusted).filter_map(|key| der::rsa_bits(&key)).min();
        match (short, anchor) {
            (Some(bits), _) if bits < LEAST_RSA => Refusal::ShortKey { bits }.into(),
            // With more certificates in between, any of the signatures may be the bad one.
            (_, Some(_)) if above.is_empty() => {
                Refusal::OtherKey { issuer: der::name(&last) }.into()
            }
            _ => bad(),
        }
    }
}

/// Follows the issuers of a chain to the first one that the server has not sent, or that has signed
/// itself. A name is without its outer tag.
fn last_issuer(first: &[u8], above: &[CertificateDer<'_>]) -> Vec<u8> {
    let parsed: Vec<_> =
        above.iter().filter_map(|sent| EndEntityCert::try_from(sent).ok()).collect();
    let mut last = first;
    // Each certificate is at most one step, also if their names are a circle.
    for _ in &parsed {
        match parsed.iter().find(|sent| sent.subject() == last) {
            Some(sent) if sent.issuer() != sent.subject() => last = sent.issuer(),
            _ => break,
        }
    }
    last.to_vec()
}

/// A key of a trust anchor with the outer tag that it is kept without.
fn wrapped(content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0x30, 0x84], &len[..], content].concat()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_host_name => {}
            Err(Error::InvalidCertificate(reason)) => {
                return Err(self.explain(reason, end_entity, intermediates));
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // The library finds a short key of the server only when that has signed, and calls the
        // signature bad.
        let own = EndEntityCert::try_from(end_entity).ok();
        let bits = own.and_then(|own| der::rsa_bits(&own.subject_public_key_info()));
        match bits {
            Some(bits) if bits < LEAST_RSA => Err(Refusal::ShortKey { bits }.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
