//! Who waits for whom.

use std::{
    future::{pending, poll_fn, ready},
    pin::pin,
    sync::atomic::AtomicUsize,
    task::{Wake, Waker},
    thread,
};

use tokio::{
    net::UdpSocket,
    sync::Notify,
    task::{JoinHandle, yield_now},
    time::{advance, sleep, timeout},
};

use super::*;

/// The account of a client that has used so much.
fn account(turns: &Turns, used: Duration) -> Arc<Account> {
    let account = turns.account();
    account.spend(turns.now(), used);
    account
}

const MUCH: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_with_much_work_waits_for_a_turn_and_one_with_little_does_not() {
    let turns = Turns::new(1);
    let (little, much) = (account(&turns, Duration::ZERO), account(&turns, MUCH));
    advance(Duration::from_secs(1)).await;
    let turn = much.take(Standing::ByUsage).unwrap();
    little.meter(ready(())).await;
    let waits = account(&turns, MUCH).meter(ready(()));
    tokio::pin!(waits);
    assert!(timeout(Duration::from_millis(1), &mut waits).await.is_err());
    drop(turn);
    waits.await;
    // After a while it has used little.
    let _turn = much.take(Standing::ByUsage).unwrap();
    let rests = account(&turns, MUCH).meter(ready(()));
    tokio::pin!(rests);
    assert!(timeout(Duration::from_millis(1), &mut rests).await.is_err());
    advance(Duration::from_secs(3)).await;
    rests.await;
    assert_eq!(turns.line().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_alone_never_waits_whatever_it_has_used() {
    let turns = Turns::new(1);
    let alone = account(&turns, MUCH);
    let work = async {
        for _ in 0..1000 {
            yield_now().await;
        }
    };
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut work = pin!(alone.meter(work));
    // Each poll does the next piece of the work.
    for _ in 0..1000 {
        assert!(work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

#[tokio::test(start_paused = true)]
async fn work_for_all_clients_has_the_next_turn() {
    let turns = Turns::new(1);
    let common = turns.common_account();
    common.spend(turns.now(), 10 * MUCH);
    let turn = common.take(Standing::First).unwrap();
    let others: Vec<_> =
        (0..3).map(|_| account(&turns, MUCH).take(Standing::ByUsage).unwrap_err()).collect();
    let mut waiting = common.take(Standing::First).unwrap_err();
    drop(turn);
    assert!(waiting.turn.try_recv().is_ok());
    drop(others);
    assert_eq!(turns.line().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_turn_of_a_client_that_left_goes_to_the_next() {
    let turns = Turns::new(1);
    let much = account(&turns, MUCH);
    for leaves_before in [true, false] {
        let woken = [(); 3].map(|()| Arc::new(Woken::default()));
        let turn = much.take(Standing::ByUsage).unwrap();
        let mut waiting: Vec<_> =
            (0..3).map(|_| Some(account(&turns, MUCH).meter(pending::<()>()))).collect();
        for (waiting, woken) in waiting.iter_mut().zip(&woken) {
            let waker = Waker::from(Arc::clone(woken));
            let mut waiting = pin!(waiting.as_mut().unwrap());
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(turns.line().waiting(), 3);
        if leaves_before {
            waiting[0] = None;
            drop(turn);
        } else {
            drop(turn);
            waiting[0] = None;
        }
        assert_eq!(woken[1].0.load(Ordering::Relaxed), 1);
        assert_eq!(woken[2].0.load(Ordering::Relaxed), 0);
        drop(waiting);
        assert_eq!(turns.line().waiting(), 0);
        assert!(much.take(Standing::ByUsage).is_ok(), "a turn is lost");
    }
}

#[tokio::test]
async fn a_thread_with_many_slices_does_first_what_else_is_ready() {
    let turns = Turns::new(1);
    let poll = |slice: &mut Metered<_>| pin!(slice).poll(&mut Context::from_waker(Waker::noop()));
    let mut slice = account(&turns, MUCH).meter(ready(()));
    turns.0.others_waited.add(OTHERS_WAIT);
    assert!(poll(&mut slice).is_pending());
    assert!(!turns.line().take(), "it keeps the turn that it was granted");
    assert!(poll(&mut slice).is_ready());
    // If it ends before, another has the turn.
    let mut slice = account(&turns, MUCH).meter(ready(()));
    turns.0.others_waited.add(OTHERS_WAIT);
    assert!(poll(&mut slice).is_pending());
    drop(slice);
    assert!(account(&turns, MUCH).take(Standing::ByUsage).is_ok(), "a turn is lost");
    // After little time none waits.
    turns.0.others_waited.add(OTHERS_WAIT / 2);
    assert!(poll(&mut account(&turns, MUCH).meter(ready(()))).is_ready());
}

#[tokio::test]
async fn clients_with_much_work_do_not_keep_a_thread_from_its_sockets() {
    const TIMES: usize = 30;
    let (turns, slices) = (Turns::new(1), Arc::new(AtomicUsize::new(0)));
    // Clients that always have work.
    let works = [(); 2].map(|()| {
        let slices = Arc::clone(&slices);
        let work = poll_fn(move |cx| {
            let begun = std::time::Instant::now();
            while begun.elapsed() < OTHERS_WAIT {}
            slices.fetch_add(1, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        tokio::spawn(account(&turns, Duration::from_secs(10)).meter(work))
    });
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut waited = 0;
    for _ in 0..TIMES {
        let (before, mut buffer) = (slices.load(Ordering::Relaxed), [0]);
        // To wait for the socket before the datagram is there.
        let (received, ()) = tokio::join!(socket.recv(&mut buffer), async {
            yield_now().await;
            socket.send_to(&[7], address).await.unwrap();
        });
        received.unwrap();
        waited += slices.load(Ordering::Relaxed) - before;
    }
    works.iter().for_each(JoinHandle::abort);
    assert!(waited >= TIMES, "the clients have no work");
    assert!(waited <= 8 * TIMES, "{waited} slices for {TIMES} datagrams");
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_panics_gives_its_turn_back() {
    let turns = Turns::new(1);
    let much = account(&turns, MUCH);
    let panics = tokio::spawn(much.meter(async { panic!("as the test wants") }));
    assert!(panics.await.unwrap_err().is_panic());
    assert!(much.take(Standing::ByUsage).is_ok());
    assert!(!slice_is_over());
}

#[tokio::test]
async fn work_apart_is_done_on_another_thread_with_the_turn_of_its_client() {
    let turns = Turns::new(1);
    for used in [Duration::ZERO, MUCH] {
        let account = account(&turns, used);
        let (apart, begun) = (Arc::clone(&account), Arc::new(Notify::new()));
        let later = Arc::clone(&begun);
        let (here, watched) = (thread::current().id(), turns.clone());
        let work = async move {
            assert_ne!(thread::current().id(), here);
            assert!(!watched.line().take(), "it has no turn");
            begun.notify_one();
            yield_now().await;
            assert_ne!(thread::current().id(), here);
            7
        };
        assert_eq!(account.meter(async move { apart.apart(work).await }).await, 7);
        later.notified().await;
        assert!(account.take(Standing::ByUsage).is_ok());
    }
    // Outside of a slice, too.
    assert_eq!(account(&turns, MUCH).apart(ready(8)).await, 8);
}

#[tokio::test]
async fn work_apart_that_panics_panics_its_task() {
    let turns = Turns::new(1);
    let account = account(&turns, MUCH);
    let apart = Arc::clone(&account);
    let task = account.meter(async move { apart.apart(async { panic!("as it should") }).await });
    assert!(tokio::spawn(task).await.unwrap_err().is_panic());
    assert!(account.take(Standing::ByUsage).is_ok());
}

#[tokio::test(start_paused = true)]
async fn work_apart_is_done_in_the_turn_for_which_its_client_has_waited_for_long() {
    let turns = Turns::new(1);
    let little = account(&turns, Duration::ZERO);
    advance(Duration::from_secs(2)).await;
    // Two others have the turn by turns, each for longer than it takes until much is little again.
    let others = [(); 2].map(|()| {
        let other = account(&turns, MUCH);
        tokio::spawn(async move {
            loop {
                let mut waiting = None;
                let turn = poll_fn(|cx| other.poll_turn(Standing::ByUsage, &mut waiting, cx)).await;
                sleep(Duration::from_millis(400)).await;
                drop(turn);
            }
        })
    });
    sleep(Duration::from_millis(1)).await;
    let (apart, asked) = (Arc::clone(&little), Instant::now());
    let work = little.meter(async move { apart.apart(ready(())).await });
    timeout(Duration::from_secs(30), work).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    others.iter().for_each(JoinHandle::abort);
}
