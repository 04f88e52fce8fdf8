//! The handles of reader groups, and every public call of each.

use std::time::Duration;

use futures_util::StreamExt as _;
use pravega_sdk::{
    ClientFactory, ReadUntil, StreamPosition,
    codec::Utf8,
    group::{
        GroupHandleConfig, GroupReader, GroupReaderConfig, GroupReaderNotices, GroupWatch,
        ReaderGroup,
    },
    types::{
        BoundedCut, Checkpoint, GroupRetention, ReaderGroupConfiguration, ReaderId,
        ScopedReaderGroup, ScopedStream,
    },
};

use super::log::Log;

const SOON: Duration = Duration::from_secs(10);

/// A group with two readers, and one without.
pub(super) struct Groups {
    stream: ScopedStream,
    configuration: ReaderGroupConfiguration,
    read: ScopedReaderGroup,
    readers: [GroupReader<Utf8>; 2],
    notices: GroupReaderNotices,
    idle: ReaderGroup,
    watch: GroupWatch,
    checkpoint: Checkpoint,
    cut: BoundedCut,
}

fn configuration(stream: &ScopedStream) -> ReaderGroupConfiguration {
    ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_retention(GroupRetention::ManualReleaseAtUserStreamCut)
}

fn name(stream: &ScopedStream, group: &str) -> ScopedReaderGroup {
    ScopedReaderGroup::new(stream.scope().clone(), group.parse().unwrap())
}

fn id(name: &str) -> ReaderId {
    name.parse().unwrap()
}

impl Groups {
    /// Opens them. The first reader has the segment of the stream.
    pub(super) async fn open(client: &ClientFactory, stream: &ScopedStream) -> Self {
        let configuration = configuration(stream);
        let (read, idle) = (name(stream, "read"), name(stream, "idle"));
        client.create_reader_group(&read, &configuration).await.unwrap();
        let mut first = client.group_reader(&read, &id("one"), Utf8).await.unwrap();
        let notices = first.notices();
        first.next().await.unwrap().unwrap();
        let second = client.group_reader(&read, &id("two"), Utf8).await.unwrap();
        let (idle, _) = client.create_reader_group(&idle, &configuration).await.unwrap();
        let checkpoint = idle.checkpoint("first", SOON).await.unwrap();
        let cut = idle.stream_cuts().await.unwrap().remove(0);
        let (stream, watch) = (stream.clone(), idle.watch());
        let readers = [first, second];
        Self { stream, configuration, read, readers, notices, idle, watch, checkpoint, cut }
    }

    /// Makes every public call.
    pub(super) async fn call_all(&mut self, client: &ClientFactory, log: &mut Log) {
        Box::pin(self.open_all(client, log)).await;
        Box::pin(self.read_all(log)).await;
        Box::pin(self.use_handle(log)).await;
        Box::pin(self.delete_all(client, log)).await;
    }

    async fn open_all(&self, client: &ClientFactory, log: &mut Log) {
        let (read, configuration) = (&self.read, &self.configuration);
        let config = GroupHandleConfig::default;
        let created = client.create_reader_group(read, configuration);
        log.see("factory: client.create_reader_group", created).await;
        let created = client.create_reader_group_with(read, configuration, config());
        log.see("factory: client.create_reader_group_with", created).await;
        let created = client.create_reader_group_if_absent(read, configuration);
        log.see("factory: client.create_reader_group_if_absent", created).await;
        log.see("factory: client.reader_group", client.reader_group(read)).await;
        let opened = client.reader_group_with(read, config());
        log.see("factory: client.reader_group_with", opened).await;
        let part = client.reader_group_part(&self.stream, StreamPosition::Head, ReadUntil::Tail);
        log.see("factory: client.reader_group_part", part).await;
        let context = || client.segment_context();
        let created = ReaderGroup::create(context(), read, configuration, config());
        log.see("reader_groups: ReaderGroup::create", created).await;
        let created = ReaderGroup::create_if_absent(context(), read, configuration, config());
        log.see("reader_groups: ReaderGroup::create_if_absent", created).await;
        let opened = ReaderGroup::open(context(), read, config());
        log.see("reader_groups: ReaderGroup::open", opened).await;
        let context = context();
        let part = ReaderGroup::part(&context, &self.stream, StreamPosition::Head, ReadUntil::Tail);
        log.see("reader_groups: ReaderGroup::part", part).await;
        let (three, four, five) = (id("three"), id("four"), id("five"));
        let opened = client.group_reader(read, &three, Utf8);
        log.see("factory: client.group_reader", opened).await;
        let config = GroupReaderConfig::default;
        let opened = client.group_reader_with(read, &four, Utf8, config());
        log.see("factory: client.group_reader_with", opened).await;
        let opened = GroupReader::open(context, read, &five, Utf8, config());
        log.see("group_readers: GroupReader::open", opened).await;
    }

    async fn read_all(&mut self, log: &mut Log) {
        let [first, second] = &mut self.readers;
        log.see("group_readers: reader.time_window", first.time_window(&self.stream)).await;
        log.see("group_readers: reader.next", first.next()).await;
        log.see("group_readers: reader.next_batch", first.next_batch(10)).await;
        log.see("group_readers: reader.close", first.close(SOON)).await;
        let at = second.position();
        log.see("group_readers: reader.close_at", second.close_at(&at, SOON)).await;
        let notices = &mut self.notices;
        log.see("group_readers: notices.next", async { drop(notices.next().await) }).await;
    }

    async fn use_handle(&mut self, log: &mut Log) {
        let group = &self.idle;
        log.see("reader_groups: watch.next", self.watch.next()).await;
        log.see("reader_groups: group.configuration", group.configuration()).await;
        log.see("reader_groups: group.describe", group.describe()).await;
        log.see("reader_groups: group.online_readers", group.online_readers()).await;
        log.see("reader_groups: group.stream_cuts", group.stream_cuts()).await;
        log.see("reader_groups: group.unread_bytes", group.unread_bytes()).await;
        log.see("reader_groups: group.reader_offline", group.reader_offline("nine", None)).await;
        log.see("reader_groups: group.take_out_dead", group.take_out_dead(SOON)).await;
        log.see("reader_groups: group.checkpoint", group.checkpoint("next", SOON)).await;
        log.see("reader_groups: group.initiate_checkpoint", group.initiate_checkpoint("last"))
            .await;
        log.see("reader_groups: group.generate_stream_cuts", group.generate_stream_cuts(SOON))
            .await;
        log.see("reader_groups: group.cancel_checkpoints", group.cancel_checkpoints()).await;
        let cuts = [self.cut.clone()];
        let released = group.update_retention_stream_cut(&cuts);
        log.see("reader_groups: group.update_retention_stream_cut", released).await;
        let last = group.reset_to_last_checkpoint();
        log.see("reader_groups: group.reset_to_last_checkpoint", last).await;
        log.see("reader_groups: group.reset_to", group.reset_to(&self.checkpoint)).await;
        log.see("reader_groups: group.reset", group.reset(&self.configuration)).await;
    }

    async fn delete_all(&self, client: &ClientFactory, log: &mut Log) {
        log.see("reader_groups: group.delete", self.idle.delete()).await;
        let (context, config) = (client.segment_context(), GroupHandleConfig::default());
        let deleted = ReaderGroup::delete_by_name(&context, &self.read, &config);
        log.see("reader_groups: ReaderGroup::delete_by_name", deleted).await;
        let deleted = client.delete_reader_group(&self.read);
        log.see("factory: client.delete_reader_group", deleted).await;
    }
}
