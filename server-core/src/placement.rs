//! The placement of segments on segment stores.

use pravega_sdk_types::segment_name;

use crate::ids::StoreIndex;

/// The number of containers.
pub const CONTAINERS: u32 = 4;

/// The store of each container.
#[derive(Debug, Clone)]
pub struct Placement {
    stores: Vec<StoreIndex>,
}

impl Placement {
    /// Spreads the containers over a number of stores.
    pub fn over(stores: usize) -> Self {
        let stores = (0..CONTAINERS as usize)
            .map(|container| StoreIndex(container % stores.max(1)))
            .collect();
        Self { stores }
    }

    /// The store that a segment is on.
    pub fn store_of(&self, segment: &str) -> StoreIndex {
        let container = segment_name::container(segment, CONTAINERS);
        let index = usize::try_from(container.0).unwrap_or(0);
        self.stores.get(index).copied().unwrap_or(StoreIndex(0))
    }

    /// Returns true if a segment is on a store.
    pub fn owns(&self, store: StoreIndex, segment: &str) -> bool {
        // A single store has every segment, so the name need not be hashed.
        self.stores.iter().all(|other| *other == store) || self.store_of(segment) == store
    }

    /// Moves the container of a segment to a store.
    pub fn place(&mut self, segment: &str, store: StoreIndex) {
        let container = segment_name::container(segment, CONTAINERS);
        if let Some(place) =
            usize::try_from(container.0).ok().and_then(|index| self.stores.get_mut(index))
        {
            *place = store;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_on_one_store_and_moves_with_its_transactions() {
        let mut placement = Placement::over(3);
        let segment = "a/b/0.#epoch.0";
        let part = format!("{segment}#transaction.{}", "0".repeat(32));
        let owner = placement.store_of(segment);
        assert!(placement.owns(owner, segment));
        let other = StoreIndex((owner.0 + 1) % 3);
        placement.place(segment, other);
        assert!(!placement.owns(owner, segment));
        assert!(placement.owns(other, &part));
    }
}
