//! The simulated controller: the calls that clients make in a simulation, with outages, and with
//! answers that are late or lost.

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
use pravega_sdk_proto::{ping_txn_status, remove_writer_response, timestamp_response};
use pravega_sdk_server_core::{
    catalog::{CallResult, Catalog},
    store::Step,
};
use pravega_sdk_types::{
    BoundedCut, Endpoint, Epoch, ErrorKind, KeyRange, Offset, Outcome, ReaderGroupConfiguration,
    Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    StreamConfiguration, Successor, Tag, Timestamp, TransactionId, WriterName,
};
use tokio::time::sleep;

use crate::{
    World,
    answer::{decided, failed, refused, unavailable, unsupported},
    messages,
    transactions::Note,
};

/// The controller of a [`World`]. Each call takes a random time; while the controller is away,
/// each fails after it.
#[derive(Debug)]
pub struct SimController {
    world: World,
    random: Mutex<fastrand::Rng>,
    max_latency: Duration,
    noted: Arc<Mutex<Vec<(WriterName, BoundedCut, i64)>>>,
}

impl SimController {
    /// A controller of `world`.
    #[must_use]
    pub fn new(world: &World, seed: u64, max_latency: Duration) -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { world: world.clone(), random, max_latency, noted: Arc::default() }
    }

    /// The times that writers noted.
    #[must_use]
    pub fn noted(&self) -> Vec<(WriterName, BoundedCut, i64)> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the time of a call.
    async fn arrive(&self) -> Result<(), ControllerError> {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        sleep(self.max_latency.mul_f64(share)).await;
        if self.world.lock().controller.is_away {
            return Err(unavailable("the controller is away"));
        }
        Ok(())
    }

    /// Makes a call of the catalog.
    async fn call<T>(
        &self,
        call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<T> + Send,
    ) -> Result<T, ControllerError> {
        self.arrive().await?;
        self.world.lock().cluster.call(call).map_err(failed)
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
        let found = self.call(|catalog, step| catalog.current_segments(&info, step)).await?;
        Ok(messages::segments(&found.segment_ranges))
    }

    async fn successors(&self, segment: &ScopedSegment) -> Result<Vec<Successor>, ControllerError> {
        let (info, id) = (messages::stream_info(&segment.scoped_stream()), segment.id());
        let found = self.call(|catalog, step| catalog.successors(&info, id.into(), step)).await?;
        Ok(messages::successors(&found))
    }

    async fn segment_endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint, ControllerError> {
        self.arrive().await?;
        Ok(World::endpoint(self.world.owner(&segment.to_string())))
    }

    async fn delegation_token(
        &self,
        stream: &ScopedStream,
        _: AccessOperation,
    ) -> Result<DelegationToken, ControllerError> {
        let info = messages::stream_info(stream);
        let token = self.call(|catalog, step| Ok(catalog.token(&info, step))).await?;
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
            Ok(catalog.note_time(&info, &name, cut, time.as_millis(), step))
        };
        match self.call(note).await? {
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
        match self.call(|catalog, step| Ok(catalog.remove_writer(&info, &name, step))).await? {
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
        let head = self.call(|catalog, step| catalog.head_segments(&info, step)).await?;
        Ok(messages::head(&head))
    }

    async fn epoch_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<Vec<SegmentWithRange>, ControllerError> {
        let info = messages::stream_info(stream);
        let found = self.call(|catalog, step| catalog.epoch_segments(&info, epoch.0, step)).await?;
        Ok(messages::segments(&found.segment_ranges))
    }

    async fn create_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> Result<CreatedTransaction, ControllerError> {
        self.arrive().await?;
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
        self.arrive().await?;
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
        self.arrive().await?;
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
        self.arrive().await?;
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
        self.arrive().await?;
        self.world
            .with_transactions(|transactions, cluster| transactions.state(cluster, id))
            .ok_or_else(|| refused(ErrorKind::NotFound, "the transaction is not found"))
    }

    // No client makes the calls from here on in a simulation.

    async fn controllers(&self) -> Result<Vec<Endpoint>, ControllerError> {
        Err(unsupported())
    }

    async fn create_scope(&self, _: &Scope) -> Result<Creation, ControllerError> {
        Err(unsupported())
    }

    async fn delete_scope(&self, _: &Scope) -> Result<Deletion, ControllerError> {
        Err(unsupported())
    }

    async fn delete_scope_recursive(&self, _: &Scope) -> Result<Deletion, ControllerError> {
        Err(unsupported())
    }

    async fn scope_exists(&self, _: &Scope) -> Result<bool, ControllerError> {
        Err(unsupported())
    }

    async fn scopes_page(&self, _: &PageToken) -> Result<Page<Scope>, ControllerError> {
        Err(unsupported())
    }

    async fn create_stream(
        &self,
        _: &ScopedStream,
        _: &StreamConfiguration,
    ) -> Result<Creation, ControllerError> {
        Err(unsupported())
    }

    async fn update_stream(
        &self,
        _: &ScopedStream,
        _: &StreamConfiguration,
    ) -> Result<(), ControllerError> {
        Err(unsupported())
    }

    async fn truncate_stream(&self, _: &BoundedCut) -> Result<(), ControllerError> {
        Err(unsupported())
    }

    async fn seal_stream(&self, _: &ScopedStream) -> Result<(), ControllerError> {
        Err(unsupported())
    }

    async fn delete_stream(&self, _: &ScopedStream) -> Result<Deletion, ControllerError> {
        Err(unsupported())
    }

    async fn stream_exists(&self, _: &ScopedStream) -> Result<bool, ControllerError> {
        Err(unsupported())
    }

    async fn stream_configuration(
        &self,
        _: &ScopedStream,
    ) -> Result<StreamConfiguration, ControllerError> {
        Err(unsupported())
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
        _: &ScopedStream,
        _: &CutRange,
    ) -> Result<Vec<ScopedSegment>, ControllerError> {
        Err(unsupported())
    }

    async fn is_segment_open(&self, _: &ScopedSegment) -> Result<bool, ControllerError> {
        Err(unsupported())
    }

    async fn is_stream_cut_valid(&self, _: &BoundedCut) -> Result<bool, ControllerError> {
        Err(unsupported())
    }

    async fn scale(
        &self,
        _: &ScopedStream,
        _: &[SegmentId],
        _: &[KeyRange],
    ) -> Result<ScaleStart, ControllerError> {
        Err(unsupported())
    }

    async fn scale_state(&self, _: &ScopedStream, _: Epoch) -> Result<ScaleState, ControllerError> {
        Err(unsupported())
    }

    async fn completed_transactions(
        &self,
        _: &ScopedStream,
    ) -> Result<Vec<CompletedTransaction>, ControllerError> {
        Err(unsupported())
    }

    async fn create_key_value_table(
        &self,
        _: &ScopedKeyValueTable,
        _: &KeyValueTableConfiguration,
    ) -> Result<Creation, ControllerError> {
        Err(unsupported())
    }

    async fn delete_key_value_table(
        &self,
        _: &ScopedKeyValueTable,
    ) -> Result<Deletion, ControllerError> {
        Err(unsupported())
    }

    async fn key_value_table_configuration(
        &self,
        _: &ScopedKeyValueTable,
    ) -> Result<KeyValueTableConfiguration, ControllerError> {
        Err(unsupported())
    }

    async fn key_value_table_segments(
        &self,
        _: &ScopedKeyValueTable,
    ) -> Result<Vec<SegmentWithRange>, ControllerError> {
        Err(unsupported())
    }

    async fn key_value_tables_page(
        &self,
        _: &Scope,
        _: &PageToken,
    ) -> Result<Page<ScopedKeyValueTable>, ControllerError> {
        Err(unsupported())
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
        Err(unsupported())
    }
}
