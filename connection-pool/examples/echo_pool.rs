//! A pool over three echo servers behind a name, all in one program: the servers, the name server
//! that knows them, a workload, and a live view of every slot while servers are killed and come
//! back.
//!
//! ```text
//! cargo run --release -p pravega-sdk-connection-pool --features dns --example echo_pool [SECONDS]
//! ```
#![allow(clippy::print_stdout)]

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, SRV},
    },
    serialize::binary::{BinDecodable as _, BinEncodable as _},
};
use pravega_sdk_connection_pool::{
    BoxError, Connector, NotShared, Policy, PolledResolver, Pool, PoolSnapshot, SlotState,
    resolver::DnsResolver,
};
use pravega_sdk_types::Endpoint;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::{JoinHandle, JoinSet},
    time::{interval, sleep},
};

/// The name of the service. No other program knows it.
const SERVICE: &str = "_echo._tcp.example.test.";
const HOST: &str = "localhost.example.test.";
/// Records live this long, so a server that comes back is used again soon.
const TIME_TO_LIVE_SECONDS: u32 = 1;
const USERS: usize = 32;

/// The ports that the name server tells.
type Known = Arc<Mutex<BTreeSet<u16>>>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let seconds = std::env::args().nth(1).map_or(Ok(12), |text| text.parse())?;
    let known = Known::default();
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(EchoServer::start(0, &known).await?);
    }
    let name_server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let name_server_address = name_server.local_addr()?;
    tokio::spawn(serve_names(name_server, Arc::clone(&known)));

    let resolver =
        PolledResolver::new(DnsResolver::service(SERVICE)?.with_server(name_server_address)?)?;
    let policy = Policy::default()
        .with_max_slots(12)?
        .with_max_slots_per_backend(6)?
        .with_spares(2)
        .with_backoff(Duration::from_millis(50), Duration::from_secs(1))?
        .with_health_check(Duration::from_secs(1), Duration::from_millis(500))?;
    let pool = Pool::new(resolver, Echo, policy);
    let load = Load::default();
    let users: Vec<JoinHandle<()>> =
        (0..USERS).map(|_| tokio::spawn(load.clone().run(pool.clone()))).collect();

    // Every three seconds another server dies, or the dead one comes back on its port.
    let started = Instant::now();
    let mut view = interval(Duration::from_secs(1));
    let mut dead: Option<u16> = None;
    let mut events = 0_usize;
    while started.elapsed() < Duration::from_secs(seconds) {
        view.tick().await;
        let second = started.elapsed().as_secs();
        if second > 0 && second.is_multiple_of(3) {
            match dead.take() {
                Some(port) => {
                    println!("-- server {port} comes back");
                    servers.push(EchoServer::start(port, &known).await?);
                }
                None => {
                    let victim = servers.remove(events % servers.len());
                    println!("-- server {} is killed", victim.port);
                    dead = Some(victim.port);
                    victim.kill(&known);
                    events += 1;
                }
            }
        }
        show(second, &load, &pool.snapshot().await?);
    }
    for user in users {
        user.abort();
    }
    let left = pool.close(Duration::from_secs(5)).await;
    let (good, failed, wrong) = load.counts();
    println!(
        "{good} echoes, {failed} that failed with their server, {wrong} wrong; {} connections left",
        left.still_claimed
    );
    if wrong > 0 { Err("an echo was not what was sent".into()) } else { Ok(()) }
}

/// Sends back whatever it gets.
struct EchoServer {
    port: u16,
    task: JoinHandle<()>,
}

impl EchoServer {
    async fn start(port: u16, known: &Known) -> Result<Self, BoxError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        known.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        let task = tokio::spawn(async move {
            // They end with the server: dropping the set aborts them.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(echo(socket));
            }
        });
        Ok(Self { port, task })
    }

    /// Ends the server with all its connections. The name server forgets it a little later, as in
    /// life.
    fn kill(self, known: &Known) {
        self.task.abort();
        let known = Arc::clone(known);
        tokio::spawn(async move {
            sleep(Duration::from_millis(1500)).await;
            known.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.port);
        });
    }
}

async fn echo(mut socket: TcpStream) {
    let mut word = [0; 8];
    while socket.read_exact(&mut word).await.is_ok() {
        if socket.write_all(&word).await.is_err() {
            return;
        }
    }
}

/// Answers where the service is: a port for each server, all on one host.
async fn serve_names(socket: UdpSocket, known: Known) {
    let mut packet = [0; 1500];
    while let Ok((len, asker)) = socket.recv_from(&mut packet).await {
        let asked = packet.get(..len).and_then(|packet| Message::from_bytes(packet).ok());
        if let Some(answer) = asked.and_then(|asked| answer(&asked, &known)) {
            reply(&socket, &answer, asker).await;
        }
    }
}

async fn reply(socket: &UdpSocket, answer: &Message, asker: SocketAddr) {
    if let Ok(bytes) = answer.to_bytes() {
        socket.send_to(&bytes, asker).await.ok();
    }
}

fn answer(asked: &Message, known: &Known) -> Option<Message> {
    let question = asked.queries.first()?.clone();
    let mut answer = Message::response(asked.id, OpCode::Query);
    answer.metadata.response_code = ResponseCode::NoError;
    let host = Name::from_ascii(HOST).ok()?;
    if question.query_type() == RecordType::SRV
        && *question.name() == Name::from_ascii(SERVICE).ok()?
    {
        for port in known.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let data = RData::SRV(SRV::new(0, 0, *port, host.clone()));
            answer.add_answer(Record::from_rdata(
                question.name().clone(),
                TIME_TO_LIVE_SECONDS,
                data,
            ));
        }
    } else if question.query_type() == RecordType::A && *question.name() == host {
        let data = RData::A(A(Ipv4Addr::LOCALHOST));
        answer.add_answer(Record::from_rdata(host, TIME_TO_LIVE_SECONDS, data));
    }
    answer.add_query(question);
    Some(answer)
}

struct Echo;

impl Connector for Echo {
    type Connection = TcpStream;
    type Shared = NotShared;

    async fn connect(&self, backend: &Endpoint) -> Result<TcpStream, BoxError> {
        Ok(TcpStream::connect((backend.host(), backend.port())).await?)
    }

    fn share(&self, connection: TcpStream) -> Result<NotShared, BoxError> {
        NotShared::refuse(connection)
    }

    async fn is_valid(&self, connection: &mut TcpStream) -> Result<(), BoxError> {
        match ask(connection, 0).await? {
            0 => Ok(()),
            other => Err(format!("sent 0, got {other}").into()),
        }
    }
}

async fn ask(connection: &mut TcpStream, word: u64) -> std::io::Result<u64> {
    connection.write_u64(word).await?;
    connection.read_u64().await
}

/// What the users have seen.
#[derive(Clone, Default)]
struct Load {
    good: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    wrong: Arc<AtomicU64>,
}

impl Load {
    async fn run(self, pool: Pool<Echo>) {
        for word in 0.. {
            let Ok(mut claim) = pool.claim().await else { return };
            match claim.run(async |connection: &mut TcpStream| ask(connection, word).await).await {
                Ok(echoed) if echoed == word => {
                    self.good.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_) => {
                    self.wrong.fetch_add(1, Ordering::Relaxed);
                    claim.retire();
                }
                Err(_) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    claim.retire();
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn counts(&self) -> (u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.good), count(&self.failed), count(&self.wrong))
    }
}

fn show(second: u64, load: &Load, snapshot: &PoolSnapshot) {
    let (good, failed, _) = load.counts();
    println!("{second:3} s  {good} echoes, {failed} failed, {} waiting", snapshot.waiting);
    for set in &snapshot.sets {
        let slots: String = set
            .slots
            .iter()
            .map(|slot| match slot.state {
                SlotState::Connecting => 'c',
                SlotState::Idle => '.',
                SlotState::Checking => '?',
                SlotState::Claimed => '#',
                SlotState::Recycling => 'r',
                _ => 's',
            })
            .collect();
        let note = match (set.is_listed, set.backoff_left) {
            (false, _) => "  draining".to_owned(),
            (true, Some(left)) => {
                format!("  {} failures, {:.1} s to wait", set.failures, left.as_secs_f64())
            }
            (true, None) => String::new(),
        };
        println!("       {:<22} [{slots}]{note}", set.backend.to_string());
    }
}
