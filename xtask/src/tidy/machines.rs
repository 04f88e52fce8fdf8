//! Machines are pure: they import no driver and no surface, read no clock, and do no I/O.
//!
//! A machine is a file or folder of that name, or one of the folders of [`PURE`].

use super::{
    imports::Imports,
    source::{SourceFile, is_in_crate},
};

/// Folders of machines with another name.
const PURE: &[&str] = &[
    "event-stream/src/group/state",
    "segment-client/src/append/segment",
    "segment-client/src/append/stream",
    "server-core/src",
];

/// Files and folders that drive machines or are built on them. `driver` is one everywhere.
const ABOVE: &[&str] = &[
    "connection-pool/src/claim.rs",
    "connection-pool/src/pool",
    "connection-pool/src/resolver",
    "connection-pool/src/shared_claim.rs",
    "controller-client/src/clock.rs",
    "controller-client/src/dial.rs",
    "controller-client/src/grpc",
    "controller-client/src/network.rs",
    "event-stream/src/batch.rs",
    "event-stream/src/byte",
    "event-stream/src/group/liveness/store.rs",
    "event-stream/src/group/store",
    "event-stream/src/index",
    "event-stream/src/reader/event_reader.rs",
    "event-stream/src/reader/mod.rs",
    "event-stream/src/transaction/commit.rs",
    "event-stream/src/transaction/mod.rs",
    "event-stream/src/transaction/pings.rs",
    "event-stream/src/writer/event_writer.rs",
    "event-stream/src/writer/mod.rs",
    "event-stream/src/writer/permit.rs",
    "event-stream/src/writer/sink.rs",
    "identity/src/keycloak.rs",
    "identity/src/open_id.rs",
    "segment-client/src/append/ack.rs",
    "segment-client/src/append/capacity.rs",
    "segment-client/src/append/handle.rs",
    "segment-client/src/connection/dial.rs",
    "segment-client/src/connection/raw_client.rs",
    "segment-client/src/connection/store_connection.rs",
    "segment-client/src/connection/store_pool.rs",
    "segment-client/src/connection/stream.rs",
    "segment-client/src/context.rs",
    "segment-client/src/request.rs",
    "segment-client/src/runtime.rs",
    "table-synchronizer/src/key_value_table/entries.rs",
    "table-synchronizer/src/key_value_table/table.rs",
    "table-synchronizer/src/segment/iteration.rs",
    "table-synchronizer/src/segment/table_segment.rs",
    "server/src/builder.rs",
    "server/src/connection.rs",
    "server/src/embedded.rs",
    "server/src/journal",
    "server/src/rest.rs",
    "server/src/service.rs",
    "server/src/state.rs",
];

/// Known imports. An entry that is no longer an import is refused.
const KNOWN: &[(&str, &str)] = &[];

/// Words that the code of a machine must not contain: time and randomness are arguments.
const NOT_IN_MACHINES: &[&str] =
    &["tokio", "Instant::now", "SystemTime", "fastrand", "async fn", ".await", "std::thread"];

/// Reports every import of a driver or a surface by a machine.
pub(super) fn check_imports(folder: &str, imports: &Imports, broken: &mut Vec<String>) {
    check_against(KNOWN, folder, imports, broken);
}

fn check_against(
    known: &[(&str, &str)],
    folder: &str,
    imports: &Imports,
    broken: &mut Vec<String>,
) {
    let mut seen = Vec::new();
    for (file, imported) in imports.iter().filter(|(file, _)| is_machine(file)) {
        for above in imported.iter().filter(|other| is_above(other)) {
            let entry = (file.as_str(), above.as_str());
            if known.contains(&entry) {
                seen.push(entry);
            } else {
                broken.push(format!("{file}: a machine must not import {above}"));
            }
        }
    }
    for entry in known.iter().filter(|entry| is_in_crate(entry.0, folder)) {
        if !seen.contains(entry) {
            let (file, above) = entry;
            broken.push(format!("{file}: no longer imports {above}, remove it from the list"));
        }
    }
}

/// Reports every word in the code of a machine that only a driver may use.
pub(super) fn check_words(files: &[SourceFile], broken: &mut Vec<String>) {
    for file in files.iter().filter(|file| is_machine(&file.path) && !file.is_test()) {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (index, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in NOT_IN_MACHINES.iter().filter(|word| line.contains(**word)) {
                let (path, number) = (&file.path, index + 1);
                broken.push(format!("{path}:{number}: a machine must not contain `{word}`"));
            }
        }
    }
}

fn is_machine(path: &str) -> bool {
    path.split('/').any(|part| part == "machine" || part == "machine.rs")
        || PURE.iter().any(|folder| is_within(path, folder))
}

fn is_above(path: &str) -> bool {
    path.split('/').any(|part| part == "driver" || part == "driver.rs")
        || ABOVE.iter().any(|folder| is_within(path, folder))
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{imports, scratch::Scratch};

    fn files(tree: &[(&str, &str)]) -> Vec<SourceFile> {
        SourceFile::read_crate(Scratch::new(tree).path(), "event-stream").unwrap()
    }

    const UPWARDS: &[(&str, &str)] = &[
        ("event-stream/src/lib.rs", "mod read; mod writer; pub use writer::Writer;"),
        ("event-stream/src/read/mod.rs", "mod machine; mod driver; pub struct Read;"),
        ("event-stream/src/read/driver.rs", "pub fn drive() {} use super::machine::Machine;"),
        (
            "event-stream/src/read/machine.rs",
            "use crate::Writer; pub struct Machine; fn f() { super::driver::drive() }",
        ),
        ("event-stream/src/writer/mod.rs", "pub struct Writer;"),
    ];

    fn check(known: &[(&str, &str)], tree: &[(&str, &str)]) -> Vec<String> {
        let mut broken = Vec::new();
        let imports = imports::of_crate("event-stream", &files(tree));
        check_against(known, "event-stream", &imports, &mut broken);
        broken
    }

    #[test]
    fn a_machine_that_imports_a_driver_or_a_surface_is_refused() {
        let expected = [
            "a machine must not import event-stream/src/read/driver.rs",
            "a machine must not import event-stream/src/writer/mod.rs",
        ]
        .map(|refused| format!("event-stream/src/read/machine.rs: {refused}"));
        assert_eq!(check(&[], UPWARDS), expected);
    }

    #[test]
    fn a_driver_may_import_a_machine() {
        let tree = [
            ("event-stream/src/lib.rs", "mod machine; mod driver;"),
            (
                "event-stream/src/machine.rs",
                "pub struct Machine; #[cfg(test)] use crate::driver::D;",
            ),
            ("event-stream/src/driver.rs", "use crate::machine::Machine; pub struct D(Machine);"),
        ];
        assert!(check(&[], &tree).is_empty());
    }

    #[test]
    fn an_entry_of_the_list_that_is_no_longer_an_import_is_refused() {
        let known = ("event-stream/src/read/machine.rs", "event-stream/src/writer/mod.rs");
        assert_eq!(check(&[known], UPWARDS).len(), 1, "the driver is left");
        assert_eq!(check(&[known], &[("event-stream/src/lib.rs", "")]).len(), 1);
    }

    #[test]
    fn a_machine_that_reads_a_clock_is_refused_and_its_tests_are_not() {
        let tree = files(&[(
            "event-stream/src/machine.rs",
            "// tokio\nfn f() { Instant::now(); }\n#[cfg(test)]\nmod tests { use tokio::spawn; }\n",
        )]);
        let mut broken = Vec::new();
        check_words(&tree, &mut broken);
        assert_eq!(
            broken,
            ["event-stream/src/machine.rs:2: a machine must not contain `Instant::now`"]
        );
    }
}
