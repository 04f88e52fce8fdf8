//! Asks a controller if it accepts credentials.

use pravega_sdk::{
    ClientConfig, ClientFactory,
    controller_client::{ControllerError, Credentials},
    types::{ErrorKind, Scope},
};

use crate::{context::Context, failure::Result};

/// What a controller says to credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    /// It lets in clients without credentials, so others say nothing.
    NotNeeded,
}

/// Asks the controller by a call that changes nothing.
pub(super) async fn check(context: &Context, config: ClientConfig) -> Result<Answer> {
    let is_anonymous = config.credentials().is_anonymous();
    let open = config.clone().with_credentials(Credentials::anonymous());
    match ask(&context.client_of(config)?).await {
        Ok(()) if is_anonymous => return Ok(Answer::NotNeeded),
        Ok(()) => {}
        // The controller knows who it is, and that they do not administer the cluster.
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !is_anonymous => {
            return Ok(Answer::Accepted);
        }
        Err(error) => return Err(error.into()),
    }
    let is_open = ask(&context.client_of(open)?).await.is_ok();
    Ok(if is_open { Answer::NotNeeded } else { Answer::Accepted })
}

async fn ask(client: &ClientFactory) -> std::result::Result<(), ControllerError> {
    // A constant that is one.
    let Ok(scope) = Scope::internal("_system") else { return Ok(()) };
    client.controller().scope_exists(&scope).await.map(drop)
}
