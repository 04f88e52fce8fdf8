//! Names and ids of a seed: they decide about orders, and about places in stores.

use std::sync::Arc;

use pravega_sdk_types::ScopedReaderGroup;
use uuid::Uuid;

const ALLOWED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";

/// The names and ids of a seed. They are drawn apart from everything else.
pub(super) struct Names {
    random: fastrand::Rng,
    readers: u32,
}

impl Names {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(!seed), readers: 0 }
    }

    pub(super) fn group(&mut self) -> ScopedReaderGroup {
        format!("sim/{}", self.text()).parse().expect("a name")
    }

    /// Draws the id of a group.
    pub(super) fn id(&mut self) -> Uuid {
        Uuid::from_u128(self.random.u128(1..))
    }

    /// Draws the id of a reader, which no other one has.
    pub(super) fn reader(&mut self) -> Arc<str> {
        self.readers += 1;
        format!("{}-{}", self.text(), self.readers).into()
    }

    fn text(&mut self) -> String {
        let longest = if self.random.u32(0..8) == 0 { 200 } else { 12 };
        let len = self.random.usize(1..=longest);
        let letter = |_| self.random.choice(ALLOWED).map_or('x', |letter| char::from(*letter));
        (0..len).map(letter).collect()
    }
}
