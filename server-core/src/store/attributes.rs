//! The attributes of a segment.
//!
//! Most segments have three or four, and a server has many segments, so a few are kept in a list
//! of their own length. A node of a tree has memory for eleven. A segment has an attribute for each
//! of its writers too, so many are kept in a tree.

use std::{collections::BTreeMap, ops::Bound};

use uuid::Uuid;

/// The most attributes in a list. A change of a longer list would move much.
const MAX_LISTED: usize = 16;
/// A tree with as few becomes a list again: not the same number, so that one attribute that comes
/// and goes moves no others.
const MIN_IN_TREE: usize = 8;

/// The attributes of a segment, in the order of their ids.
#[derive(Debug)]
pub(super) enum AttributeMap {
    Few(Vec<(Uuid, i64)>),
    Many(BTreeMap<Uuid, i64>),
}

impl Default for AttributeMap {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl AttributeMap {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(tree) => tree.len(),
        }
    }

    pub(super) fn get(&self, id: Uuid) -> Option<i64> {
        match self {
            Self::Few(list) => {
                let found = place(list, id).ok()?;
                list.get(found).map(|(_, value)| *value)
            }
            Self::Many(tree) => tree.get(&id).copied(),
        }
    }

    /// Sets an attribute. `more` is the number of those that may follow at once.
    pub(super) fn insert(&mut self, id: Uuid, value: i64, more: usize) {
        match self {
            Self::Few(list) => match place(list, id) {
                Ok(found) => {
                    if let Some((_, old)) = list.get_mut(found) {
                        *old = value;
                    }
                }
                Err(_) if list.len() == MAX_LISTED => {
                    let mut tree: BTreeMap<Uuid, i64> = list.drain(..).collect();
                    tree.insert(id, value);
                    *self = Self::Many(tree);
                }
                Err(next) => {
                    let left = MAX_LISTED - list.len();
                    list.reserve_exact(more.saturating_add(1).min(left));
                    list.insert(next, (id, value));
                }
            },
            Self::Many(tree) => drop(tree.insert(id, value)),
        }
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        match self {
            Self::Few(list) => {
                if let Ok(found) = place(list, id) {
                    list.remove(found);
                }
            }
            Self::Many(tree) => {
                tree.remove(&id);
                if tree.len() <= MIN_IN_TREE {
                    *self = Self::Few(std::mem::take(tree).into_iter().collect());
                }
            }
        }
    }

    /// The attributes after one; all without one.
    pub(super) fn after(&self, id: Option<Uuid>) -> impl Iterator<Item = (Uuid, i64)> + '_ {
        let (list, tree) = match self {
            Self::Few(list) => {
                let first = id.map_or(0, |id| list.partition_point(|(found, _)| *found <= id));
                (list.get(first..).unwrap_or_default(), None)
            }
            Self::Many(tree) => {
                let from = id.map_or(Bound::Unbounded, Bound::Excluded);
                (&[][..], Some(tree.range((from, Bound::Unbounded))))
            }
        };
        let in_tree = tree.into_iter().flatten().map(|(id, value)| (*id, *value));
        list.iter().copied().chain(in_tree)
    }
}

/// The index of an attribute, or that at which it would be.
fn place(list: &[(Uuid, i64)], id: Uuid) -> Result<usize, usize> {
    list.binary_search_by_key(&id, |(found, _)| *found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_attributes_are_kept_in_a_list_without_unused_places() {
        let mut map = AttributeMap::default();
        for number in (0..MAX_LISTED).rev() {
            map.insert(Uuid::from_u128(number as u128), 1, 0);
            let AttributeMap::Few(list) = &map else { panic!("{number} are in a tree") };
            assert_eq!(list.capacity(), list.len());
        }
        map.insert(Uuid::from_u128(MAX_LISTED as u128), 1, 0);
        assert!(matches!(map, AttributeMap::Many(_)));
        for number in MIN_IN_TREE..=MAX_LISTED {
            assert!(matches!(map, AttributeMap::Many(_)), "{number} are left");
            map.remove(Uuid::from_u128(number as u128));
        }
        assert!(matches!(map, AttributeMap::Few(_)));
    }

    proptest! {
        #[test]
        fn attributes_are_those_of_a_map_whatever_comes_and_goes(
            steps in prop::collection::vec((0_u128..24, any::<Option<i64>>()), 0..200),
        ) {
            let (mut map, mut model) = (AttributeMap::default(), BTreeMap::new());
            for (id, value) in steps {
                let id = Uuid::from_u128(id);
                match value {
                    Some(value) => {
                        map.insert(id, value, 1);
                        model.insert(id, value);
                    }
                    None => {
                        map.remove(id);
                        model.remove(&id);
                    }
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.get(id), model.get(&id).copied());
                let all: Vec<(Uuid, i64)> = model.iter().map(|(id, value)| (*id, *value)).collect();
                prop_assert_eq!(map.after(None).collect::<Vec<_>>(), all);
                let rest = model.range((Bound::Excluded(id), Bound::Unbounded));
                let rest: Vec<(Uuid, i64)> = rest.map(|(id, value)| (*id, *value)).collect();
                prop_assert_eq!(map.after(Some(id)).collect::<Vec<_>>(), rest);
            }
        }
    }
}
