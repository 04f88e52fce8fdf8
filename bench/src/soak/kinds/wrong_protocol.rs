//! The protocol of one port on another one, and TLS on all of them.

use std::time::Duration;

use anyhow::Result;
use pravega_sdk_wire_protocol::VersionRange;
use tokio::io::AsyncWriteExt as _;

use crate::soak::{
    attacker::Attacker,
    http2::{self, PREFACE, SETTINGS},
    wire::frame,
};

/// The beginning of a client's hello in TLS 1.2.
const TLS: &[u8] = &[0x16, 3, 1, 0, 0xC8, 1, 0, 0, 0xC4, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8];

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let http1: &[u8] =
        b"POST /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nabcde";
    let http2 = [PREFACE, &http2::frame(SETTINGS, 0, 0, &[]), &http2::call(1, "listScopes", b"")];
    let hello = frame(VersionRange::SUPPORTED.hello())?;
    let wrong = [http1, &http2.concat(), &hello, TLS];
    for (number, bytes) in wrong.iter().cycle().take(24).enumerate() {
        let mut socket = attacker.connect(attacker.target.port(number / 4)).await?;
        socket.write_all(bytes).await.ok();
        socket.shutdown().await.ok();
        attacker.read_to_the_end(&mut socket, Duration::from_secs(10)).await;
    }
    Ok(())
}
