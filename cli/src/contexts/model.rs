//! What the file of the contexts says.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::login::Login;

/// The contexts of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contexts {
    /// The context of commands that name none.
    pub(crate) current: Option<String>,
    pub(crate) named: BTreeMap<String, Profile>,
}

/// A context: a cluster, whom to trust there, and how to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    /// URL of the controllers.
    pub(crate) controller: String,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    /// `None` means the file of the certificate.
    pub(crate) key: Option<PathBuf>,
    pub(crate) host_names: HostNames,
    pub(crate) login: Option<Login>,
}

/// Whether the host names of segment stores are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostNames {
    Checked,
    /// The owner of any trusted certificate can impersonate every segment store.
    NotChecked,
}

impl Contexts {
    /// Returns true if a secret itself is in the file, not only the path of one.
    pub(crate) fn has_secret(&self) -> bool {
        self.named
            .values()
            .any(|profile| profile.login.as_ref().is_some_and(|login| login.file().is_none()))
    }

    /// Takes paths as relative to a folder.
    pub(crate) fn relative_to(mut self, folder: &Path) -> Self {
        for profile in self.named.values_mut() {
            for path in [&mut profile.ca, &mut profile.cert, &mut profile.key] {
                *path = path.take().map(|path| folder.join(path));
            }
            let login = profile.login.take();
            profile.login = login.map(|login| login.map_file(|path| folder.join(path)));
        }
        self
    }
}

impl Profile {
    /// A context of controllers that need nothing.
    pub(crate) fn new(controller: impl Into<String>) -> Self {
        Self {
            controller: controller.into(),
            ca: None,
            cert: None,
            key: None,
            host_names: HostNames::Checked,
            login: None,
        }
    }
}

/// Longer names only look like an attack.
const MAX_NAME: usize = 100;

/// Checks the name of a context.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-@:/".contains(c);
    if name.is_empty() {
        return Err("the name of a context is empty".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("the name of a context has more than {MAX_NAME} characters"));
    }
    match name.char_indices().find(|(_, c)| !is_allowed(*c)) {
        Some((at, c)) => Err(format!(
            "the name of a context has {c:?} at index {at}; allowed are A-Z a-z 0-9 . _ - @ : /"
        )),
        None if name.starts_with('-') => {
            Err("the name of a context begins with '-', as options do".to_owned())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Password;

    #[test]
    fn a_name_has_characters_that_need_no_quotes_in_a_shell() {
        for name in ["prod", "a.b_c-d", "ann@tls://pravega:9090", &"x".repeat(100)] {
            check_name(name).unwrap();
        }
        for (name, reason) in [
            ("", "empty"),
            ("my cluster", "' ' at index 2"),
            ("a\u{1b}[31m", "'\\u{1b}' at index 1"),
            ("-o", "begins with '-'"),
            (&"x".repeat(101), "more than 100"),
        ] {
            let error = check_name(name).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn paths_are_relative_to_the_folder_and_only_a_stored_password_is_a_secret() {
        let mut contexts = Contexts::default();
        let login = |password| Some(Login::Password { user: "ann".to_owned(), password });
        let mut profile = Profile::new("tcp://h:1");
        profile.ca = Some("ca.pem".into());
        profile.key = Some("/abs/key.pem".into());
        profile.login = login(Password::File("pw".into()));
        contexts.named.insert("a".to_owned(), profile);
        let mut contexts = contexts.relative_to(Path::new("/etc/p"));
        let profile = contexts.named.get_mut("a").unwrap();
        assert_eq!(profile.ca.as_deref(), Some(Path::new("/etc/p/ca.pem")));
        assert_eq!(profile.key.as_deref(), Some(Path::new("/abs/key.pem")));
        assert_eq!(profile.login, login(Password::File("/etc/p/pw".into())));
        assert!(!contexts.has_secret());
        contexts.named.get_mut("a").unwrap().login = login(Password::Stored("canary".into()));
        assert!(contexts.has_secret());
        assert!(!format!("{contexts:?}").contains("canary"));
    }
}
