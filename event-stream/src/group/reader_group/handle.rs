//! The handle of a reader group.

use std::{fmt, sync::Arc, time::Duration};

use pravega_sdk_controller_client::{Creation, Deletion};
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupStream, Outcome, Position, ReaderGroupConfiguration,
    ScopedReaderGroup, ScopedStream, StreamPosition,
};
use uuid::Uuid;

use super::{
    access::{Access, Result, finish},
    begin::{check, complete, init_of, part_of},
    config::GroupHandleConfig,
    error::ReaderGroupError,
    machine::{GroupDescription, configuration::differences, positions::cuts_of},
};
use crate::{
    group::{
        deadline::within,
        liveness::{LeasedGroup, discarding, lease_values, sweep},
        storage::GroupStorage,
        store::delete_table,
    },
    reader::ReadUntil,
};

/// How long the deletion of a group waits for that of a table that is not used.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(2);

/// A reader group: what it reads and where its readers are, checkpoints, and what else there is to
/// do with it except reading.
///
/// The group is one that Java's client creates, describes, resets and deletes too, unless it is
/// created with its state in a [table](GroupStorage::Table). Clones are cheap; their calls take
/// turns. A handle reads nothing by itself and has no task.
///
/// | | Java's client | this client |
/// |---|---|---|
/// | list of groups | none | [pages](pravega_sdk_controller_client::listing::reader_groups) |
/// | an existing group | needs its configuration to be named | opened without one |
/// | a group whose creator ended in the middle | has no state; its readers fail | [opened](Self::open) and repaired |
/// | a checkpoint that a dead reader holds up | waits forever | ends at a deadline, with the readers |
/// | cuts with a segment between two scales | miss a part of the key space | are complete |
/// | cuts that miss a part of the key space | are accepted | are refused |
/// | a reset to the last checkpoint without one | begins at the start | is refused |
/// | the end of the group in a segment that goes on | its readers wait there forever | is found |
/// | unread bytes | of the group | of the group, of each reader and of each segment |
/// | readers that died | stay until they are taken offline | are found by their leases |
/// | notifications | after up to 120 s | after the refresh interval of the group |
///
/// # Deadlines
///
/// Each call takes at most the time of the [configuration](GroupHandleConfig::with_timeout), or the
/// one that it is given, with all its requests, attempts and pauses.
///
/// # Cancel safety
///
/// A future that is dropped leaves the group as some client could have left it: what it was about
/// to change is changed or not, as each method says.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::{
///     SegmentContext,
///     group::{GroupHandleConfig, ReaderGroup},
/// };
/// use pravega_sdk_types::ReaderGroupConfiguration;
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let name = "shop/billing".parse()?;
/// let configuration = ReaderGroupConfiguration::new(["shop/orders".parse()?])?;
/// let settings = GroupHandleConfig::default();
/// let (group, _) = ReaderGroup::create(context, &name, &configuration, settings).await?;
/// println!("{:?}", group.online_readers().await?);
/// match group.checkpoint("nightly", Duration::from_secs(60)).await {
///     Ok(checkpoint) => println!("{} cuts", checkpoint.cuts().len()),
///     Err(error) => println!("{error}: {:?}", error.waiting_for()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReaderGroup {
    pub(super) access: Arc<Access>,
    /// The id of the group that was opened: another group of the name is not this one.
    id: Uuid,
    storage: GroupStorage,
}

/// Whether a reader was taken out of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Removal {
    /// The reader was in the group, and is not any more.
    Removed,
    /// It was not in the group. After a lost reply the first attempt may have taken it out.
    NotInGroup,
}

impl ReaderGroup {
    /// Creates a group. One that exists with the same configuration is opened; its id and its
    /// generation are not compared, and those of `configuration` are not used.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`]: [`AlreadyExists`](ErrorKind::AlreadyExists) names the settings in
    /// which an existing group differs, the [storage](GroupHandleConfig::with_storage) among them,
    /// [`InvalidStreamCut`](ErrorKind::InvalidStreamCut) is about
    /// a cut that is not one of its stream, misses a part of the key space or is after the end of a
    /// segment, [`NotFound`](ErrorKind::NotFound) about the scope or a stream that does not exist.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the group exists or not. If it exists without a state, the next
    /// call of this method or of [`open`](Self::open) gives it one.
    pub async fn create(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
        config: GroupHandleConfig,
    ) -> Result<(Self, Creation)> {
        let storage = config.storage;
        let created = create(context, group, configuration, config, |found| {
            let different = differences(found, configuration);
            if different.is_empty() { Ok(()) } else { Err(exists(&different)) }
        });
        let (found, creation) = created.await?;
        if found.storage != storage {
            return Err(exists(&["the storage"]).of("creating", group));
        }
        Ok((found, creation))
    }

    /// Creates a group unless one of the name exists, whatever its configuration is.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), except that an existing group is no error.
    ///
    /// # Cancel safety
    ///
    /// As [`create`](Self::create).
    pub async fn create_if_absent(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
        config: GroupHandleConfig,
    ) -> Result<(Self, Creation)> {
        create(context, group, configuration, config, |_| Ok(())).await
    }

    /// Opens a group that exists. One that was registered and has no state, as the client that
    /// created it ended in the middle, gets the state that it should begin with.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`]: [`NotFound`](ErrorKind::NotFound) if there is no such group.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect, or gives the group its first state.
    pub async fn open(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        config: GroupHandleConfig,
    ) -> Result<Self> {
        let mut effect = Outcome::NotApplied;
        let limit = config.timeout;
        let work = async {
            let access = Access::open(context.clone(), group, config.clone()).await?;
            if let Some(id) = access.look(|state| state.configuration().id()).await? {
                return Self::of(access, id).await;
            }
            effect = Outcome::Unknown;
            let found = context.controller().reader_group_configuration(group).await;
            let found = found.map_err(unreadable)?;
            Ok(begin(context, group, found, config).await?.0)
        };
        let done = within(limit, work).await;
        finish(group, "opening", limit, effect, done)
    }

    /// The handle of a group whose state was read.
    async fn of(access: Access, id: Uuid) -> Result<Self> {
        let storage = access.storage().await.ok_or_else(ReaderGroupError::missing)?;
        Ok(Self { access: Arc::new(access), id, storage })
    }

    /// Returns where the state of the group is kept.
    #[must_use]
    pub fn storage(&self) -> GroupStorage {
        self.storage
    }

    /// Returns the name.
    #[must_use]
    pub fn group(&self) -> &ScopedReaderGroup {
        &self.access.group
    }

    /// Finds a place in a stream for the configuration of a group: where reading begins, and where
    /// it ends. The head stays the head of the moment at which a group begins; the tail and a time
    /// are resolved now.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`] if there is no such stream, or the place is not in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use pravega_sdk_event_stream::{
    ///     ReadUntil, SegmentContext, StreamPosition, group::ReaderGroup,
    /// };
    /// use pravega_sdk_types::ReaderGroupConfiguration;
    ///
    /// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let orders = "shop/orders".parse()?;
    /// let new_ones =
    ///     ReaderGroup::part(&context, &orders, StreamPosition::Tail, ReadUntil::Sealed).await?;
    /// let configuration = ReaderGroupConfiguration::bounded([new_ones])?;
    /// # let _ = configuration;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn part(
        context: &SegmentContext,
        stream: &ScopedStream,
        from: StreamPosition,
        until: ReadUntil,
    ) -> Result<GroupStream> {
        pravega_sdk_segment_client::runtime::runtime()?;
        part_of(context, stream, from, until).await
    }

    /// Returns the configuration, with the id and the generation.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`] if the group was deleted, or its state cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn configuration(&self) -> Result<ReaderGroupConfiguration> {
        let reading = self.access.read(|state| state.configuration().clone());
        self.access.ask("describing", reading).await
    }

    /// Returns the configuration, the readers with their segments and leases, and the checkpoints.
    /// It costs one request if the state has not changed, and one for the lease of each reader. For
    /// the bytes that are left see
    /// [`unread_bytes`](Self::unread_bytes).
    ///
    /// # Errors
    ///
    /// As [`configuration`](Self::configuration).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn describe(&self) -> Result<GroupDescription> {
        let work = async {
            let mut description = self.access.read(GroupDescription::of).await?;
            description.storage = self.storage;
            let readers = description.readers.iter().map(|reader| reader.id.clone()).collect();
            let LeasedGroup { leases, .. } = self.access.leased().await;
            let mut found = lease_values(&leases, readers).await.map_err(ReaderGroupError::from)?;
            for reader in &mut description.readers {
                reader.lease = found.remove(&reader.id);
            }
            Ok(description)
        };
        self.access.ask("describing", work).await
    }

    /// Returns the ids of the readers in the group, sorted. A reader that has ended without leaving
    /// is in it until it is taken [offline](Self::reader_offline).
    ///
    /// # Errors
    ///
    /// As [`configuration`](Self::configuration).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn online_readers(&self) -> Result<Vec<Arc<str>>> {
        let reading = self.access.read(|state| state.readers().cloned().collect());
        self.access.ask("describing", reading).await
    }

    /// Returns a cut of each stream that has segments left: where the group would go on if all its
    /// readers left without a position. The positions are those of the last checkpoint of each
    /// reader, or those at which it took its segments; for newer ones see
    /// [`generate_stream_cuts`](Self::generate_stream_cuts).
    ///
    /// Each cut covers the key space: it has segments at their ends whose successors have not begun
    /// yet.
    ///
    /// # Errors
    ///
    /// As [`configuration`](Self::configuration), and if a stream does not exist.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn stream_cuts(&self) -> Result<Vec<BoundedCut>> {
        let work = async {
            let positions = self.access.read(|state| state.positions()).await?;
            self.cuts(&positions).await
        };
        self.access.ask("finding the cuts of", work).await
    }

    /// Takes a reader out of the group that has ended or should not read on. Its segments are read
    /// on by other readers from `position` on, or without one from the positions of its last
    /// checkpoint on. It leaves all checkpoints that wait for it.
    ///
    /// A segment is not read on from before the reader's last checkpoint, nor from before the
    /// offset at which the reader took it, whatever the position says: what is before was handled,
    /// maybe by another reader. So the position that a program has stored last is always right,
    /// also if the reader has lost a segment since and taken it again. To read events again,
    /// [reset](Self::reset) the group.
    ///
    /// A reader that still runs learns it at its next look at the state; until then it may return
    /// events that another reader returns too.
    ///
    /// The [lease](super::super::GroupReaderConfig::with_lease) of the reader ends with it, so that
    /// it does not count for the next reader of its id. If the reader could be alive, a reader of
    /// this client with the same id waits for it before it joins, for about the length of the
    /// lease.
    ///
    /// # Errors
    ///
    /// As [`configuration`](Self::configuration), and
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a position without a segment of the
    /// streams of the group, or after the end of a segment. If the outcome is
    /// [`Applied`](Outcome::Applied), the reader is out, and its lease may be left: the call can be
    /// repeated.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the reader is taken out or not, and its lease may be left.
    pub async fn reader_offline(
        &self,
        reader: &str,
        position: Option<&Position>,
    ) -> Result<Removal> {
        let mut effect = Outcome::NotApplied;
        let limit = self.access.config.timeout;
        let work = async {
            let LeasedGroup { leases, .. } = self.access.leased().await;
            let removing = Box::pin(async {
                let removal = self.remove(reader, position, &mut effect).await?;
                Ok::<_, ReaderGroupError>(removal == Removal::Removed)
            });
            let was_in_group = discarding(&leases, reader, removing).await?;
            Ok(if was_in_group { Removal::Removed } else { Removal::NotInGroup })
        };
        let done = within(limit, work).await;
        self.access.finish("taking a reader out of", limit, effect, done)
    }

    /// Takes the dead readers out of the group: those with a
    /// [lease](super::super::GroupReaderConfig::with_lease) that they do not renew. Their segments
    /// are read on from their last checkpoints. Returns the ids of those that were taken out.
    ///
    /// The readers of a group do this for each other. A program does it for a group that may have
    /// no reader left, as before it starts the next ones. It waits until each reader was found
    /// alive or dead, for about the length of the longest lease. Readers without a lease are left
    /// alone: see [`reader_offline`](Self::reader_offline).
    ///
    /// # Errors
    ///
    /// As [`configuration`](Self::configuration), and of kind [`Timeout`](ErrorKind::Timeout) if
    /// not all readers were found alive or dead within `limit`. If its outcome is
    /// [`Applied`](Outcome::Applied), readers were taken out.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the dead readers are taken out. The readers of the group
    /// go on with those that are marked.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn example(
    /// #     group: pravega_sdk_event_stream::group::ReaderGroup,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// for reader in group.take_out_dead(Duration::from_secs(60)).await? {
    ///     println!("{reader} was dead");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn take_out_dead(&self, limit: Duration) -> Result<Vec<Arc<str>>> {
        let mut removed = Vec::new();
        let work = async {
            let readers = self.access.read(|state| state.readers().cloned().collect()).await?;
            let swept = sweep(self.access.leased().await, readers, &mut removed).await;
            swept.map_err(ReaderGroupError::from)
        };
        let done = within(limit, work).await;
        let effect = if removed.is_empty() { Outcome::NotApplied } else { Outcome::Applied };
        self.access.finish("taking dead readers out of", limit, effect, done)?;
        Ok(removed)
    }

    /// Deletes the group with its state, the table too if it is in one. Its readers, and those of
    /// Java's client, fail at their next look at the state.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`] if the controller refuses the call, or does not answer. A group of the
    /// same name that was created since is another one and stays; that is
    /// [`Deletion::NotFound`]. If the outcome is [`Applied`](Outcome::Applied), the group is
    /// deleted, and its table may be left: the call can be repeated.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the group is deleted or not.
    pub async fn delete(&self) -> Result<Deletion> {
        let mut effect = Outcome::NotApplied;
        let limit = self.access.config.timeout;
        let work = async {
            let (context, group) = (&self.access.context, self.group());
            if self.id.is_nil() {
                // It may be registered by now.
                return delete_found(context, group, &self.access.config, &mut effect).await;
            }
            let of = (self.id, Some(self.storage));
            delete_registered(context, group, of, &self.access.config, &mut effect).await
        };
        let done = within(limit, work).await;
        self.access.finish("deleting", limit, effect, done)
    }

    /// Deletes a group by its name; see [`delete`](Self::delete).
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    ///
    /// # Cancel safety
    ///
    /// As [`delete`](Self::delete).
    pub async fn delete_by_name(
        context: &SegmentContext,
        group: &ScopedReaderGroup,
        config: &GroupHandleConfig,
    ) -> Result<Deletion> {
        let mut effect = Outcome::NotApplied;
        let limit = config.timeout;
        let work = delete_found(context, group, config, &mut effect);
        let done = within(limit, work).await;
        finish(group, "deleting", limit, effect, done)
    }

    /// Returns the cuts of some positions, each of which covers the key space.
    pub(super) async fn cuts(
        &self,
        positions: &super::machine::positions::Positions,
    ) -> Result<Vec<BoundedCut>> {
        let cuts = cuts_of(positions).map_err(|error| {
            ReaderGroupError::new(ErrorKind::Corrupt, Outcome::NotApplied, error)
        })?;
        let mut completed = Vec::new();
        for cut in cuts {
            completed.push(complete(&self.access.context, cut).await?);
        }
        Ok(completed)
    }
}

impl fmt::Debug for ReaderGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderGroup").field("group", self.group()).finish_non_exhaustive()
    }
}

/// Creates a group, or opens one that exists with a configuration that is accepted.
async fn create(
    context: SegmentContext,
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
    config: GroupHandleConfig,
    accept: impl FnOnce(&ReaderGroupConfiguration) -> Result<()>,
) -> Result<(ReaderGroup, Creation)> {
    let mut effect = Outcome::NotApplied;
    let limit = config.timeout;
    let work = async {
        let found = register(&context, group, configuration, &mut effect).await?;
        accept(&found)?;
        begin(context, group, found, config).await
    };
    let done = within(limit, work).await;
    finish(group, "creating", limit, effect, done)
}

/// Makes the controller know a group, and returns its configuration, which may be another.
async fn register(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
    effect: &mut Outcome,
) -> Result<ReaderGroupConfiguration> {
    match context.controller().reader_group_configuration(group).await {
        // The cuts of a group that exists may be truncated by now.
        Ok(found) => return Ok(found),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(error)),
    }
    check(context, configuration).await?;
    let first = configuration.clone().with_identity(Uuid::new_v4(), Some(0));
    *effect = Outcome::Unknown;
    let created = context.controller().create_reader_group(group, &first).await;
    let found = created.map_err(|error| {
        let detail = match error.kind() {
            ErrorKind::NotFound => "the scope does not exist",
            _ => "the controller does not create the group",
        };
        ReaderGroupError::caused_by(error, detail)
    })?;
    *effect = Outcome::Applied;
    Ok(found)
}

/// Opens a group that the controller knows, and gives it a state unless it has one.
async fn begin(
    context: SegmentContext,
    group: &ScopedReaderGroup,
    found: ReaderGroupConfiguration,
    config: GroupHandleConfig,
) -> Result<(ReaderGroup, Creation)> {
    let access = Access::open(context.clone(), group, config).await?;
    let known = access.look(|state| state.configuration().id()).await?;
    let creation = match known {
        Some(_) => Creation::AlreadyExisted,
        None => access.initialize(init_of(&context, &found).await?).await?,
    };
    let id = access.read(|state| state.configuration().id()).await?;
    Ok((ReaderGroup::of(access, id).await?, creation))
}

fn exists(different: &[&str]) -> ReaderGroupError {
    let detail = format!("it exists, and differs in: {}", different.join(", "));
    ReaderGroupError::new(ErrorKind::AlreadyExists, Outcome::NotApplied, detail)
        .with_hint("open it as it is, or reset it to the new configuration")
}

fn unreadable(error: pravega_sdk_controller_client::ControllerError) -> ReaderGroupError {
    ReaderGroupError::from_controller(error, "the configuration of the group cannot be read")
}

/// Deletes a group, whether the controller knows it or not.
async fn delete_found(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    config: &GroupHandleConfig,
    effect: &mut Outcome,
) -> Result<Deletion> {
    match context.controller().reader_group_configuration(group).await {
        Ok(found) => {
            let of = (found.id(), storage_of(context, group, config).await);
            delete_registered(context, group, of, config, effect).await
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            delete_unregistered(context, group, effect).await
        }
        Err(error) => Err(unreadable(error)),
    }
}

/// Finds out where the state of a group is; `None` if it has none, or it cannot be read soon.
async fn storage_of(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    config: &GroupHandleConfig,
) -> Option<GroupStorage> {
    let soon = config.clone().with_timeout(config.timeout / 4);
    let limit = soon.timeout;
    let looking = async {
        let access = Access::open(context.clone(), group, soon).await?;
        access.look(|_| ()).await?;
        Ok::<_, ReaderGroupError>(access.storage().await)
    };
    within(limit, looking).await?.ok()?
}

/// Deletes a group by its id, and then its table. A group whose state is in the stream may have
/// one, too, of a client that ended before the mark; then another client gave the group its state.
async fn delete_registered(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    (id, storage): (Uuid, Option<GroupStorage>),
    config: &GroupHandleConfig,
    effect: &mut Outcome,
) -> Result<Deletion> {
    *effect = Outcome::Unknown;
    let deleted = context.controller().delete_reader_group(group, id).await;
    let deleted = deleted
        .map_err(|error| ReaderGroupError::caused_by(error, "the controller does not delete it"))?;
    *effect = Outcome::Applied;
    if storage == Some(GroupStorage::Stream) {
        // It is rare, so the caller does not wait long for its deletion.
        let limit = LEFTOVER_LIMIT.min(config.timeout / 4);
        let soon = config.clone().with_timeout(limit);
        let leftover = async {
            delete_table(context, group, id, &soon.state()).await.map_err(|error| {
                ReaderGroupError::caused_by(error, "a table that is not used may be left")
            })
        };
        match within(limit, leftover).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => tracing::debug!(%error, %group, "a table may be left"),
            None => tracing::debug!(%group, "a table may be left, as no server has answered"),
        }
        return Ok(deleted);
    }
    let of_table = delete_table(context, group, id, &config.state()).await.map_err(|error| {
        ReaderGroupError::caused_by(error, "the group is deleted, and its table may be left")
            .with_outcome(Outcome::Applied)
    })?;
    // A deletion that is repeated, or that of a client that ended in the middle.
    Ok(if of_table == Deletion::Deleted { of_table } else { deleted })
}

/// Deletes the state of a group that the controller does not know, as clients before the
/// registration of groups have created it.
async fn delete_unregistered(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    effect: &mut Outcome,
) -> Result<Deletion> {
    let (controller, stream) = (context.controller(), group.state_stream());
    let refused = |error| ReaderGroupError::caused_by(error, "its state cannot be deleted");
    if !controller.stream_exists(&stream).await.map_err(refused)? {
        return Ok(Deletion::NotFound);
    }
    *effect = Outcome::Unknown;
    controller.seal_stream(&stream).await.map_err(refused)?;
    controller.delete_stream(&stream).await.map_err(refused)
}
