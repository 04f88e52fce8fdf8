//! A flipped bit in any byte of the folder of a server: it is named with its file, or harmless.

use std::collections::BTreeMap;

use super::{
    super::{super::ReadFile, CheckpointFile, RunFile, kept::footer},
    Disk, FetchStep, Kept, OpenFailure, Past, Sequence, Server, Zeros, image, open, read_all,
    read_folder, restored, settings, settle,
};

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a server that was shut down: a checkpoint that needs a run, the log before it and
/// after it, and a segment that has bytes of another.
fn written() -> Files {
    let folder = |seed| {
        let opened = Server::open(Disk::default(), Past::new(seed), Sequence(0), seed, None);
        let Ok(mut server) = opened else { panic!("a disk without faults fails") };
        server.kept.log.zeros = Zeros::None;
        for _ in 0..300 {
            server.run(1);
            let files = server.kept.log.disk.list();
            let has_checkpoint = files.keys().any(|name| CheckpointFile::of_name(name).is_some());
            let has_parts = server.past.history.machine.store.parts_count() > 0;
            if has_checkpoint && has_parts {
                server.kept.log.close();
                let held = read_folder(&server.kept.log.disk).unwrap();
                let has_run = held.known.is_some_and(|(_, end)| !end.runs.is_empty());
                return has_run.then(|| server.kept.log.disk.contents());
            }
        }
        None
    };
    let len = |files: &Files| files.values().map(Vec::len).sum::<usize>();
    (0..40).filter_map(folder).min_by_key(len).unwrap()
}

/// The server in a folder, as text; otherwise the file that is damaged.
fn open_and_read(files: &Files) -> Result<Vec<String>, String> {
    let mut disk = Disk::with_contents(files);
    let held = match read_folder(&disk) {
        Ok(held) => held,
        Err(OpenFailure::Problem(problem)) => return Err(problem.file),
        Err(other) => panic!("{other:?}"),
    };
    let known = held.known.iter().flat_map(|(_, end)| &end.runs);
    let known = known.map(|it| (it.run, it.salt, it.len));
    let moved = held.recovered.moved.iter();
    let moved = moved.map(|it| (RunFile::of(it.file), it.run_salt, it.run_len));
    for (run, salt, len) in known.chain(moved) {
        if footer(&disk, run, salt, len).is_none() {
            return Err(run.name());
        }
    }
    let mut machine = restored(&held);
    let (writer, _) = open(&mut disk, 1).unwrap();
    let kept = Kept::new((disk, writer), Some(&held), settings(), 1, None);
    settle(&mut machine.store);
    match read_all(&kept, &mut machine) {
        Ok(()) => Ok(image(&machine)),
        Err(FetchStep::Damaged { file: ReadFile::Log(file), .. }) => Err(file.name()),
        Err(FetchStep::Damaged { file: ReadFile::Run(run), .. }) => Err(run.name()),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_flipped_bit_in_any_byte_of_a_servers_folder_is_named_or_harmless() {
    let files = written();
    let len = files.values().map(Vec::len).sum::<usize>();
    println!("{len} bytes in {:?}", files.keys());
    let whole = open_and_read(&files).unwrap();
    let (mut named, mut harmless) = (0, 0);
    for (name, content) in &files {
        // Each byte with another bit than the one before it.
        for bit in (0..content.len()).map(|byte| byte * 8 + byte % 8) {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            match open_and_read(&damaged) {
                Ok(found) => {
                    assert_eq!(found, whole, "bit {bit} of {name}");
                    let is_needed = CheckpointFile::of_name(name).is_some() || name == "folder";
                    assert!(!is_needed, "bit {bit} of {name} is not noticed");
                    harmless += 1;
                }
                Err(file) => {
                    assert_eq!(&file, name, "bit {bit}");
                    named += 1;
                }
            }
        }
    }
    let len = files.values().map(Vec::len).sum::<usize>();
    println!(
        "{len} bytes in {:?}: {named} flips are named, {harmless} change nothing",
        files.keys()
    );
    assert!(named > harmless && named > 1000, "{named} of {harmless}");
}
