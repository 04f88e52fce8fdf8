//! The entries of tables at the terminal.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio},
};

use pravega_sdk_integration_tests::harness::{
    eventually,
    tool::{command, fails, good, json, pravega, stderr, stdout},
    unique,
};
use serde_json::Value;

/// Creates a table, whose keys have these lengths, in a scope of its own.
fn new_table(primary: &str, secondary: &str) -> String {
    create(&format!("{}/table", scope()), primary, secondary, "3")
}

fn scope() -> String {
    let scope = unique("entries");
    good(&["scope", "create", &scope]);
    scope
}

fn create(table: &str, primary: &str, secondary: &str, partitions: &str) -> String {
    let lens = ["--primary-key-length", primary, "--secondary-key-length", secondary];
    good(&[&["table", "create", table, "--partitions", partitions][..], &lens].concat());
    table.to_owned()
}

/// Runs the tool with some input.
fn feed(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // A command that fails before it reads closes the pipe.
    stdin.write_all(input).ok();
    drop(stdin);
    process.wait_with_output().unwrap()
}

fn feed_fails(code: i32, arguments: &[&str], input: &str) -> String {
    let output = feed(arguments, input.as_bytes());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

fn value(table: &str, key: &str) -> String {
    good(&["table", "get", table, key])
}

#[test]
fn an_entry_is_put_read_changed_on_conditions_and_removed() {
    let table = &new_table("4", "0");
    let first = good(&["table", "insert", table, "pear", "1"]).trim().to_owned();
    assert_eq!(value(table, "pear"), "1\n");
    assert_eq!(good(&["table", "get", table, "pear", "--show-version"]), format!("{first}\t1\n"));
    let entry = &json(&["table", "get", table, "pear"])[0];
    assert_eq!((&entry["primary"], &entry["value"]), (&"pear".into(), &"1".into()));
    assert_eq!(entry["version"], first);

    let error = fails(4, &["table", "insert", table, "pear", "2"]);
    assert_eq!(error, format!("error: key pear of {table} exists; its version is {first}\n"));
    assert_eq!(fails(4, &["table", "put-if", table, "pear", "2", "--absent"]), error);
    let put_at_first = ["table", "put-if", table, "pear", "2", "--version", &first];
    let second = good(&put_at_first).trim().to_owned();
    assert_ne!(second, first);
    let stale = format!("key pear of {table} does not have version {first}; it has {second}");
    assert_eq!(fails(4, &put_at_first), format!("error: {stale}\n"));
    assert_eq!(value(table, "pear"), "2\n", "a refused put changes nothing");

    let error = fails(4, &["table", "remove", table, "pear", "--version", &first]);
    assert_eq!(error, format!("error: {stale}\n"));
    good(&["table", "remove", table, "pear", "--version", &second]);
    let gone = format!("error: key pear of {table} does not exist\n");
    assert_eq!(fails(3, &["table", "get", table, "pear"]), gone);
    assert_eq!(fails(3, &["table", "remove", table, "pear"]), gone);
    let error = fails(4, &["table", "remove", table, "pear", "--version", &second]);
    assert!(error.contains(&format!("{second}; it does not exist")), "{error}");
    good(&["table", "put-if", table, "pear", "3", "--absent"]);
    good(&["table", "put", table, "pear", "4"]);
    assert_eq!(value(table, "pear"), "4\n");
    good(&["table", "remove", table, "pear"]);
}

#[test]
fn of_several_keys_those_that_exist_are_printed_and_the_others_named() {
    let table = &new_table("4", "0");
    for key in ["figs", "pear"] {
        good(&["table", "put", table, key, "1"]);
    }
    let output = pravega(&["table", "get", table, "pear", "kiwi", "figs", "lime"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stdout(&output), "pear\t1\nfigs\t1\n", "in the order of the arguments");
    assert_eq!(stderr(&output), format!("error: 2 keys of {table} do not exist: kiwi, lime\n"));
}

#[test]
fn keys_and_values_of_any_bytes_are_written_in_hexadecimal_base64_or_a_file() {
    let table = &new_table("4", "2");
    let put =
        ["table", "put", table, "-k", "hex", "00ff0a09:0102", "--value-format", "hex", "00ff"];
    good(&put);
    let base64 = ["-k", "base64", "--value-format", "base64"];
    let shown = good(&[&["table", "scan", table][..], &base64].concat());
    assert_eq!(shown, "AP8KCQ==:AQI=\tAP8=\n");
    let entry = &json(&["table", "scan", table])[0];
    assert_eq!(entry["primary_base64"], "AP8KCQ==", "it is no text");
    assert_eq!(
        (&entry["secondary"], &entry["value_base64"]),
        (&"\u{1}\u{2}".into(), &"AP8=".into())
    );

    let bytes = b"\xff\0line\n";
    let output = feed(&["table", "put", table, "abcd:xy", "--file", "-"], bytes);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(pravega(&["table", "get", table, "abcd:xy"]).stdout, [&bytes[..], b"\n"].concat());
    good(&["table", "put", table, "-k", "padded", "ab:x", "{\"a\": 1}", "--value-format", "json"]);
    let json = json(&["table", "get", table, "-k", "padded", "ab:x", "--value-format", "json"]);
    assert_eq!(json[0]["value"], serde_json::json!({"a": 1}));
    assert_eq!(json[0]["primary"], "ab", "the zero bytes are not shown");
}

#[test]
fn what_is_no_key_or_value_of_the_table_is_refused_with_the_reason() {
    let table = &new_table("4", "0");
    let nowhere = &table.replace("/table", "/nowhere");
    for (code, arguments, reason) in [
        (2, &["put", table, "apple", "1"][..], "has 5 bytes, and those of the table have 4"),
        (2, &["put", table, "fig", "1"], "--key-format padded fills shorter keys"),
        (2, &["put", table, "apple", "1", "-k", "padded"], "has 5 bytes"),
        (2, &["get", table, "616g", "-k", "hex"], "key \"616g\" is not hexadecimal: it has 'g'"),
        (2, &["put", table, "pear", "{", "--value-format", "json"], "the value is not JSON"),
        (2, &["put", table, "pear", "4", "--value-format", "hex"], "an odd number"),
        (2, &["put", table, "pear", "--file", "/no/such/file"], "cannot read /no/such/file"),
        (2, &["put", table, "pear"], "<VALUE>"),
        (2, &["put-if", table, "pear", "1"], "--version <VERSION>|--absent"),
        (2, &["put-if", table, "pear", "1", "--version", "7"], "is `segment:version`"),
        (2, &["scan", table, "--prefix", "apple"], "the prefix of a primary key has 5 bytes"),
        (2, &["scan", table, "--from", "a"], "a primary key has 1 bytes"),
        (2, &["watch", table, "--from", "later"], "or it is `now`"),
        (2, &["import", table, "--file", "/no/such/file"], "cannot read /no/such/file"),
        (2, &["-o", "table", "export", table], "and no table"),
        (3, &["get", nowhere, "pear"], "there is no table"),
        (3, &["put", nowhere, "pear", "1"], "there is no table"),
        (3, &["scan", nowhere], "there is no table"),
        (3, &["watch", nowhere], "there is no table"),
        (3, &["export", nowhere], "there is no table"),
        (3, &["import", nowhere], "there is no table"),
    ] {
        let error = fails(code, &[&["table"], arguments].concat());
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
    assert_eq!(good(&["table", "scan", table]), "", "nothing was written");
}

#[test]
fn a_scan_has_the_keys_of_all_partitions_in_order_and_of_a_selection_only_those() {
    let table = &new_table("2", "2");
    for key in ["bb:02", "aa:01", "cc:01", "bb:10", "bb:01", "ab:01"] {
        good(&["table", "put", table, key, &format!("of {key}")]);
    }
    let scan = |options: &[&str]| {
        let shown = good(&[&["table", "scan", table, "--keys-only"], options].concat());
        shown.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(scan(&[]), ["aa:01", "ab:01", "bb:01", "bb:02", "bb:10", "cc:01"]);
    assert_eq!(scan(&["--prefix", "a"]), ["aa:01", "ab:01"]);
    assert_eq!(scan(&["--from", "ab", "--to", "bb", "-n", "3"]), ["ab:01", "bb:01", "bb:02"]);
    assert_eq!(scan(&["--primary", "bb"]), ["bb:01", "bb:02", "bb:10"]);
    assert_eq!(scan(&["--primary", "bb", "--prefix", "0"]), ["bb:01", "bb:02"]);
    assert_eq!(scan(&["--primary", "bb", "--from", "02"]), ["bb:02", "bb:10"]);
    assert!(scan(&["--primary", "xx"]).is_empty());
    assert_eq!(good(&["table", "scan", table, "-n", "1"]), "aa:01\tof aa:01\n");
    let shown = good(&["-o", "table", "table", "scan", table, "--show-version"]);
    assert!(shown.contains("of cc:01") && shown.contains("version"), "{shown}");
}

/// Puts entries of all kinds, more than a page and a window have, and exports them.
fn exported(table: &str, count: usize) -> String {
    let line = |number: usize| {
        let primary = format!("{:02}", number % 90);
        let secondary = format!("{:04}", number / 90);
        let value = match number % 4 {
            0 => serde_json::json!({"value": "text\n\u{0}"}),
            1 => serde_json::json!({"value_base64": "AP8="}),
            2 => serde_json::json!({"value": format!("{{ \"n\": {number} }}")}),
            _ => serde_json::json!({"value": format!("{number}")}),
        };
        let mut line = serde_json::json!({"primary": primary, "secondary": secondary});
        line.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        format!("{line}\n")
    };
    let lines: String = (0..count).map(line).collect();
    let output = feed(&["table", "import", table], lines.as_bytes());
    assert_eq!(stderr(&output), format!("imported {count} entries\n"));
    good(&["table", "export", table])
}

#[test]
fn an_export_that_is_imported_is_the_same_table_in_any_format() {
    let table = &new_table("2", "4");
    let text = exported(table, 2500);
    assert_eq!(text.lines().count(), 2500);
    for (number, formats) in [
        &[][..],
        &["-k", "hex", "--value-format", "hex"],
        &["-k", "base64", "--value-format", "base64"],
        &["-k", "padded", "--value-format", "json"],
    ]
    .into_iter()
    .enumerate()
    {
        let copy = &create(&format!("{table}{number}"), "2", "4", "2");
        let export = good(&[&["table", "export", table], formats].concat());
        let output = feed(&[&["table", "import", copy], formats].concat(), export.as_bytes());
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(good(&["table", "export", copy]), text, "{formats:?}");
    }
}

#[test]
fn a_key_that_exists_fails_an_import_or_is_kept_or_replaced() {
    let table = &new_table("1", "1");
    good(&["table", "put", table, "b:1", "before"]);
    let lines = "\n{\"primary\":\"a\",\"secondary\":\"1\",\"value\":\"x\"}\n\
                 {\"primary\":\"b\",\"secondary\":\"0\",\"value\":\"x\"}\n\
                 {\"primary\":\"b\",\"secondary\":\"1\",\"value\":\"x\"}\n\
                 {\"primary\":\"c\",\"secondary\":\"1\",\"value\":\"x\"}\n\
                 {\"primary\":\"c\",\"secondary\":\"1\",\"value\":\"y\"}\n";
    let error = feed_fails(4, &["table", "import", table], &lines[..lines.len() - 43]);
    assert!(
        error.contains(&format!("line 4: key b:1 of {table} exists; its version is ")),
        "{error}"
    );
    assert!(error.contains("lines 1 to 2 and 5 are imported; --on-conflict keep"), "{error}");
    assert_eq!(good(&["table", "scan", table]), "a:1\tx\nb:1\tbefore\nc:1\tx\n");

    let output = feed(&["table", "import", table, "--on-conflict", "keep"], lines.as_bytes());
    assert_eq!(stderr(&output), "imported 1 entry; 4 more exist and were kept\n");
    assert_eq!(good(&["table", "scan", table]), "a:1\tx\nb:0\tx\nb:1\tbefore\nc:1\tx\n");
    let replace = ["-o", "json", "table", "import", table, "--on-conflict", "replace"];
    let output = feed(&replace, lines.as_bytes());
    assert_eq!(stdout(&output), "{\"imported\":5,\"kept\":0}\n");
    let shown = good(&["table", "scan", table]);
    assert_eq!(shown, "a:1\tx\nb:0\tx\nb:1\tx\nc:1\ty\n", "of two lines the later is last");
}

#[test]
fn a_bad_line_ends_an_import_with_its_number_and_what_is_imported_before() {
    let good_line = |number: usize| format!("{{\"primary\":\"{number:03}\",\"value\":\"\"}}\n");
    for (line, reason) in [
        ("{\"primary\":", "line 301: it is not JSON: EOF while parsing a value at column 11"),
        ("{\"primary\":\"1\",\"value\":\"\"}", "a primary key has 1 bytes, and those of the table"),
        (
            "{\"primary_base64\":\"?\",\"value\":\"\"}",
            "line 301: field \"primary_base64\": not Base64",
        ),
        ("{\"primary\":\"abc\"}", "line 301: it has no field \"value\""),
    ] {
        let table = &new_table("3", "0");
        let lines: String = (1..=300).map(good_line).collect();
        let error = feed_fails(
            7,
            &["table", "import", table],
            &format!("{lines}{line}\n{}", good_line(302)),
        );
        assert!(error.contains(reason), "{error}");
        let told = "lines 1 to 300 are imported; correct line 301, then the rest: tail -n +301";
        assert!(error.contains(told), "{error}");
        assert_eq!(good(&["table", "scan", table]).lines().count(), 300);
    }
}

#[tokio::test]
async fn an_import_that_is_interrupted_writes_the_lines_that_it_has_read_and_tells_which() {
    let table = &new_table("4", "0");
    let mut command = command(&["table", "import", table]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    for key in ["figs", "lime", "pear"] {
        writeln!(stdin, "{{\"primary\":\"{key}\",\"value\":\"1\"}}").unwrap();
    }
    // The pipe stays open, and the entries are written all the same.
    let count = async || good(&["table", "scan", table]).lines().count();
    eventually("the entries are in the table", async || count().await == 3).await;
    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let told = stderr(&output);
    assert!(told.contains("stopped by SIGINT: lines 1 to 3 are imported"), "{told}");
    assert!(told.contains("the rest: tail -n +4"), "{told}");
    drop(stdin);
}

/// A watch in a process, and its lines as they come.
struct Watch {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    status: Lines<BufReader<ChildStderr>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Watch {
    /// Starts a watch, and returns once it has its position.
    fn start(table: &str, from: &str) -> Self {
        let mut command =
            command(&["-o", "json", "table", "watch", table, "--from", from, "--interval", "1ms"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut status = BufReader::new(process.stderr.take().unwrap()).lines();
        let started = status.next().unwrap().unwrap();
        assert!(started.starts_with(&format!("watching {table} from ")), "{started}");
        Self { process, lines, status }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// Ends the watch as Ctrl-C does, and returns the position that it prints.
    fn stop(mut self) -> String {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        assert_eq!(self.process.wait().unwrap().code(), Some(130));
        assert!(self.lines.next().is_none(), "everything was received before");
        let told: Vec<String> = self.status.by_ref().map(Result::unwrap).collect();
        let position = told.iter().find_map(|line| line.strip_prefix("position "));
        position.unwrap_or_else(|| panic!("{told:?}")).to_owned()
    }
}

#[test]
fn a_watch_that_is_resumed_prints_each_put_once() {
    let table = &create(&format!("{}/table", scope()), "4", "0", "1");
    let mut position = "start".to_owned();
    let mut seen = Vec::new();
    for round in 0..3 {
        let keys: Vec<String> = (0..5).map(|number| format!("{round}{number:03}")).collect();
        let (before, during) = keys.split_at(3);
        for key in before {
            good(&["table", "put", table, key, "x"]);
        }
        let mut watch = Watch::start(table, &position);
        for _ in before {
            seen.push(watch.next());
        }
        for key in during {
            good(&["table", "put", table, key, "x"]);
            seen.push(watch.next());
        }
        good(&["table", "remove", table, &keys[0]]);
        let removed = watch.next();
        assert_eq!(
            (&removed["change"], &removed["primary"]),
            (&"removed".into(), &keys[0].as_str().into())
        );
        position = watch.stop();
        assert_eq!(removed["position"], position, "each line has the position after it");
    }
    let mut keys: Vec<_> = seen.iter().map(|put| put["primary"].as_str().unwrap()).collect();
    keys.sort_unstable();
    let expected: Vec<_> =
        (0..3).flat_map(|round| (0..5).map(move |n| format!("{round}{n:03}"))).collect();
    assert_eq!(keys, expected, "nothing is lost, and nothing is printed twice");
}

#[test]
fn a_watch_from_now_passes_over_what_was_put_before() {
    let table = &new_table("4", "0");
    good(&["table", "put", table, "pear", "1"]);
    let mut watch = Watch::start(table, "now");
    good(&["table", "put", table, "lime", "1"]);
    let first = watch.next();
    assert_eq!((&first["change"], &first["primary"]), (&"put".into(), &"lime".into()));
    let position = watch.stop();
    assert_eq!(first["position"], position);
}

/// Prints some changes from a position on. Returns the lines, and the position that is printed.
fn watched(table: &str, from: &str, limit: &str) -> (Vec<String>, String) {
    let watch = ["table", "watch", table, "--from", from, "--interval", "1ms", "--limit", limit];
    let output = pravega(&watch);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    let position = told.lines().find_map(|line| line.strip_prefix("position ")).unwrap();
    let printed = stdout(&output);
    let lines = printed.lines().map(|line| line.split('\t').take(2).collect::<String>());
    (lines.collect(), position.to_owned())
}

#[test]
fn a_watch_that_ends_after_each_change_prints_each_put_once() {
    let table = &create(&format!("{}/table", scope()), "4", "0", "1");
    let keys = ["figs", "kiwi", "lime", "nuts", "pear"];
    for key in keys {
        good(&["table", "put", table, key, "1"]);
    }
    let (all, end) = watched(table, "start", "5");
    assert_eq!(all, keys.map(|key| format!("put{key}")));
    assert_eq!(end.matches([',', '-', '@', '+']).count(), 0, "{end} is not amid changes");

    let (mut position, mut seen) = ("start".to_owned(), Vec::new());
    for number in 0..keys.len() {
        let (line, after) = watched(table, &position, "1");
        seen.extend(line);
        position = after;
        // Changes of keys before and after the position.
        if number == 1 {
            good(&["table", "put", table, "figs", "2"]);
            good(&["table", "put", table, "pear", "2"]);
            good(&["table", "remove", table, "nuts"]);
        }
    }
    assert_eq!(seen, ["putfigs", "putkiwi", "putlime", "putpear", "putfigs"]);
    // Nothing is left, so the next change is the one that follows.
    let mut watch = Watch::start(table, &position);
    good(&["table", "put", table, "zest", "1"]);
    assert_eq!(watch.next()["primary"], "zest");
    watch.stop();
}

#[test]
fn each_line_of_a_watch_has_the_position_after_it() {
    let table = &create(&format!("{}/table", scope()), "4", "0", "2");
    let keys = ["figs", "kiwi", "lime", "nuts"];
    for key in keys {
        good(&["table", "put", table, key, "1"]);
    }
    let watch = |from: &str, limit: usize| {
        let limit = limit.to_string();
        json(&["table", "watch", table, "--from", from, "--interval", "1ms", "--limit", &limit])
    };
    let all = watch("start", keys.len());
    for (number, change) in all.iter().enumerate().take(keys.len() - 1) {
        let rest = watch(change["position"].as_str().unwrap(), keys.len() - 1 - number);
        assert_eq!(rest, all[number + 1..], "after {change}");
    }
}

#[test]
fn a_position_that_the_table_cannot_have_had_is_refused() {
    let table = &create(&format!("{}/table", scope()), "4", "0", "1");
    good(&["table", "put", table, "pear", "1"]);
    let (_, position) = watched(table, "start", "1");
    for (position, reason) in [
        (format!("{position}0"), "is beyond its end"),
        ("0:0-1@ff".to_owned(), "a key of 1 bytes, which is none of this table"),
        ("0:0-1@f".to_owned(), "amid changes it is longer, and a part of it is no position"),
    ] {
        let error = fails(2, &["table", "watch", table, "--from", &position]);
        assert!(error.contains(reason), "{position}: {error}");
    }
}
