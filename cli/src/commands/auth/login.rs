//! `pravega auth login`

use clap::Args;
use secrecy::ExposeSecret as _;

use super::{
    check::{Answer, check},
    environment,
};
use crate::{
    access::Access,
    choice::{Choice, Chosen, Origin, Target},
    commands::context::{absolute_login, with_trust},
    context::Context,
    contexts::{Contexts, ContextsFile, Profile, check_name},
    failure::{Failure, Result},
    login::{Login, Password},
    resolved::{Named, without_login},
    stop::Stop,
    terminal,
};

pub(super) const AFTER_HELP: &str = "\
The context is the one of --context, which is created if it does not exist, else the one of \
PRAVEGA_CONTEXT, else the current one, else `default`. It keeps --controller, --ca, --cert and \
--key, too. Of files with secrets it keeps the paths, so they must stay where they are.";

/// The context of a first login that names none.
const DEFAULT_NAME: &str = "default";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Read the password of --user from the first line of stdin
    #[arg(long)]
    password_stdin: bool,
    /// Keep the password itself, unencrypted, in the file of the contexts, which only its owner can
    /// read; without this a terminal asks before
    #[arg(long)]
    store_password: bool,
}

/// Where the credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Files(Login),
    /// The user, and a password on stdin.
    Stdin(String),
    /// A person at the terminal, who may have given the user.
    Asked(Option<String>),
}

/// The context that a login is for.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    name: String,
    /// With what it keeps beside the credentials.
    profile: Profile,
    /// What it was; `None` means that it is new.
    old: Option<Profile>,
}

pub(super) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let file = ContextsFile::require()?;
    let place = place(&context.named, &context.access, &file.load()?)?;
    let way = way(&arguments, &context.access, terminal::is_present())?;
    // While the terminal hides what is typed, a signal must not end the process at once.
    let stop = match way {
        Way::Asked(_) => Stop::listen_once()?,
        Way::Files(_) | Way::Stdin(_) => Stop::never(),
    };
    tokio::select! {
        done = Box::pin(log_in(place, way, &arguments, &file, context)) => done,
        signal = stop.requested() => Err(Failure::stopped(signal, "nothing was stored")),
    }
}

/// Returns the context that is meant, with what the options say.
fn place(named: &Named, access: &Access, contexts: &Contexts) -> Result<Place> {
    let given = named.context.option.as_ref().or(named.context.variable.as_ref());
    let name = given.or(contexts.current.as_ref()).map_or(DEFAULT_NAME, String::as_str);
    check_name(name).map_err(Failure::usage)?;
    let old = contexts.named.get(name).cloned();
    let chosen = old.clone().map(|profile| Chosen {
        name: name.to_owned(),
        profile,
        named_by: Origin::Context,
    });
    let choice = Choice::new(&named.controller, chosen);
    let target = |url: &str| Target::of_url(url).map_err(Failure::usage);
    let mut profile = match &old {
        None => Profile::new(choice.url),
        Some(old) => {
            let (own, meant) = (target(&old.controller)?, target(&choice.url)?);
            if !own.covers(&meant) {
                let text = format!("context {name} is for {own}, and the login for {meant}");
                let hint = "name a new context with --context, or leave out --controller and \
                            PRAVEGA_CONTROLLER_URI";
                return Err(Failure::usage(text).with_hint(hint));
            }
            let mut profile = old.clone();
            if choice.url_origin == Origin::Option {
                profile.controller = choice.url;
            }
            profile
        }
    };
    profile = with_trust(profile, access)?;
    Ok(Place { name: name.to_owned(), profile, old })
}

/// Returns where the credentials come from.
fn way(arguments: &Arguments, access: &Access, is_terminal: bool) -> Result<Way> {
    let Arguments { password_stdin, store_password } = *arguments;
    if access.has_secret_file() {
        let other = match (password_stdin, store_password) {
            (true, _) => "--password-stdin",
            (_, true) => "--store-password",
            (false, false) => {
                let missing = || Failure::usage("--user needs --password-file");
                let login = access.login()?.ok_or_else(missing)?;
                return absolute_login(login).map(Way::Files);
            }
        };
        let text = format!(
            "{other} cannot be combined with --password-file, --token-file or --keycloak-file, of \
             which the path is kept"
        );
        return Err(Failure::usage(text));
    }
    let user = access.user().map(str::to_owned);
    if !password_stdin {
        if is_terminal {
            return Ok(Way::Asked(user));
        }
        let text = "there is no terminal to ask for a password";
        let hint = "give --user with --password-file, or --token-file, or --keycloak-file; or \
                    --user with --password-stdin and --store-password";
        return Err(Failure::usage(text).with_hint(hint));
    }
    let user = user.ok_or_else(|| Failure::usage("--password-stdin needs --user"))?;
    if !store_password {
        let text = "a password from stdin is kept only with --store-password, unencrypted";
        let hint = "or write it to a file that only you can read, and give --password-file";
        return Err(Failure::usage(text).with_hint(hint));
    }
    Ok(Way::Stdin(user))
}

async fn log_in(
    place: Place,
    way: Way,
    arguments: &Arguments,
    file: &ContextsFile,
    context: &Context,
) -> Result<()> {
    let Place { name, mut profile, old } = place;
    let config = without_login(&profile, &context.access)?;
    let target = Target::of_config(&config);
    let is_asked = matches!(way, Way::Asked(_));
    let login = obtain(way).await?;
    if target.is_readable() {
        context.output.status(format_args!(
            "warning: the credentials can be read on the way to {target}; a URL with tls:// \
             encrypts it"
        ));
    }
    let config = login.apply(config, context.limits)?;
    let answer = Box::pin(check(context, config)).await.map_err(|failure| {
        let hint = "nothing was stored; `pravega doctor` checks step by step";
        failure.with_hint(hint)
    })?;
    let is_stored = login.file().is_none();
    if is_stored && is_asked && !arguments.store_password {
        confirm(file).await?;
    }
    profile.login = Some(login.clone());
    let url = profile.controller.clone();
    let is_current = file
        .change(|contexts| {
            if contexts.named.get(&name) != old.as_ref() {
                let text = format!("context {name} has changed meanwhile; nothing was stored");
                return Err(Failure::other(text));
            }
            contexts.named.insert(name.clone(), profile);
            let current = contexts.current.get_or_insert_with(|| name.clone());
            Ok(*current == name)
        })
        .await?;
    let place = Stored { name: &name, login: &login, url: &url, is_current };
    report(&place, answer, file, context);
    Ok(())
}

/// A login that was kept.
struct Stored<'a> {
    name: &'a str,
    login: &'a Login,
    url: &'a str,
    is_current: bool,
}

fn report(stored: &Stored<'_>, answer: Answer, file: &ContextsFile, context: &Context) {
    let Stored { name, login, url, is_current } = *stored;
    let output = &context.output;
    let shown = file.path().display();
    let user = login.user().map(|user| format!(" as {user}")).unwrap_or_default();
    output.status(format_args!("logged in to {url}{user}"));
    if answer == Answer::NotNeeded {
        output.status(
            "note: the cluster lets in clients without credentials, so it may not have checked \
             these",
        );
    }
    match login.file() {
        Some(path) => output.status(format_args!(
            "context {name} in {shown} has the path of the secret, {}",
            path.display()
        )),
        None => output.status(format_args!(
            "warning: context {name} has the password unencrypted in {shown}; \
             `pravega auth logout` removes it"
        )),
    }
    if !is_current {
        output.status(format_args!(
            "it is not the current context: give --context {name}, or `pravega context use {name}`"
        ));
    }
    if let Some(names) = environment::set() {
        output.status(format_args!("warning: {names} in the environment win over the context"));
    }
}

/// Reads what is not in files.
async fn obtain(way: Way) -> Result<Login> {
    let (user, text) = match way {
        Way::Files(login) => return Ok(login),
        Way::Stdin(user) => (user, terminal::read_secret().await?),
        Way::Asked(user) => {
            let user = match user {
                Some(user) => user,
                None => terminal::ask("User: ").await?,
            };
            if user.is_empty() {
                return Err(Failure::usage("the user is empty"));
            }
            let text = terminal::ask_secret(&format!("Password of {user}: ")).await?;
            (user, text)
        }
    };
    if text.expose_secret().is_empty() {
        return Err(Failure::usage("the password is empty"));
    }
    Ok(Login::Password { user, password: Password::Stored(text) })
}

/// Asks if a password should be stored, and fails without a yes.
async fn confirm(file: &ContextsFile) -> Result<()> {
    let shown = file.path().display();
    let question = format!(
        "The password is accepted. Store it in {shown}, unencrypted and readable for you only? \
         [y/N] "
    );
    match terminal::ask(&question).await?.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::other("nothing was stored")
            .with_hint("--password-file keeps the path of a file instead of the password")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::choice::Given;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        arguments: Arguments,
    }

    fn of(options: &[&str], is_terminal: bool) -> Result<Way> {
        let line = [&["x"], options].concat();
        let Line { access, arguments } = Line::try_parse_from(line).unwrap();
        way(&arguments, &access, is_terminal)
    }

    #[test]
    fn a_password_is_kept_only_if_an_option_or_a_person_says_so() {
        let password = Password::File("/p".into());
        let login = Login::Password { user: "ann".to_owned(), password };
        let files = ["--user", "ann", "--password-file", "/p"];
        assert_eq!(of(&files, false).unwrap(), Way::Files(login));
        let token = Way::Files(Login::TokenFile("/t".into()));
        assert_eq!(of(&["--token-file", "/t"], true).unwrap(), token);
        assert_eq!(of(&["--user", "ann"], true).unwrap(), Way::Asked(Some("ann".to_owned())));
        assert_eq!(of(&[], true).unwrap(), Way::Asked(None));
        let stdin = ["--user", "ann", "--password-stdin", "--store-password"];
        assert_eq!(of(&stdin, false).unwrap(), Way::Stdin("ann".to_owned()));
        for (options, reason) in [
            (&[][..], "there is no terminal"),
            (&["--user", "ann"], "there is no terminal"),
            (&["--user", "ann", "--password-stdin"], "only with --store-password"),
            (&["--password-stdin", "--store-password"], "--password-stdin needs --user"),
            (&["--password-file", "/p"], "--password-file needs --user"),
            (&["--token-file", "/t", "--store-password"], "--store-password cannot be combined"),
            (&["--token-file", "/t", "--password-stdin"], "--password-stdin cannot be combined"),
            (&["--token-file", "/t", "--user", "ann"], "cannot be combined with --user"),
        ] {
            let failure = of(options, false).unwrap_err();
            assert!(failure.to_string().contains(reason), "{options:?}: {failure}");
        }
        let failure = of(&["--user", "ann", "--password-stdin"], true).unwrap_err();
        assert!(failure.to_string().contains("only with --store-password"), "{failure}");
    }

    fn named(controller: Option<&str>, variable: Option<&str>, context: Option<&str>) -> Named {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Named {
            controller: Given { option: text(controller), variable: text(variable) },
            context: Given { option: text(context), variable: None },
        }
    }

    fn contexts() -> Contexts {
        let mut contexts = Contexts::default();
        contexts.named.insert("prod".to_owned(), Profile::new("tls://a:1,b:1"));
        contexts.named.insert("test".to_owned(), Profile::new("tcp://t:1"));
        contexts.current = Some("prod".to_owned());
        contexts
    }

    fn placed(named: &Named, contexts: &Contexts) -> Result<(String, String)> {
        let place = place(named, &Access::default(), contexts)?;
        Ok((place.name, place.profile.controller))
    }

    #[test]
    fn a_login_is_for_the_context_that_is_named_else_the_current_one_else_a_new_one() {
        let none = Contexts::default();
        for (named, contexts, name, url) in [
            (named(None, None, None), &contexts(), "prod", "tls://a:1,b:1"),
            (named(None, None, Some("test")), &contexts(), "test", "tcp://t:1"),
            (named(Some("tls://b:1"), None, None), &contexts(), "prod", "tls://b:1"),
            (named(None, Some("tls://b:1"), None), &contexts(), "prod", "tls://a:1,b:1"),
            (named(Some("tcp://n:1"), None, Some("new")), &contexts(), "new", "tcp://n:1"),
            (named(None, Some("tcp://n:1"), Some("new")), &contexts(), "new", "tcp://n:1"),
            (named(None, None, None), &none, "default", "tcp://localhost:9090"),
            (named(Some("tcp://n:1"), Some("tcp://x:1"), None), &none, "default", "tcp://n:1"),
        ] {
            let expected = (name.to_owned(), url.to_owned());
            assert_eq!(placed(&named, contexts).unwrap(), expected, "{named:?}");
        }
    }

    #[test]
    fn a_context_is_not_logged_in_to_other_controllers() {
        for (controller, variable) in [
            (Some("tls://c:1"), None),
            (None, Some("tls://c:1")),
            (Some("tcp://a:1"), None),
            (Some("tls://a:1?tls_to_controller=off"), None),
        ] {
            let failure = placed(&named(controller, variable, None), &contexts()).unwrap_err();
            assert!(failure.to_string().contains("context prod is for"), "{failure}");
        }
        for name in ["", "a b"] {
            placed(&named(None, None, Some(name)), &contexts()).unwrap_err();
        }
    }
}
