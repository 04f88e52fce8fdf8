//! Where the file of the contexts is.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The variable that names the file.
pub(super) const VARIABLE: &str = "PRAVEGA_CONFIG";

/// Below the folder for configurations.
const FILE: &str = "pravega/config.toml";

/// Returns the path of the file; `None` if the environment has neither it nor a home. An empty
/// variable is one that is not set.
pub(super) fn place(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    if let Some(file) = path(VARIABLE) {
        return Some(file);
    }
    // A relative path of it is invalid, by the XDG Base Directory Specification.
    let folder = path("XDG_CONFIG_HOME")
        .filter(|folder| folder.is_absolute())
        .or_else(|| path("HOME").map(|home| home.join(".config")))
        .or_else(|| path("APPDATA"));
    folder.map(|folder: PathBuf| Path::new(&folder).join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        };
        place(&variable).map(|path| path.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_file_is_where_its_variable_says_then_in_the_folder_for_configurations_then_at_home() {
        let all =
            [("PRAVEGA_CONFIG", "own.toml"), ("XDG_CONFIG_HOME", "/xdg"), ("HOME", "/home/ann")];
        assert_eq!(found(&all).as_deref(), Some("own.toml"));
        assert_eq!(found(&all[1..]).as_deref(), Some("/xdg/pravega/config.toml"));
        assert_eq!(found(&all[2..]).as_deref(), Some("/home/ann/.config/pravega/config.toml"));
        assert_eq!(found(&[]), None);
        let odd = [("PRAVEGA_CONFIG", ""), ("XDG_CONFIG_HOME", "xdg"), ("HOME", "/home/ann")];
        assert_eq!(found(&odd).as_deref(), Some("/home/ann/.config/pravega/config.toml"));
    }
}
