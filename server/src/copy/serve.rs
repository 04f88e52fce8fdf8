//! The server's side of a backup: it tells its files, and keeps them while they are copied.

use std::{
    collections::BTreeSet,
    io,
    os::unix::net::UnixListener as StdListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use pravega_sdk_server_core::log::{FOLDER_LEN, FOLDER_NAME, LogMoment, Snapshot, read_identity};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::offer::{Answer, MOST_NAMED, Offer};
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
        let disk = disk.as_ref().ok_or_else(|| io::Error::other("the server ends"))?;
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
    let taken = tokio::task::spawn_blocking(move || snapshots.take());
    let (answer, pins) = match taken.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok((snapshot, pins)) => (Answer::Offer(Offer::new(&snapshot)), Some(pins)),
        Err(error) => (Answer::Failure(error.to_string()), None),
    };
    let told = timeout(OFFERED, socket.write_all(&line(&answer))).await;
    let (Ok(Ok(())), Some(mut pins)) = (told, pins) else { return };
    let mut reader = BufReader::new(socket);
    loop {
        match timeout(SILENT, name(&mut reader)).await {
            Ok(Some(name)) => pins.release(&name),
            Ok(None) => return,
            Err(_) => {
                tracing::warn!("a backup is silent: its files are not kept any longer");
                return;
            }
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

fn line(answer: &Answer) -> Vec<u8> {
    // Of texts and numbers only, so that encoding cannot fail.
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}
