//! The examples in the help of each command. A test parses every one of them.

/// The heading of examples in a help.
const HEADING: &str = "Examples:";

/// Commands, and the examples of those whose help has no others.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("auth login", &["pravega auth login --context prod --user ann --password-file ann.password"]),
    ("auth logout", &["pravega auth logout --context prod"]),
    ("auth status", &["pravega auth status", "pravega -o json auth status --context prod"]),
    (
        "bytes get",
        &[
            "pravega bytes get shop/film > film.mp4",
            "pravega bytes get shop/film --offset 1M --length 64K",
        ],
    ),
    (
        "bytes put",
        &[
            "pravega bytes put shop/film --file film.mp4 --seal",
            "tar c photos | pravega bytes put shop/photos",
        ],
    ),
    ("bytes show", &["pravega bytes show shop/film"]),
    ("bytes tail", &["pravega bytes tail shop/log --back 4K"]),
    ("bytes truncate", &["pravega bytes truncate shop/log 64M"]),
    (
        "completions",
        &[
            "pravega completions bash > ~/.local/share/bash-completion/completions/pravega",
            "pravega completions zsh > ~/.zfunc/_pravega",
            "pravega completions fish > ~/.config/fish/completions/pravega.fish",
        ],
    ),
    ("context delete", &["pravega context delete prod"]),
    ("context describe", &["pravega context describe", "pravega context describe prod"]),
    ("context list", &["pravega context list"]),
    (
        "context set",
        &[
            "pravega context set prod --controller tls://pravega.example.com:9090 --ca ca.pem",
            "pravega context set prod --unset credentials",
        ],
    ),
    ("context use", &["pravega context use prod", "pravega context use --none"]),
    (
        "cut distance",
        &["pravega cut distance UNBOUNDED UNBOUNDED", "pravega cut distance CUT UNBOUNDED"],
    ),
    ("cut next", &["pravega cut next CUT 64M"]),
    ("cut ranges", &["pravega cut ranges CUT UNBOUNDED"]),
    (
        "cut show",
        &[
            "pravega cut show shop/orders",
            "pravega cut show shop/orders --at tail",
            "pravega cut show CUT",
        ],
    ),
    ("demo", &["pravega demo", "pravega demo /usr/share/dict/words"]),
    (
        "doctor",
        &[
            "pravega doctor",
            "pravega doctor --settings",
            "pravega --controller tls://pravega.example.com:9090 doctor --probe",
        ],
    ),
    ("group cuts", &["pravega group cuts shop/billing --ask 10s"]),
    ("group delete", &["pravega group delete shop/billing"]),
    ("group describe", &["pravega group describe shop/billing"]),
    ("group list", &["pravega group list shop"]),
    ("group watch", &["pravega group watch shop/billing --until-end"]),
    ("man", &["pravega man stream create | man -l -"]),
    ("scope create", &["pravega scope create shop"]),
    ("scope delete", &["pravega scope delete shop", "pravega scope delete shop --recursive --yes"]),
    ("scope describe", &["pravega scope describe shop"]),
    ("scope list", &["pravega scope list", "pravega -o json scope list"]),
    ("segment describe", &["pravega segment describe shop/orders/0.#epoch.0"]),
    ("segment list", &["pravega segment list shop/orders"]),
    ("segment locate", &["pravega segment locate shop/orders/0.#epoch.0"]),
    ("segment successors", &["pravega segment successors shop/orders/0.#epoch.0"]),
    (
        "stream create",
        &[
            "pravega stream create shop/orders",
            "pravega stream create shop/orders --segments 4 --retain-time 7days",
            "pravega stream create shop/orders --events-per-second 1000:2:4 --tag billing",
        ],
    ),
    ("stream delete", &["pravega stream delete shop/orders --seal"]),
    ("stream describe", &["pravega stream describe shop/orders"]),
    ("stream epochs", &["pravega stream epochs shop/orders"]),
    ("stream list", &["pravega stream list shop", "pravega stream list shop --tag billing"]),
    (
        "stream scale",
        &[
            "pravega stream scale shop/orders --to 8",
            "pravega stream scale shop/orders --split 0",
            "pravega stream scale shop/orders --merge 1,2",
            "pravega stream scale shop/orders --ranges 0.0-0.1,0.1-0.5",
        ],
    ),
    ("stream scaling-state", &["pravega stream scaling-state shop/orders"]),
    ("stream seal", &["pravega stream seal shop/orders"]),
    (
        "stream segments",
        &["pravega stream segments shop/orders", "pravega stream segments shop/orders --epoch 0"],
    ),
    ("stream subscribers", &["pravega stream subscribers shop/orders"]),
    (
        "stream truncate",
        &[
            "pravega stream truncate shop/orders --keep 1h",
            "pravega stream truncate shop/orders --before tail",
            "pravega stream truncate shop/orders --at 0=1024",
        ],
    ),
    (
        "stream update",
        &[
            "pravega stream update shop/orders --retain-bytes 1G..10G",
            "pravega stream update shop/orders --segments 8",
        ],
    ),
    (
        "table create",
        &[
            "pravega table create shop/prices --primary-key-length 8",
            "pravega table create shop/stock --primary-key-length 8 --secondary-key-length 4",
        ],
    ),
    ("table delete", &["pravega table delete shop/prices"]),
    ("table describe", &["pravega table describe shop/prices"]),
    ("table export", &["pravega table export shop/prices --key-format padded > prices.jsonl"]),
    ("table get", &["pravega table get shop/prices --key-format padded apple pear"]),
    ("table insert", &["pravega table insert shop/prices --key-format padded apple 3"]),
    ("table list", &["pravega table list shop"]),
    (
        "table put",
        &[
            "pravega table put shop/prices --key-format padded apple 3",
            "pravega table put shop/prices --key-format padded apple --file apple.json",
        ],
    ),
    (
        "table put-if",
        &["pravega table put-if shop/prices --key-format padded apple 4 --version 0:0"],
    ),
    ("table remove", &["pravega table remove shop/prices --key-format padded apple"]),
    ("table scan", &["pravega table scan shop/prices --key-format padded --prefix a"]),
    ("table segments", &["pravega table segments shop/prices"]),
    ("table watch", &["pravega table watch shop/prices --key-format padded --from start"]),
    ("txn abort", &["pravega txn abort shop/orders ID"]),
    ("txn begin", &["pravega txn begin shop/orders", "pravega txn begin shop/orders --lease 1m"]),
    ("txn commit", &["pravega txn commit shop/orders ID --wait 10s"]),
    ("txn list", &["pravega txn list shop/orders"]),
    ("txn ping", &["pravega txn ping shop/orders ID --lease 5m"]),
    ("txn status", &["pravega txn status shop/orders ID"]),
    ("txn write", &["pravega txn write shop/orders ID --file orders.txt"]),
    ("wire list", &["pravega wire list"]),
    ("wire script", &["pravega wire script commands.jsonl --to 127.0.0.1:12345"]),
    ("wire send", &["pravega wire send GetStreamSegmentInfo segmentName=shop/orders/0.#epoch.0"]),
];

/// Adds examples to every command whose help has none.
pub(crate) fn added(command: clap::Command) -> clap::Command {
    add(command, "")
}

fn add(command: clap::Command, path: &str) -> clap::Command {
    let command = match EXAMPLES.iter().find(|(name, _)| *name == path) {
        None => command,
        Some((_, examples)) => {
            let before = command.get_after_help().map(|text| format!("{text}\n\n"));
            let text = format!("{HEADING}\n  {}", examples.join("\n  "));
            command.after_help(before.unwrap_or_default() + &text)
        }
    };
    let below = |child: clap::Command| {
        let path = format!("{path} {}", child.get_name());
        add(child, path.trim_start())
    };
    command.mut_subcommands(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command, by its path, and its help.
    struct Shown {
        path: String,
        help: String,
        is_leaf: bool,
    }

    fn all(command: &clap::Command, path: &str, found: &mut Vec<Shown>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.push(Shown { path: path.to_owned(), help, is_leaf: !command.has_subcommands() });
        for child in command.get_subcommands() {
            all(child, format!("{path} {}", child.get_name()).trim_start(), found);
        }
    }

    /// The words of a command line, with the quotes of a shell.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for c in line.chars() {
            match quote {
                Some(open) if open == c => quote = None,
                None if c == '\'' || c == '"' => quote = Some(c),
                None if c == ' ' => words.push(std::mem::take(&mut word)),
                _ => word.push(c),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        words
    }

    /// The examples of a help, each as one line.
    fn examples(help: &str) -> Vec<String> {
        let text = help.replace("\\\n", " ");
        let lines = text.lines().skip_while(|line| *line != HEADING).skip(1);
        lines.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
    }

    /// Parses an example, and returns the path of its command.
    fn path_of(example: &str) -> String {
        let line = example.replace("CUT", "UNBOUNDED").replace(" ID", &format!(" {ID}"));
        // What a shell does, and a remark.
        let line = line.split(" | ").find(|part| part.starts_with("pravega")).unwrap();
        let line = line.split("   ").next().unwrap().split(" > ").next().unwrap();
        let matches = crate::command().try_get_matches_from(words(line.trim_end_matches(" &")));
        let matches = matches.unwrap_or_else(|error| panic!("{example}: {error}"));
        let (path, _) = crate::options::chosen(&matches);
        path.join(" ")
    }

    #[test]
    fn the_help_of_every_command_has_an_example_of_it_and_each_is_taken() {
        let mut found = Vec::new();
        all(&crate::command(), "", &mut found);
        assert!(found.len() > 60, "{} commands", found.len());
        for Shown { path, help, is_leaf } in found {
            let mut examples = examples(&help);
            // The text of a checkpoint is long.
            examples.retain(|example| !example.contains("CHECKPOINT"));
            let is_shown = examples.iter().filter(|example| path_of(example) == path).count() > 0;
            assert!(is_shown || !is_leaf, "no example of {path}: {help}");
        }
    }

    #[test]
    fn every_entry_is_for_a_command_without_other_examples() {
        let mut found = Vec::new();
        all(&crate::command(), "", &mut found);
        for (name, _) in EXAMPLES {
            let shown = found.iter().find(|shown| shown.path == *name);
            let help = &shown.unwrap_or_else(|| panic!("there is no command {name}")).help;
            assert_eq!(help.matches(HEADING).count(), 1, "{name}");
        }
    }

    const ID: &str = "00000002-e5f6-522f-2a83-a7317802fb7c";
}
