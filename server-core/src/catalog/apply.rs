//! What a change does to the catalog, and to the count of the memory that it uses.

use super::{
    change::{Change, Part, StreamPart},
    leaving::stream_of,
    names,
    older::OlderStream,
    state::{Catalog, Leaving, Scope},
    stream::Stream,
    weight,
};

/// The entry that a change belongs to does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MissingParent(pub(super) &'static str);

impl Catalog {
    /// Applies a change. The removal of what is missing changes nothing.
    ///
    /// # Errors
    ///
    /// [`MissingParent`] if the scope or the stream of a new entry does not exist.
    pub(super) fn apply(&mut self, change: Change) -> Result<(), MissingParent> {
        let growth = self.growth(&change);
        let older = self.log_unless_older(&change);
        let Change { scope: name, part } = change;
        match part {
            Part::Scope(None) => {
                let streams =
                    self.scope(&name).into_iter().flat_map(|scope| scope.streams.values());
                let left: usize = streams.map(|found| found.transactions.completed().len()).sum();
                self.remembered = self.remembered.saturating_sub(left);
                self.scopes.remove(&name);
                self.leaving.remove(&name);
                if name == names::SYSTEM_SCOPE {
                    // A client of an earlier version created it, and deleted it again.
                    self.scopes.insert(name, Scope::default());
                }
            }
            Part::Scope(Some(record)) => {
                let scope = self.scopes.entry(name).or_default();
                // The record of an earlier version replaces all numbers.
                let old: Vec<String> = scope.numbers.iter().map(|(name, _)| name.clone()).collect();
                old.iter().for_each(|stream| scope.numbers.set(stream, None));
                for (stream, number) in record.next_numbers {
                    scope.numbers.set(&stream, Some(number));
                }
            }
            Part::Leaving => {
                let scope = self.scopes.remove(&name).or_else(|| self.take_stream(&name));
                let scope = scope.ok_or(MissingParent("scope"))?;
                self.leaving.insert(name, Leaving { scope, reached: None });
            }
            part => {
                let removes = part.removes();
                let moved = match &part {
                    Part::Stream(stream, StreamPart::Head(_)) => Some(stream.clone()),
                    _ => None,
                };
                let ends = part.ends_transactions().map(str::to_owned);
                let before = ends.as_ref().map_or(0, |stream| self.remembered_of(&name, stream));
                match self.scope_mut(&name) {
                    Some(scope) => scope.apply(part)?,
                    None if removes => {}
                    None => return Err(MissingParent("scope")),
                }
                if let Some(stream) = moved
                    && self.stream(&name, &stream).is_some_and(|found| !found.has_short_history())
                {
                    self.prune(&name, &stream);
                }
                if let Some(stream) = ends {
                    let after = self.remembered_of(&name, &stream);
                    self.remembered = (self.remembered + after).saturating_sub(before);
                    self.doom(&name, stream);
                }
            }
        }
        if let Some((scope, stream)) = older {
            self.log_older(&scope, stream.as_deref());
        }
        self.held = self.held.saturating_add_signed(growth);
        Ok(())
    }

    /// Encodes a change for the log; returns the scope, and the stream, that an entry of an earlier
    /// version sets as a whole.
    fn log_unless_older(&mut self, change: &Change) -> Option<(String, Option<String>)> {
        self.log.as_ref()?;
        match &change.part {
            Part::Stream(stream, StreamPart::Older(_)) => {
                return Some((change.scope.clone(), Some(stream.clone())));
            }
            Part::Scope(Some(record)) => {
                let numbers = self.scope(&change.scope).map(|scope| scope.numbers.by_stream());
                let old: Vec<String> =
                    numbers.into_iter().flatten().map(|(name, _)| name.clone()).collect();
                for stream in old {
                    self.log(&Change::new(&change.scope, Part::Number(stream, None)));
                }
                if !record.next_numbers.is_empty() {
                    return Some((change.scope.clone(), None));
                }
            }
            _ => {}
        }
        self.log(change);
        None
    }

    /// The bytes that a change adds to what is held; negative if it frees some.
    pub(super) fn growth(&self, change: &Change) -> i64 {
        let Change { scope: name, part } = change;
        let scope = self.scope(name);
        match (part, scope) {
            (Part::Scope(None), scope) => -scope.map_or(0, |scope| signed(whole(name, scope))),
            (Part::Scope(Some(record)), scope) => {
                let numbers = record.next_numbers.keys().map(|name| weight::of_number(name));
                let new = weight::of_scope(name) + numbers.sum::<u64>();
                let numbers = |scope: &Scope| -> u64 {
                    scope.numbers.iter().map(|(name, _)| weight::of_number(name)).sum()
                };
                let old = scope.map(|scope| weight::of_scope(name) + numbers(scope));
                difference(Some(new), old)
            }
            // What belongs to nothing is refused or ignored.
            (_, Some(scope)) => scope.growth(part),
            (_, None) => 0,
        }
    }

    /// Notes whether a stream has open transactions after it was sealed.
    fn doom(&mut self, scope: &str, stream: String) {
        let found = self.stream(scope, &stream);
        let is_doomed = found
            .is_some_and(|found| found.is_sealed() && found.transactions.open().next().is_some());
        if is_doomed {
            self.doomed.insert((scope.to_owned(), stream));
        } else if !self.doomed.is_empty() {
            self.doomed.remove(&(scope.to_owned(), stream));
        }
    }

    /// The number of transactions of a stream whose outcomes are kept.
    fn remembered_of(&self, scope: &str, stream: &str) -> usize {
        let found = self.scope(scope).and_then(|scope| scope.streams.get(stream));
        found.map_or(0, |found| found.transactions.completed().len())
    }

    /// Returns true if the number of transactions whose outcomes are kept is right.
    #[cfg(test)]
    pub(crate) fn counts_remembered(&self) -> bool {
        let leaving = self.leaving.values().map(|leaving| &leaving.scope);
        let streams = self.scopes.values().chain(leaving).flat_map(|scope| scope.streams.values());
        let counted: usize = streams.map(|found| found.transactions.completed().len()).sum();
        counted == self.remembered
    }

    /// Takes a stream that leaves from its scope.
    fn take_stream(&mut self, leaving: &str) -> Option<Scope> {
        let (scope, name) = stream_of(leaving)?;
        let from = self.scopes.get_mut(scope)?;
        from.untag(name);
        let stream = from.streams.remove(name)?;
        let mut scope = Scope::default();
        scope.streams.insert(name.to_owned(), stream);
        scope.tag(name);
        Some(scope)
    }

    /// A scope, also while it is being deleted.
    fn scope(&self, name: &str) -> Option<&Scope> {
        let leaving = || self.leaving.get(name).map(|leaving| &leaving.scope);
        self.scopes.get(name).or_else(leaving)
    }

    fn scope_mut(&mut self, name: &str) -> Option<&mut Scope> {
        let leaving = self.leaving.get_mut(name).map(|leaving| &mut leaving.scope);
        self.scopes.get_mut(name).or(leaving)
    }

    /// Returns true if each scope has for each tag the streams that have it.
    #[cfg(test)]
    pub(crate) fn knows_tags(&self) -> bool {
        let leaving = self.leaving.values().map(|leaving| &leaving.scope);
        self.scopes.values().chain(leaving).all(|scope| {
            let mut again = Scope::default();
            for (name, stream) in &scope.streams {
                again.streams.insert(name.clone(), Stream::new(stream.state.clone()));
                again.tag(name);
            }
            again.tagged == scope.tagged
        })
    }

    /// The memory that the entries use, counted one by one.
    #[cfg(test)]
    pub(crate) fn recount(&self) -> u64 {
        let leaving = self.leaving.iter().map(|(name, leaving)| (name, &leaving.scope));
        self.scopes.iter().chain(leaving).map(|(name, scope)| whole(name, scope)).sum()
    }
}

fn whole(name: &str, scope: &Scope) -> u64 {
    weight::of_whole_scope(name, scope)
}

fn signed(weight: u64) -> i64 {
    i64::try_from(weight).unwrap_or(i64::MAX)
}

fn difference(new: Option<u64>, old: Option<u64>) -> i64 {
    signed(new.unwrap_or(0)) - signed(old.unwrap_or(0))
}

impl Part {
    /// The stream that may have been sealed, or whose transactions change.
    fn ends_transactions(&self) -> Option<&str> {
        match self {
            Self::Stream(
                stream,
                StreamPart::State(_) | StreamPart::Transaction(..) | StreamPart::Older(_),
            ) => Some(stream),
            _ => None,
        }
    }

    fn removes(&self) -> bool {
        match self {
            Self::Number(_, value) => value.is_none(),
            Self::Table(_, value) => value.is_none(),
            Self::Group(_, value) => value.is_none(),
            Self::Stream(_, part) => part.removes(),
            Self::Scope(_) | Self::Leaving | Self::Floor(_) => false,
        }
    }
}

impl StreamPart {
    fn removes(&self) -> bool {
        match self {
            Self::State(value) => value.is_none(),
            Self::Writer(_, value) => value.is_none(),
            Self::Subscriber(_, value) => value.is_none(),
            Self::RetentionPoint(_, value) => value.is_none(),
            Self::Transaction(_, value) => value.is_none(),
            Self::Epoch(..)
            | Self::Head(_)
            | Self::End(..)
            | Self::Ends(_)
            | Self::Watermark(_)
            | Self::Older(_) => false,
        }
    }
}

impl Scope {
    fn apply(&mut self, part: Part) -> Result<(), MissingParent> {
        match part {
            // They are the catalog's.
            Part::Scope(_) | Part::Leaving => {}
            Part::Floor(floor) => {
                for stream in self.numbers.up_to(floor) {
                    self.numbers.set(&stream, None);
                }
                self.numbers.floor = floor;
            }
            Part::Number(stream, number) => self.numbers.set(&stream, number),
            Part::Table(name, table) => set(&mut self.tables, name, table),
            Part::Group(name, group) => set(&mut self.groups, name, group),
            Part::Stream(name, StreamPart::State(None)) => {
                self.untag(&name);
                self.streams.remove(&name);
            }
            Part::Stream(name, StreamPart::State(Some(state))) => {
                self.untag(&name);
                match self.streams.get_mut(&name) {
                    Some(stream) => stream.state = state,
                    None => drop(self.streams.insert(name.clone(), Stream::new(state))),
                }
                self.tag(&name);
            }
            Part::Stream(name, StreamPart::Older(older)) => {
                // Transactions are entries of their own.
                self.untag(&name);
                let before = self.streams.remove(&name);
                let mut stream = Stream::of(*older);
                stream.transactions = before.map(|before| before.transactions).unwrap_or_default();
                self.streams.insert(name.clone(), stream);
                self.tag(&name);
            }
            Part::Stream(name, part) => match self.streams.get_mut(&name) {
                Some(stream) => stream.apply(part),
                None if part.removes() => {}
                None => return Err(MissingParent("stream")),
            },
        }
        Ok(())
    }

    fn growth(&self, part: &Part) -> i64 {
        match part {
            Part::Scope(_) | Part::Leaving => 0,
            Part::Floor(floor) => {
                let forgotten = self.numbers.up_to(*floor);
                -signed(forgotten.iter().map(|name| weight::of_number(name)).sum())
            }
            Part::Number(stream, number) => {
                let of = |_| weight::of_number(stream);
                difference(number.map(of), self.numbers.get(stream).map(of))
            }
            Part::Table(name, table) => {
                let of = |table| weight::of_table(name, table);
                difference(table.as_ref().map(of), self.tables.get(name).map(of))
            }
            Part::Group(name, group) => {
                let of = |group| weight::of_group(name, group);
                difference(group.as_ref().map(of), self.groups.get(name).map(of))
            }
            Part::Stream(name, part) => stream_growth(name, self.streams.get(name), part),
        }
    }
}

fn stream_growth(name: &str, stream: Option<&Stream>, part: &StreamPart) -> i64 {
    let whole = |stream: &Stream| weight::of_stream(name, stream);
    match part {
        StreamPart::State(None) => difference(None, stream.map(whole)),
        StreamPart::State(Some(state)) => {
            let of = |state| weight::of_state(name, state);
            difference(Some(of(state)), stream.map(|stream| of(&stream.state)))
        }
        StreamPart::Older(older) => {
            let transactions = |stream: &Stream| -> u64 {
                stream.transactions.iter().map(|(_, one)| weight::of_transaction(one)).sum()
            };
            let new = whole(&Stream::of((**older).clone())) + stream.map_or(0, transactions);
            difference(Some(new), stream.map(whole))
        }
        // These are counted with their segments, and with the stream.
        StreamPart::Head(_)
        | StreamPart::End(..)
        | StreamPart::Ends(_)
        | StreamPart::Watermark(_) => 0,
        StreamPart::Epoch(_, epoch) => signed(weight::of_epoch(epoch)),
        StreamPart::Writer(name, mark) => {
            let of = |mark| weight::of_writer(name, mark);
            let old = stream.and_then(|stream| stream.writers.get(name));
            difference(mark.as_ref().map(of), old.map(of))
        }
        StreamPart::Subscriber(name, subscriber) => {
            let of = |subscriber| weight::of_subscriber(name, subscriber);
            let old = stream.and_then(|stream| stream.subscribers.get(name));
            difference(subscriber.as_ref().map(of), old.map(of))
        }
        StreamPart::RetentionPoint(key, point) => {
            let old = stream.and_then(|stream| stream.retention_points.get(key));
            difference(point.as_ref().map(weight::of_point), old.map(weight::of_point))
        }
        StreamPart::Transaction(id, transaction) => {
            let old = stream.and_then(|stream| stream.transactions.get(*id));
            let of = weight::of_transaction;
            difference(transaction.as_ref().map(of), old.map(of))
        }
    }
}

impl Stream {
    /// A stream as an earlier version kept it.
    fn of(older: OlderStream) -> Self {
        let mut stream = Self::new(older.state());
        older.epochs().for_each(|epoch| stream.history.begin(epoch));
        stream.head = older.head;
        stream.deleted_ends = older.deleted_ends;
        stream.writers = older.writers;
        stream.watermark = older.watermark;
        stream.subscribers = older.subscribers;
        stream.retention_points = (0..).zip(older.retention_points).collect();
        stream
    }

    fn apply(&mut self, part: StreamPart) {
        match part {
            // They are the scope's.
            StreamPart::State(_) | StreamPart::Older(_) => {}
            StreamPart::Epoch(_, epoch) => self.history.begin(epoch),
            StreamPart::Head(cut) => self.head = cut,
            StreamPart::End(segment, end) => drop(self.deleted_ends.insert(segment, end)),
            StreamPart::Ends(ends) => self.deleted_ends.extend(ends),
            StreamPart::Writer(name, mark) => set(&mut self.writers, name, mark),
            StreamPart::Watermark(bounds) => self.watermark = Some(bounds),
            StreamPart::Subscriber(name, subscriber) => {
                let joins = subscriber.is_some() && !self.subscribers.contains_key(&name);
                self.subscribed += u64::from(joins);
                set(&mut self.subscribers, name, subscriber);
            }
            StreamPart::RetentionPoint(key, point) => {
                set(&mut self.retention_points, key, point);
            }
            StreamPart::Transaction(id, transaction) => {
                self.transactions.set(id, transaction);
            }
        }
    }
}

fn set<K: Ord, V>(map: &mut std::collections::BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}
