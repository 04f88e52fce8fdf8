//! The thread that checks every byte that is on the disk, from time to time and slowly.
//!
//! A read checks what it reads. What no client reads is checked here, so that damage is known while
//! there may be a copy elsewhere. Nothing waits for this thread: it holds no lock while it reads,
//! and a file that is given up meanwhile is passed over.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::log::{
    CheckpointFile, Damage, Loss, LostFile, Scrub, ScrubFile, ScrubStep, ScrubTarget,
};

use super::{
    affected::{Places, joined},
    disk::Losses,
    keeping::Keeping,
    kept::Phase,
    owner::Owner,
    pace::Throttle,
};

/// The time from the start to the first round, and between two.
const FIRST: Duration = Duration::from_secs(5 * 60);
const BETWEEN: Duration = Duration::from_secs(24 * 60 * 60);
/// The bytes that are read in a second.
const RATE: u64 = 4 << 20;
/// The time before a file that seems damaged is checked again.
const AGAIN: Duration = Duration::from_millis(100);
/// How often the folder is listed before a checkpoint is missing.
const LISTS: usize = 3;
/// The most damaged parts of a file that are logged in a round, and of all files in all rounds.
const TOLD_OF_FILE: usize = 100;
const TOLD: usize = 10_000;
/// The most segments that are named with damage, and the most lost files.
const NAMED: usize = 8;
/// The time between two checks that no file was removed, replaced or cut short.
const WATCH: Duration = Duration::from_secs(1);

/// The thread; it ends after [`Kept::close`](super::kept::Kept::close).
#[derive(Debug)]
pub(super) struct Scrubber {
    thread: JoinHandle<()>,
}

impl Scrubber {
    pub(super) fn start(keeping: Keeping, owner: Arc<dyn Owner>) -> io::Result<Self> {
        let scrubbing = Scrubbing::new(keeping, owner, RATE);
        let thread = std::thread::Builder::new()
            .name("pravega-scrub".to_owned())
            .spawn(move || scrubbing.run())?;
        Ok(Self { thread })
    }

    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that checks the log has panicked");
        }
    }
}

/// Whether it is checked that no file was removed, replaced or cut short.
#[derive(Debug, Clone, Copy)]
enum Watch {
    /// It was checked last at this time.
    At(Instant),
    /// One was, and the log is not written to any longer.
    Over,
}

/// The check of a folder, file by file.
pub(super) struct Scrubbing {
    keeping: Keeping,
    owner: Arc<dyn Owner>,
    throttle: Throttle,
    watched: Watch,
    /// The names of files that the system did not describe when they were checked last.
    unseen: BTreeSet<String>,
    /// Damage that was logged, by its place.
    pub(super) told: BTreeSet<(ScrubFile, u64)>,
}

impl Scrubbing {
    pub(super) fn new(keeping: Keeping, owner: Arc<dyn Owner>, rate: u64) -> Self {
        let (throttle, watched) = (Throttle::new(rate), Watch::At(Instant::now()));
        let (unseen, told) = (BTreeSet::new(), BTreeSet::new());
        Self { keeping, owner, throttle, watched, unseen, told }
    }

    fn run(mut self) {
        let mut rest = FIRST;
        while self.rest(rest) == Phase::Running {
            if self.round() == Phase::Ending {
                return;
            }
            rest = BETWEEN;
        }
    }

    /// Rests for a time, in which no file should be lost.
    fn rest(&mut self, time: Duration) -> Phase {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Phase::Running;
            }
            if self.keeping.kept.rest(left.min(WATCH)) == Phase::Ending {
                return Phase::Ending;
            }
            self.watch();
        }
    }

    /// Checks that no other program has removed or replaced a file or cut one short, if it is time
    /// for that. If one has, nothing more is written: the next start would not find it.
    fn watch(&mut self) {
        let now = Instant::now();
        let Watch::At(last) = self.watched else { return };
        if now.saturating_duration_since(last) < WATCH {
            return;
        }
        self.watched = Watch::At(now);
        let Losses { files, unseen } = self.keeping.disk.lost();
        // Nothing is known of them, so the log goes on: a read or a write that fails tells more.
        for (file, error) in &unseen {
            if !self.unseen.contains(file) {
                tracing::warn!(file, %error, "cannot check that no other program has changed it");
            }
        }
        self.unseen = unseen.into_iter().map(|(file, _)| file).collect();
        if files.is_empty() {
            return;
        }
        self.watched = Watch::Over;
        self.keeping.inbox.end_for(why_over(&self.keeping.disk.place(), &files));
    }

    /// Checks every file that there is now.
    pub(super) fn round(&mut self) -> Phase {
        let mut files = vec![ScrubFile::Folder, ScrubFile::Mark];
        files.extend(self.checkpoints());
        files.extend(self.keeping.kept.keeper().scrub_files());
        // A server that never runs for as long as a round takes gets to all of them, too.
        let first = fastrand::usize(..files.len());
        files.rotate_left(first);
        for file in files {
            if self.check(file) == Phase::Ending {
                return Phase::Ending;
            }
        }
        Phase::Running
    }

    fn check(&mut self, file: ScrubFile) -> Phase {
        let (phase, found) = self.walk(file);
        if found.is_empty() || phase == Phase::Ending {
            return phase;
        }
        // What was written or replaced meanwhile is whole the second time.
        if self.keeping.kept.rest(AGAIN) == Phase::Ending {
            return Phase::Ending;
        }
        let (phase, found) = self.walk(file);
        found.iter().for_each(|damage| self.tell(damage));
        phase
    }

    /// The damage of a file, as it is now; none if it is not needed any longer.
    fn walk(&mut self, file: ScrubFile) -> (Phase, Vec<Damage>) {
        let mut found = Vec::new();
        let Some(target) = self.target(file) else { return (Phase::Running, found) };
        let mut scrub = Scrub::new(self.keeping.folder, target);
        while found.len() < TOLD_OF_FILE {
            match scrub.poll() {
                ScrubStep::Read { at, len } => {
                    self.watch();
                    let wait = self.throttle.wait(Instant::now());
                    if self.keeping.leave_the_disk(wait) == Phase::Ending {
                        return (Phase::Ending, Vec::new());
                    }
                    match self.keeping.disk.read_at(&file.name(), at, len) {
                        Ok(bytes) => {
                            self.throttle.spend(Instant::now(), bytes.len() as u64);
                            scrub.handle_read(bytes);
                        }
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            found.push(scrub.missing());
                            break;
                        }
                        Err(error) => {
                            // A read of a client tells it, too, and this one is tried again.
                            tracing::warn!(file = file.name(), %error, "cannot check a file");
                            break;
                        }
                    }
                }
                ScrubStep::Damaged(damage) => found.push(damage),
                ScrubStep::Done(_) => break,
            }
        }
        // A file that was given up is nothing any longer.
        if self.target(file).is_none() {
            found.clear();
        }
        (Phase::Running, found)
    }

    /// The file with as much of it as is durable; `None` if it is not needed any longer.
    fn target(&self, file: ScrubFile) -> Option<ScrubTarget> {
        let ScrubFile::Checkpoint(checkpoint) = file else {
            return self.keeping.kept.keeper().scrub_target(file);
        };
        // One that is replaced is removed.
        let name = file.name();
        let listing = self.keeping.disk.list().ok()?;
        let (_, _, len) = listing.into_iter().find(|(other, _, _)| *other == name)?;
        Some(ScrubTarget::checkpoint(checkpoint, len))
    }

    /// The files of the newest checkpoint.
    fn checkpoints(&mut self) -> Vec<ScrubFile> {
        let mut missing = None;
        for _ in 0..LISTS {
            let Ok(listing) = self.keeping.disk.list() else { return Vec::new() };
            let names = listing.iter().map(|(name, _, _)| name);
            let checkpoints = names.filter_map(|name| CheckpointFile::of_name(name)).collect();
            match CheckpointFile::chain(checkpoints) {
                Ok((chain, _)) => return chain.into_iter().map(ScrubFile::Checkpoint).collect(),
                // They may be removed, one after the other, while they are listed.
                Err(problem) => missing = Some(problem),
            }
            if self.keeping.kept.rest(AGAIN) == Phase::Ending {
                return Vec::new();
            }
        }
        if let Some(problem) = missing {
            tracing::error!(%problem, "a file of the folder is missing, without which none starts");
        }
        Vec::new()
    }

    fn tell(&mut self, damage: &Damage) {
        let Damage { file, range, what } = damage;
        if self.told.len() >= TOLD || !self.told.insert((*file, range.start)) {
            return;
        }
        let (from, to) = (range.start, range.end);
        let segments = self.segments(*file, range);
        tracing::error!(
            file = file.name(),
            from,
            to,
            %what,
            segments,
            "damage on the disk: these bytes are not served, and all else goes on"
        );
    }

    /// The segments with bytes in a damaged part of a file.
    fn segments(&self, file: ScrubFile, range: &Range<u64>) -> String {
        let ScrubFile::Log(number) = file else { return "none directly".to_owned() };
        let places = Places::of(&self.keeping.kept.keeper(), number, range);
        let Ok(ranges) = places.ranges(&*self.keeping.disk) else {
            return "unknown, as the index of the file cannot be read".to_owned();
        };
        let names = joined(self.owner.names(&ranges));
        let named = names.iter().take(NAMED);
        let mut named: Vec<String> = named
            .map(|(name, range)| format!("{name} from {} to {}", range.start, range.end))
            .collect();
        match names.len() {
            0 => named.push("none: these bytes are not read any longer".to_owned()),
            len if len > NAMED => named.push(format!("and {} more", len - NAMED)),
            _ => {}
        }
        named.join(", ")
    }
}

/// Why nothing more is written to a folder, and what can be done.
fn why_over(place: &str, lost: &[LostFile]) -> String {
    let mut told: Vec<String> = lost.iter().take(NAMED).map(ToString::to_string).collect();
    if lost.len() > NAMED {
        told.push(format!("and {} more", lost.len() - NAMED));
    }
    let is_cut = |lost: &LostFile| matches!(lost.loss, Loss::Shortened { .. });
    let mut advice = Vec::new();
    if !lost.iter().all(is_cut) {
        advice.push("put back what was removed or replaced before the server ends");
    }
    if lost.iter().any(is_cut) {
        advice.push("what was cut off is lost: restore a backup, or salvage the rest");
    }
    format!("{place}: {}; {}", told.join(", "), advice.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lost_file_is_told_and_what_can_be_done() {
        let of = |name: &str, loss| LostFile { name: name.to_owned(), loss };
        let cut = of("folder", Loss::Shortened { len: 0, least: 64 });
        let told = why_over("data", &[of("lock", Loss::Removed), cut.clone()]);
        let by = "by another program";
        assert_eq!(
            told,
            format!(
                "data: lock was removed {by}, folder was cut short {by}: it has 0 bytes, and had \
                 at least 64; put back what was removed or replaced before the server ends; what \
                 was cut off is lost: restore a backup, or salvage the rest"
            )
        );
        let told = why_over("data", &vec![cut; NAMED + 2]);
        assert!(told.contains("64, and 2 more; what was cut off"), "{told}");
    }
}
