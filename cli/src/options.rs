//! Options that a command would pass over are refused.

use clap::{ArgMatches, parser::ValueSource};

use crate::{
    failure::{Failure, Result},
    output::Format,
};

/// The options that say which cluster is used, and how its data is shown: their names in the code,
/// and on the command line.
const GLOBAL: &[(&str, &str)] = &[
    ("controller", "--controller"),
    ("context", "--context"),
    ("output", "--output"),
    ("ca", "--ca"),
    ("cert", "--cert"),
    ("client_key", "--key"),
    ("user", "--user"),
    ("password_file", "--password-file"),
    ("token_file", "--token-file"),
    ("keycloak_file", "--keycloak-file"),
];

/// Returns the names on the way to the command of a command line, and its arguments.
pub(crate) fn chosen(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut path, mut inner) = (Vec::new(), matches);
    while let Some((name, next)) = inner.subcommand() {
        path.push(name);
        inner = next;
    }
    (path, inner)
}

/// Refuses options of the command line that have no effect on its command.
pub(crate) fn check(matches: &ArgMatches) -> Result<()> {
    let (path, inner) = chosen(matches);
    let is_given = |id: &str| inner.value_source(id) == Some(ValueSource::CommandLine);
    // `Err(UnknownArgument)` is that of another command.
    let has = |id: &str| matches!(inner.try_contains_id(id), Ok(true)) && is_given(id);
    let used: Option<&[&str]> = match path[..] {
        ["dev"] if has("check") || has("salvage") => Some(&["output"]),
        ["dev"] => Some(&["ca"]),
        ["demo" | "backup"] | ["wire", "list"] => Some(&["output"]),
        ["completions" | "man"] => Some(&[]),
        _ => None,
    };
    let path = path.join(" ");
    if let Some(used) = used {
        let unused = GLOBAL.iter().find(|(id, _)| has(id) && !used.contains(id));
        if let Some((_, option)) = unused {
            let text = format!("{option} has no effect on `pravega {path}`: leave it out");
            return Err(Failure::usage(text));
        }
    }
    let format = inner.try_get_one::<Format>("output").ok().flatten().copied();
    check_format(&path, format.unwrap_or(Format::Text))
}

/// Refuses formats in which a command has no output.
fn check_format(path: &str, format: Format) -> Result<()> {
    let refused = match (path, format) {
        (_, Format::Text) => None,
        ("bytes get" | "bytes tail", _) => Some("bytes are printed as they are: leave out -o"),
        ("read" | "group watch" | "table watch", Format::Table) => {
            Some("-o table is not possible, as rows are printed when they come: use -o json")
        }
        _ => None,
    };
    match refused {
        None => Ok(()),
        Some(text) => Err(Failure::usage(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_line(line: &str) -> Result<()> {
        let words = ["pravega"].into_iter().chain(line.split(' '));
        check(&crate::command().try_get_matches_from(words).unwrap())
    }

    #[test]
    fn an_option_without_an_effect_is_refused_before_and_after_its_command() {
        for (line, option) in [
            ("--controller tcp://h:1 demo", "--controller"),
            ("demo --controller tcp://h:1", "--controller"),
            ("-o json dev", "--output"),
            ("dev --user ann", "--user"),
            ("dev --check data --ca x", "--ca"),
            ("backup a b --context c", "--context"),
            ("wire list --controller tcp://h:1", "--controller"),
            ("completions bash -o json", "--output"),
        ] {
            let error = check_line(line).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{option} has no effect")), "{line}: {error}");
        }
        for line in [
            "demo -o json",
            "dev --ca x",
            "-o json dev --check data",
            "-v --timeout 1s dev",
            "wire list -o json",
            "scope list --controller tcp://h:1 --timeout 1s --ca x -o table",
        ] {
            assert!(check_line(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_format_that_a_command_does_not_have_is_refused() {
        for line in [
            "-o table read s/t",
            "-o table read s/t --group g",
            "bytes get s/t -o json",
            "bytes tail s/t -o table",
            "group watch s/g -o table",
            "table watch s/t -o table",
        ] {
            assert!(check_line(line).is_err(), "{line}");
        }
        for line in ["-o json read s/t", "bytes show s/t -o table", "table scan s/t -o table"] {
            assert!(check_line(line).is_ok(), "{line}");
        }
    }
}
