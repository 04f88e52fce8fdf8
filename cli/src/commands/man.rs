//! `pravega man`

use crate::{
    context::Context,
    failure::{Failure, Result},
    similar::similar,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Words of the command, such as `stream create` [default: the tool as a whole]
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
}

/// Prints the manual page of a command of `tool`.
pub(crate) fn run(arguments: &Arguments, tool: clap::Command, context: &mut Context) -> Result<()> {
    let command = find(tool, &arguments.path)?;
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Failure::other)?;
    context.output.raw(&page)
}

/// Finds a command by its path, with the name of the whole path.
fn find(mut tool: clap::Command, path: &[String]) -> Result<clap::Command> {
    // Subcommands get the global options.
    tool.build();
    let (mut command, mut name) = (tool, "pravega".to_owned());
    for word in path {
        let Some(below) = command.find_subcommand(word).cloned() else {
            let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            let hint = match similar(word, &names) {
                Some(similar) => format!("did you mean {similar}?"),
                None => format!("there are {}", names.join(", ")),
            };
            return Err(
                Failure::usage(format_args!("there is no command {name} {word}")).with_hint(hint)
            );
        };
        name = format!("{name} {}", below.get_name());
        command = below;
    }
    Ok(command.display_name(name.replace(' ', "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &[&str]) -> Result<String> {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        let mut page = Vec::new();
        clap_mangen::Man::new(find(crate::command(), &path)?).render(&mut page).unwrap();
        Ok(String::from_utf8(page).unwrap())
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let page = page(&["stream", "create"]).unwrap();
        for part in
            ["pravega-stream-create", "segments", "controller", "pravega stream create shop"]
        {
            assert!(page.replace('\\', "").contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn an_unknown_command_has_no_page_and_one_like_it_is_named() {
        let error = page(&["stream", "creat"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no command pravega stream creat");
    }
}
