//! `pravega auth`
//!
//! `check` asks a controller, `who` reads what a header says, `environment` has the variables with
//! credentials; the commands use them.

mod check;
mod environment;
mod login;
mod logout;
mod status;
mod who;

use clap::Subcommand;

use crate::{context::Context, failure::Result};

pub(crate) const AFTER_HELP: &str = "\
Examples:
  pravega auth login --controller tls://pravega.example.com:9090 --ca authority.pem \\
      --user ann --password-file ann.password
  pravega auth login --context prod --keycloak-file keycloak.json
  pravega auth status
  pravega auth logout";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check credentials at the controller, and keep them in a context: the paths of
    /// --password-file, --token-file or --keycloak-file, or a password that is asked for
    #[command(after_help = login::AFTER_HELP)]
    Login(login::Arguments),
    /// Show who the tool is, for which controllers, and if they accept it now; never a secret
    Status,
    /// Remove the credentials of a context, and say what is left
    Logout,
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    match command {
        Command::Login(arguments) => login::run(arguments, context).await,
        Command::Status => status::run(context).await,
        Command::Logout => logout::run(context).await,
    }
}
