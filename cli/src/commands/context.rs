//! `pravega context`

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use pravega_sdk::{ClientConfig, types::ErrorKind};

use crate::{
    access::{Access, Certificate},
    choice::{Origin, Target, Unknown},
    context::Context,
    contexts::{Contexts, ContextsFile, HostNames, Profile, check_name},
    failure::{Failure, Result},
    login::Login,
    output::{Output, Record},
    resolved::{Named, absolute, unknown_context},
};

pub(crate) const AFTER_HELP: &str = "\
A context names a cluster: its controllers, whom to trust there, and how to log in. Commands use \
the context of --context, else of PRAVEGA_CONTEXT, else the current one; an empty name is none. \
What it says counts after options, the URL and the environment. Its credentials are never sent \
to other controllers.

Contexts are kept in the file of PRAVEGA_CONFIG, else in pravega/config.toml of XDG_CONFIG_HOME, \
else in ~/.config. It has the paths of files with secrets; a password itself is in it only after \
`pravega auth login --store-password`.

Examples:
  pravega context set prod --controller tls://pravega.example.com:9090 --ca authority.pem
  pravega auth login --context prod --user ann --password-file ann.password
  pravega context use prod
  pravega scope list";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the contexts
    #[command(visible_alias = "ls")]
    List,
    /// Show a context; never a secret
    #[command(visible_aliases = ["info", "show"])]
    Describe {
        /// Its name [default: the context that commands use]
        name: Option<String>,
    },
    /// Make a context the current one
    Use {
        /// Its name
        #[arg(required_unless_present = "none")]
        name: Option<String>,
        /// Have no current context
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
    /// Create a context, or change one: what --controller, --ca, --cert and --key, and the options
    /// for credentials say. Nothing is checked at the server, and of files only the path is kept
    Set(SetArguments),
    /// Delete a context
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetArguments {
    /// Its name
    #[arg(value_parser = name)]
    name: String,
    /// Remove what the context says; comma-separated
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    unset: Vec<Part>,
    /// Accept the certificate of a segment store for any host name: the owner of any certificate
    /// that --ca trusts can impersonate every segment store
    #[arg(long)]
    dangerously_without_host_name_check: bool,
    /// Make it the current context
    #[arg(long = "use")]
    make_current: bool,
}

/// A part of a context that it need not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Ca,
    /// With the key
    Cert,
    Credentials,
    DangerouslyWithoutHostNameCheck,
}

fn name(text: &str) -> std::result::Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let file = ContextsFile::require()?;
    let Context { named, access, output, .. } = context;
    match command {
        Command::List => list(&file, named, output),
        Command::Describe { name } => describe(&file, name, named, output),
        Command::Use { name, .. } => make_current(&file, name, output).await,
        Command::Set(arguments) => set(&file, arguments, named, access, output).await,
        Command::Delete { name } => delete(&file, &name, output).await,
    }
}

fn list(file: &ContextsFile, named: &Named, output: &mut Output) -> Result<()> {
    let contexts = file.load()?;
    if contexts.named.is_empty() {
        output.status(format_args!("there are no contexts in {}", file.path().display()));
    }
    if let Some(name) = named.context.option.as_ref().or(named.context.variable.as_ref()) {
        let name = if name.is_empty() { "no context" } else { name };
        output
            .status(format_args!("--context or PRAVEGA_CONTEXT says {name}, whatever is current"));
    }
    let record = |(name, profile): (&String, &Profile)| {
        Record::new()
            .with("context", name.as_str())
            .with("current", contexts.current.as_ref() == Some(name))
            .with("controller", profile.controller.as_str())
            .with("login", profile.login.as_ref().map(Login::way))
    };
    output.list(contexts.named.iter().map(record).collect())
}

fn describe(
    file: &ContextsFile,
    name: Option<String>,
    named: &Named,
    output: &mut Output,
) -> Result<()> {
    let contexts = file.load()?;
    let (name, profile) = match name {
        Some(name) => {
            let profile = contexts.named.get(&name).cloned();
            let profile = profile.ok_or_else(|| unknown(&name, &contexts, file))?;
            (name, profile)
        }
        None => match named.chosen(Some(file))? {
            Some(chosen) => (chosen.name, chosen.profile),
            None => return Err(no_context(file)),
        },
    };
    let login = profile.login.as_ref();
    let path = |path: Option<&Path>| path.map(|path| path.display().to_string());
    let host_names = match profile.host_names {
        HostNames::Checked => "checked",
        HostNames::NotChecked => "not checked of segment stores",
    };
    output.one(
        Record::new()
            .with("context", name.as_str())
            .with("current", contexts.current.as_deref() == Some(&name))
            .with("controller", profile.controller.as_str())
            .with("ca", path(profile.ca.as_deref()))
            .with("cert", path(profile.cert.as_deref()))
            .with("key", path(profile.key.as_deref()))
            .with("host_names", host_names)
            .with("login", login.map(Login::way))
            .with("user", login.and_then(Login::user))
            .with("login_file", path(login.and_then(Login::file)))
            .with("config", file.path().display().to_string()),
    )
}

/// The failure of a command that needs a context.
pub(super) fn no_context(file: &ContextsFile) -> Failure {
    let text = format!("no context is in use; contexts are in {}", file.path().display());
    Failure::of_kind(ErrorKind::NotFound, text)
        .with_hint("name one, or make one the current one with `pravega context use`")
}

pub(super) fn unknown(name: &str, contexts: &Contexts, file: &ContextsFile) -> Failure {
    let unknown = Unknown { name: name.to_owned(), named_by: Origin::Option };
    unknown_context(&unknown, contexts, Some(file.path()))
}

async fn make_current(file: &ContextsFile, name: Option<String>, output: &Output) -> Result<()> {
    let told = match &name {
        Some(name) => format!("context {name} is the current one"),
        None => "there is no current context".to_owned(),
    };
    file.change(|contexts| match name {
        Some(name) if !contexts.named.contains_key(&name) => Err(unknown(&name, contexts, file)),
        name => {
            contexts.current = name;
            Ok(())
        }
    })
    .await?;
    output.status(told);
    Ok(())
}

async fn set(
    file: &ContextsFile,
    arguments: SetArguments,
    named: &Named,
    access: &Access,
    output: &Output,
) -> Result<()> {
    let url = named.controller.option.as_deref();
    if let Some(url) = url {
        // Also refuses settings of the query that are not known.
        ClientConfig::from_url(url)?;
    }
    let name = arguments.name.clone();
    let (is_new, is_current) = file
        .change(|contexts| {
            let old = contexts.named.get(&arguments.name).cloned();
            let is_new = old.is_none();
            let profile = changed(old, &arguments, url, access)?;
            contexts.named.insert(arguments.name.clone(), profile);
            if arguments.make_current {
                contexts.current = Some(arguments.name.clone());
            }
            Ok((is_new, contexts.current.as_ref() == Some(&arguments.name)))
        })
        .await?;
    let done = if is_new { "created" } else { "changed" };
    output.status(format_args!("{done} context {name} in {}", file.path().display()));
    if is_new && !is_current {
        output.status(format_args!("`pravega context use {name}` makes it the current one"));
    }
    Ok(())
}

/// Returns a context with what the arguments say.
fn changed(
    old: Option<Profile>,
    arguments: &SetArguments,
    url: Option<&str>,
    access: &Access,
) -> Result<Profile> {
    let name = &arguments.name;
    let login = access.login()?.map(absolute_login).transpose()?;
    let mut profile = match (old, url) {
        (Some(old), None) => old,
        (None, Some(url)) => Profile::new(url),
        (Some(mut old), Some(url)) => {
            let keeps = old.login.is_some()
                && login.is_none()
                && !arguments.unset.contains(&Part::Credentials);
            if keeps && !leads_to_same(&old.controller, url)? {
                let text = format!(
                    "context {name} has credentials for {}, which would go to {url}",
                    old.controller
                );
                let hint = "give new ones, remove them with --unset credentials, or name another \
                            context";
                return Err(Failure::usage(text).with_hint(hint));
            }
            url.clone_into(&mut old.controller);
            old
        }
        (None, None) => {
            let text = format!("context {name} does not exist; a new one needs --controller");
            return Err(Failure::usage(text));
        }
    };
    if let Some(option) = clash(arguments, access, login.is_some())? {
        let text = format!("{option} cannot be used with an --unset of the same");
        return Err(Failure::usage(text));
    }
    for part in &arguments.unset {
        match part {
            Part::Ca => profile.ca = None,
            Part::Cert => (profile.cert, profile.key) = (None, None),
            Part::Credentials => profile.login = None,
            Part::DangerouslyWithoutHostNameCheck => profile.host_names = HostNames::Checked,
        }
    }
    profile = with_trust(profile, access)?;
    if arguments.dangerously_without_host_name_check {
        profile.host_names = HostNames::NotChecked;
    }
    if login.is_some() {
        profile.login = login;
    }
    Ok(profile)
}

/// Returns an option that says what another removes.
fn clash(
    arguments: &SetArguments,
    access: &Access,
    has_login: bool,
) -> Result<Option<&'static str>> {
    let has_certificate = access.certificate()?.is_some();
    Ok(arguments.unset.iter().find_map(|part| match part {
        Part::Ca => access.ca().map(|_| "--ca"),
        Part::Cert => has_certificate.then_some("--cert"),
        Part::Credentials => has_login.then_some("an option for credentials"),
        Part::DangerouslyWithoutHostNameCheck => arguments
            .dangerously_without_host_name_check
            .then_some("--dangerously-without-host-name-check"),
    }))
}

/// Returns true if credentials for a URL may be sent to another.
fn leads_to_same(old: &str, new: &str) -> Result<bool> {
    let target = |url| Target::of_url(url).map_err(Failure::usage);
    Ok(target(old)?.covers(&target(new)?))
}

/// Returns a context with the certificates of the options.
pub(super) fn with_trust(mut profile: Profile, access: &Access) -> Result<Profile> {
    if let Some(path) = access.ca() {
        profile.ca = Some(absolute(path)?);
    }
    if let Some(Certificate { chain, key }) = access.certificate()? {
        profile.cert = Some(absolute(&chain)?);
        profile.key = key.as_deref().map(absolute).transpose()?;
    }
    Ok(profile)
}

/// Returns a login whose file does not depend on the folder that the tool runs in.
pub(super) fn absolute_login(login: Login) -> Result<Login> {
    let file: Option<PathBuf> = login.file().map(absolute).transpose()?;
    Ok(match file {
        Some(file) => login.map_file(|_| file),
        None => login,
    })
}

async fn delete(file: &ContextsFile, name: &str, output: &Output) -> Result<()> {
    let (profile, was_current) = file
        .change(|contexts| {
            let Some(profile) = contexts.named.remove(name) else {
                return Err(unknown(name, contexts, file));
            };
            let was_current = contexts.current.as_deref() == Some(name);
            if was_current {
                contexts.current = None;
            }
            Ok((profile, was_current))
        })
        .await?;
    output.status(format_args!("deleted context {name}"));
    if let Some(path) = profile.login.as_ref().and_then(Login::file) {
        output.status(format_args!("its file of credentials is not deleted: {}", path.display()));
    }
    if was_current {
        output.status("there is no current context now");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::login::Password;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        set: SetArguments,
    }

    fn change(old: Option<Profile>, url: Option<&str>, options: &[&str]) -> Result<Profile> {
        let line = [&["x", "prod"], options].concat();
        let Line { access, set } = Line::try_parse_from(line).unwrap();
        changed(old, &set, url, &access)
    }

    fn whole() -> Profile {
        let mut profile = Profile::new("tls://h:1");
        profile.ca = Some("/ca".into());
        profile.cert = Some("/cert".into());
        profile.key = Some("/key".into());
        profile.host_names = HostNames::NotChecked;
        let password = Password::Stored("canary".into());
        profile.login = Some(Login::Password { user: "ann".to_owned(), password });
        profile
    }

    #[test]
    fn a_new_context_has_what_the_options_say_with_absolute_paths() {
        let new =
            change(None, Some("tls://h:1"), &["--ca", "ca.pem", "--token-file", "/t"]).unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(new.ca, Some(here.join("ca.pem")));
        assert_eq!(new.login, Some(Login::TokenFile("/t".into())));
        assert_eq!(new.controller, "tls://h:1");
        let error = change(None, None, &["--ca", "ca.pem"]).unwrap_err();
        assert!(error.to_string().contains("a new one needs --controller"), "{error}");
    }

    #[test]
    fn a_change_leaves_the_rest_as_it_is() {
        assert_eq!(change(Some(whole()), None, &[]).unwrap(), whole());
        let with_ca = Profile { ca: Some("/other".into()), ..whole() };
        assert_eq!(change(Some(whole()), None, &["--ca", "/other"]).unwrap(), with_ca);
        // A certificate without a key has it in its own file, not in that of the one before.
        let with_cert = Profile { cert: Some("/other".into()), key: None, ..whole() };
        assert_eq!(change(Some(whole()), None, &["--cert", "/other"]).unwrap(), with_cert);
        let unset = ["--unset", "ca,cert,credentials,dangerously-without-host-name-check"];
        let plain = change(Some(whole()), None, &unset).unwrap();
        assert_eq!(plain, Profile::new("tls://h:1"));
    }

    #[test]
    fn what_is_removed_and_said_at_once_is_refused() {
        for options in [
            &["--ca", "/x", "--unset", "ca"][..],
            &["--cert", "/x", "--unset", "ca,cert"],
            &["--token-file", "/t", "--unset", "credentials"],
            &[
                "--dangerously-without-host-name-check",
                "--unset",
                "dangerously-without-host-name-check",
            ],
        ] {
            let error = change(Some(whole()), None, options).unwrap_err().to_string();
            assert!(error.contains("cannot be used with an --unset"), "{options:?}: {error}");
        }
        let apart = ["--ca", "/x", "--unset", "cert"];
        assert!(change(Some(whole()), None, &apart).is_ok());
    }

    #[test]
    fn credentials_do_not_move_to_other_controllers() {
        for url in ["tls://other:1", "tls://h:2", "tcp://h:1", "tls://h:1?tls_to_controller=off"] {
            let error = change(Some(whole()), Some(url), &[]).unwrap_err();
            assert!(error.to_string().contains("has credentials for tls://h:1"), "{error}");
            let new = change(Some(whole()), Some(url), &["--unset", "credentials"]).unwrap();
            assert_eq!((new.controller.as_str(), new.login), (url, None));
            let new = change(Some(whole()), Some(url), &["--token-file", "/t"]).unwrap();
            assert_eq!(new.login, Some(Login::TokenFile("/t".into())));
        }
        let same = change(Some(whole()), Some("pravegas://H:1"), &[]).unwrap();
        assert_eq!(same.login, whole().login);
    }
}
