//! Zeros ahead of what is written, so that a commit finds its space there already.
//!
//! ```text
//! file   head │ frame │ frame │ 0 0 0 0 0 0 │ 0 0 0 …
//!                             └ end         └ ahead     a thread adds zeros, a slice at a time
//! next   head │ 0 0 0 0 0 0 │ 0 0 0 …                   before its first frame
//! ```
//!
//! A commit within the zeros changes no length, which makes its sync short, and cannot find the
//! disk full. The zeros of one slice and a frame never have a byte in common: a frame that is
//! longer than the zeros before the slice waits for it.
//!
//! A sync of a frame also writes the zeros of a slice in the same file that are not durable yet,
//! and waits for the file system to note the new length. So slices are short, and a file that is
//! written fast has none beside its commits: all its zeros are written while the file before it is
//! filled, at the pace of that.
//!
//! No zeros are added while frames are large. Such a frame takes the disk longer than the new
//! length does, and with zeros the disk would write each byte twice.

use std::{collections::BTreeMap, time::Duration};

use super::ids::{FileNumber, Place};

/// The time between two attempts to add zeros.
const RETRY: Duration = Duration::from_millis(100);
/// The slices that are kept ahead.
const SLICES: u64 = 8;

/// Zeros to write to a file and to sync, by a thread that no commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extend {
    /// The place of the first.
    pub from: Place,
    /// The offset after the last.
    pub to: u64,
}

/// The outcome of an [`Extend`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extended {
    /// The zeros are durable.
    Done,
    /// They could not be written, as a whole: there was no space, or another failure.
    NotWritten(String),
    /// They could not be synced: the content of the file is unknown.
    NotSynced(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    UnderWay(Extend),
    /// There was no space.
    Full {
        retry_at: Duration,
    },
}

/// The zeros ahead of one log.
#[derive(Debug)]
pub(super) struct Ahead {
    /// How many are kept.
    kept: u64,
    /// The length of a frame after which none are added.
    large: u64,
    /// The ends of the zeros in the file that is written, and in the next one.
    ends: BTreeMap<FileNumber, u64>,
    state: State,
    now: Duration,
    /// The length of the last frame.
    frame: u64,
}

impl Ahead {
    /// No zeros yet; to keep none adds none.
    pub(super) fn new(kept: u64, large: u64) -> Self {
        Self {
            kept,
            large,
            ends: BTreeMap::new(),
            state: State::Ready,
            now: Duration::ZERO,
            frame: 0,
        }
    }

    /// Notes the zeros that a file has.
    pub(super) fn set(&mut self, zeros: Place) {
        self.ends.insert(zeros.file, zeros.at);
    }

    /// Notes the length of a frame that is written next.
    pub(super) fn note_frame(&mut self, len: u64) {
        self.frame = len;
    }

    /// Returns true if the last frame was a large one.
    pub(super) fn is_large(&self) -> bool {
        self.frame >= self.large
    }

    /// The number of zeros after the last frame, or after the head of a file without one.
    pub(super) fn left(&self, end: Option<Place>) -> u64 {
        let zeros = end.and_then(|end| Some(self.ends.get(&end.file)?.saturating_sub(end.at)));
        zeros.unwrap_or_default()
    }

    /// The next zeros to write, if few are left after the last frame, or in the next file after
    /// its head.
    pub(super) fn poll(
        &mut self,
        now: Duration,
        end: Place,
        next: Option<Place>,
        file_len: u64,
    ) -> Option<Extend> {
        self.now = self.now.max(now);
        match self.state {
            State::UnderWay(_) => return None,
            State::Full { retry_at } if now < retry_at => return None,
            State::Ready if self.is_large() => return None,
            // Only zeros that are written tell that there is space again.
            State::Full { .. } | State::Ready => {}
        }
        self.ends.retain(|file, _| *file >= end.file);
        let in_next = self.kept.max(share_of_next(end.at, file_len));
        let wanted = [Some((end, self.kept)), next.map(|next| (next, in_next))];
        let mut wanted = wanted.into_iter().flatten();
        let extend = wanted.find_map(|(end, zeros)| self.slice(end, zeros, file_len))?;
        self.state = State::UnderWay(extend);
        Some(extend)
    }

    /// The next slice after an end, if fewer zeros than wanted are left there.
    fn slice(&self, end: Place, wanted: u64, file_len: u64) -> Option<Extend> {
        let (left, slice) = (self.left(Some(end)), self.kept.div_ceil(SLICES));
        let from = Place { at: end.at.saturating_add(left), ..end };
        // A file ends after this length.
        let to = from.at.saturating_add(slice).min(file_len);
        let is_enough = left.saturating_add(slice) > wanted || to <= from.at;
        (!is_enough).then_some(Extend { from, to })
    }

    /// Continues after zeros were written, or could not be.
    pub(super) fn handle(&mut self, outcome: &Extended) {
        let State::UnderWay(Extend { from, to }) = self.state else { return };
        self.state = match outcome {
            Extended::Done => {
                self.ends.insert(from.file, to);
                State::Ready
            }
            Extended::NotWritten(_) | Extended::NotSynced(_) => {
                State::Full { retry_at: self.now.saturating_add(RETRY) }
            }
        };
    }

    /// Returns true if bytes at a place must wait for zeros that are being written there.
    pub(super) fn is_writing(&self, place: Place, len: u64) -> bool {
        match self.state {
            State::UnderWay(Extend { from, .. }) => {
                from.file == place.file && place.at.saturating_add(len) > from.at
            }
            State::Ready | State::Full { .. } => false,
        }
    }

    /// Returns true if the disk had no space for more zeros.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.state, State::Full { .. })
    }

    /// Notes that a file was cut at its end, as its frame found no space: what follows it is gone,
    /// and zeros are to find out when there is space again.
    pub(super) fn cut(&mut self, end: Place) {
        self.ends.remove(&end.file);
        self.frame = 0;
    }
}

/// How full a file is when the next one is prepared, and how full when the next one has all its
/// zeros, in eighths.
const NEXT_BEGINS: u64 = 2;
const NEXT_IS_READY: u64 = 7;

/// The length of a file from which the next one is prepared.
pub(super) fn next_begins(file_len: u64) -> u64 {
    file_len / 8 * NEXT_BEGINS
}

/// The zeros of the next file, once a file is filled up to an offset.
fn share_of_next(at: u64, file_len: u64) -> u64 {
    let filled = at.saturating_sub(next_begins(file_len));
    (filled.saturating_mul(8) / (NEXT_IS_READY - NEXT_BEGINS)).min(file_len)
}

#[cfg(test)]
mod tests {
    use super::{super::ids::FileNumber, *};

    const FILE: FileNumber = FileNumber(3);
    fn at(at: u64) -> Place {
        Place { file: FILE, at }
    }

    fn poll(ahead: &mut Ahead, now: u64, end: u64) -> Option<(u64, u64)> {
        let extend = ahead.poll(Duration::from_millis(now), at(end), None, 1000)?;
        Some((extend.from.at, extend.to))
    }

    #[test]
    fn short_slices_keep_as_many_zeros_ahead_up_to_the_end_of_the_file() {
        let mut ahead = Ahead::new(80, 100);
        let mut slices = Vec::new();
        for end in 64..1200 {
            while let Some(slice) = poll(&mut ahead, 0, end) {
                slices.push(slice);
                ahead.handle(&Extended::Done);
            }
            let left = ahead.left(Some(at(end)));
            assert!(left > 70_u64.min(999_u64.saturating_sub(end)) || end >= 1000, "{end}: {left}");
        }
        assert_eq!((slices.first(), slices.last()), (Some(&(64, 74)), Some(&(994, 1000))));
        assert!(slices.windows(2).all(|two| two[0].1 == two[1].0), "{slices:?}");
        assert_eq!(ahead.left(Some(Place { file: FILE.next(), at: 64 })), 0, "another file");
    }

    #[test]
    fn the_next_file_has_zeros_before_its_first_frame() {
        let mut ahead = Ahead::new(80, 100);
        let next = Place { file: FILE.next(), at: 64 };
        let mut poll = |end| ahead.poll(Duration::ZERO, end, Some(next), 1000);
        let in_file = poll(at(200)).unwrap();
        assert_eq!(in_file.from, at(200), "the file that is written comes first");
        let mut files = Vec::new();
        loop {
            ahead.handle(&Extended::Done);
            let Some(extend) = ahead.poll(Duration::ZERO, at(200), Some(next), 1000) else { break };
            files.push(extend.from.file);
        }
        assert_eq!(files, [[FILE; 7].as_slice(), &[FILE.next(); 8]].concat());
        let end = Place { at: 100, ..next };
        assert_eq!(ahead.left(Some(end)), 44);
        // What becomes of the file before it does not matter any longer.
        let extend = ahead.poll(Duration::ZERO, end, None, 1000).unwrap();
        assert_eq!((extend.from.file, extend.from.at), (FILE.next(), 144));
        assert_eq!(ahead.left(Some(at(200))), 0);
    }

    #[test]
    fn a_file_that_follows_another_has_all_its_zeros_before_its_first_frame() {
        let mut ahead = Ahead::new(80, 100);
        let next = Place { file: FILE.next(), at: 64 };
        let (mut slices, mut most) = (0, 0);
        for end in next_begins(1000)..1000 {
            let mut at_once = 0;
            while let Some(slice) = ahead.poll(Duration::ZERO, at(end), Some(next), 1000) {
                at_once += u64::from(slice.from.file == next.file);
                ahead.handle(&Extended::Done);
            }
            slices += at_once;
            most = most.max(at_once);
            assert!(end < 890 || ahead.left(Some(next)) == 936, "at {end} of the file before");
        }
        assert_eq!(slices, 94, "each byte once");
        assert!(most <= 8, "{most} slices at once: not at the pace of the file before");
        for end in 64..1000 {
            let here = Place { at: end, ..next };
            assert_eq!(ahead.poll(Duration::ZERO, here, None, 1000), None, "beside frames");
        }
    }

    #[test]
    fn while_frames_are_large_zeros_are_added_only_to_find_space() {
        let mut ahead = Ahead::new(80, 100);
        ahead.note_frame(100);
        assert_eq!(poll(&mut ahead, 0, 64), None);
        ahead.note_frame(99);
        assert_eq!(poll(&mut ahead, 0, 64), Some((64, 74)));
        ahead.note_frame(100);
        ahead.handle(&Extended::NotWritten("full".to_owned()));
        assert_eq!(poll(&mut ahead, 100, 64), Some((64, 74)), "is there space again?");
        ahead.handle(&Extended::Done);
        assert_eq!(poll(&mut ahead, 100, 64), None);
        ahead.cut(at(64));
        assert_eq!(poll(&mut ahead, 100, 64), Some((64, 74)), "a frame found no space");
    }

    #[test]
    fn only_bytes_that_meet_the_slice_wait_for_it() {
        let mut ahead = Ahead::new(80, 100);
        ahead.set(at(130));
        assert_eq!(poll(&mut ahead, 0, 64), Some((130, 140)));
        assert_eq!(poll(&mut ahead, 0, 64), None, "one at a time");
        assert!(!ahead.is_writing(at(64), 66) && ahead.is_writing(at(64), 67));
        assert!(!ahead.is_writing(Place { file: FILE.next(), at: 64 }, 500));
        ahead.handle(&Extended::Done);
        assert!(!ahead.is_writing(at(64), 500));
    }

    #[test]
    fn a_full_disk_is_known_before_a_commit_meets_it_and_asked_again_later() {
        let mut ahead = Ahead::new(80, 100);
        ahead.set(at(130));
        poll(&mut ahead, 5, 64).unwrap();
        ahead.handle(&Extended::NotWritten("full".to_owned()));
        assert!(ahead.is_full() && ahead.left(Some(at(64))) == 66);
        assert_eq!(poll(&mut ahead, 104, 64), None);
        assert_eq!(poll(&mut ahead, 105, 64), Some((130, 140)));
        ahead.handle(&Extended::Done);
        assert!(!ahead.is_full());
    }
}
