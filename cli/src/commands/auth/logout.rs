//! `pravega auth logout`

use pravega_sdk::types::ErrorKind;

use super::environment;
use crate::{
    commands::context::{no_context, unknown},
    context::Context,
    contexts::ContextsFile,
    failure::{Failure, Result},
};

pub(super) async fn run(context: &mut Context) -> Result<()> {
    let file = ContextsFile::require()?;
    let Some(chosen) = context.named.chosen(Some(&file))? else {
        warn_of_environment(context);
        return Err(no_context(&file));
    };
    let name = chosen.name;
    let (login, certificate) = file
        .change(|contexts| {
            let Some(profile) = contexts.named.get_mut(&name) else {
                return Err(unknown(&name, contexts, &file));
            };
            Ok((profile.login.take(), profile.cert.clone()))
        })
        .await?;
    let Some(login) = login else {
        warn_of_environment(context);
        let text = format_args!("context {name} has no credentials");
        return Err(Failure::of_kind(ErrorKind::NotFound, text));
    };
    let output = &context.output;
    let user = login.user().map(|user| format!(" as {user}")).unwrap_or_default();
    output.status(format_args!("logged out of context {name}{user}"));
    match login.file() {
        Some(path) => {
            output.status(format_args!("left: the file with the secret, {}", path.display()));
        }
        None => {
            let shown = file.path().display();
            output.status(format_args!("the password is removed from {shown}"));
        }
    }
    if let Some(path) = certificate {
        let shown = path.display();
        output.status(format_args!(
            "left: the client's certificate {shown}, which the context has; \
             `pravega context set {name} --unset cert` removes it from there"
        ));
    }
    warn_of_environment(context);
    Ok(())
}

fn warn_of_environment(context: &Context) {
    if let Some(names) = environment::set() {
        context.output.status(format_args!("left: {names} in the environment, which are used"));
    }
}
