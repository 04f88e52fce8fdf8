//! The simulated controller: what writers ask of it, with outages and answers that come late.

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
use pravega_sdk_types::{
    BoundedCut, Endpoint, Epoch, ErrorKind, KeyRange, Offset, Outcome, ReaderGroupConfiguration,
    Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    StreamConfiguration, Successor, Tag, Timestamp, TransactionId, WriterName,
};
use tokio::time::sleep;

use crate::World;

/// Answers from a [`World`], each call after a random wait. While the world says that the
/// controller is away, every call fails after one.
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

    /// The times that were noted.
    #[must_use]
    pub fn noted(&self) -> Vec<(WriterName, BoundedCut, i64)> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self) -> Result<(), ControllerError> {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        sleep(self.max_latency.mul_f64(share)).await;
        if self.world.lock().is_controller_away {
            return Err(ControllerError::new(
                ErrorKind::Unavailable,
                Outcome::Unknown,
                "the controller is away",
            ));
        }
        Ok(())
    }

    /// A request was carried out; now and then nobody is told.
    fn lose_answer(&self) -> Result<(), ControllerError> {
        if self.chance(self.world.lock().lost_answers) {
            self.world.count("answer of the controller lost");
            return Err(lost());
        }
        Ok(())
    }

    fn is_late(&self) -> bool {
        self.chance(self.world.lock().lost_answers / 2)
    }

    fn chance(&self, percent: u32) -> bool {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u32(0..100) < percent
    }

    fn random_delay(&self) -> Duration {
        let millis = self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(1..300);
        Duration::from_millis(millis)
    }

    async fn answer_about(&self, stream: &ScopedStream) -> Result<(), ControllerError> {
        self.answer().await?;
        if !self.world.is_stream_there(stream) {
            return Err(ControllerError::new(
                ErrorKind::NotFound,
                Outcome::NotApplied,
                "there is no such stream",
            ));
        }
        Ok(())
    }
}

fn lost() -> ControllerError {
    ControllerError::new(ErrorKind::Unavailable, Outcome::Unknown, "the answer was lost")
}

fn no_transaction() -> ControllerError {
    ControllerError::new(ErrorKind::NotFound, Outcome::NotApplied, "there is no such transaction")
}

fn not_open() -> ControllerError {
    ControllerError::new(
        ErrorKind::ConditionFailed,
        Outcome::NotApplied,
        "the transaction is not open",
    )
}

fn unsupported() -> ControllerError {
    ControllerError::new(
        ErrorKind::Unsupported,
        Outcome::NotApplied,
        "the simulated controller cannot do this",
    )
}

#[async_trait]
impl Controller for SimController {
    async fn current_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<SegmentWithRange>, ControllerError> {
        self.answer_about(stream).await?;
        Ok(self.world.active_segments(stream))
    }

    async fn successors(&self, segment: &ScopedSegment) -> Result<Vec<Successor>, ControllerError> {
        self.answer_about(&segment.scoped_stream()).await?;
        Ok(self.world.successors(segment))
    }

    async fn segment_endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint, ControllerError> {
        self.answer().await?;
        Ok(World::endpoint(self.world.owner(&segment.to_string())))
    }

    async fn delegation_token(
        &self,
        stream: &ScopedStream,
        _: AccessOperation,
    ) -> Result<DelegationToken, ControllerError> {
        self.answer_about(stream).await?;
        Ok(DelegationToken::new(""))
    }

    async fn note_time(
        &self,
        writer: &WriterName,
        position: &BoundedCut,
        time: Timestamp,
    ) -> Result<(), ControllerError> {
        self.answer().await?;
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push((
            writer.clone(),
            position.clone(),
            time.as_millis(),
        ));
        Ok(())
    }

    async fn remove_writer(
        &self,
        _: &ScopedStream,
        _: &WriterName,
    ) -> Result<bool, ControllerError> {
        self.answer().await?;
        Ok(true)
    }

    async fn head_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<(SegmentId, Offset)>, ControllerError> {
        self.answer_about(stream).await?;
        Ok(self.world.head(stream).into_iter().map(|(id, offset)| (id, Offset(offset))).collect())
    }

    async fn epoch_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<Vec<SegmentWithRange>, ControllerError> {
        self.answer_about(stream).await?;
        Ok(self.world.transaction_segments(stream, epoch))
    }

    async fn create_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> Result<CreatedTransaction, ControllerError> {
        self.answer_about(stream).await?;
        let created = self.world.begin_transaction(stream, lease);
        self.lose_answer()?;
        Ok(created)
    }

    async fn ping_transaction(
        &self,
        _: &ScopedStream,
        id: TransactionId,
        lease: Duration,
    ) -> Result<PingStatus, ControllerError> {
        self.answer().await?;
        let status = self.world.ping_transaction(id, lease);
        self.lose_answer()?;
        status.ok_or_else(no_transaction)
    }

    async fn commit_transaction(
        &self,
        _: &ScopedStream,
        id: TransactionId,
        _: Option<(&WriterName, Timestamp)>,
    ) -> Result<(), ControllerError> {
        self.answer().await?;
        let (world, delay) = (self.world.clone(), self.random_delay());
        if self.is_late() {
            // The request lies somewhere, and is carried out when nobody expects it any more.
            self.world.count("commit carried out late");
            tokio::spawn(async move {
                sleep(delay * 5).await;
                if world.accept_commit(id) == Some(TransactionState::Committing) {
                    world.finish_commit(id);
                }
            });
            return Err(lost());
        }
        let state = self.world.accept_commit(id);
        tokio::spawn(async move {
            sleep(delay).await;
            world.finish_commit(id);
        });
        self.lose_answer()?;
        match state {
            None => Err(no_transaction()),
            Some(TransactionState::Committing | TransactionState::Committed) => Ok(()),
            Some(_) => Err(not_open()),
        }
    }

    async fn abort_transaction(
        &self,
        _: &ScopedStream,
        id: TransactionId,
    ) -> Result<(), ControllerError> {
        self.answer().await?;
        let state = self.world.abort_transaction(id);
        self.lose_answer()?;
        match state {
            None => Err(no_transaction()),
            Some(TransactionState::Aborting | TransactionState::Aborted) => Ok(()),
            Some(_) => Err(not_open()),
        }
    }

    async fn transaction_state(
        &self,
        _: &ScopedStream,
        id: TransactionId,
    ) -> Result<TransactionState, ControllerError> {
        self.answer().await?;
        self.world.transaction_state(id).ok_or_else(no_transaction)
    }

    // Nothing that is simulated calls what follows.

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
