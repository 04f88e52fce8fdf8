//! A segment store that accepts appends, counts their bytes and discards them.
//!
//! Its delays are exact to the microsecond: it polls the clock during the last three milliseconds
//! before a reply, because timers of the runtime have a resolution of a millisecond.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BytesMut};
use pravega_sdk_wire_protocol::{
    Append, AppendAssembler, Decoder, SendBuffer, VersionRange, WireCommand,
    commands::{AppendSetup, DataAppended, SetupAppend},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};

/// Time before a reply during which the store polls the clock.
const SPIN: Duration = Duration::from_millis(3);
/// The last event number of a writer that has written no event.
const NO_EVENT: i64 = i64::MIN;

/// When appends are acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Acknowledgements {
    After(Duration),
    Never,
}

/// The store of one segment; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Store {
    acknowledgements: Acknowledgements,
    segment: Arc<Mutex<Segment>>,
}

#[derive(Debug, Default)]
struct Segment {
    len: i64,
    /// The last event number of each writer, by the 128 bits of its id.
    last: BTreeMap<u128, i64>,
}

/// A reply and the time at which it is sent.
type Due = (Instant, WireCommand);

impl Store {
    pub(super) fn new(acknowledgements: Acknowledgements) -> Self {
        Self { acknowledgements, segment: Arc::default() }
    }

    /// Serves one connection until it ends or the client breaks a rule.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(
        self,
        io: S,
    ) -> Result<()> {
        let (mut reader, mut writer) = tokio::io::split(io);
        let (replies, mut due) = mpsc::unbounded_channel::<Due>();
        let sending = async move {
            while let Some((at, reply)) = due.recv().await {
                wait_until(at).await;
                let mut out = SendBuffer::new();
                reply.encode(&mut out)?;
                while out.has_remaining() {
                    writer.write_buf(&mut out).await?;
                }
            }
            anyhow::Ok(writer.shutdown().await?)
        };
        let receiving = async move {
            let mut assembler = AppendAssembler::new();
            let mut received = BytesMut::new();
            loop {
                while let Some(command) = Decoder::default().decode(&mut received)? {
                    if let Some(reply) = self.handle(command, &mut assembler)? {
                        replies.send(reply).ok().context("the connection has ended")?;
                    }
                }
                if reader.read_buf(&mut received).await? == 0 {
                    return anyhow::Ok(());
                }
            }
        };
        let (received, sent) = tokio::join!(receiving, sending);
        received.and(sent)
    }

    fn handle(&self, command: WireCommand, assembler: &mut AppendAssembler) -> Result<Option<Due>> {
        let reply: WireCommand = match command {
            WireCommand::Hello(_) => VersionRange::SUPPORTED.hello().into(),
            WireCommand::KeepAlive(keep_alive) => keep_alive.into(),
            WireCommand::SetupAppend(setup) => {
                assembler.handle(setup.clone().into())?;
                self.set_up(setup, assembler).into()
            }
            append => {
                let name = append.name();
                return match assembler.handle(append) {
                    Ok(Some(append)) => self.append(&append),
                    Ok(None) => Ok(None),
                    Err(violation) => bail!("{name}: {violation}"),
                };
            }
        };
        Ok(Some((Instant::now(), reply)))
    }

    fn set_up(&self, setup: SetupAppend, assembler: &mut AppendAssembler) -> AppendSetup {
        let SetupAppend { request_id, writer_id, segment, .. } = setup;
        let known = self.lock(|state| state.last.get(&writer_id.as_u128()).copied());
        let last_event_number = known.unwrap_or(NO_EVENT);
        assembler.resume(writer_id, last_event_number);
        AppendSetup { request_id, segment, writer_id, last_event_number }
    }

    fn append(&self, append: &Append) -> Result<Option<Due>> {
        let Append { writer_id, event_number, request_id, data, .. } = append;
        let (previous, end) = self.lock(|state| {
            state.len += data.len() as i64;
            (state.last.insert(writer_id.as_u128(), *event_number), state.len)
        });
        let previous_event_number = previous.unwrap_or(NO_EVENT);
        ensure!(
            previous_event_number < *event_number,
            "event number {event_number} comes after {previous_event_number}"
        );
        let Acknowledgements::After(delay) = self.acknowledgements else { return Ok(None) };
        let reply = DataAppended {
            writer_id: *writer_id,
            event_number: *event_number,
            previous_event_number,
            request_id: *request_id,
            current_segment_write_offset: end,
        };
        Ok(Some((Instant::now() + delay, reply.into())))
    }

    fn lock<T>(&self, work: impl FnOnce(&mut Segment) -> T) -> T {
        work(&mut self.segment.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn wait_until(at: Instant) {
    while let Some(left) = at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        if left > SPIN {
            tokio::time::sleep_until((at - (SPIN - Duration::from_millis(1))).into()).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pravega_sdk_wire_protocol::commands::AppendBlockEnd;
    use tokio::io::DuplexStream;
    use uuid::Uuid;

    use super::*;

    const WRITER: Uuid = Uuid::from_u128(7);

    fn connect(acknowledgements: Acknowledgements) -> DuplexStream {
        let (client, server) = tokio::io::duplex(1 << 16);
        tokio::spawn(Store::new(acknowledgements).serve(server));
        client
    }

    async fn send(client: &mut DuplexStream, command: impl Into<WireCommand>) {
        let mut out = SendBuffer::new();
        command.into().encode(&mut out).unwrap();
        client.write_all_buf(&mut out).await.unwrap();
    }

    async fn next(client: &mut DuplexStream, received: &mut BytesMut) -> Option<WireCommand> {
        loop {
            if let Some(command) = Decoder::default().decode(received).unwrap() {
                return Some(command);
            }
            if client.read_buf(received).await.unwrap() == 0 {
                return None;
            }
        }
    }

    fn setup() -> SetupAppend {
        let segment = "scope/stream/0.#epoch.0".into();
        SetupAppend { request_id: 1, writer_id: WRITER, segment, delegation_token: "".into() }
    }

    fn append(number: i64) -> AppendBlockEnd {
        AppendBlockEnd {
            writer_id: WRITER,
            size_of_whole_events: 0,
            data: Bytes::from_static(b"data"),
            num_events: 1,
            last_event_number: number,
            request_id: 10 + number,
        }
    }

    #[tokio::test]
    async fn appends_are_acknowledged_in_order_and_not_before_the_delay() {
        let delay = Duration::from_millis(20);
        let mut client = connect(Acknowledgements::After(delay));
        let mut received = BytesMut::new();
        send(&mut client, setup()).await;
        let Some(WireCommand::AppendSetup(ready)) = next(&mut client, &mut received).await else {
            panic!("the setup is not confirmed");
        };
        assert_eq!(ready.last_event_number, NO_EVENT);
        let begun = Instant::now();
        for number in 1..=3 {
            send(&mut client, append(number)).await;
        }
        for number in 1..=3 {
            let Some(WireCommand::DataAppended(done)) = next(&mut client, &mut received).await
            else {
                panic!("append {number} is not acknowledged");
            };
            assert!(begun.elapsed() >= delay);
            assert_eq!(
                (done.event_number, done.current_segment_write_offset),
                (number, 4 * number)
            );
        }
    }

    #[tokio::test]
    async fn a_store_that_never_acknowledges_still_answers_keep_alives() {
        let mut client = connect(Acknowledgements::Never);
        let mut received = BytesMut::new();
        send(&mut client, setup()).await;
        next(&mut client, &mut received).await.unwrap();
        send(&mut client, append(1)).await;
        send(&mut client, pravega_sdk_wire_protocol::commands::KeepAlive {}).await;
        let reply = next(&mut client, &mut received).await;
        assert!(matches!(reply, Some(WireCommand::KeepAlive(_))), "{reply:?}");
    }

    #[tokio::test]
    async fn an_event_number_that_does_not_rise_ends_the_connection() {
        let mut client = connect(Acknowledgements::After(Duration::ZERO));
        let mut received = BytesMut::new();
        send(&mut client, setup()).await;
        next(&mut client, &mut received).await.unwrap();
        send(&mut client, append(1)).await;
        send(&mut client, append(1)).await;
        let reply = next(&mut client, &mut received).await;
        assert!(matches!(reply, Some(WireCommand::DataAppended(_))), "{reply:?}");
        assert_eq!(next(&mut client, &mut received).await, None);
    }
}
