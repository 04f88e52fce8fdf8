//! What a reader tells of what happens to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupReader, GroupReaderNotice, GroupReaderNotices},
};
use pravega_sdk_integration_tests::harness::{
    FAR, factory,
    frames::{Fate, Frame, FrameProxy},
    new_stream,
    through::{store_of, through},
};
use tokio::time::{Instant, timeout};

use super::{
    liveness::config,
    support::{
        Reader, by_key, configuration, expected, new_group, next_event, next_within, open,
        read_all, state, write,
    },
};

/// What is lost on the way to the server.
const NOTHING: u8 = 0;
const STATE: u8 = 1;
const LEASES: u8 = 2;

fn is_lost(frame: &Frame, lost: u8) -> bool {
    let text = format!("{:?}", frame.command);
    let is_about_lease = text.contains("Attribute");
    match lost {
        STATE => text.contains("/_RG") && !is_about_lease,
        LEASES => is_about_lease,
        _ => false,
    }
}

/// The notices of a reader that were not awaited yet, by their kinds.
struct Told {
    notices: GroupReaderNotices,
    kinds: Vec<&'static str>,
}

impl Told {
    async fn update(&mut self) {
        while let Ok(Some(notice)) = timeout(Duration::from_millis(10), self.notices.next()).await {
            self.kinds.push(match notice {
                GroupReaderNotice::SegmentGained { .. } => "segment gained",
                GroupReaderNotice::SegmentLost { .. } => "segment lost",
                GroupReaderNotice::Checkpoint { .. } => "checkpoint",
                GroupReaderNotice::Unavailable { .. } => "unavailable",
                GroupReaderNotice::Available => "available",
                GroupReaderNotice::LeaseRunOut => "lease run out",
                GroupReaderNotice::LeaseRenewed => "lease renewed",
                other => panic!("{other:?}"),
            });
        }
    }

    /// Lets readers, which have nothing to read, wait until the first tells of something. Returns
    /// what it has told before.
    async fn until(&mut self, wanted: &str, readers: &mut [Reader]) -> Vec<&'static str> {
        let deadline = Instant::now() + FAR;
        loop {
            self.update().await;
            if let Some(place) = self.kinds.iter().position(|kind| *kind == wanted) {
                let before = self.kinds.drain(..=place).collect::<Vec<_>>();
                return before[..place].to_vec();
            }
            assert!(Instant::now() < deadline, "it tells {:?}, not {wanted}", self.kinds);
            for reader in &mut *readers {
                let item = next_within(reader, Duration::from_millis(50)).await;
                assert!(item.is_none_or(|item| item.unwrap().into_event().is_none()));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_tells_of_its_segments_and_of_a_server_that_is_gone_and_back() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = new_group(&factory, &stream, 2, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..10).await;
    let lost = Arc::new(AtomicU8::new(NOTHING));
    let losing = Arc::clone(&lost);
    let rule = move |frame: &Frame| match is_lost(frame, losing.load(Ordering::SeqCst)) {
        true => Fate::Lose,
        false => Fate::Forward,
    };
    let proxy = FrameProxy::start(store_of(&factory, &group.state_stream()).await, rule).await;
    let (context, id) = (through(&factory, proxy.address()), "one".parse().unwrap());
    let config = config().with_timeout(Duration::from_secs(1));
    let reader = GroupReader::open(context, &group, &id, Utf8, config).await.unwrap();
    let mut told = Told { notices: reader.notices(), kinds: Vec::new() };
    let mut readers = vec![reader];
    let mut read = read_all(&mut readers, 10).await.concat();
    assert_eq!(told.until("segment gained", &mut readers).await, [""; 0]);
    assert_eq!(told.until("segment gained", &mut readers).await, [""; 0]);

    for (what, gone, back) in
        [(STATE, "unavailable", "available"), (LEASES, "lease run out", "lease renewed")]
    {
        lost.store(what, Ordering::SeqCst);
        told.until(gone, &mut readers).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        told.update().await;
        assert!(!told.kinds.contains(&back), "{:?}", told.kinds);
        lost.store(NOTHING, Ordering::SeqCst);
        told.until(back, &mut readers).await;
    }
    write(&factory, &stream, 10..20).await;
    read.push(next_event(&mut readers[0]).await);
    read.extend(read_all(&mut readers, 9).await.concat());

    // Another reader gets one of its segments after a checkpoint.
    readers.push(open(&factory, &group, "two").await.unwrap());
    let before = told.until("segment lost", &mut readers).await;
    assert!(before.contains(&"checkpoint"), "{before:?}");
    assert_eq!(state(&factory, &group).await.assigned("one").unwrap().len(), 1);
    write(&factory, &stream, 20..30).await;
    read.extend(read_all(&mut readers, 10).await.concat());
    assert_eq!(by_key(&read), expected(0..30), "each event once");
}
