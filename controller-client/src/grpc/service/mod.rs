//! The calls of [`Controller`], each in the file of its kind.

mod answer;
mod groups;
mod scopes;
mod segments;
mod streams;
mod tables;
mod transactions;

use std::time::Duration;

use async_trait::async_trait;
use pravega_sdk_types::{
    BoundedCut, Endpoint, Epoch, KeyRange, Offset, ReaderGroupConfiguration, Scope,
    ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    StreamConfiguration, Successor, Tag, Timestamp, TransactionId, WriterName,
};

use self::answer::Result;
use crate::{
    AccessOperation, CompletedTransaction, Controller, CreatedTransaction, Creation, CutRange,
    DelegationToken, Deletion, KeyValueTableConfiguration, Page, PageToken, PingStatus, ScaleStart,
    ScaleState, SegmentWithRange, Subscriber, TransactionState, grpc::client::ControllerClient,
};

#[async_trait]
impl Controller for ControllerClient {
    async fn controllers(&self) -> Result<Vec<Endpoint>> {
        scopes::controllers(self).await
    }

    async fn create_scope(&self, scope: &Scope) -> Result<Creation> {
        scopes::create_scope(self, scope).await
    }

    async fn delete_scope(&self, scope: &Scope) -> Result<Deletion> {
        scopes::delete_scope(self, scope).await
    }

    async fn delete_scope_recursive(&self, scope: &Scope) -> Result<Deletion> {
        scopes::delete_scope_recursive(self, scope).await
    }

    async fn scope_exists(&self, scope: &Scope) -> Result<bool> {
        scopes::scope_exists(self, scope).await
    }

    async fn scopes_page(&self, start: &PageToken) -> Result<Page<Scope>> {
        scopes::scopes_page(self, start).await
    }

    async fn create_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<Creation> {
        streams::create_stream(self, stream, configuration).await
    }

    async fn update_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<()> {
        streams::update_stream(self, stream, configuration).await
    }

    async fn truncate_stream(&self, cut: &BoundedCut) -> Result<()> {
        streams::truncate_stream(self, cut).await
    }

    async fn seal_stream(&self, stream: &ScopedStream) -> Result<()> {
        streams::seal_stream(self, stream).await
    }

    async fn delete_stream(&self, stream: &ScopedStream) -> Result<Deletion> {
        streams::delete_stream(self, stream).await
    }

    async fn stream_exists(&self, stream: &ScopedStream) -> Result<bool> {
        streams::stream_exists(self, stream).await
    }

    async fn stream_configuration(&self, stream: &ScopedStream) -> Result<StreamConfiguration> {
        streams::stream_configuration(self, stream).await
    }

    async fn streams_page(&self, scope: &Scope, start: &PageToken) -> Result<Page<ScopedStream>> {
        streams::streams_page(self, scope, start).await
    }

    async fn streams_by_tag_page(
        &self,
        scope: &Scope,
        tag: &Tag,
        start: &PageToken,
    ) -> Result<Page<ScopedStream>> {
        streams::streams_by_tag_page(self, scope, tag, start).await
    }

    async fn current_segments(&self, stream: &ScopedStream) -> Result<Vec<SegmentWithRange>> {
        segments::current_segments(self, stream).await
    }

    async fn epoch_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<Vec<SegmentWithRange>> {
        segments::epoch_segments(self, stream, epoch).await
    }

    async fn head_segments(&self, stream: &ScopedStream) -> Result<Vec<(SegmentId, Offset)>> {
        segments::head_segments(self, stream).await
    }

    async fn successors(&self, segment: &ScopedSegment) -> Result<Vec<Successor>> {
        segments::successors(self, segment).await
    }

    async fn final_successors(&self, segment: &ScopedSegment) -> Result<Option<Vec<Successor>>> {
        segments::final_successors(self, segment).await
    }

    async fn final_segments_after(&self, cut: &BoundedCut) -> Result<Option<Vec<ScopedSegment>>> {
        segments::final_segments_after(self, cut).await
    }

    async fn segments_between(
        &self,
        stream: &ScopedStream,
        range: &CutRange,
    ) -> Result<Vec<ScopedSegment>> {
        segments::segments_between(self, stream, range).await
    }

    async fn segment_endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint> {
        segments::segment_endpoint(self, segment).await
    }

    async fn is_segment_open(&self, segment: &ScopedSegment) -> Result<bool> {
        segments::is_segment_open(self, segment).await
    }

    async fn is_stream_cut_valid(&self, cut: &BoundedCut) -> Result<bool> {
        segments::is_stream_cut_valid(self, cut).await
    }

    async fn scale(
        &self,
        stream: &ScopedStream,
        sealed: &[SegmentId],
        ranges: &[KeyRange],
    ) -> Result<ScaleStart> {
        streams::scale(self, stream, sealed, ranges).await
    }

    async fn scale_state(&self, stream: &ScopedStream, epoch: Epoch) -> Result<ScaleState> {
        streams::scale_state(self, stream, epoch).await
    }

    async fn create_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> Result<CreatedTransaction> {
        transactions::create_transaction(self, stream, lease).await
    }

    async fn ping_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
        lease: Duration,
    ) -> Result<PingStatus> {
        transactions::ping_transaction(self, stream, id, lease).await
    }

    async fn commit_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
        note: Option<(&WriterName, Timestamp)>,
    ) -> Result<()> {
        transactions::commit_transaction(self, stream, id, note).await
    }

    async fn abort_transaction(&self, stream: &ScopedStream, id: TransactionId) -> Result<()> {
        transactions::abort_transaction(self, stream, id).await
    }

    async fn transaction_state(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
    ) -> Result<TransactionState> {
        transactions::transaction_state(self, stream, id).await
    }

    async fn completed_transactions(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<CompletedTransaction>> {
        transactions::completed_transactions(self, stream).await
    }

    async fn note_time(
        &self,
        writer: &WriterName,
        position: &BoundedCut,
        time: Timestamp,
    ) -> Result<()> {
        transactions::note_time(self, writer, position, time).await
    }

    async fn remove_writer(&self, stream: &ScopedStream, writer: &WriterName) -> Result<bool> {
        transactions::remove_writer(self, stream, writer).await
    }

    async fn delegation_token(
        &self,
        stream: &ScopedStream,
        access: AccessOperation,
    ) -> Result<DelegationToken> {
        segments::delegation_token(self, stream, access).await
    }

    async fn create_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
        configuration: &KeyValueTableConfiguration,
    ) -> Result<Creation> {
        tables::create_key_value_table(self, table, configuration).await
    }

    async fn delete_key_value_table(&self, table: &ScopedKeyValueTable) -> Result<Deletion> {
        tables::delete_key_value_table(self, table).await
    }

    async fn key_value_table_configuration(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<KeyValueTableConfiguration> {
        tables::key_value_table_configuration(self, table).await
    }

    async fn key_value_table_segments(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Vec<SegmentWithRange>> {
        tables::key_value_table_segments(self, table).await
    }

    async fn key_value_tables_page(
        &self,
        scope: &Scope,
        start: &PageToken,
    ) -> Result<Page<ScopedKeyValueTable>> {
        tables::key_value_tables_page(self, scope, start).await
    }

    async fn create_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<ReaderGroupConfiguration> {
        groups::create_reader_group(self, group, configuration).await
    }

    async fn reader_group_configuration(
        &self,
        group: &ScopedReaderGroup,
    ) -> Result<ReaderGroupConfiguration> {
        groups::reader_group_configuration(self, group).await
    }

    async fn update_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<i64> {
        groups::update_reader_group(self, group, configuration).await
    }

    async fn delete_reader_group(
        &self,
        group: &ScopedReaderGroup,
        id: uuid::Uuid,
    ) -> Result<Deletion> {
        groups::delete_reader_group(self, group, id).await
    }

    async fn subscribers(&self, stream: &ScopedStream) -> Result<Vec<String>> {
        groups::subscribers(self, stream).await
    }

    async fn update_subscriber_cut(&self, subscriber: &Subscriber, cut: &BoundedCut) -> Result<()> {
        groups::update_subscriber_cut(self, subscriber, cut).await
    }
}
