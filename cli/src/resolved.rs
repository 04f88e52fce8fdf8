//! The settings of a command: what options, URL, environment and context say together.

use std::path::{Path, PathBuf};

use pravega_sdk::{
    ClientConfig, Setting, Source, controller_client::Credentials, types::ErrorKind,
};

use crate::{
    access::{Access, Certificate},
    choice::{self, Choice, Chosen, Given, Origin, Target, Unknown},
    contexts::{Contexts, ContextsFile, HostNames, Profile},
    failure::{Failure, Result},
    limits::Limits,
    similar::similar,
};

/// What names the cluster of a command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    pub(crate) controller: Given,
    pub(crate) context: Given,
}

/// The settings of a command, and where they come from.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) config: ClientConfig,
    pub(crate) url_origin: Origin,
    /// The context that is used.
    pub(crate) context: Option<Chosen>,
    /// Why the context that was chosen is not used.
    pub(crate) left_out: Option<String>,
    /// Where the credentials come from; `Default` means that there are none.
    pub(crate) login_origin: Origin,
    options: Vec<&'static str>,
}

impl Named {
    /// Returns the contexts of the file, and the one that is chosen. The file is not read if an
    /// empty name says that there should be no context.
    pub(crate) fn chosen(&self, file: Option<&ContextsFile>) -> Result<Option<Chosen>> {
        let Given { option, variable } = &self.context;
        let contexts = match (option.as_ref().or(variable.as_ref()), file) {
            (Some(name), _) if name.is_empty() => Contexts::default(),
            (_, None) => Contexts::default(),
            (_, Some(file)) => file.load().map_err(|failure| {
                failure.with_default_hint("`--context ''` goes without contexts")
            })?,
        };
        choice::context(&self.context, &contexts)
            .map_err(|unknown| unknown_context(&unknown, &contexts, file.map(ContextsFile::path)))
    }
}

/// The failure of a name that no context has.
pub(crate) fn unknown_context(
    unknown: &Unknown,
    contexts: &Contexts,
    file: Option<&Path>,
) -> Failure {
    let by = match unknown.named_by {
        Origin::Environment => " (PRAVEGA_CONTEXT)",
        _ => "",
    };
    let text = format!("there is no context {:?}{by}", unknown.name);
    let names: Vec<&str> = contexts.named.keys().map(String::as_str).collect();
    let place = file.map(|file| format!(" in {}", file.display())).unwrap_or_default();
    let hint = match names.as_slice() {
        [] => {
            format!("there are no contexts{place}; `pravega context set` or `auth login` makes one")
        }
        names => match similar(&unknown.name, names) {
            Some(name) => format!("did you mean {name}? There are {}{place}", names.join(", ")),
            None => format!("there are {}{place}", names.join(", ")),
        },
    };
    Failure::of_kind(ErrorKind::NotFound, text).with_hint(hint)
}

/// Puts all settings together.
pub(crate) fn resolve(named: &Named, access: &Access, limits: Limits) -> Result<Resolved> {
    let chosen = named.chosen(ContextsFile::find().as_ref())?;
    let Choice { url, url_origin, context } = Choice::new(&named.controller, chosen);
    let url = if url_origin == Origin::Context { beside_environment(&url)? } else { url };
    let config = ClientConfig::from_url(&url).map_err(|error| {
        let is_url = error.setting() == Some("url") && url_origin == Origin::Environment;
        let failure = Failure::from(error);
        if is_url { failure.with_hint("correct PRAVEGA_CONTROLLER_URI") } else { failure }
    })?;
    let (context, left_out) = match context {
        Some(context) => usable(context, &Target::of_config(&config), url_origin)?,
        None => (None, None),
    };
    let (config, login_origin) = apply(config, access, context.as_ref(), limits)?;
    Ok(Resolved { config, url_origin, context, left_out, login_origin, options: access.settings() })
}

/// Returns the URL of a context without the settings that the environment has.
fn beside_environment(url: &str) -> Result<String> {
    let settings = ClientConfig::from_url("tcp://localhost:9090")?.settings();
    let set = settings.iter().filter(|setting| setting.source == Source::Environment);
    let set: Vec<&str> = set.map(|setting| setting.name).collect();
    Ok(choice::without(url, &set))
}

/// Returns the context if it is for the controllers, or why it is not used. One that an option
/// names must be used: its user wants no other cluster.
fn usable(
    context: Chosen,
    target: &Target,
    url_origin: Origin,
) -> Result<(Option<Chosen>, Option<String>)> {
    let name = &context.name;
    let own = Target::of_url(&context.profile.controller)
        .map_err(|error| Failure::usage(format_args!("context {name}: {error}")))?;
    if own.covers(target) {
        return Ok((Some(context), None));
    }
    let by = match url_origin {
        Origin::Option => "--controller",
        Origin::Environment => "PRAVEGA_CONTROLLER_URI",
        _ => "PRAVEGA_TLS_TO_CONTROLLER",
    };
    let text = format!("context {name} is for {own}, and {by} leads to {target}");
    // Without TLS by a variable, the credentials of the context would be readable on the way.
    if context.named_by == Origin::Option || url_origin == Origin::Context {
        let hint = "leave one of them out; `--context ''` goes without a context";
        return Err(Failure::usage(text).with_hint(hint));
    }
    Ok((None, Some(format!("{text}: the context is not used, and its credentials are not sent"))))
}

/// Applies options and the context to the settings of the URL and the environment, and returns
/// where the credentials come from.
fn apply(
    config: ClientConfig,
    access: &Access,
    context: Option<&Chosen>,
    limits: Limits,
) -> Result<(ClientConfig, Origin)> {
    let below = source(&config, "credentials");
    let config = apply_trust(config, access, context.map(|context| &context.profile))?;
    let option = access.login()?;
    let of_context = context.and_then(|context| context.profile.login.clone());
    let origin = Origin::of(option.is_some(), below, of_context.is_some());
    let login = match origin {
        Origin::Option => option,
        Origin::Context => of_context,
        Origin::Url | Origin::Environment | Origin::Default => None,
    };
    let Some(login) = login else { return Ok((config, origin)) };
    let config = login.apply(config, limits).map_err(|failure| match context {
        Some(context) if origin == Origin::Context => failure.within_context(&context.name),
        _ => failure,
    })?;
    Ok((config, origin))
}

/// Returns the settings for the controllers of a context, with certificates, without credentials.
pub(crate) fn without_login(profile: &Profile, access: &Access) -> Result<ClientConfig> {
    let config = ClientConfig::from_url(&beside_environment(&profile.controller)?)?;
    let own = Target::of_url(&profile.controller).map_err(Failure::usage)?;
    let target = Target::of_config(&config);
    if !own.covers(&target) {
        let text = format!("{own} is meant, and PRAVEGA_TLS_TO_CONTROLLER leads to {target}");
        return Err(Failure::usage(text));
    }
    let config = config.with_credentials(Credentials::anonymous());
    apply_trust(config, access, Some(profile))
}

/// Applies certificates.
fn apply_trust(
    mut config: ClientConfig,
    access: &Access,
    profile: Option<&Profile>,
) -> Result<ClientConfig> {
    let of_context = profile.and_then(|profile| profile.ca.as_deref());
    let is_free = source(&config, "trust_store") == Source::Default;
    if let Some(path) = access.ca().or(of_context.filter(|_| is_free)) {
        config = config.with_trust_store(path);
    }
    let of_context = profile.and_then(Profile::certificate);
    let is_free = source(&config, "client_certificate") == Source::Default
        && source(&config, "client_key") == Source::Default;
    if let Some(Certificate { chain, key }) =
        access.certificate()?.or(of_context.filter(|_| is_free))
    {
        let key = key.unwrap_or_else(|| chain.clone());
        config = config.with_client_certificate(chain, key);
    }
    if profile.is_some_and(|profile| profile.host_names == HostNames::NotChecked) {
        config = config.dangerously_without_host_name_check();
    }
    Ok(config)
}

/// Where the value of a setting comes from so far.
fn source(config: &ClientConfig, name: &str) -> Source {
    let mut settings = config.settings().into_iter();
    let setting = settings.find(|setting| setting.name == name);
    setting.map_or(Source::Default, |setting| setting.source)
}

impl Resolved {
    /// Where the value of a setting comes from.
    pub(crate) fn origin(&self, setting: &Setting) -> Origin {
        match setting.name {
            "url" => self.url_origin,
            "credentials" => self.login_origin,
            name => {
                let is_option = self.options.contains(&name);
                // What is set here, and by no option, is of the context, as is its URL.
                let is_set = setting.source == Source::Setter;
                match Origin::of(is_option, setting.source, is_set) {
                    Origin::Url if self.url_origin == Origin::Context => Origin::Context,
                    origin => origin,
                }
            }
        }
    }

    /// The context, for its user; `None` if there is none, and none was left out.
    pub(crate) fn context_text(&self) -> Option<String> {
        let Some(Chosen { name, named_by, profile }) = &self.context else {
            return self.left_out.clone();
        };
        let by = match named_by {
            Origin::Option => "of --context",
            Origin::Environment => "of PRAVEGA_CONTEXT",
            _ => "the current one",
        };
        let names = match profile.host_names {
            HostNames::Checked => "",
            HostNames::NotChecked => "; the host names of segment stores are not checked",
        };
        Some(format!("context {name}, {by}{names}"))
    }
}

impl Profile {
    /// The client's certificate.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        let chain = self.cert.clone()?;
        Some(Certificate { chain, key: self.key.clone() })
    }
}

/// Makes a path independent of the folder that the tool runs in.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Failure::usage(format_args!("{} is no path: {error}", path.display())))
}
