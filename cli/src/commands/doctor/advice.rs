//! What to do about a failure of TLS, or of an account.

use std::{error::Error, iter::successors};

use pravega_sdk::{
    controller_client::{ControllerError, CredentialError, Credentials},
    tls::{TlsError, TlsProblem},
    types::ErrorKind,
};

/// The server that a check is about.
#[derive(Clone, Copy)]
pub(super) enum Peer {
    Controller,
    SegmentStore,
}

/// An error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |cause| (*cause).source())
}

/// Returns what is wrong with TLS, if that is the cause of an error.
pub(super) fn tls_problem(error: &(dyn Error + 'static)) -> Option<TlsProblem> {
    causes(error).find_map(|cause| cause.downcast_ref::<TlsError>()).map(TlsError::problem)
}

/// Returns the fix of a problem with TLS.
pub(super) fn of_tls(problem: TlsProblem, peer: Peer) -> &'static str {
    match (problem, peer) {
        (TlsProblem::Setting, _) => {
            "correct that setting; `pravega doctor --settings` shows its source"
        }
        (TlsProblem::NotBuilt, _) => "build this tool with the feature tls-ring",
        (TlsProblem::Untrusted, _) => {
            "give --ca the PEM file of the authority that signs the certificates of the cluster; \
             for `pravega dev --tls` it is server.crt of its folder"
        }
        (TlsProblem::OtherName, Peer::Controller) => {
            "put a host name of the certificate into the URL, or have one made for this host"
        }
        (TlsProblem::OtherName, Peer::SegmentStore) => {
            "have a certificate made for the address under which the segment store is published"
        }
        (TlsProblem::NotValidNow, _) => {
            "have the certificate renewed; if it should be valid, correct the clock of this machine"
        }
        (TlsProblem::BadCertificate, _) => "have another certificate made for the server",
        (TlsProblem::NoClientCertificate, _) => {
            "give --cert and --key: the cluster lets in only clients with a certificate"
        }
        (TlsProblem::ClientCertificateRefused, _) => {
            "give --cert and --key a certificate for clients that the authority of the cluster has \
             signed"
        }
        (TlsProblem::ServerIsPlain, Peer::Controller) => {
            "use the scheme tcp or pravega, or have TLS switched on at the server"
        }
        (TlsProblem::ServerIsPlain, Peer::SegmentStore) => {
            "set tls_to_segment_store=off, or have TLS switched on at the segment store"
        }
        (TlsProblem::ServerIsTlsOnly, Peer::Controller) => "use the scheme tls or pravegas",
        (TlsProblem::ServerIsTlsOnly, Peer::SegmentStore) => "set tls_to_segment_store=on",
        (TlsProblem::ServerMayBeTlsOnly, Peer::Controller) => {
            "use the scheme tls or pravegas if the cluster has TLS; if not, check the port and the \
             log of the server"
        }
        (TlsProblem::ServerMayBeTlsOnly, Peer::SegmentStore) => {
            "set tls_to_segment_store=on if the segment store has TLS; if not, check its log"
        }
        (TlsProblem::NothingInCommon, _) => {
            "have TLS 1.2 or 1.3 switched on at the server, with a cipher suite of today"
        }
        (TlsProblem::OtherProtocol, _) => {
            "correct the port: what listens there speaks TLS, but is no controller"
        }
        (TlsProblem::Ended, _) => {
            "check port and scheme: the server may not speak TLS, or something on the way to it \
             closes connections"
        }
        _ => "see the log of the server",
    }
}

/// Why a controller does not let in a client, as far as its credentials are the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialFailure {
    /// There are none.
    Missing,
    /// They could not be read, or their issuer has issued none: nothing was sent.
    Unobtained,
    /// The user or the password is refused.
    Password,
    /// The token is refused.
    Token,
    /// Those of another method are refused.
    OtherMethod,
}

impl CredentialFailure {
    /// Returns why the credentials did not let the client in, if they are the reason of an error.
    pub(super) fn of(error: &ControllerError, credentials: &Credentials) -> Option<Self> {
        if causes(error).any(|cause| cause.is::<CredentialError>()) {
            return Some(Self::Unobtained);
        }
        (error.kind() == ErrorKind::Unauthenticated).then(|| match credentials.method() {
            _ if credentials.is_anonymous() => Self::Missing,
            "Basic" => Self::Password,
            // Those of a file or an issuer are tokens.
            "Bearer" | "provider" => Self::Token,
            _ => Self::OtherMethod,
        })
    }

    /// Returns the fix.
    pub(super) fn fix(self) -> &'static str {
        match self {
            Self::Missing => {
                "give --user and --password-file, --token-file, or --keycloak-file, or keep them \
                 with `pravega auth login`: the cluster requires credentials"
            }
            Self::Unobtained => {
                "correct what the detail names, the file or the issuer: no credentials were sent"
            }
            Self::Password => {
                "check --user and --password-file, or what `pravega auth status` shows: the \
                 cluster has no such user, or another password for it"
            }
            Self::Token => {
                "check --token-file or --keycloak-file, or what `pravega auth status` shows: the \
                 token may have expired, or the cluster does not accept tokens of its issuer"
            }
            Self::OtherMethod => "check PRAVEGA_AUTH_METHOD: the cluster may not know that method",
        }
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk::types::{Failure, Outcome};

    use super::*;

    /// How a text begins that names the next step.
    const STEPS: &[&str] =
        &["build", "check", "correct", "give", "have", "put", "see", "set", "use"];

    #[track_caller]
    fn each_has_its_own_step(texts: &[&str]) {
        for (at, text) in texts.iter().enumerate() {
            let first = text.split(' ').next().unwrap();
            assert!(STEPS.contains(&first), "{text:?} names no next step");
            assert!(text.len() > 20, "{text:?} says too little");
            assert!(!text.ends_with('.'), "{text:?}");
            assert!(!texts[..at].contains(text), "twice: {text:?}");
        }
    }

    #[test]
    fn each_problem_of_tls_has_its_own_fix_that_names_the_next_step() {
        for peer in [Peer::Controller, Peer::SegmentStore] {
            let fixes: Vec<&str> =
                TlsProblem::ALL.iter().map(|problem| of_tls(*problem, peer)).collect();
            each_has_its_own_step(&fixes);
        }
    }

    #[test]
    fn the_fix_of_a_problem_names_the_setting_of_the_hop() {
        for (problem, controller, store) in [
            (TlsProblem::ServerIsPlain, "tcp or pravega", "tls_to_segment_store=off"),
            (TlsProblem::ServerIsTlsOnly, "tls or pravegas", "tls_to_segment_store=on"),
            (TlsProblem::ServerMayBeTlsOnly, "tls or pravegas", "tls_to_segment_store=on"),
            (TlsProblem::Untrusted, "--ca", "--ca"),
            (TlsProblem::NoClientCertificate, "--cert and --key", "--cert and --key"),
            (TlsProblem::ClientCertificateRefused, "--cert and --key", "--cert and --key"),
            (TlsProblem::NotBuilt, "tls-ring", "tls-ring"),
        ] {
            for (peer, expected) in [(Peer::Controller, controller), (Peer::SegmentStore, store)] {
                let fix = of_tls(problem, peer);
                assert!(fix.contains(expected), "{problem:?}: {fix}");
            }
        }
    }

    #[test]
    fn the_problem_is_found_among_the_causes_of_an_error() {
        let cause = TlsError::speaks_only_tls();
        let failure = Failure::new(ErrorKind::Tls, Outcome::NotApplied, "unreachable");
        let error = ControllerError::from(failure.with_source(cause));
        assert_eq!(tls_problem(&error), Some(TlsProblem::ServerIsTlsOnly));
        let other = ControllerError::new(ErrorKind::Tls, Outcome::NotApplied, "unreachable");
        assert_eq!(tls_problem(&other), None);
    }

    #[test]
    fn each_failure_of_credentials_has_its_own_fix_that_names_the_next_step() {
        let refused =
            || ControllerError::new(ErrorKind::Unauthenticated, Outcome::NotApplied, "no");
        let function = Credentials::bearer_from(|| async { Ok::<_, String>("token".to_owned()) });
        let cases = [
            (Credentials::anonymous(), CredentialFailure::Missing),
            (Credentials::basic("ann", "pw").unwrap(), CredentialFailure::Password),
            (Credentials::bearer("token").unwrap(), CredentialFailure::Token),
            (function, CredentialFailure::Token),
            (Credentials::custom("Negotiate", "x").unwrap(), CredentialFailure::OtherMethod),
        ];
        let mut found = vec![CredentialFailure::Unobtained];
        for (credentials, expected) in cases {
            let failure = CredentialFailure::of(&refused(), &credentials);
            assert_eq!(failure, Some(expected), "{credentials:?}");
            if !found.contains(&expected) {
                found.push(expected);
            }
        }
        let fixes: Vec<&str> = found.iter().map(|failure| failure.fix()).collect();
        assert_eq!(fixes.len(), 5);
        each_has_its_own_step(&fixes);
    }

    #[test]
    fn credentials_that_were_not_obtained_are_no_refusal_whatever_their_kind_is() {
        let credentials = Credentials::anonymous();
        for kind in [ErrorKind::Unreachable, ErrorKind::Tls, ErrorKind::Unauthenticated] {
            let cause = CredentialError::provider("the issuer is away");
            let failure = Failure::new(kind, Outcome::NotApplied, "no credentials");
            let error = ControllerError::from(failure.with_source(cause));
            let found = CredentialFailure::of(&error, &credentials);
            assert_eq!(found, Some(CredentialFailure::Unobtained), "{kind:?}");
        }
        for kind in [ErrorKind::Unreachable, ErrorKind::Tls, ErrorKind::PermissionDenied] {
            let error = ControllerError::new(kind, Outcome::NotApplied, "another reason");
            assert_eq!(CredentialFailure::of(&error, &credentials), None, "{kind:?}");
        }
    }
}
