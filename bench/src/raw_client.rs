//! Requests and replies over the loopback through `RawClient`: one connection, up to 1,000 requests
//! in flight.
//!
//! Client and server have one thread each, so they use two cores. The server only decodes the
//! request and encodes its reply, so the figures measure the client and the kernel.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BytesMut};
use pravega_sdk_segment_client::{RawClient, StoreConfig};
use pravega_sdk_types::Endpoint;
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, VersionRange, WireCommand,
    commands::{GetSegmentAttribute, SegmentAttribute},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const ROUNDS: usize = 3;
const IN_FLIGHT: [usize; 4] = [1, 10, 100, 1000];

pub(crate) fn run(seconds: u64) -> Result<()> {
    let server = start_server()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "{:>10} {:>14} {:>12}   median of {ROUNDS} rounds of {seconds} s",
        "in flight", "requests/s", "mean us"
    );
    for in_flight in IN_FLIGHT {
        let mut rates: Vec<f64> = (0..ROUNDS)
            .map(|_| runtime.block_on(measure(server, in_flight, Duration::from_secs(seconds))))
            .collect::<Result<_>>()?;
        rates.sort_by(f64::total_cmp);
        let median = rates[ROUNDS / 2];
        println!("{in_flight:>10} {median:>14.0} {:>12.1}", in_flight as f64 / median * 1e6);
    }
    Ok(())
}

async fn measure(server: SocketAddr, in_flight: usize, duration: Duration) -> Result<f64> {
    let endpoint = Endpoint::new(&server.ip().to_string(), server.port())?;
    let client = RawClient::new(StoreConfig::default());
    // Connects before the measurement starts.
    let connection = client.connection(&endpoint).await?;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let start = Instant::now();
    let mut users = JoinSet::new();
    for _ in 0..in_flight {
        let (client, endpoint, done, stop) =
            (client.clone(), endpoint.clone(), Arc::clone(&done), Arc::clone(&stop));
        users.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let request = GetSegmentAttribute {
                    request_id: 0,
                    segment_name: bytestring("scope/stream/0.#epoch.0"),
                    attribute_id: Default::default(),
                    delegation_token: bytestring(""),
                };
                client.request(&endpoint, request).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let (count, elapsed) = (done.load(Ordering::Relaxed), start.elapsed());
    while let Some(user) = users.join_next().await {
        user??;
    }
    // All counted replies must have arrived on this connection.
    let received = connection.counters().received;
    anyhow::ensure!(received >= count, "{count} replies were counted, {received} were received");
    anyhow::ensure!(
        connection.end().is_none() && client.endpoints().len() == 1,
        "another connection was used"
    );
    Ok(count as f64 / elapsed.as_secs_f64())
}

/// Returns a string of the wire without an allocation.
fn bytestring<T: From<&'static str>>(text: &'static str) -> T {
    text.into()
}

fn start_server() -> Result<SocketAddr> {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            sender.send(listener.local_addr()?)?;
            loop {
                let (socket, _) = listener.accept().await?;
                tokio::spawn(serve(socket));
            }
        })
    });
    receiver.recv_timeout(Duration::from_secs(5)).context("the server did not start")
}

async fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut received = BytesMut::with_capacity(64 * 1024);
    let mut replies = SendBuffer::new();
    loop {
        while let Some(command) = Decoder::default().decode(&mut received).unwrap_or_default() {
            let pushed = match command {
                WireCommand::Hello(_) => replies.push(&VersionRange::SUPPORTED.hello()),
                WireCommand::KeepAlive(keep_alive) => replies.push(&keep_alive),
                WireCommand::GetSegmentAttribute(get) => {
                    replies.push(&SegmentAttribute { request_id: get.request_id, value: 7 })
                }
                _ => return Ok(()),
            };
            pushed.map_err(std::io::Error::other)?;
        }
        while replies.has_remaining() {
            socket.write_buf(&mut replies).await?;
        }
        received.reserve(16 * 1024);
        if socket.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}
