//! A connection to the segment store that sends whatever it likes.

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use pravega_sdk_wire_protocol::{
    CommandKind, Decoder, SendBuffer, WireCommand,
    commands::{
        AppendBlockEnd, CreateSegment, CreateTableSegment, DeleteSegment, ReadSegment, SetupAppend,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use super::attacker::{ANSWER, Attacker};

/// A connection to the segment store.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) socket: TcpStream,
    received: BytesMut,
    attacker: Attacker,
}

impl Wire {
    pub(super) async fn connect(attacker: &Attacker) -> Result<Self> {
        let socket = attacker.connect(attacker.target.store).await?;
        socket.set_nodelay(true).ok();
        Ok(Self { socket, received: BytesMut::new(), attacker: attacker.clone() })
    }

    /// Sends a command.
    pub(super) async fn send(&mut self, command: impl Into<WireCommand>) -> Result<()> {
        self.send_bytes(&frame(command)?).await
    }

    /// Sends bytes, for as long as one waits for an answer: the server may stop reading.
    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.attacker.attempt();
        let sent = timeout(ANSWER, self.socket.write_all(bytes)).await;
        Ok(sent.context("the server does not read")??)
    }

    /// Sends as much as the server takes at once, and returns true if that is all of it.
    pub(super) async fn push(&mut self, bytes: &[u8], within: std::time::Duration) -> bool {
        self.attacker.attempt();
        matches!(timeout(within, self.socket.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Returns the next reply.
    pub(super) async fn next(&mut self) -> Result<WireCommand> {
        loop {
            if let Some(command) = Decoder::default().decode(&mut self.received)? {
                if command.kind() == CommandKind::Failure {
                    self.attacker.refused();
                } else {
                    self.attacker.answered();
                }
                return Ok(command);
            }
            let read = timeout(ANSWER, self.socket.read_buf(&mut self.received)).await;
            match read.context("no answer")? {
                Ok(0) | Err(_) => {
                    self.attacker.ended();
                    bail!("the server ended the connection");
                }
                Ok(_) => {}
            }
        }
    }

    pub(super) async fn ask(&mut self, command: impl Into<WireCommand>) -> Result<WireCommand> {
        self.send(command).await?;
        self.next().await
    }

    /// Creates a segment, or empties the one that exists.
    pub(super) async fn create_new(&mut self, segment: &str) -> Result<()> {
        self.ask(DeleteSegment {
            request_id: 1,
            segment: segment.into(),
            delegation_token: "".into(),
        })
        .await?;
        self.ask(create(segment)).await?;
        Ok(())
    }

    /// Appends bytes as a new writer, and waits until they are stored or refused.
    pub(super) async fn append(&mut self, segment: &str, data: Bytes) -> Result<bool> {
        let writer = Uuid::from_u128(fastrand::u128(..));
        if !matches!(self.ask(set_up(segment, writer)).await?, WireCommand::AppendSetup(_)) {
            return Ok(false);
        }
        let reply = self.ask(append(writer, 1, data)).await?;
        Ok(matches!(reply, WireCommand::DataAppended(_)))
    }
}

/// Returns the bytes of a command.
pub(super) fn frame(command: impl Into<WireCommand>) -> Result<Vec<u8>> {
    let mut out = SendBuffer::new();
    command.into().encode(&mut out)?;
    Ok(out.to_vec())
}

pub(super) fn create(segment: &str) -> CreateSegment {
    CreateSegment {
        request_id: 1,
        segment: segment.into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: "".into(),
        rollover_size_bytes: 0,
    }
}

pub(super) fn create_table(segment: &str) -> CreateTableSegment {
    CreateTableSegment {
        request_id: 1,
        segment: segment.into(),
        delegation_token: "".into(),
        sorted_deprecated: false,
        key_length: 0,
        rollover_size_bytes: 0,
    }
}

pub(super) fn set_up(segment: &str, writer_id: Uuid) -> SetupAppend {
    SetupAppend { request_id: 2, writer_id, segment: segment.into(), delegation_token: "".into() }
}

pub(super) fn append(writer_id: Uuid, number: i64, data: Bytes) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id,
        size_of_whole_events: 0,
        data,
        num_events: 1,
        last_event_number: number,
        request_id: 3,
    }
}

pub(super) fn read(segment: &str, offset: i64, suggested_length: i32) -> ReadSegment {
    ReadSegment {
        segment: segment.into(),
        offset,
        suggested_length,
        delegation_token: "".into(),
        request_id: 4,
    }
}
