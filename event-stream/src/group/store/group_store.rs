//! The state of a group, where its readers find it.

use std::time::Duration;

use futures_util::future::join;
use pravega_sdk_controller_client::Creation;
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_table_synchronizer::{StateConfig, StateError, StateSynchronizer};
use pravega_sdk_types::{ErrorKind, Failure, Outcome, ScopedReaderGroup, ScopedSegment, SegmentId};

use super::{
    super::{
        deadline::within,
        state::{GroupInit, GroupInitial, GroupUpdate, ReaderGroupState},
        storage::GroupStorage,
    },
    kept::{Kept, KeptInitial, KeptSerializer},
    mark::TableMark,
    table_store::{TableStore, delete_segment, segment_of},
};

/// The state of a group, on which all its readers agree, and a copy of it.
///
/// The stream that the controller creates for the group has the state, in the form of Java's
/// client, or a mark that says in which table it is. Which of them it is follows from the first
/// entry of the stream, and does not change.
///
/// # Cancel safety
///
/// In all calls a future that is dropped leaves a copy that is a state of the group. What it was
/// about to write may or may not be written, and is read by the next call.
#[derive(Debug)]
pub struct GroupStore {
    context: SegmentContext,
    group: ScopedReaderGroup,
    config: StateConfig,
    /// Where a group gets its state that has none.
    new_storage: GroupStorage,
    stream: Box<Stream>,
    /// `None` if the state is in the stream, or nothing was read yet.
    table: Option<Box<TableStore>>,
}

impl GroupStore {
    /// Opens the state of a group. Nothing is read yet. Each call takes at most the timeout of
    /// `config`, and the first that reads a state in a table twice as long.
    ///
    /// # Errors
    ///
    /// [`StateError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such group, and
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        config: StateConfig,
    ) -> Result<Self, StateError> {
        let (name, settings) = (group.state_stream(), config.clone());
        let stream = StateSynchronizer::open(context.clone(), &name, KeptSerializer, settings);
        let stream = Box::new(stream.await?);
        let (group, new_storage) = (group.clone(), GroupStorage::default());
        Ok(Self { context, group, config, new_storage, stream, table: None })
    }

    /// Sets where a group gets its state that has none. Default: in its stream.
    #[must_use]
    pub fn with_new_storage(mut self, storage: GroupStorage) -> Self {
        self.new_storage = storage;
        self
    }

    /// Returns where the state is; `None` if the group has none, or it was not read yet.
    #[must_use]
    pub fn storage(&self) -> Option<GroupStorage> {
        self.stream.state().map(|kept| match kept {
            Kept::Here(_) => GroupStorage::Stream,
            Kept::InTable(_) => GroupStorage::Table,
        })
    }

    /// Returns the segment of the group's stream, beside which leases are. A group that is deleted
    /// and created again has another one.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        self.stream.segment()
    }

    /// Returns the segment of the table that the state is in; `None` if it is in the stream, or
    /// nothing was read yet.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn table_segment(&self) -> Option<ScopedSegment> {
        let table = self.group.state_table().segment_stream();
        self.in_table().map(|segment| ScopedSegment::new(&table, segment))
    }

    /// Returns the copy of the state; `None` if the group has none, or it was not read yet.
    #[must_use]
    pub fn state(&self) -> Option<&ReaderGroupState> {
        match (self.stream.state()?, &self.table) {
            (Kept::Here(state), _) => Some(state),
            (Kept::InTable(_), table) => table.as_ref().and_then(|table| table.state()),
        }
    }

    /// Returns the length of what was written since the state was last written as a whole, as far
    /// as it was read, in bytes; 0 if it never is. No server is asked.
    #[must_use]
    pub fn bytes_since_compaction(&self) -> u64 {
        match self.in_table() {
            Some(_) => 0,
            None => self.stream.bytes_since_initial(),
        }
    }

    /// Writes what the group begins with, unless it has a state, which is read then.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::initialize`]. A group without an id cannot have its state in a
    /// table: [`InvalidArgument`](ErrorKind::InvalidArgument).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the state may or may not be written.
    pub async fn initialize(&mut self, init: GroupInit) -> Result<Creation, StateError> {
        let creation = match self.new_storage {
            GroupStorage::Stream => {
                let initial = KeptInitial::State(GroupInitial::Init(init));
                self.stream.initialize(initial).await?
            }
            GroupStorage::Table => self.initialize_table(init).await?,
        };
        self.follow().await?;
        Ok(creation)
    }

    /// Writes the state into a table, and then the mark. The table means nothing without the mark.
    async fn initialize_table(&mut self, init: GroupInit) -> Result<Creation, StateError> {
        let id = init.configuration.configuration().id();
        if id.is_nil() {
            let detail = "a group without an id cannot have its state in a table";
            return Err(Failure::invalid(detail).into());
        }
        self.stream.fetch().await?;
        if self.stream.state().is_some() {
            return Ok(Creation::AlreadyExisted);
        }
        let segment = segment_of(id);
        let (context, config) = (self.context.clone(), &self.config);
        let creating = TableStore::create(context, &self.group, segment, config, &init);
        let created = in_time(self.config.timeout(), Outcome::Unknown, creating).await;
        let table = match created {
            Ok(table) => table,
            Err(error) => {
                // A client that was slower than one with the state in the stream deletes the table
                // that all clients with a table have made together.
                self.stream.fetch().await?;
                let has_state = self.stream.state().is_some();
                let is_deleted = has_state && error.kind() == ErrorKind::NotFound;
                return if is_deleted { Ok(Creation::AlreadyExisted) } else { Err(error) };
            }
        };
        let mark = TableMark { segment, configuration: init.configuration };
        let marked = self.stream.initialize(KeptInitial::Table(Box::new(mark))).await;
        let is_unused = match &marked {
            // Another client was faster, and has put the state into the stream.
            Ok(_) => self.in_table() != Some(segment),
            // The group was deleted meanwhile, and its table before this client created it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Sealed) => {
                let fetched = self.stream.fetch().await;
                fetched.is_err_and(|error| error.kind() == ErrorKind::NotFound)
            }
            Err(_) => false,
        };
        if is_unused {
            self.drop_table(segment).await;
        } else if marked.is_ok() {
            self.table = Some(Box::new(table));
        }
        marked
    }

    /// Deletes a table that no client will use. One that cannot be deleted is left.
    async fn drop_table(&self, segment: SegmentId) {
        let deleting = delete_segment(&self.context, &self.group, segment, &self.config);
        if let Err(error) = Box::pin(deleting).await {
            tracing::debug!(%error, group = %self.group, "a table that is not used is left");
        }
    }

    /// Reads the state.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::fetch`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the copy is the latest state or an earlier one.
    pub async fn fetch(&mut self) -> Result<(), StateError> {
        let Some(table) = &mut self.table else {
            fetch(&mut self.stream).await?;
            return self.follow().await;
        };
        // The stream shows that the group is not deleted, and has nothing else that is new.
        let (found, fetched) = join(fetch(&mut self.stream), Box::pin(table.fetch())).await;
        found.and(fetched)
    }

    /// Changes the state: `prepare` looks at the latest state and pushes the updates to make, all
    /// of which are made together or not at all. It may be called several times, each time with a
    /// newer state; the result of its last call is returned. If it pushes none, nothing is written,
    /// and the copy may be older than the state.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::update`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the updates may or may not be made.
    pub async fn change<R>(
        &mut self,
        mut prepare: impl FnMut(&ReaderGroupState, &mut Vec<GroupUpdate>) -> R,
    ) -> Result<R, StateError> {
        if self.in_table().is_none() {
            let changed = self.stream.update(|kept, updates| match kept {
                Kept::Here(state) => Some(prepare(state, updates)),
                Kept::InTable(_) => None,
            });
            if let Some(result) = changed.await? {
                return Ok(result);
            }
        }
        self.follow().await?;
        match &mut self.table {
            Some(table) => Box::pin(table.change(prepare)).await,
            None => Err(without_table().into()),
        }
    }

    /// Writes an update whatever the state is. The copy has it after the next [`Self::fetch`].
    ///
    /// An update that does not fit the state stops Java's readers, so it must be one that always
    /// does: the begin of a checkpoint, or what is about the last one.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::update_unconditionally`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the update may or may not be made.
    pub async fn report(&mut self, update: GroupUpdate) -> Result<(), StateError> {
        if self.stream.state().is_none() {
            let fetched = fetch(&mut self.stream).await;
            // An entry that does not fit says nothing about where the state is.
            if self.stream.state().is_none() {
                fetched?;
            }
        }
        if self.in_table().is_none() {
            return self.stream.update_unconditionally(vec![update]).await;
        }
        self.change(|_, updates| updates.push(update.clone())).await
    }

    /// Writes the state as a whole, so that what was written before it is not needed. Nothing is
    /// done if the state is in a table.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::compact`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the state may or may not be written.
    pub async fn compact(&mut self) -> Result<(), StateError> {
        let whole = |kept: &Kept| match kept {
            Kept::Here(state) => Some(KeptInitial::State(GroupInitial::Compact(state.clone()))),
            Kept::InTable(_) => None,
        };
        self.stream.compact(whole).await.map(|_| ())
    }

    /// Returns the segment of the table that the state is in, if it is in one.
    fn in_table(&self) -> Option<SegmentId> {
        segment_in(&self.stream)
    }

    /// Opens the table that the state is in, if it is in one, and reads the state.
    async fn follow(&mut self) -> Result<(), StateError> {
        let Some(segment) = self.in_table().filter(|_| self.table.is_none()) else {
            return Ok(());
        };
        let opening = TableStore::open(self.context.clone(), &self.group, segment, &self.config);
        let table = in_time(self.config.timeout(), Outcome::NotApplied, opening).await?;
        self.table = Some(Box::new(table));
        Ok(())
    }
}

type Stream = StateSynchronizer<Kept, KeptSerializer>;

/// Reads the stream. After a mark it is of no interest what else is in it.
async fn fetch(stream: &mut Stream) -> Result<(), StateError> {
    match stream.fetch().await {
        Err(error) if error.kind() == ErrorKind::Corrupt && segment_in(stream).is_some() => Ok(()),
        fetched => fetched,
    }
}

/// Returns the segment of the table that the stream names.
fn segment_in(stream: &Stream) -> Option<SegmentId> {
    match stream.state()? {
        Kept::Here(_) => None,
        Kept::InTable(segment) => Some(*segment),
    }
}

/// Carries out some work; `outcome` is that of work whose time is over.
async fn in_time<T>(
    limit: Duration,
    outcome: Outcome,
    work: impl Future<Output = Result<T, StateError>>,
) -> Result<T, StateError> {
    within(limit, work).await.unwrap_or_else(|| {
        let detail = format_args!("it was not done within {limit:?}");
        Err(Failure::new(ErrorKind::Timeout, outcome, detail).into())
    })
}

fn without_table() -> Failure {
    Failure::new(ErrorKind::NotFound, Outcome::NotApplied, "the group has no table")
}
