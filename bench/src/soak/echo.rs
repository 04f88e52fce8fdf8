//! What the machine itself adds to each wait: two processes that have nothing to do with the server
//! send each other a hundred bytes.
//!
//! A client and a server that share a few cores with busy processes wait for a core each time they
//! wake, and for the kernel to pass on what was sent. No server can be faster than these two.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    good::PERIOD,
    phase::{Wait, Watch},
};

const LEN: usize = 100;
/// The longest time for an answer, after which nothing more is measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// The two processes, until this is dropped.
pub(super) struct Echo {
    other: Child,
    ended: Arc<AtomicBool>,
}

impl Echo {
    /// Starts them.
    pub(super) fn start(watch: &Arc<Watch>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("soak-echo").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut other = command.spawn().context("the process that echoes cannot be started")?;
        let stdout = other.stdout.take().context("no stdout")?;
        let ended = Arc::new(AtomicBool::new(false));
        let echo = Self { other, ended: Arc::clone(&ended) };
        let mut port = String::new();
        BufReader::new(stdout).read_line(&mut port)?;
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port.trim().parse()?))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let watch = Arc::clone(watch);
        thread::spawn(move || measure(socket, &watch, &ended));
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.other.kill().ok();
        self.other.wait().ok();
    }
}

/// Sends and receives, as often as a client that behaves.
#[expect(clippy::disallowed_methods, reason = "it has a thread of its own")]
fn measure(mut socket: TcpStream, watch: &Watch, ended: &AtomicBool) {
    let mut bytes = [7; LEN];
    while !ended.load(Ordering::Relaxed) {
        let (begun, phase) = (Instant::now(), watch.phase());
        let answered = socket.write_all(&bytes).and_then(|()| socket.read_exact(&mut bytes));
        if answered.is_err() {
            return;
        }
        watch.record(phase, Wait::Machine, begun.elapsed());
        thread::sleep(PERIOD);
    }
}

/// The process that echoes: prints its port, and ends with its only connection.
pub(crate) fn echo() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let mut bytes = [0; LEN];
    while socket.read_exact(&mut bytes).is_ok() {
        socket.write_all(&bytes)?;
    }
    Ok(())
}
