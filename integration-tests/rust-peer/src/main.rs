//! Uses each feature of `pravega-client` 0.3.7 once on the server HOST:PORT. A failed check ends
//! the process.

use std::{collections::BTreeMap, io::SeekFrom, time::Instant};

use futures_util::{pin_mut, StreamExt};
use pravega_client::{client_factory::ClientFactory, event::reader_group::ReaderGroup};
use pravega_client_config::ClientConfigBuilder;
use pravega_client_shared::{
    Retention, RetentionType, ScaleType, Scaling, Scope, ScopedStream, Segment, Stream, StreamConfiguration, Timestamp,
    TransactionStatus, WriterId,
};

struct Peer {
    factory: ClientFactory,
    scope: Scope,
}

fn main() {
    let uri = std::env::args().nth(1).expect("HOST:PORT");
    let config = ClientConfigBuilder::default().controller_uri(uri).build().expect("a configuration");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_nanos();
    let scope = format!("rust{now}");
    println!("scope: {scope}");
    let peer = Peer { factory: ClientFactory::new(config), scope: Scope::from(scope) };
    let runtime = peer.factory.runtime_handle();
    runtime.block_on(async {
        step("administration", peer.administration()).await;
        step("events, a reader group and a scale", peer.reader_group()).await;
        step("transactions", peer.transactions()).await;
        step("byte streams", peer.byte_streams()).await;
        step("tables", peer.tables()).await;
        step("a table synchronizer", peer.synchronizer()).await;
    });
    println!("all scenarios hold");
    // It does not always end by itself.
    std::process::exit(0);
}

async fn step(name: &str, scenario: impl std::future::Future<Output = ()>) {
    let begun = Instant::now();
    scenario.await;
    println!("holds: {name} ({} ms)", begun.elapsed().as_millis());
}

impl Peer {
    fn named(&self, stream: &str) -> ScopedStream {
        ScopedStream { scope: self.scope.clone(), stream: Stream::from(stream.to_owned()) }
    }

    async fn stream(&self, name: &str, segments: i32) -> ScopedStream {
        let scoped_stream = self.named(name);
        let configuration = StreamConfiguration {
            scoped_stream: scoped_stream.clone(),
            scaling: Scaling {
                scale_type: ScaleType::FixedNumSegments,
                target_rate: 0,
                scale_factor: 0,
                min_num_segments: segments,
            },
            retention: Retention { retention_type: RetentionType::None, retention_param: 0 },
            tags: Some(vec!["tag".to_owned()]),
        };
        assert!(self.factory.controller_client().create_stream(&configuration).await.expect("a stream"));
        scoped_stream
    }

    async fn administration(&self) {
        let controller = self.factory.controller_client();
        assert!(controller.create_scope(&self.scope).await.expect("a scope"));
        assert!(!controller.create_scope(&self.scope).await.expect("an answer"));
        let stream = self.stream("administration", 2).await;
        assert!(controller.check_stream_exists(&stream).await.expect("an answer"));
        assert_eq!(controller.get_stream_tags(&stream).await.expect("tags"), Some(vec!["tag".to_owned()]));
        assert_eq!(controller.get_current_segments(&stream).await.expect("segments").key_segment_map.len(), 2);
        assert!(controller.seal_stream(&stream).await.expect("an answer"));
        assert!(controller.delete_stream(&stream).await.expect("an answer"));
    }

    async fn write(&self, stream: &ScopedStream, from: u32, to: u32) {
        let mut writer = self.factory.create_event_writer(stream.clone());
        let mut acks = Vec::new();
        for number in from..to {
            let key = format!("key{}", number % 10);
            acks.push(writer.write_event_by_routing_key(key.clone(), format!("{key}:{number}").into_bytes()).await);
        }
        for ack in acks {
            ack.await.expect("an answer").expect("an acknowledgement");
        }
    }

    async fn read(&self, group: &ReaderGroup, reader: &str, count: usize, keys: &mut BTreeMap<String, Vec<u32>>) {
        let mut reader = group.create_reader(reader.to_owned()).await;
        let mut seen = 0;
        while seen < count {
            let Some(mut slice) = reader.acquire_segment().await.expect("a slice") else { continue };
            for event in slice.by_ref() {
                let text = String::from_utf8(event.value).expect("text");
                let (key, number) = text.split_once(':').expect("a key");
                keys.entry(key.to_owned()).or_default().push(number.parse().expect("a number"));
                seen += 1;
            }
            reader.release_segment(slice).await.expect("a release");
        }
        reader.reader_offline().await.expect("offline");
    }

    async fn reader_group(&self) {
        let stream = self.stream("events", 1).await;
        self.write(&stream, 0, 100).await;
        let group = self.factory.create_reader_group("group".to_owned(), stream.clone()).await;
        let mut keys = BTreeMap::new();
        self.read(&group, "first", 100, &mut keys).await;
        let halves = [(0.0, 0.5), (0.5, 1.0)];
        let controller = self.factory.controller_client();
        controller.scale_stream(&stream, &[Segment::from(0)], &halves).await.expect("a scale");
        self.write(&stream, 100, 300).await;
        self.read(&group, "second", 200, &mut keys).await;
        assert_eq!(keys.values().map(Vec::len).sum::<usize>(), 300);
        assert!(keys.values().all(|numbers| numbers.windows(2).all(|pair| pair[0] < pair[1])), "{keys:?}");
    }

    async fn transactions(&self) {
        let stream = self.stream("transactions", 2).await;
        let mut writer = self.factory.create_transactional_event_writer(stream.clone(), WriterId(7)).await;
        let (mut kept, mut dropped) = (writer.begin().await.expect("one"), writer.begin().await.expect("another"));
        for number in 0..20 {
            let key = format!("key{}", number % 5);
            kept.write_event(Some(key.clone()), format!("{key}:{number}").into_bytes()).await.expect("a write");
            dropped.write_event(Some(key), b"dropped:0".to_vec()).await.expect("a write");
        }
        dropped.abort().await.expect("an abort");
        kept.commit(Timestamp(1)).await.expect("a commit");
        while kept.check_status().await.expect("a status") != TransactionStatus::Committed {}
        let group = self.factory.create_reader_group("committed".to_owned(), stream).await;
        let mut keys = BTreeMap::new();
        self.read(&group, "reader", 20, &mut keys).await;
        assert!(!keys.contains_key("dropped"));
    }

    async fn byte_streams(&self) {
        let stream = self.stream("bytes", 1).await;
        let data: Vec<u8> = (0..300_000_u32).map(|at| (at * 31 + at / 251) as u8).collect();
        let mut writer = self.factory.create_byte_writer(stream.clone()).await;
        let mut written = 0;
        while written < data.len() {
            written += writer.write(&data[written..]).await.expect("a write");
        }
        writer.flush().await.expect("a flush");
        writer.truncate_data_before(100).await.expect("a truncation");
        let mut reader = self.factory.create_byte_reader(stream).await;
        assert_eq!(reader.current_head().await.expect("a head"), 100);
        assert_eq!(reader.current_tail().await.expect("a tail"), data.len() as u64);
        reader.seek(SeekFrom::Start(100)).await.expect("a seek");
        let mut read = vec![0; data.len() - 100];
        let mut at = 0;
        while at < read.len() {
            at += reader.read(&mut read[at..]).await.expect("a read");
        }
        assert!(read == data[100..]);
        writer.seal().await.expect("a seal");
    }

    async fn tables(&self) {
        let table = self.factory.create_table(self.scope.clone(), "table".to_owned()).await;
        let mut model = BTreeMap::new();
        for number in 0..50 {
            let (key, value) = (format!("key{number}"), format!("value{number}"));
            table.insert(&key, &value, -1).await.expect("an insert");
            model.insert(key, value);
        }
        let key = "key7".to_owned();
        let (value, version): (String, _) = table.get(&key).await.expect("a read").expect("a value");
        assert_eq!(value, "value7");
        let changed = "changed".to_owned();
        table.insert_conditionally(&key, &changed, version, -1).await.expect("the version is right");
        table.insert_conditionally(&key, &changed, version, -1).await.expect_err("the version is old");
        table.remove(&key, -1).await.expect("a removal");
        model.remove(&key);
        assert!(table.get::<String, String>(&key).await.expect("a read").is_none());
        let entries = table.read_entries_stream::<String, String>(7);
        pin_mut!(entries);
        let mut all = BTreeMap::new();
        while let Some(entry) = entries.next().await {
            let (key, value, _) = entry.expect("an entry");
            all.insert(key, value);
        }
        assert_eq!(all, model);
    }

    async fn synchronizer(&self) {
        let mut one = self.factory.create_synchronizer(self.scope.clone(), "synchronizer".to_owned()).await;
        let mut other = self.factory.create_synchronizer(self.scope.clone(), "synchronizer".to_owned()).await;
        one.insert(|table| {
            table.insert("outer".to_owned(), "inner".to_owned(), "i32".to_owned(), Box::new(1));
            Ok(())
        })
        .await
        .expect("an insert");
        assert!(other.fetch_updates().await.expect("updates") > 0);
        assert!(other.get("outer", "inner").is_some());
        other
            .remove(|table| {
                table.insert_tombstone("outer".to_owned(), "inner".to_owned())
            })
            .await
            .expect("a removal");
        one.fetch_updates().await.expect("updates");
        // What the other client reads afterwards.
        one.insert(|table| {
            let (name, number) = (Box::new("kept".to_owned()), Box::new(300));
            table.insert("outer".to_owned(), "name/first".to_owned(), "String".to_owned(), name);
            table.insert("outer".to_owned(), "number".to_owned(), "i32".to_owned(), number);
            Ok(())
        })
        .await
        .expect("an insert");
    }
}
