//! The simulated controller: the calls that clients make in a simulation, with outages, and with
//! answers that are late, lost, or older than the latest change.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use pravega_sdk_controller_client::{
    AccessOperation, CompletedTransaction, Controller, ControllerError, CreatedTransaction,
    Creation, CutRange, DelegationToken, Deletion, KeyValueTableConfiguration, Page, PageToken,
    PingStatus, ScaleStart, ScaleState, SegmentWithRange, Subscriber, TransactionState,
};
use pravega_sdk_proto::{StreamInfo, ping_txn_status, remove_writer_response, timestamp_response};
use pravega_sdk_server_core::{
    catalog::{CallResult, Catalog},
    store::Step,
};
use pravega_sdk_types::{
    BoundedCut, Endpoint, Epoch, ErrorKind, KeyRange, Offset, Outcome, ReaderGroupConfiguration,
    Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    StreamConfiguration, StreamCut, Successor, Tag, Timestamp, TransactionId, WriterName,
};
use tokio::time::{sleep, timeout};

use crate::{
    World,
    answer::{self, decided, failed, refused, timed_out, unavailable, unsupported},
    faults::Instance,
    messages,
    transactions::Note,
};

/// The controller of a [`World`]. Each call takes a random time; while the controller is away,
/// each fails after it. A call that is not answered ends after its deadline.
#[derive(Debug)]
pub struct SimController {
    world: World,
    random: Mutex<fastrand::Rng>,
    max_latency: Duration,
    call_timeout: Duration,
    noted: Arc<Mutex<Vec<(WriterName, BoundedCut, i64)>>>,
}

/// The time after which a call ends that is not answered.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

impl SimController {
    /// A controller of `world`.
    #[must_use]
    pub fn new(world: &World, seed: u64, max_latency: Duration) -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let (world, call_timeout) = (world.clone(), CALL_TIMEOUT);
        Self { world, random, max_latency, call_timeout, noted: Arc::default() }
    }

    /// Sets the deadline of each call. Default: 30 s.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// The times that writers noted.
    #[must_use]
    pub fn noted(&self) -> Vec<(WriterName, BoundedCut, i64)> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the time of a call.
    async fn arrive(&self, call: &'static str) -> Result<(), ControllerError> {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        sleep(self.max_latency.mul_f64(share)).await;
        let answered = async {
            loop {
                let changed = self.world.changed();
                if !self.world.is_unanswered(call) {
                    return;
                }
                changed.await;
            }
        };
        if timeout(self.call_timeout, answered).await.is_err() {
            return Err(timed_out());
        }
        if self.world.lock().controller.is_away {
            return Err(unavailable("the controller is away"));
        }
        Ok(())
    }

    /// Makes a call of the catalog that changes nothing; now and then, an instance answers that
    /// does not know the latest changes.
    async fn ask<T>(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<T> + Send,
    ) -> Result<T, ControllerError> {
        self.arrive(name).await?;
        self.world.ask(self.instance(), call).map_err(failed)
    }

    /// As [`Self::ask`], of one instance.
    async fn ask_of<T>(
        &self,
        instance: Instance,
        name: &'static str,
        call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<T> + Send,
    ) -> Result<T, ControllerError> {
        self.arrive(name).await?;
        self.world.ask(instance, call).map_err(failed)
    }

    /// The instance that answers, if it knows that a stream is sealed.
    async fn instance_if_sealed(
        &self,
        info: &StreamInfo,
    ) -> Result<Option<Instance>, ControllerError> {
        self.arrive("current_segments").await?;
        let instance = self.instance();
        let present =
            self.world.ask(instance, |catalog, step| catalog.current_segments(info, step));
        Ok(present.map_err(failed)?.segment_ranges.is_empty().then_some(instance))
    }

    /// Makes a call of the catalog that changes something; its answer is lost now and then.
    async fn change<T>(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<T> + Send,
    ) -> Result<T, ControllerError> {
        self.arrive(name).await?;
        let changed = self.world.lock().cluster.call(call).map_err(failed);
        self.lose_answer()?;
        changed
    }

    /// Makes a call of the catalog that changes the segments of a stream, after the changes under
    /// way.
    async fn change_segments<T>(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<T> + Send,
    ) -> Result<T, ControllerError> {
        self.arrive(name).await?;
        self.world.finish_changes();
        let changed = self.world.lock().cluster.call(call).map_err(failed);
        self.lose_answer()?;
        changed
    }

    /// Loses the answer to a request that took effect, now and then.
    fn lose_answer(&self) -> Result<(), ControllerError> {
        let lost_answers = self.world.lock().controller.lost_answers;
        if self.chance(lost_answers) {
            self.world.count("answer of the controller lost");
            return Err(unavailable("the answer was lost"));
        }
        Ok(())
    }

    /// Returns true now and then: a request reaches the controller late.
    fn is_late(&self) -> bool {
        let lost_answers = self.world.lock().controller.lost_answers;
        self.chance(lost_answers / 2)
    }

    /// Returns the instance that a call reaches.
    fn instance(&self) -> Instance {
        let (percent, instances) = self.world.stale_instances();
        if instances == 0 || !self.chance(percent) {
            return Instance::Present;
        }
        if instances == 1 {
            return Instance::Stale(0);
        }
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        Instance::Stale(random.usize(0..instances))
    }

    fn chance(&self, percent: u32) -> bool {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u32(0..100) < percent
    }

    fn random_delay(&self) -> Duration {
        let millis = self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(1..300);
        Duration::from_millis(millis)
    }
}

#[async_trait]
impl Controller for SimController {
    async fn current_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<SegmentWithRange>, ControllerError> {
        let info = messages::stream_info(stream);
        let found = self
            .ask("current_segments", |catalog, step| catalog.current_segments(&info, step))
            .await?;
        Ok(messages::segments(&found.segment_ranges))
    }

    async fn successors(&self, segment: &ScopedSegment) -> Result<Vec<Successor>, ControllerError> {
        let (info, id) = (messages::stream_info(&segment.scoped_stream()), segment.id());
        let found = self
            .ask("successors", |catalog, step| catalog.successors(&info, id.into(), step))
            .await?;
        Ok(messages::successors(&found))
    }

    async fn final_successors(
        &self,
        segment: &ScopedSegment,
    ) -> Result<Option<Vec<Successor>>, ControllerError> {
        let (info, id) = (messages::stream_info(&segment.scoped_stream()), segment.id());
        let Some(instance) = self.instance_if_sealed(&info).await? else { return Ok(None) };
        let found = self.ask_of(instance, "successors", |catalog, step| {
            catalog.successors(&info, id.into(), step)
        });
        Ok(Some(messages::successors(&found.await?)))
    }

    async fn final_segments_after(
        &self,
        cut: &BoundedCut,
    ) -> Result<Option<Vec<ScopedSegment>>, ControllerError> {
        let info = messages::stream_info(cut.stream());
        let Some(instance) = self.instance_if_sealed(&info).await? else { return Ok(None) };
        let (from, to) = (messages::cut(cut), messages::cut_or_none(&StreamCut::Unbounded));
        let found = self.ask_of(instance, "segments_between", |catalog, step| {
            catalog.segments_between(&info, &from, &to, step)
        });
        Ok(Some(messages::segments_between(cut.stream(), &found.await?)))
    }

    async fn segment_endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint, ControllerError> {
        self.arrive("segment_endpoint").await?;
        Ok(World::endpoint(self.world.known_owner(&segment.to_string(), self.instance())))
    }

    async fn delegation_token(
        &self,
        stream: &ScopedStream,
        _: AccessOperation,
    ) -> Result<DelegationToken, ControllerError> {
        let info = messages::stream_info(stream);
        let token =
            self.ask("delegation_token", |catalog, step| Ok(catalog.token(&info, step))).await?;
        Ok(DelegationToken::new(token))
    }

    async fn note_time(
        &self,
        writer: &WriterName,
        position: &BoundedCut,
        time: Timestamp,
    ) -> Result<(), ControllerError> {
        use timestamp_response::Status;
        let (info, name) = (messages::stream_info(position.stream()), writer.to_string());
        let cut = position.positions().map(|(id, offset)| (id.into(), offset.to_wire())).collect();
        let note = |catalog: &mut Catalog, step: &mut Step<'_>| {
            catalog.note_time(&info, &name, cut, time.as_millis(), step)
        };
        match self.change("note_time", note).await? {
            Status::Success => {}
            Status::InvalidTime | Status::InvalidPosition => {
                return Err(refused(ErrorKind::ConditionFailed, "the writer noted a later one"));
            }
            Status::InternalError => {
                let detail = "the time was not noted";
                let (kind, outcome) = (ErrorKind::ServerFailure, Outcome::Unknown);
                return Err(ControllerError::new(kind, outcome, detail));
            }
        }
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push((
            writer.clone(),
            position.clone(),
            time.as_millis(),
        ));
        Ok(())
    }

    async fn remove_writer(
        &self,
        stream: &ScopedStream,
        writer: &WriterName,
    ) -> Result<bool, ControllerError> {
        use remove_writer_response::Status;
        let (info, name) = (messages::stream_info(stream), writer.to_string());
        let remove =
            |catalog: &mut Catalog, step: &mut Step<'_>| catalog.remove_writer(&info, &name, step);
        match self.change("remove_writer", remove).await? {
            Status::Success => Ok(true),
            Status::UnknownWriter => Ok(false),
            Status::StreamDoesNotExist | Status::InternalError => {
                Err(refused(ErrorKind::NotFound, "the stream is not found"))
            }
        }
    }

    async fn head_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<(SegmentId, Offset)>, ControllerError> {
        let info = messages::stream_info(stream);
        let head =
            self.ask("head_segments", |catalog, step| catalog.head_segments(&info, step)).await?;
        Ok(messages::head(&head))
    }

    async fn epoch_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<Vec<SegmentWithRange>, ControllerError> {
        let info = messages::stream_info(stream);
        let found = self
            .ask("epoch_segments", |catalog, step| catalog.epoch_segments(&info, epoch.0, step))
            .await?;
        Ok(messages::segments(&found.segment_ranges))
    }

    async fn create_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> Result<CreatedTransaction, ControllerError> {
        self.arrive("create_transaction").await?;
        let created = self
            .world
            .with_transactions(|transactions, cluster| transactions.begin(cluster, stream, lease))
            .map_err(failed)?;
        self.lose_answer()?;
        Ok(created)
    }

    async fn ping_transaction(
        &self,
        _: &ScopedStream,
        id: TransactionId,
        lease: Duration,
    ) -> Result<PingStatus, ControllerError> {
        use ping_txn_status::Status;
        self.arrive("ping_transaction").await?;
        let status = self
            .world
            .with_transactions(|transactions, cluster| transactions.ping(cluster, id, lease));
        self.lose_answer()?;
        match status {
            Status::Ok => Ok(PingStatus::Open),
            Status::Committed => Ok(PingStatus::Committed),
            Status::Aborted => Ok(PingStatus::Aborted),
            Status::LeaseTooLarge => Ok(PingStatus::LeaseTooLarge),
            Status::MaxExecutionTimeExceeded => Ok(PingStatus::MaxExecutionTimeExceeded),
            _ => Err(refused(ErrorKind::NotFound, "the transaction is not found")),
        }
    }

    async fn commit_transaction(
        &self,
        _: &ScopedStream,
        id: TransactionId,
        note: Option<(&WriterName, Timestamp)>,
    ) -> Result<(), ControllerError> {
        self.arrive("commit_transaction").await?;
        let note =
            note.map(|(writer, time)| Note { writer: writer.to_string(), time: time.as_millis() });
        let note = note.unwrap_or_default();
        let (world, delay) = (self.world.clone(), self.random_delay());
        if self.is_late() {
            // The request takes effect after the client has given it up.
            self.world.count("commit carried out late");
            tokio::spawn(async move {
                sleep(delay * 5).await;
                world.commit_late(id, note);
            });
            return Err(unavailable("the answer was lost"));
        }
        let status = self.world.with_transactions(|transactions, cluster| {
            transactions.accept_commit(cluster, id, note)
        });
        tokio::spawn(async move {
            sleep(delay).await;
            world.finish_commit(id);
        });
        self.lose_answer()?;
        decided(status)
    }

    async fn abort_transaction(
        &self,
        _: &ScopedStream,
        id: TransactionId,
    ) -> Result<(), ControllerError> {
        self.arrive("abort_transaction").await?;
        let status = self
            .world
            .with_transactions(|transactions, cluster| transactions.abort(cluster, id))
            .map_err(failed)?;
        self.lose_answer()?;
        decided(status)
    }

    async fn transaction_state(
        &self,
        _: &ScopedStream,
        id: TransactionId,
    ) -> Result<TransactionState, ControllerError> {
        self.arrive("transaction_state").await?;
        self.world
            .with_transactions(|transactions, cluster| transactions.state(cluster, id))
            .ok_or_else(|| refused(ErrorKind::NotFound, "the transaction is not found"))
    }

    // No client makes the calls from here on in a simulation.

    async fn controllers(&self) -> Result<Vec<Endpoint>, ControllerError> {
        Err(unsupported())
    }

    async fn create_scope(&self, scope: &Scope) -> Result<Creation, ControllerError> {
        let name = scope.to_string();
        let status = self.change("create_scope", |catalog, step| catalog.create_scope(&name, step));
        answer::scope_created(status.await?)
    }

    async fn delete_scope(&self, scope: &Scope) -> Result<Deletion, ControllerError> {
        let name = scope.to_string();
        let status = self.change("delete_scope", |catalog, step| catalog.delete_scope(&name, step));
        answer::scope_deleted(status.await?)
    }

    async fn delete_scope_recursive(&self, scope: &Scope) -> Result<Deletion, ControllerError> {
        let name = scope.to_string();
        let status = self.change_segments("delete_scope_recursive", |catalog, step| {
            catalog.delete_scope_recursive(&name, step)
        });
        answer::scope_deleted(status.await?)
    }

    async fn scope_exists(&self, scope: &Scope) -> Result<bool, ControllerError> {
        let name = scope.to_string();
        let found = self.ask("scope_exists", |catalog, _| Ok(catalog.scope_exists(&name)));
        Ok(found.await?.exists)
    }

    async fn scopes_page(&self, _: &PageToken) -> Result<Page<Scope>, ControllerError> {
        Err(unsupported())
    }

    async fn create_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<Creation, ControllerError> {
        let config = messages::stream_config(stream, configuration)?;
        let status =
            self.change("create_stream", |catalog, step| catalog.create_stream(config, step));
        answer::stream_created(status.await?)
    }

    async fn update_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<(), ControllerError> {
        let config = messages::stream_config(stream, configuration)?;
        let status = self
            .change_segments("update_stream", |catalog, step| catalog.update_stream(config, step));
        answer::updated(status.await?)
    }

    async fn truncate_stream(&self, cut: &BoundedCut) -> Result<(), ControllerError> {
        let (info, cut) = (messages::stream_info(cut.stream()), messages::cut(cut));
        let status = self
            .change("truncate_stream", |catalog, step| catalog.truncate_stream(&info, cut, step));
        answer::truncated(status.await?)
    }

    async fn seal_stream(&self, stream: &ScopedStream) -> Result<(), ControllerError> {
        let info = messages::stream_info(stream);
        let status =
            self.change_segments("seal_stream", |catalog, step| catalog.seal_stream(&info, step));
        answer::updated(status.await?)
    }

    async fn delete_stream(&self, stream: &ScopedStream) -> Result<Deletion, ControllerError> {
        let info = messages::stream_info(stream);
        let status = self
            .change_segments("delete_stream", |catalog, step| catalog.delete_stream(&info, step));
        answer::stream_deleted(status.await?)
    }

    async fn stream_exists(&self, stream: &ScopedStream) -> Result<bool, ControllerError> {
        let (scope, name) = (stream.scope().to_string(), stream.stream().to_string());
        let found =
            self.ask("stream_exists", |catalog, _| Ok(catalog.stream_exists(&scope, &name)));
        Ok(found.await?.exists)
    }

    async fn stream_configuration(
        &self,
        stream: &ScopedStream,
    ) -> Result<StreamConfiguration, ControllerError> {
        let info = messages::stream_info(stream);
        let found =
            self.ask("stream_configuration", |catalog, _| catalog.stream_configuration(&info));
        Ok(messages::stream_configuration(&found.await?))
    }

    async fn streams_page(
        &self,
        _: &Scope,
        _: &PageToken,
    ) -> Result<Page<ScopedStream>, ControllerError> {
        Err(unsupported())
    }

    async fn streams_by_tag_page(
        &self,
        _: &Scope,
        _: &Tag,
        _: &PageToken,
    ) -> Result<Page<ScopedStream>, ControllerError> {
        Err(unsupported())
    }

    async fn segments_between(
        &self,
        stream: &ScopedStream,
        range: &CutRange,
    ) -> Result<Vec<ScopedSegment>, ControllerError> {
        let info = messages::stream_info(stream);
        let (from, to) = (messages::cut_or_none(&range.from), messages::cut_or_none(&range.to));
        let found = self.ask("segments_between", |catalog, step| {
            catalog.segments_between(&info, &from, &to, step)
        });
        Ok(messages::segments_between(stream, &found.await?))
    }

    async fn is_segment_open(&self, segment: &ScopedSegment) -> Result<bool, ControllerError> {
        let (info, id) = (messages::stream_info(&segment.scoped_stream()), segment.id().into());
        self.ask("is_segment_open", |catalog, _| catalog.is_segment_open(&info, id)).await
    }

    async fn is_stream_cut_valid(&self, cut: &BoundedCut) -> Result<bool, ControllerError> {
        let (info, cut) = (messages::stream_info(cut.stream()), messages::cut(cut));
        self.ask("is_stream_cut_valid", |catalog, _| catalog.is_cut_complete(&info, &cut)).await
    }

    async fn scale(
        &self,
        stream: &ScopedStream,
        sealed: &[SegmentId],
        ranges: &[KeyRange],
    ) -> Result<ScaleStart, ControllerError> {
        let request = messages::scale_request(stream, sealed, ranges);
        let started = self.change_segments("scale", |catalog, step| catalog.scale(&request, step));
        answer::scale_started(&started.await?)
    }

    async fn scale_state(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<ScaleState, ControllerError> {
        let info = messages::stream_info(stream);
        let status = self.ask("scale_state", |catalog, _| Ok(catalog.check_scale(&info, epoch.0)));
        answer::scale_state(status.await?)
    }

    async fn completed_transactions(
        &self,
        _: &ScopedStream,
    ) -> Result<Vec<CompletedTransaction>, ControllerError> {
        Err(unsupported())
    }

    async fn create_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
        configuration: &KeyValueTableConfiguration,
    ) -> Result<Creation, ControllerError> {
        let config = messages::table_config(table, configuration)?;
        let status =
            self.change("create_table", |catalog, step| catalog.create_table(config, step));
        answer::table_created(status.await?)
    }

    async fn delete_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Deletion, ControllerError> {
        let info = messages::table_info(table);
        let status = self.change("delete_table", |catalog, step| catalog.delete_table(&info, step));
        answer::table_deleted(status.await?)
    }

    async fn key_value_table_configuration(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<KeyValueTableConfiguration, ControllerError> {
        let info = messages::table_info(table);
        let found = self.ask("table_config", |catalog, _| Ok(catalog.table_config(&info)));
        answer::table_config(&found.await?)
    }

    async fn key_value_table_segments(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Vec<SegmentWithRange>, ControllerError> {
        let info = messages::table_info(table);
        let found =
            self.ask("table_segments", |catalog, step| catalog.table_segments(&info, step)).await?;
        Ok(messages::segments(&found.segment_ranges))
    }

    async fn key_value_tables_page(
        &self,
        scope: &Scope,
        token: &PageToken,
    ) -> Result<Page<ScopedKeyValueTable>, ControllerError> {
        let found =
            self.ask("list_tables", |catalog, _| Ok(catalog.list_tables(scope.as_str(), &token.0)));
        answer::tables_page(&found.await?)
    }

    async fn create_reader_group(
        &self,
        _: &ScopedReaderGroup,
        _: &ReaderGroupConfiguration,
    ) -> Result<ReaderGroupConfiguration, ControllerError> {
        Err(unsupported())
    }

    async fn reader_group_configuration(
        &self,
        _: &ScopedReaderGroup,
    ) -> Result<ReaderGroupConfiguration, ControllerError> {
        Err(unsupported())
    }

    async fn update_reader_group(
        &self,
        _: &ScopedReaderGroup,
        _: &ReaderGroupConfiguration,
    ) -> Result<i64, ControllerError> {
        Err(unsupported())
    }

    async fn delete_reader_group(
        &self,
        _: &ScopedReaderGroup,
        _: uuid::Uuid,
    ) -> Result<Deletion, ControllerError> {
        Err(unsupported())
    }

    async fn subscribers(&self, _: &ScopedStream) -> Result<Vec<String>, ControllerError> {
        Err(unsupported())
    }

    async fn update_subscriber_cut(
        &self,
        _: &Subscriber,
        _: &BoundedCut,
    ) -> Result<(), ControllerError> {
        self.arrive("updateSubscriberStreamCut").await?;
        Err(unsupported())
    }
}
