//! What an answer of the issuer means for the step that asked, or that there is none.

use std::{fmt, time::Duration};

use pravega_sdk_http::{Answer, Unanswered};
use pravega_sdk_types::{ErrorKind, Failure, Outcome, Printable};

use crate::{
    IdentityError,
    answer::{self, Refusal},
    secrets::Secrets,
};

/// A part of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The page that names the endpoint for tokens.
    Discovery,
    /// The token of the client.
    Login,
    /// The token with the permissions of the client.
    Permissions,
}

/// What follows from a failure.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The same request may succeed later, after this time at the earliest.
    Repeat(IdentityError, Duration),
    /// A repeat cannot help.
    Final(IdentityError),
}

impl Part {
    fn is_refused(self) -> &'static str {
        match self {
            Self::Discovery => "the issuer does not show its configuration",
            Self::Login => "the issuer refuses the client or its secret",
            Self::Permissions => "the issuer grants the client no permission",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Discovery => "the configuration of the issuer",
            Self::Login => "the login of the client",
            Self::Permissions => "the request for permissions",
        }
    }
}

/// Judges an answer that is no success. Text of the issuer that repeats one of `secrets` is not
/// shown.
pub(super) fn refused(part: Part, answer: &Answer, secrets: &Secrets) -> Verdict {
    let status = answer.status();
    let refusal = answer::refusal(answer.body());
    let reason = Reason { status, refusal: &refusal, secrets };
    let of = |kind: ErrorKind, what: &dyn fmt::Display| {
        IdentityError::of(kind, format_args!("{what}: {reason}"))
    };
    let (name, later) = (part.name(), answer.retry_after().unwrap_or_default());
    match (part, status) {
        (_, 429) => {
            let error = of(ErrorKind::LimitReached, &"the issuer has had too many requests");
            Verdict::Repeat(error, later)
        }
        (_, 408 | 425 | 500..=599) => {
            let what = format_args!("the issuer fails at {name}");
            Verdict::Repeat(of(ErrorKind::Unavailable, &what), later)
        }
        (_, 300..=399) => {
            let target = answer.location().unwrap_or_default();
            // What follows the path is for a browser, and may be secret.
            let target = target.split(['?', '#']).next().unwrap_or_default();
            let target = secrets.hide(target);
            let target = Printable::with_limit(&target, 200);
            let what = format_args!(
                "the issuer redirects {name} to \"{target}\", which is not followed: use the final \
                 address"
            );
            Verdict::Final(of(ErrorKind::Protocol, &what))
        }
        (_, 404) => {
            let what = format_args!("there is nothing at the address of {name}");
            Verdict::Final(of(ErrorKind::NotFound, &what))
        }
        (Part::Permissions, 400) | (_, 403) => {
            Verdict::Final(of(ErrorKind::PermissionDenied, &part.is_refused()))
        }
        (Part::Login, 400) if is_about_the_request(&refusal) => {
            let what = "the issuer refuses the scope, the audience or the grant";
            Verdict::Final(of(ErrorKind::Config, &what))
        }
        (Part::Login, 400) | (_, 401) => {
            Verdict::Final(of(ErrorKind::Unauthenticated, &part.is_refused()))
        }
        _ => {
            let what = format_args!("the answer to {name} has an unexpected status");
            Verdict::Final(of(ErrorKind::Protocol, &what))
        }
    }
}

/// Returns true if it is not the client that is refused, RFC 6749, 5.2, and RFC 8707, 2.
fn is_about_the_request(refusal: &Refusal) -> bool {
    let code = refusal.code().unwrap_or_default();
    ["invalid_scope", "invalid_target", "invalid_request", "unsupported_grant_type"].contains(&code)
}

/// Judges that there is no answer.
pub(super) fn unanswered(part: Part, failure: Unanswered) -> Verdict {
    let kind = failure.kind();
    let of = |detail: &dyn fmt::Display| Failure::new(kind, Outcome::NotApplied, detail);
    let failure = match failure {
        Unanswered::Unreachable(error) => of(&UNREACHABLE).with_source(error),
        // The connection ended during the handshake.
        Unanswered::Insecure(error) if error.kind() != kind => of(&UNREACHABLE).with_source(error),
        Unanswered::Insecure(error) => Failure::caused_by(error, UNREACHABLE),
        other => of(&format_args!("{} fails: {other}", part.name())),
    };
    match kind.is_retryable() {
        true => Verdict::Repeat(failure.into(), Duration::ZERO),
        false => Verdict::Final(failure.into()),
    }
}

const UNREACHABLE: &str = "the issuer cannot be reached";

/// A status with what the issuer says about it.
struct Reason<'a> {
    status: u16,
    refusal: &'a Refusal,
    secrets: &'a Secrets,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        for text in [self.refusal.code(), self.refusal.description()].into_iter().flatten() {
            write!(f, ", {}", Printable::with_limit(&self.secrets.hide(text), 300))?;
        }
        Ok(())
    }
}
