//! The exchange of versions that opens every connection.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pravega_sdk_tls::{TlsError, is_alert};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, VersionRange, WireCommand};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::error::ConnectionError;
use crate::runtime::runtime;

/// Sends the client's greeting and waits for the store's. Bytes after it stay in `received`.
pub(super) async fn handshake(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    received: &mut BytesMut,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<VersionRange, ConnectionError> {
    let fail = |kind, detail: &dyn std::fmt::Display| ConnectionError::new(kind, endpoint, detail);
    let exchange = async {
        let lost = |error: std::io::Error| {
            // The store may refuse the client's certificate after the handshake of TLS.
            let refusal = error.get_ref().and_then(|source| source.downcast_ref::<TlsError>());
            match refusal {
                Some(refusal) => ConnectionError::insecure(endpoint, refusal),
                None => fail(ErrorKind::ConnectionLost, &error),
            }
        };
        let mut hello = SendBuffer::new();
        // Eight bytes always fit a frame.
        hello.push(&VersionRange::SUPPORTED.hello()).ok();
        while hello.has_remaining() {
            io.write_buf(&mut hello).await.map_err(lost)?;
        }
        io.flush().await.map_err(lost)?;
        let decoder = Decoder::default();
        loop {
            if is_alert(received) {
                return Err(ConnectionError::insecure(endpoint, &TlsError::speaks_only_tls()));
            }
            match decoder.decode(received) {
                Ok(Some(WireCommand::Hello(theirs))) => {
                    VersionRange::SUPPORTED
                        .check(&theirs)
                        .map_err(|error| fail(ErrorKind::IncompatibleServer, &error))?;
                    return Ok(VersionRange { low: theirs.low_version, high: theirs.high_version });
                }
                Ok(Some(other)) => {
                    let detail = format!("the first command was {}, not Hello", other.name());
                    return Err(fail(ErrorKind::Protocol, &detail));
                }
                Ok(None) => {}
                Err(error) => {
                    let detail =
                        format!("the server is not a segment store, or it speaks TLS: {error}");
                    return Err(fail(ErrorKind::Protocol, &detail));
                }
            }
            received.reserve(decoder.room_needed(received));
            if io.read_buf(received).await.map_err(lost)? == 0 {
                return Err(fail(ErrorKind::ConnectionLost, &"closed during the handshake"));
            }
        }
    };
    if let Err(error) = runtime() {
        return Err(fail(ErrorKind::NoRuntime, &error));
    }
    match timeout(limit, exchange).await {
        Ok(versions) => versions,
        Err(_) => Err(fail(ErrorKind::Timeout, &format_args!("no greeting within {limit:?}"))),
    }
}
