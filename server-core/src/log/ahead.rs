//! Zeros ahead of what is written, so that a commit finds its space there already.
//!
//! ```text
//! file   head │ frame │ frame │ 0 0 0 0 0 0 │ 0 0 0 0 0 …
//!                             └ end         └ ahead     a thread adds zeros, a slice at a time
//! ```
//!
//! A commit within the zeros changes no length, which makes its sync short, and cannot find the
//! disk full. The zeros of one slice and a frame never have a byte in common: a frame that is
//! longer than the zeros before the slice waits for it.

use std::time::Duration;

use super::ids::Place;

/// The time between two attempts to add zeros.
const RETRY: Duration = Duration::from_millis(100);

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
    slice: u64,
    /// The end of the zeros.
    zeros: Option<Place>,
    state: State,
    now: Duration,
}

impl Ahead {
    /// No zeros yet; a slice of none adds none.
    pub(super) fn new(slice: u64) -> Self {
        Self { slice, zeros: None, state: State::Ready, now: Duration::ZERO }
    }

    /// Notes the zeros that a file has.
    pub(super) fn set(&mut self, zeros: Place) {
        self.zeros = Some(zeros);
    }

    /// The number of zeros after the last frame.
    pub(super) fn left(&self, end: Option<Place>) -> u64 {
        match (self.zeros, end) {
            (Some(zeros), Some(end)) if zeros.file == end.file => zeros.at.saturating_sub(end.at),
            _ => 0,
        }
    }

    /// The next zeros to write, if less than a slice is left after the last frame.
    pub(super) fn poll(&mut self, now: Duration, end: Place, file_len: u64) -> Option<Extend> {
        self.now = self.now.max(now);
        match self.state {
            State::UnderWay(_) => return None,
            State::Full { retry_at } if now < retry_at => return None,
            State::Full { .. } | State::Ready => {}
        }
        let left = self.left(Some(end));
        let from = Place { at: end.at.saturating_add(left), ..end };
        // A file ends after this length.
        let to = from.at.saturating_add(self.slice).min(file_len);
        if left >= self.slice || to <= from.at {
            return None;
        }
        let extend = Extend { from, to };
        self.state = State::UnderWay(extend);
        Some(extend)
    }

    /// Continues after zeros were written, or could not be.
    pub(super) fn handle(&mut self, outcome: &Extended) {
        let State::UnderWay(Extend { from, to }) = self.state else { return };
        self.state = match outcome {
            Extended::Done => {
                self.zeros = Some(Place { at: to, ..from });
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

    /// Notes that a file was cut at its end: what follows it is gone.
    pub(super) fn cut(&mut self, end: Place) {
        self.zeros = self.zeros.filter(|zeros| zeros.file != end.file);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ids::FileNumber, *};

    const FILE: FileNumber = FileNumber(3);
    fn at(at: u64) -> Place {
        Place { file: FILE, at }
    }

    fn poll(ahead: &mut Ahead, now: u64, end: u64) -> Option<(u64, u64)> {
        let extend = ahead.poll(Duration::from_millis(now), at(end), 1000)?;
        Some((extend.from.at, extend.to))
    }

    #[test]
    fn a_slice_is_ahead_up_to_the_end_of_the_file() {
        let mut ahead = Ahead::new(100);
        let mut slices = Vec::new();
        for end in 64..1200 {
            while let Some(slice) = poll(&mut ahead, 0, end) {
                slices.push(slice);
                ahead.handle(&Extended::Done);
            }
            assert!(ahead.left(Some(at(end))) >= 100_u64.min(1000_u64.saturating_sub(end)));
        }
        assert_eq!((slices.first(), slices.last()), (Some(&(64, 164)), Some(&(964, 1000))));
        assert!(slices.windows(2).all(|two| two[0].1 == two[1].0), "{slices:?}");
        assert_eq!(ahead.left(Some(Place { file: FILE.next(), at: 64 })), 0, "another file");
    }

    #[test]
    fn only_bytes_that_meet_the_slice_wait_for_it() {
        let mut ahead = Ahead::new(100);
        ahead.set(at(150));
        assert_eq!(poll(&mut ahead, 0, 64), Some((150, 250)));
        assert_eq!(poll(&mut ahead, 0, 64), None, "one at a time");
        assert!(!ahead.is_writing(at(64), 86) && ahead.is_writing(at(64), 87));
        assert!(!ahead.is_writing(Place { file: FILE.next(), at: 64 }, 500));
        ahead.handle(&Extended::Done);
        assert!(!ahead.is_writing(at(64), 500));
    }

    #[test]
    fn a_full_disk_is_known_before_a_commit_meets_it_and_asked_again_later() {
        let mut ahead = Ahead::new(100);
        ahead.set(at(150));
        poll(&mut ahead, 5, 64).unwrap();
        ahead.handle(&Extended::NotWritten("full".to_owned()));
        assert!(ahead.is_full() && ahead.left(Some(at(64))) == 86);
        assert_eq!(poll(&mut ahead, 104, 64), None);
        assert_eq!(poll(&mut ahead, 105, 64), Some((150, 250)));
        ahead.handle(&Extended::Done);
        assert!(!ahead.is_full());
    }
}
