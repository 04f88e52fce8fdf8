//! Every byte that is needed is checked: each flipped bit and each cut of a small folder is found
//! where it is, whatever else goes on nothing whole is called damaged, and what is damaged hides
//! nothing else.

use bytes::BytesMut;
use proptest::prelude::*;

use super::{
    super::super::{
        CheckpointFile, Damage, Extent, FileHead, FileKind, FileNumber, FrameBuilder, Place, Salt,
        Scrub, ScrubEnd, ScrubFile, ScrubStep, ScrubTarget, What,
    },
    *,
};

/// Checks a file. No read is longer than a usual one, but for a block that a checkpoint has.
fn scrub(target: ScrubTarget, mut read: impl FnMut(u64, u64) -> Bytes) -> (Vec<Damage>, ScrubEnd) {
    let (mut scrub, mut found) = (Scrub::new(FOLDER, target), Vec::new());
    let mut reads = 0;
    loop {
        match scrub.poll() {
            ScrubStep::Read { at, len } => {
                assert!(len <= 1 << 20, "{len} bytes");
                reads += 1;
                assert!(reads < 10_000, "the check does not end");
                scrub.handle_read(read(at, len));
            }
            ScrubStep::Damaged(damage) => {
                assert!(!damage.range.is_empty(), "{damage:?}");
                found.push(damage);
            }
            ScrubStep::Done(end) => return (found, end),
        }
    }
}

fn part(content: &[u8], at: u64, len: u64) -> Bytes {
    let from = (at as usize).min(content.len());
    Bytes::copy_from_slice(&content[from..(from + len as usize).min(content.len())])
}

impl Storage {
    /// All files that the folder needs.
    fn targets(&self) -> Vec<ScrubTarget> {
        let keeper = &self.kept.keeper;
        let listing = self.kept.log.disk.list();
        let checkpoints = listing.keys().filter_map(|name| CheckpointFile::of_name(name)).collect();
        let chain = CheckpointFile::chain(checkpoints).unwrap().0;
        let chain =
            chain.into_iter().map(|file| ScrubTarget::checkpoint(file, listing[&file.name()]));
        let kept = keeper.scrub_files().into_iter();
        [ScrubTarget::FOLDER, ScrubTarget::MARK]
            .into_iter()
            .chain(chain)
            .chain(kept.map(|file| keeper.scrub_target(file).unwrap()))
            .collect()
    }
}

/// A storage with files of all kinds.
fn written() -> Storage {
    let written = |seed| {
        let Ok(mut storage) = Storage::open(Disk::default(), &[], 0, seed, None) else {
            panic!("a disk without faults fails");
        };
        for _ in 0..6 {
            storage.run(30);
        }
        let files = storage.targets();
        let has = |is: fn(&ScrubFile) -> bool| files.iter().any(|target| is(&target.file));
        let is_moved = |file: &ScrubFile| matches!(file, ScrubFile::Log(file) if file.is_moved());
        let has_all = has(|file| matches!(file, ScrubFile::Checkpoint(_)))
            && has(|file| matches!(file, ScrubFile::Run(_)))
            && has(is_moved);
        has_all.then_some(storage)
    };
    (0..100).find_map(written).expect("one of them has files of all kinds")
}

#[test]
fn every_flipped_bit_is_found_where_it_is_and_nothing_else_is_called_damaged() {
    let storage = written();
    let mut flips = 0;
    for target in storage.targets() {
        let content = &storage.kept.log.disk.contents()[&target.file.name()];
        let whole = scrub(target, |at, len| part(content, at, len));
        assert_eq!(whole, (vec![], ScrubEnd::Reached), "{target:?}");
        let (Extent::Exactly(len) | Extent::UpTo(len)) = target.extent;
        for bit in 0..len as usize * 8 {
            let mut content = content.clone();
            content[bit / 8] ^= 1 << (bit % 8);
            let (found, _) = scrub(target, |at, len| part(&content, at, len));
            let byte = bit as u64 / 8;
            let [Damage { file, range, .. }] = &found[..] else {
                panic!("bit {bit} of {target:?}: {found:?}");
            };
            assert!(*file == target.file && range.contains(&byte), "bit {bit}: {found:?}");
            flips += 1;
        }
    }
    println!("{flips} bits");
    assert!(flips > 50_000, "{flips}");
}

#[test]
fn every_cut_of_a_file_is_found_and_a_missing_file_is_damage() {
    let storage = written();
    for target in storage.targets() {
        let content = &storage.kept.log.disk.contents()[&target.file.name()];
        let (Extent::Exactly(len) | Extent::UpTo(len)) = target.extent;
        for cut in 0..len as usize {
            let (found, _) = scrub(target, |at, len| part(&content[..cut], at, len));
            let last = found.last().unwrap_or_else(|| panic!("{target:?} cut to {cut}"));
            assert!(last.range.end >= len, "{target:?} cut to {cut}: {found:?}");
        }
        let missing = Scrub::new(FOLDER, target).missing();
        assert_eq!((missing.file, missing.what), (target.file, What::Missing));
    }
}

#[test]
fn a_file_in_the_place_of_another_is_damage() {
    let storage = written();
    let targets = storage.targets();
    let contents = storage.kept.log.disk.contents();
    let mut swaps = 0;
    for target in &targets {
        for other in targets.iter().filter(|other| other.file != target.file) {
            let content = &contents[&other.file.name()];
            let (found, _) = scrub(*target, |at, len| part(content, at, len));
            assert!(!found.is_empty(), "{other:?} in the place of {target:?}");
            swaps += 1;
        }
    }
    assert!(swaps > 50);
}

#[test]
fn while_changes_go_on_no_whole_file_is_called_damaged_and_every_file_can_be_removed() {
    let (mut checked, mut given_up) = (0, 0);
    for seed in 0..40 {
        let Ok(mut storage) = Storage::open(Disk::default(), &[], 0, seed, None) else {
            panic!("a disk without faults fails");
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let mut under_way: Option<(ScrubFile, Scrub)> = None;
        for _ in 0..150 {
            storage.run(random.usize(..3));
            for _ in 0..random.usize(..6) {
                let (disk, keeper) = (&storage.kept.log.disk, &storage.kept.keeper);
                let Some((file, scrub)) = &mut under_way else {
                    let mut files = keeper.scrub_files();
                    files.extend([ScrubFile::Folder, ScrubFile::Mark]);
                    let file = files[random.usize(..files.len())];
                    let target = keeper.scrub_target(file).unwrap();
                    under_way = Some((file, Scrub::new(FOLDER, target)));
                    continue;
                };
                match scrub.poll() {
                    ScrubStep::Read { .. } if !disk.list().contains_key(&file.name()) => {
                        assert_eq!(keeper.scrub_target(*file), None, "{file:?} is gone");
                        given_up += 1;
                        under_way = None;
                    }
                    ScrubStep::Read { at, len } => {
                        scrub.handle_read(disk.read(&file.name(), at, len));
                    }
                    ScrubStep::Damaged(damage) => panic!("{seed}: {damage:?}"),
                    ScrubStep::Done(_) => {
                        checked += 1;
                        under_way = None;
                    }
                }
            }
        }
    }
    println!("{checked} files checked, {given_up} were removed meanwhile");
    assert!(checked > 500 && given_up > 0, "{checked} files, {given_up} given up");
}

const SALT: Salt = Salt(77);

/// A log file with frames of these records, and the places of the frames and their ends.
fn frames(batches: &[Vec<LogRecord>]) -> (Vec<u8>, Vec<Range<u64>>) {
    let (number, salt) = (FileNumber(3), SALT);
    let head = FileHead { kind: FileKind::Log, folder: FOLDER, number, salt };
    let (mut content, mut places) = (head.encode(), Vec::new());
    for (sequence, records) in (1..).zip(batches) {
        let at = content.len() as u64;
        let place = Place { file: FileNumber(3), at };
        let mut frame = FrameBuilder::new(SALT, place, BytesMut::new());
        records.iter().for_each(|record| frame.push(record));
        content.extend_from_slice(&frame.finish(Sequence(sequence)).unwrap().0);
        places.push(at..content.len() as u64);
    }
    (content, places)
}

fn target(extent: Extent) -> ScrubTarget {
    ScrubTarget { file: ScrubFile::Log(FileNumber(3)), salt: Some(SALT), extent }
}

fn record(kind: u8, len: usize) -> LogRecord {
    let bytes = |len: usize| (0..len).map(|at| (at / 3) as u8).collect::<Vec<_>>().into();
    match kind {
        0 => LogRecord::Change { meta: bytes(len) },
        _ => LogRecord::Data {
            segment: SegmentNumber(5),
            offset: 10,
            meta: bytes(len / 9),
            data: bytes(len),
        },
    }
}

#[test]
fn damage_in_a_frame_leaves_the_other_records_and_frames_whole() {
    let batch = || vec![record(1, 300), record(1, 500), record(0, 40)];
    let (content, places) = frames(&[batch(), batch(), batch()]);
    let extent = Extent::Exactly(content.len() as u64);
    let second = places[1].clone();
    for at in second.clone() {
        let mut content = content.clone();
        content[at as usize] ^= 0x41;
        let (found, _) = scrub(target(extent), |at, len| part(&content, at, len));
        let [Damage { range, what: What::Damaged, .. }] = &found[..] else { panic!("{found:?}") };
        // The record that is damaged, unless its length is.
        let is_data = !(second.start + 24..second.start + 40).contains(&at);
        let is_short = range.end - range.start < 600 || !is_data;
        assert!(range.start >= second.start && range.end <= second.end, "{at}: {range:?}");
        assert!(is_short || range.end == second.end, "{at}: {range:?}");
    }
    // A damaged head of a frame makes none of its records unreadable.
    let mut headless = content.clone();
    headless[second.start as usize + 5] ^= 1;
    let (found, _) = scrub(target(extent), |at, len| part(&headless, at, len));
    assert_eq!(found[0].range, second.start..second.start + 24);
}

#[test]
fn the_torn_end_of_a_file_is_told_from_damage_before_it() {
    let batch = || vec![record(1, 300), record(0, 40)];
    let (content, places) = frames(&[batch(), batch(), batch()]);
    let last = places[2].start;
    for cut in places[2].clone() {
        let mut content = content.clone();
        content.truncate(cut as usize);
        content.resize(content.len() + 100, 0);
        let extent = Extent::UpTo(content.len() as u64);
        let (found, end) = scrub(target(extent), |at, len| part(&content, at, len));
        let is_torn = content[last as usize..].iter().any(|byte| *byte != 0);
        let expected = if is_torn { ScrubEnd::Torn(last) } else { ScrubEnd::Reached };
        assert_eq!((found, end), (vec![], expected), "cut to {cut}");
        // Damage before it stays damage.
        let mut content = content.clone();
        content[places[1].start as usize + 60] ^= 1;
        let (found, end) = scrub(target(extent), |at, len| part(&content, at, len));
        if cut > last + 24 {
            assert_eq!((found.len(), end), (1, expected), "cut to {cut}");
            assert_eq!(found[0].range, places[1].start..last, "cut to {cut}");
        }
    }
}

#[test]
fn zeros_and_damage_that_are_longer_than_a_read_end() {
    let (content, places) = frames(&[vec![record(1, 300)], vec![record(1, 400)]]);
    for filler in [0, 7] {
        // A stretch in the place of the first frame's end, and one after the last frame.
        let mut longer = content.clone();
        longer.resize(content.len() + 1_000_000, filler);
        let extent = Extent::UpTo(longer.len() as u64);
        let (found, end) = scrub(target(extent), |at, len| part(&longer, at, len));
        let torn = ScrubEnd::Torn(content.len() as u64);
        let expected = if filler == 0 { ScrubEnd::Reached } else { torn };
        assert_eq!((found, end), (vec![], expected));
        let extent = Extent::Exactly(longer.len() as u64);
        let (found, _) = scrub(target(extent), |at, len| part(&longer, at, len));
        assert_eq!(found[0].range, content.len() as u64..longer.len() as u64);
    }
    // The magic of frames without one, at each place of a read's end.
    let mut magic = content.clone();
    magic.truncate(places[1].start as usize);
    magic.extend(b"PRVF".repeat(200_000));
    let extent = Extent::UpTo(magic.len() as u64);
    let (found, end) = scrub(target(extent), |at, len| part(&magic, at, len));
    assert_eq!((found, end), (vec![], ScrubEnd::Torn(places[1].start)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn records_longer_than_a_read_are_checked_in_pieces(
        lens in prop::collection::vec(
            (0_u8..2, prop_oneof![0..500_usize, 200_000..900_000_usize]),
            1..6,
        ),
        flip in any::<prop::sample::Index>(),
    ) {
        let batches: Vec<Vec<LogRecord>> =
            lens.chunks(2).map(|some| some.iter().map(|(kind, len)| record(*kind, *len)).collect())
                .collect();
        let (mut content, _) = frames(&batches);
        let target = target(Extent::Exactly(content.len() as u64));
        let read = |content: &[u8], at, len: u64| {
            assert!(len <= 256 << 10);
            part(content, at, len)
        };
        let (found, _) = scrub(target, |at, len| read(&content, at, len));
        prop_assert_eq!(found, vec![]);
        let byte = flip.index(content.len() - 64) + 64;
        content[byte] ^= 4;
        let (found, _) = scrub(target, |at, len| read(&content, at, len));
        prop_assert_eq!(found.len(), 1);
        prop_assert!(found[0].range.contains(&(byte as u64)), "{} {:?}", byte, found);
    }

    #[test]
    fn arbitrary_bytes_neither_hold_up_the_check_nor_end_it_early(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        magic in prop::collection::vec(0..2900_usize, 0..9),
        is_log in any::<bool>(),
    ) {
        let mut bytes = bytes;
        for at in magic {
            if at + 4 <= bytes.len() {
                bytes[at..at + 4].copy_from_slice(b"PRVF");
            }
        }
        let len = bytes.len() as u64;
        let file = match is_log {
            true => ScrubFile::Log(FileNumber(3)),
            false => ScrubFile::Checkpoint(CheckpointFile { base: 1, number: 1 }),
        };
        for extent in [Extent::Exactly(len + 7), Extent::UpTo(len)] {
            let target = ScrubTarget { file, salt: Some(SALT), extent };
            let (found, _) = scrub(target, |at, len| part(&bytes, at, len));
            prop_assert!(!found.is_empty());
        }
    }
}
