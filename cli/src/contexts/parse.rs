//! The contexts of a text. Whatever is not known is refused with its line: a field that is written
//! wrong would be left out in silence, and the rest be used without it.

use std::{fmt, ops::Range, path::PathBuf};

use pravega_sdk::controller_client::ControllerUri;
use toml_edit::{Document, Item, Key, TableLike};

use super::model::{Contexts, HostNames, Profile, check_name};
use crate::login::{Login, Password};

/// The version of the layout of the file.
pub(super) const VERSION: i64 = 1;

/// The fields of the file.
pub(super) const FILE_FIELDS: &[&str] = &["version", "current", "contexts"];

/// The fields of a context, by the names of the options where there are some.
pub(super) const FIELDS: &[&str] = &[
    "controller",
    "ca",
    "cert",
    "key",
    NO_HOST_NAMES,
    "user",
    "password-file",
    "password",
    "token-file",
    "keycloak-file",
];

pub(super) const NO_HOST_NAMES: &str = "dangerously-without-host-name-check";

/// What is wrong with a text, and where. The text itself, which may have secrets, is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParseError {
    /// From 1; `None` means the text as a whole.
    pub(super) line: Option<usize>,
    pub(super) reason: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

type Result<T> = std::result::Result<T, ParseError>;

/// Reads the contexts of a text. An empty text has none.
pub(super) fn parse(text: &str) -> Result<Contexts> {
    let source = Source(text);
    let document = Document::parse(text)
        .map_err(|error| source.wrong(error.span(), error.message().replace('\n', ", ")))?;
    let table = document.as_table();
    source.check_version(table)?;
    source.check_fields(table, FILE_FIELDS, "the file")?;
    let mut contexts = Contexts::default();
    if let Some(item) = table.get("contexts") {
        let named = source.table(item, span(table, "contexts"), "contexts")?;
        for (name, item) in named.iter() {
            let place = span(named, name);
            check_name(name).map_err(|reason| source.wrong(place.clone(), reason))?;
            let fields = source.table(item, place.clone(), name)?;
            let context = Fields { source, table: fields, name, place };
            contexts.named.insert(name.to_owned(), context.profile()?);
        }
    }
    if let Some(item) = table.get("current") {
        let name = source.text(item, span(table, "current"), "current")?;
        if !contexts.named.contains_key(&name) {
            let reason = format!("current is {name:?}, and there is no such context");
            return Err(source.wrong(span(table, "current"), reason));
        }
        contexts.current = Some(name);
    }
    Ok(contexts)
}

/// The place of a field, for its line.
fn span(table: &dyn TableLike, name: &str) -> Option<Range<usize>> {
    let (key, item) = table.get_key_value(name)?;
    Key::span(key).or_else(|| item.span())
}

#[derive(Clone, Copy)]
struct Source<'a>(&'a str);

impl Source<'_> {
    fn wrong(self, place: Option<Range<usize>>, reason: impl Into<String>) -> ParseError {
        let before = place.and_then(|place| self.0.get(..place.start));
        let line = before.map(|before| 1 + before.matches('\n').count());
        ParseError { line, reason: reason.into() }
    }

    /// First of all, as a later version has other fields.
    fn check_version(self, table: &dyn TableLike) -> Result<()> {
        match table.get("version") {
            None if table.is_empty() => Ok(()),
            None => {
                Err(self.wrong(None, format!("there is no version; write version = {VERSION}")))
            }
            Some(item) => match item.as_integer() {
                Some(VERSION) => Ok(()),
                Some(other) => {
                    let reason = format!(
                        "the version is {other}, and this tool knows {VERSION}: it is of another \
                         version of the tool"
                    );
                    Err(self.wrong(span(table, "version"), reason))
                }
                None => Err(self.wrong(span(table, "version"), "version should be a number")),
            },
        }
    }

    fn check_fields(self, table: &dyn TableLike, known: &[&str], of: &str) -> Result<()> {
        match table.iter().find(|(name, _)| !known.contains(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let known = known.join(", ");
                let reason = format!("{of} has the unknown field {name:?}; known are {known}");
                Err(self.wrong(span(table, name), reason))
            }
        }
    }

    fn table<'t>(
        self,
        item: &'t Item,
        place: Option<Range<usize>>,
        name: &str,
    ) -> Result<&'t dyn TableLike> {
        item.as_table_like().ok_or_else(|| {
            self.wrong(place, format!("{name} should be a table, such as [contexts.prod]"))
        })
    }

    fn text(self, item: &Item, place: Option<Range<usize>>, name: &str) -> Result<String> {
        match item.as_str() {
            Some("") => Err(self.wrong(place, format!("{name} is empty"))),
            Some(text) => Ok(text.to_owned()),
            None => Err(self.wrong(place, format!("{name} should be a text in quotes"))),
        }
    }
}

/// The fields of one context.
struct Fields<'a> {
    source: Source<'a>,
    table: &'a dyn TableLike,
    name: &'a str,
    place: Option<Range<usize>>,
}

impl Fields<'_> {
    fn profile(&self) -> Result<Profile> {
        let context = format!("context {}", self.name);
        self.source.check_fields(self.table, FIELDS, &context)?;
        let Some(controller) = self.text("controller")? else {
            return Err(self.wrong(format!("{context} has no controller")));
        };
        let mut profile = Profile::new(controller);
        profile.ca = self.path("ca")?;
        profile.cert = self.path("cert")?;
        profile.key = self.path("key")?;
        profile.host_names = match self.table.get(NO_HOST_NAMES).map(Item::as_bool) {
            None | Some(Some(false)) => HostNames::Checked,
            Some(Some(true)) => HostNames::NotChecked,
            Some(None) => {
                return Err(self
                    .wrong_at(NO_HOST_NAMES, format!("{NO_HOST_NAMES} should be true or false")));
            }
        };
        if profile.key.is_some() && profile.cert.is_none() {
            return Err(self.wrong_at("key", "key needs cert"));
        }
        self.check_controller(&profile)?;
        profile.login = self.login()?;
        Ok(profile)
    }

    /// Checks the URL, whose query must not say what a field says.
    fn check_controller(&self, profile: &Profile) -> Result<()> {
        let (address, query) =
            profile.controller.split_once('?').unwrap_or((&profile.controller, ""));
        if let Err(error) = address.parse::<ControllerUri>() {
            return Err(self.wrong_at("controller", format!("controller: {error}")));
        }
        let both = [
            ("trust_store", "ca", profile.ca.is_some()),
            ("client_certificate", "cert", profile.cert.is_some()),
            ("client_key", "cert", profile.cert.is_some()),
        ];
        for name in query.split('&').filter_map(|pair| pair.split('=').next()) {
            if let Some((_, field, true)) = both.iter().find(|(setting, ..)| *setting == name) {
                let reason = format!("{name} in the query of controller, and {field}, are one");
                return Err(self.wrong_at("controller", reason));
            }
        }
        Ok(())
    }

    fn login(&self) -> Result<Option<Login>> {
        let user = self.text("user")?;
        let password_file = self.path("password-file")?.map(Password::File);
        let stored = self.text("password")?.map(|text| Password::Stored(text.into()));
        let token_file = self.path("token-file")?.map(Login::TokenFile);
        let keycloak_file = self.path("keycloak-file")?.map(Login::KeycloakFile);
        let both = password_file.is_some() && stored.is_some();
        match (user, password_file.or(stored), token_file, keycloak_file) {
            _ if both => {}
            (None, None, None, None) => return Ok(None),
            (Some(user), Some(password), None, None) => {
                return Ok(Some(Login::Password { user, password }));
            }
            (None, None, Some(login), None) | (None, None, None, Some(login)) => {
                return Ok(Some(login));
            }
            _ => {}
        }
        Err(self.wrong(format!(
            "context {} should have user with password-file or password, or token-file, or \
             keycloak-file, and only one of them",
            self.name
        )))
    }

    fn text(&self, field: &str) -> Result<Option<String>> {
        let place = span(self.table, field);
        self.table.get(field).map(|item| self.source.text(item, place, field)).transpose()
    }

    fn path(&self, field: &str) -> Result<Option<PathBuf>> {
        Ok(self.text(field)?.map(PathBuf::from))
    }

    fn wrong(&self, reason: impl Into<String>) -> ParseError {
        self.source.wrong(self.place.clone(), reason)
    }

    fn wrong_at(&self, field: &str, reason: impl Into<String>) -> ParseError {
        self.source.wrong(span(self.table, field), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"# Mine.
version = 1
current = "prod"

[contexts.prod]
controller = "tls://a:9090,b:9090?call_timeout=10s"
ca = "ca.pem"
cert = "/c.pem"
key = "/k.pem"
dangerously-without-host-name-check = true
user = "ann"
password-file = "pw"

[contexts.stored]
controller = "tcp://h:1"
user = "bob"
password = "canary"

[contexts.token]
controller = "h:1"
token-file = "/t"

[contexts.keycloak]
controller = "pravega://h:1"
keycloak-file = "/k.json"

[contexts.plain]
controller = "tcp://h:1"
"#;

    #[test]
    fn each_field_is_read() {
        let contexts = parse(WHOLE).unwrap();
        assert_eq!(contexts.current.as_deref(), Some("prod"));
        let names: Vec<&str> = contexts.named.keys().map(String::as_str).collect();
        assert_eq!(names, ["keycloak", "plain", "prod", "stored", "token"]);
        let prod = Profile {
            controller: "tls://a:9090,b:9090?call_timeout=10s".to_owned(),
            ca: Some("ca.pem".into()),
            cert: Some("/c.pem".into()),
            key: Some("/k.pem".into()),
            host_names: HostNames::NotChecked,
            login: Some(Login::Password {
                user: "ann".to_owned(),
                password: Password::File("pw".into()),
            }),
        };
        assert_eq!(contexts.named["prod"], prod);
        let login = |name: &str| contexts.named[name].login.clone();
        let password = Password::Stored("canary".into());
        assert_eq!(login("stored"), Some(Login::Password { user: "bob".to_owned(), password }));
        assert_eq!(login("token"), Some(Login::TokenFile("/t".into())));
        assert_eq!(login("keycloak"), Some(Login::KeycloakFile("/k.json".into())));
        assert_eq!(contexts.named["plain"], Profile::new("tcp://h:1"));
        assert!(!format!("{contexts:?}").contains("canary"));
    }

    #[test]
    fn other_forms_of_the_same_tables_are_read_and_an_empty_text_has_no_contexts() {
        for text in ["", "\n# nothing\n", "version = 1\n", "version = 1\n[contexts]\n"] {
            assert_eq!(parse(text).unwrap(), Contexts::default(), "{text:?}");
        }
        for text in [
            "version = 1\ncontexts = { a = { controller = \"tcp://h:1\" } }",
            "version = 1\ncontexts.a.controller = \"tcp://h:1\"",
            "version = 1\n[contexts]\na = { controller = 'tcp://h:1' }",
        ] {
            assert_eq!(parse(text).unwrap().named["a"], Profile::new("tcp://h:1"), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line_and_without_secrets() {
        let cases = [
            ("version = 1", "", None, "there is no version"),
            ("version = 1", "version = 2\nnewer = 1", Some(2), "of another version of the tool"),
            ("version = 1", "version = \"1\"", Some(2), "version should be a number"),
            ("version = 1", "version = 1\ncurent = \"prod\"", Some(3), "unknown field \"curent\""),
            ("current = \"prod\"", "current = \"pro\"", Some(3), "there is no such context"),
            ("current = \"prod\"", "current = 1", Some(3), "current should be a text"),
            ("current = \"prod\"", "current = \"\"", Some(3), "current is empty"),
            ("[contexts.prod]", "[contexts.\"a b\"]", Some(5), "' ' at index 1"),
            ("ca = \"ca.pem\"", "cacert = \"x\"", Some(7), "context prod has the unknown field"),
            ("ca = \"ca.pem\"", "ca = true", Some(7), "ca should be a text in quotes"),
            ("ca = \"ca.pem\"", "ca = \"\"", Some(7), "ca is empty"),
            ("cert = \"/c.pem\"\n", "", Some(8), "key needs cert"),
            ("host-name-check = true", "host-name-check = 1", Some(10), "true or false"),
            ("controller = \"h:1\"\n", "", Some(19), "context token has no controller"),
            ("\"h:1\"", "\"http://h:1\"", Some(20), "scheme \"http\" is not known"),
            ("\"h:1\"", "\"u:canary@h:1\"", Some(20), "must not hold a user name or password"),
            ("call_timeout=10s", "trust_store=x", Some(6), "and ca, are one"),
            ("call_timeout=10s", "client_key=x", Some(6), "and cert, are one"),
            ("user = \"bob\"\n", "", Some(14), "context stored should have user with"),
            ("password = \"canary\"\n", "", Some(14), "context stored should have user with"),
            ("user = \"bob\"", "user = \"bob\"\npassword-file = \"x\"", Some(14), "only one"),
            ("token-file = \"/t\"", "token-file = \"/t\"\nuser = \"u\"", Some(19), "only one"),
            ("token-file = \"/t\"", "token-file = \"/t\"\nkeycloak-file = \"k\"", Some(19), "only"),
            ("password = \"canary\"", "password = \"canary", Some(17), "basic string"),
            ("password = \"canary\"", "password = 7", Some(17), "password should be a text"),
            ("user = \"bob\"", "user = \"bob\"\nuser = \"bob\"", Some(17), "duplicate key"),
        ];
        for (from, to, line, reason) in cases {
            let text = WHOLE.replacen(from, to, 1);
            assert_ne!(text, WHOLE, "{from}");
            let error = parse(&text).unwrap_err();
            assert_eq!(error.line, line, "{to}: {error}");
            assert!(error.reason.contains(reason), "{to}: {error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert_eq!(parse("contexts = 1\nversion = 1").unwrap_err().line, Some(1));
        assert_eq!(parse("version = 1\n[contexts]\na = 1").unwrap_err().line, Some(3));
    }

    #[test]
    fn no_text_is_a_panic_or_takes_the_stack() {
        for at in (0..WHOLE.len()).filter(|at| WHOLE.is_char_boundary(*at)) {
            let (before, after) = WHOLE.split_at(at);
            for text in
                [before, after, &format!("{before}\u{0}{after}"), &format!("{before}]{after}")]
            {
                parse(text).ok();
            }
        }
        for open in ["[", "{a=", "a."] {
            assert!(parse(&format!("version = 1\nx = {}", open.repeat(100_000))).is_err());
        }
    }
}
