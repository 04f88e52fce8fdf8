//! `pravega auth status`

use std::time::SystemTime;

use pravega_sdk::types::ErrorKind;
use secrecy::ExposeSecret as _;

use super::{
    check::{Answer, check},
    environment,
    who::Who,
};
use crate::{
    access::Access,
    choice::Origin,
    context::Context,
    contexts::ContextsFile,
    failure::{Failure, Result},
    output::Record,
    resolved::Resolved,
};

pub(super) async fn run(context: &mut Context) -> Result<()> {
    let resolved = context.resolve()?;
    if let Some(note) = &resolved.left_out {
        context.output.status(format_args!("note: {note}"));
    }
    let (who, answer) = ask(&resolved, context).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let chosen = resolved.context.as_ref();
    let origin = resolved.login_origin;
    context.output.one(
        Record::new()
            .with("controller", resolved.config.uri().to_string())
            .with("controller_from", resolved.url_origin.to_string())
            .with("context", chosen.map(|chosen| chosen.name.as_str()))
            .with("method", who.method.as_str())
            .with("user", who.user.as_deref())
            .with("credentials_from", (origin != Origin::Default).then(|| origin.to_string()))
            .with("secret_in", secret_place(&resolved, &context.access)?)
            .with("state", state(&answer))
            .with("expires", who.expiry())
            .with("life", who.life(now.as_secs())),
    )?;
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if is_refusal(&failure) => {
            Err(failure.with_hint("`pravega auth login` checks credentials and keeps them"))
        }
        Err(failure) => Err(failure),
    }
}

/// Reads what the credentials say, and asks the controller.
async fn ask(resolved: &Resolved, context: &Context) -> (Who, Result<Answer>) {
    let credentials = resolved.config.credentials();
    let method = || Who { method: credentials.method().to_owned(), ..Who::default() };
    match credentials.authorization().await {
        Ok(header) => {
            let who = header.map(|header| Who::read(header.header_value().expose_secret()));
            let answer = Box::pin(check(context, resolved.config.clone())).await;
            (who.unwrap_or_else(method), answer)
        }
        Err(error) => (method(), Err(error.into())),
    }
}

fn state(answer: &Result<Answer>) -> &'static str {
    match answer {
        Ok(Answer::Accepted) => "accepted",
        Ok(Answer::NotNeeded) => "not needed",
        Err(failure) if is_refusal(failure) => "refused",
        Err(_) => "unknown",
    }
}

/// Returns true if the controller does not accept the credentials.
fn is_refusal(failure: &Failure) -> bool {
    matches!(
        failure.kind(),
        Some(ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::TokenExpired)
    )
}

/// Where the secret is: a file or variables.
fn secret_place(resolved: &Resolved, access: &Access) -> Result<Option<String>> {
    let login = match resolved.login_origin {
        Origin::Option => access.login()?,
        Origin::Context => {
            resolved.context.as_ref().and_then(|chosen| chosen.profile.login.clone())
        }
        Origin::Environment => return Ok(environment::set()),
        Origin::Url | Origin::Default => None,
    };
    let Some(login) = login else { return Ok(None) };
    Ok(match login.file() {
        Some(file) => Some(file.display().to_string()),
        None => {
            let file = ContextsFile::require()?;
            Some(format!("{}, unencrypted", file.path().display()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_is_no_refusal_leaves_the_state_unknown() {
        assert_eq!(state(&Ok(Answer::Accepted)), "accepted");
        assert_eq!(state(&Ok(Answer::NotNeeded)), "not needed");
        assert_eq!(state(&Err(Failure::of_kind(ErrorKind::Unauthenticated, "x"))), "refused");
        for kind in [ErrorKind::Unreachable, ErrorKind::Tls, ErrorKind::Config] {
            assert_eq!(state(&Err(Failure::of_kind(kind, "x"))), "unknown", "{kind:?}");
        }
        assert_eq!(state(&Err(Failure::other("x"))), "unknown");
    }
}
