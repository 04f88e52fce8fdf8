//! Entries of a state that another client has stored, removed or mixed up, whatever it likes.

use ::bytes::Bytes;
use proptest::prelude::*;

use super::{
    super::{Refreshed, StoredState},
    entries::{Table, assert_same},
    histories::any_update,
};

/// What a client does to the entries of a table, by their places.
#[derive(Debug, Clone)]
enum Harm {
    Remove(usize),
    /// The value of one entry becomes that of another.
    Copy(usize, usize),
    /// The value of an entry is stored with another key as well, which differs in a byte.
    Again(usize, usize, u8),
    /// The value of an entry is stored with the key of one, as the next page of its list.
    NextPage(usize, usize),
    Byte(usize, usize, u8),
    Cut(usize, usize),
}

fn any_harm() -> impl Strategy<Value = Harm> {
    let place = any::<u16>().prop_map(usize::from);
    let place = move || place.clone();
    prop_oneof![
        place().prop_map(Harm::Remove),
        (place(), place()).prop_map(|(from, to)| Harm::Copy(from, to)),
        (place(), place(), any::<u8>()).prop_map(|(of, at, byte)| Harm::Again(of, at, byte)),
        (place(), place()).prop_map(|(of, to)| Harm::NextPage(of, to)),
        (place(), place(), any::<u8>()).prop_map(|(of, at, byte)| Harm::Byte(of, at, byte)),
        (place(), place()).prop_map(|(of, len)| Harm::Cut(of, len)),
    ]
}

impl Harm {
    fn apply(&self, table: &mut Table) {
        let Some(count) = table.0.len().checked_sub(1).map(|last| last + 1) else { return };
        let entry = |place: &usize| {
            let (key, value) = table.0.iter().nth(place % count).unwrap();
            (key.clone(), value.clone())
        };
        let changed = |bytes: &Bytes, at: usize, byte: u8| {
            let mut bytes = bytes.to_vec();
            let len = bytes.len().max(1);
            bytes.get_mut(at % len).into_iter().for_each(|found| *found = byte);
            Bytes::from(bytes)
        };
        let (key, value) = match self {
            Self::Remove(of) => {
                let (key, _) = entry(of);
                table.0.remove(&key);
                return;
            }
            Self::Copy(from, to) => (entry(to).0, entry(from).1),
            Self::Again(of, at, byte) => {
                let (key, value) = entry(of);
                (changed(&key, *at, *byte), value)
            }
            Self::NextPage(of, to) => {
                let mut key = entry(to).0.to_vec();
                if let Some(last) = key.last_mut() {
                    *last = last.wrapping_add(1);
                }
                (key.into(), entry(of).1)
            }
            Self::Byte(of, at, byte) => {
                let (key, value) = entry(of);
                (key, changed(&value, *at, *byte))
            }
            Self::Cut(of, len) => {
                let (key, value) = entry(of);
                let len = len % (value.len() + 1);
                (key, value.slice(..len))
            }
        };
        table.0.insert(key, value);
    }
}

/// The entries of one table that are others in another one.
fn changed(before: &Table, after: &Table) -> Vec<(Bytes, Option<Bytes>)> {
    let mut keys: Vec<&Bytes> = before.0.keys().chain(after.0.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let is_other = |key: &&Bytes| before.0.get(*key) != after.0.get(*key);
    keys.into_iter().filter(is_other).map(|key| (key.clone(), after.0.get(key).cloned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A client that follows harmed entries has the state of one that reads all of them, or notices
    /// that there is none; and what it stores then is a state that can be read.
    #[test]
    fn no_mix_of_entries_is_a_panic_or_another_state_for_a_client_that_follows_it(
        updates in prop::collection::vec(any_update(), 0..20),
        harms in prop::collection::vec(prop::collection::vec(any_harm(), 1..4), 1..6),
        then in prop::collection::vec(any_update(), 1..3),
    ) {
        let mut table = Table::of_group(70);
        updates.into_iter().for_each(|update| drop(table.update(&[update])));
        let mut client = StoredState::read(table.entries()).unwrap().expect("a state");
        for harms in harms {
            let before = Table(table.0.clone());
            harms.iter().for_each(|harm| harm.apply(&mut table));
            let read = StoredState::read(table.entries());
            match client.refresh(changed(&before, &table)) {
                Ok(Refreshed::Done) => {
                    let read = read.expect("it can be read").expect("it is a state");
                    assert_same(client.state(), read.state());
                }
                Ok(Refreshed::Unclear) | Err(_) => match read {
                    Ok(Some(read)) => client = read,
                    Ok(None) | Err(_) => break,
                },
            }
            let state = client.state().clone();
            let staged = client.stage(&then, |key| table.0.get(key).cloned());
            prop_assert_eq!(client.state(), &state);
            let Ok(staged) = staged else { continue };
            let mut stored = Table(table.0.clone());
            for (key, value) in staged.changes {
                match value {
                    Some(value) => drop(stored.0.insert(key, value)),
                    None => drop(stored.0.remove(&key)),
                }
            }
            let mut expected = state;
            then.iter().for_each(|update| expected.apply(update.clone()).expect("it was staged"));
            let read = StoredState::read(stored.entries()).expect("it can be read");
            assert_same(read.expect("it is a state").state(), &expected);
        }
    }
}
