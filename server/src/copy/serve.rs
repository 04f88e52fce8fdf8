//! The server's side of a backup: it tells its files, and keeps them while they are copied. It
//! reads what the client cannot: a file that another program has removed or replaced, and that is
//! open.

use std::{
    collections::BTreeSet,
    io,
    os::unix::net::UnixListener as StdListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_server_core::log::{
    FOLDER_LEN, FOLDER_NAME, LogMoment, Loss, Snapshot, read_identity,
};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::offer::{Answer, Line, MOST_NAMED, MOST_READ, Offer, ReadAnswer};
use crate::{
    folder::Kind,
    locks::lock,
    log::{Disk, LogHandle, Pins},
};

/// The most copies at one time.
const COPIES: usize = 4;
/// How long files are kept for a client that tells nothing.
const SILENT: Duration = Duration::from_secs(60);
/// How long a client may take to read an offer.
const OFFERED: Duration = Duration::from_secs(60);
/// How long no connection is accepted after that has failed.
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// What snapshots of a log are made of.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    /// `None` after the end.
    pub(crate) disk: Arc<Mutex<Option<Arc<dyn Disk>>>>,
    pub(crate) log: LogHandle,
}

impl Snapshots {
    /// The files of the log as of the last durable batch, which are kept. No commit waits.
    pub(crate) fn take(&self) -> io::Result<(Snapshot, Pins)> {
        // Locked until the end: after the end of the server no thread has its folder.
        let disk = lock(&self.disk);
        let disk = disk.as_ref().ok_or_else(ends)?;
        let identity = disk.read_at(FOLDER_NAME, 0, FOLDER_LEN as u64 + 1)?;
        let folder = read_identity(&identity).map_err(io::Error::other)?;
        let kept = self.log.kept();
        // Nothing is renamed or removed between these calls.
        let _quiet = kept.quiet();
        // Before the files are listed, as they grow meanwhile.
        let then = LogMoment::now(&kept.keeper());
        let files = disk.list()?.into_iter();
        let listing = files
            .filter(|(_, kind, _)| *kind == Kind::Regular)
            .map(|(name, _, len)| (name, len))
            .collect();
        let snapshot = then.snapshot(folder, listing);
        let names: BTreeSet<String> = snapshot.files.keys().cloned().collect();
        Ok((snapshot, kept.pin(names)))
    }

    /// The names of files that another program has removed or replaced.
    fn lost(&self) -> io::Result<BTreeSet<String>> {
        let disk = lock(&self.disk);
        let lost = disk.as_ref().ok_or_else(ends)?.lost().files.into_iter();
        // What was cut off is in no file.
        let lost = lost.filter(|lost| !matches!(lost.loss, Loss::Shortened { .. }));
        Ok(lost.map(|lost| lost.name).collect())
    }

    fn read(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        let disk = lock(&self.disk);
        disk.as_ref().ok_or_else(ends)?.read_at(name, at, len)
    }
}

fn ends() -> io::Error {
    io::Error::other("the server ends")
}

/// Answers on the socket of a folder until the server stops.
pub(crate) async fn serve(listener: StdListener, snapshots: Snapshots, stop: CancellationToken) {
    let listener = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "backups cannot be made while the server runs");
            return;
        }
    };
    let seats = Arc::new(Semaphore::new(COPIES));
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        while clients.try_join_next().is_some() {}
        match (accepted, Arc::clone(&seats).try_acquire_owned()) {
            (Ok((socket, _)), Ok(seat)) => {
                clients.spawn(answer(socket, snapshots.clone(), seat));
            }
            (Ok((socket, _)), Err(_)) => {
                let why = format!("{COPIES} copies are made already");
                // It is short: a socket has room for it.
                socket.try_write(&line(&Answer::Failure(why))).ok();
            }
            (Err(_), _) => sleep(AFTER_ERROR).await,
        }
    }
}

/// Tells a client the files, and keeps them until it ends.
async fn answer(mut socket: UnixStream, snapshots: Snapshots, _seat: OwnedSemaphorePermit) {
    let to_take = snapshots.clone();
    let taken = in_thread(move || {
        let (snapshot, pins) = to_take.take()?;
        Ok((Offer::new(&snapshot, to_take.lost()?), pins))
    });
    let (answer, pins) = match taken.await {
        Ok((offer, pins)) => (Answer::Offer(offer), Some(pins)),
        Err(error) => (Answer::Failure(error.to_string()), None),
    };
    let told = timeout(OFFERED, socket.write_all(&line(&answer))).await;
    let (Ok(Ok(())), Some(mut pins)) = (told, pins) else { return };
    let mut reader = BufReader::new(socket);
    loop {
        let text = match timeout(SILENT, name(&mut reader)).await {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(_) => {
                tracing::warn!("a backup is silent: its files are not kept any longer");
                return;
            }
        };
        match Line::parse(&text) {
            Line::Release(name) => pins.release(name),
            Line::Read { name, at, len } => {
                let read = if pins.has(name) {
                    read(&snapshots, name, at, len).await
                } else {
                    Err(io::Error::other("the file is not kept"))
                };
                let told = timeout(OFFERED, tell(reader.get_mut(), read)).await;
                let Ok(Ok(())) = told else { return };
            }
        }
    }
}

async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

async fn read(snapshots: &Snapshots, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
    let (snapshots, name) = (snapshots.clone(), name.to_owned());
    in_thread(move || snapshots.read(&name, at, len.min(MOST_READ))).await
}

/// Tells a client the bytes of a file.
async fn tell(socket: &mut UnixStream, read: io::Result<Bytes>) -> io::Result<()> {
    match read {
        Ok(bytes) => {
            socket.write_all(&line(&ReadAnswer::Bytes(bytes.len() as u64))).await?;
            socket.write_all(&bytes).await
        }
        Err(error) => {
            let failure = match error.kind() {
                io::ErrorKind::NotFound => ReadAnswer::Missing,
                _ => ReadAnswer::Failure(error.to_string()),
            };
            socket.write_all(&line(&failure)).await
        }
    }
}

/// The next line of a client, without its end; `None` after the last one.
async fn name(reader: &mut BufReader<UnixStream>) -> Option<String> {
    let mut line = Vec::new();
    reader.take(MOST_NAMED).read_until(b'\n', &mut line).await.ok()?;
    line.pop().filter(|last| *last == b'\n')?;
    String::from_utf8(line).ok()
}

fn line(answer: &impl Serialize) -> Vec<u8> {
    // Of texts and numbers only, so that encoding cannot fail.
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}
