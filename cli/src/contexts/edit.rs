//! A text with other contexts. Comments, and what has not changed, stay as they are.

use std::path::Path;

use secrecy::ExposeSecret as _;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::{
    model::{Contexts, HostNames, Profile},
    parse::{NO_HOST_NAMES, VERSION, parse},
};
use crate::login::{Login, Password};

/// The comment of a file that the tool makes.
const HEAD: &str =
    "# Contexts of pravega: clusters by name. `pravega context --help` tells more.\n";

/// The values of a context's fields; `None` means that it has none.
type Values = Vec<(&'static str, Option<Value>)>;

/// Returns the text of `before` with the differences that `after` has.
///
/// # Errors
///
/// Fails if the text cannot be read, a path is not UTF-8, or the new text would not be read back.
pub(super) fn edit(text: &str, before: &Contexts, after: &Contexts) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|_| "it is not TOML".to_owned())?;
    let root = document.as_table_mut();
    if root.is_empty() {
        root.insert("version", Item::Value(VERSION.into()));
        let head = match text.trim() {
            "" => HEAD.to_owned(),
            comments => format!("{comments}\n"),
        };
        if let Some(mut key) = root.key_mut("version") {
            key.leaf_decor_mut().set_prefix(head);
        }
        document.set_trailing("");
    }
    let root = document.as_table_mut();
    if before.current != after.current {
        set(root, "current", after.current.as_deref().map(Value::from));
    }
    let table = root.entry("contexts").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let table = table.as_table_like_mut().ok_or("contexts is no table")?;
    for name in before.named.keys().filter(|name| !after.named.contains_key(*name)) {
        table.remove(name);
    }
    for (name, profile) in &after.named {
        let old = before.named.get(name);
        if old != Some(profile) {
            set_context(table, name, old, profile)?;
        }
    }
    let text = document.to_string();
    // A file that the tool itself refuses would lock its user out.
    parse(&text).map_err(|error| format!("the new text is wrong: {error}"))?;
    Ok(text)
}

fn set_context(
    contexts: &mut dyn TableLike,
    name: &str,
    old: Option<&Profile>,
    profile: &Profile,
) -> Result<(), String> {
    if !contexts.contains_key(name) {
        // In an inline table it becomes one, too.
        contexts.insert(name, Item::Table(Table::new()));
    }
    let table = contexts.get_mut(name).and_then(Item::as_table_like_mut);
    let table = table.ok_or_else(|| format!("{name} is no table"))?;
    let before = old.map(values).transpose()?.unwrap_or_default();
    for (field, value) in values(profile)? {
        let same = before.iter().find(|(known, _)| *known == field).is_some_and(|(_, known)| {
            // Values without decoration.
            known.as_ref().map(Value::to_string) == value.as_ref().map(Value::to_string)
        });
        if !same {
            set(table, field, value);
        }
    }
    Ok(())
}

fn set(table: &mut dyn TableLike, field: &str, value: Option<Value>) {
    let Some(value) = value else {
        table.remove(field);
        return;
    };
    match table.get_mut(field).and_then(Item::as_value_mut) {
        // The comment after the old value stays.
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(field, Item::Value(value));
        }
    }
}

/// All fields of a context.
fn values(profile: &Profile) -> Result<Values, String> {
    let Profile { controller, ca, cert, key, host_names, login } = profile;
    let unchecked = *host_names == HostNames::NotChecked;
    let mut values = vec![
        ("controller", Some(Value::from(controller.as_str()))),
        ("ca", path(ca.as_deref())?),
        ("cert", path(cert.as_deref())?),
        ("key", path(key.as_deref())?),
        (NO_HOST_NAMES, unchecked.then(|| Value::from(true))),
    ];
    let (user, file) = match login {
        Some(login) => (login.user().map(Value::from), path(login.file())?),
        None => (None, None),
    };
    let stored = match login {
        Some(Login::Password { password: Password::Stored(text), .. }) => {
            Some(Value::from(text.expose_secret()))
        }
        _ => None,
    };
    values.push(("user", user));
    let way = login.as_ref().map(Login::way);
    for field in ["password-file", "token-file", "keycloak-file"] {
        values.push((field, file.clone().filter(|_| way == Some(field))));
    }
    values.push(("password", stored));
    Ok(values)
}

fn path(path: Option<&Path>) -> Result<Option<Value>, String> {
    let text = |path: &Path| {
        let text = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
        Ok(Value::from(text))
    };
    path.map(text).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(controller: &str) -> Profile {
        Profile::new(controller)
    }

    fn changed(text: &str, change: impl FnOnce(&mut Contexts)) -> String {
        let before = parse(text).unwrap();
        let mut after = before.clone();
        change(&mut after);
        let text = edit(text, &before, &after).unwrap();
        assert_eq!(parse(&text).unwrap(), after, "{text}");
        text
    }

    #[test]
    fn a_new_file_has_a_head_a_version_and_a_table_for_each_context() {
        let text = changed("", |contexts| {
            contexts.current = Some("a".to_owned());
            contexts.named.insert("a".to_owned(), profile("tcp://h:1"));
            let mut secret = profile("tls://h:2");
            secret.host_names = HostNames::NotChecked;
            let password = Password::Stored("pass\"word\n".into());
            secret.login = Some(Login::Password { user: "ann".to_owned(), password });
            contexts.named.insert("b.c".to_owned(), secret);
        });
        assert_eq!(
            text,
            format!(
                "{HEAD}version = 1\ncurrent = \"a\"\n\n[contexts.a]\ncontroller = \"tcp://h:1\"\n\n\
                 [contexts.\"b.c\"]\ncontroller = \"tls://h:2\"\n\
                 dangerously-without-host-name-check = true\nuser = \"ann\"\n\
                 password = \"\"\"\npass\"word\n\"\"\"\n"
            )
        );
    }

    const MINE: &str = "# Head.\nversion = 1 # one\ncurrent = \"a\" # now\n\n# The first.\n\
                        [contexts.a] # a\nuser  = \"ann\" # me\npassword = \"secret\"\n\
                        controller = \"tcp://h:1\"\n\n\
                        [contexts.b]\ncontroller = \"tcp://h:2\" # b\n";

    #[test]
    fn comments_and_other_contexts_stay_as_they_are() {
        let text = changed(MINE, |contexts| contexts.current = Some("b".to_owned()));
        assert_eq!(text, MINE.replace("current = \"a\"", "current = \"b\""));
        let text = changed(MINE, |contexts| {
            contexts.named.get_mut("b").unwrap().controller = "tcp://h:3".to_owned();
        });
        assert_eq!(text, MINE.replace("h:2", "h:3"));
        let text = changed(MINE, |contexts| contexts.named.get_mut("a").unwrap().login = None);
        assert_eq!(text, MINE.replace("user  = \"ann\" # me\npassword = \"secret\"\n", ""));
        let text = changed(MINE, |contexts| {
            contexts.current = None;
            contexts.named.remove("a");
        });
        assert!(!text.contains("secret") && !text.contains("current"), "{text}");
        assert!(text.contains("[contexts.b]\ncontroller = \"tcp://h:2\" # b\n"), "{text}");
    }

    #[test]
    fn a_login_replaces_another_and_leaves_no_field_of_it() {
        for login in [
            Login::TokenFile("/t".into()),
            Login::KeycloakFile("/k".into()),
            Login::Password { user: "bob".to_owned(), password: Password::File("/p".into()) },
        ] {
            let text = changed(MINE, |contexts| {
                contexts.named.get_mut("a").unwrap().login = Some(login.clone());
            });
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn other_forms_of_tables_are_edited_as_well() {
        for text in [
            "version = 1\ncontexts = { a = { controller = \"tcp://h:1\" } }\n",
            "version = 1\ncontexts.a.controller = \"tcp://h:1\"\n",
            "version = 1\n[contexts]\na = { controller = 'tcp://h:1' }\n",
            "# only a comment",
        ] {
            changed(text, |contexts| {
                let a =
                    contexts.named.entry("a".to_owned()).or_insert_with(|| profile("tcp://x:1"));
                a.ca = Some("/ca".into());
                contexts.named.insert("b".to_owned(), profile("tcp://h:2"));
                contexts.current = Some("b".to_owned());
            });
            changed(text, |contexts| contexts.named.clear());
        }
    }

    #[test]
    fn a_text_that_would_be_refused_is_not_made() {
        let before = Contexts::default();
        let mut after = before.clone();
        after.named.insert("a".to_owned(), profile("http://h:1"));
        let error = edit("", &before, &after).unwrap_err();
        assert!(error.contains("the new text is wrong"), "{error}");
    }
}
