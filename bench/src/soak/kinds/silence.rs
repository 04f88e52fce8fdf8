//! Connections to each port that say nothing, or stop after a few bytes: hundreds, more than the
//! server has descriptors.

use std::time::Duration;

use anyhow::Result;
use tokio::{io::AsyncWriteExt as _, task::JoinSet, time::sleep};

use crate::soak::attacker::Attacker;

const CONNECTIONS: usize = 75;
/// How long a client holds on to a connection that the server keeps.
const HOLD: Duration = Duration::from_secs(60);

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut held = JoinSet::new();
    for number in 0..CONNECTIONS {
        held.spawn(hold(attacker.clone(), number));
    }
    while held.join_next().await.is_some() {}
    Ok(())
}

async fn hold(attacker: Attacker, number: usize) -> Result<()> {
    let mut socket = attacker.connect(attacker.target.port(number)).await?;
    let begun: &[u8] = match (number / 3) % 4 {
        // Not a word.
        0 => b"",
        // Half a preface of HTTP/2, half a request of HTTP/1, half a header of the wire protocol.
        1 => match number % 3 {
            0 => b"PRI * HTTP/2.0\r\n",
            1 => &[0xFF, 0xFF, 0xFF, 0x81, 0],
            _ => b"GET /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nX-",
        },
        // A whole preface and no settings; a whole hello and no request after it.
        2 => match number % 3 {
            0 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            1 => &[0xFF, 0xFF, 0xFF, 0x81, 0, 0, 0, 8, 0, 0, 0, 17, 0, 0, 0, 5],
            _ => b"\r\n",
        },
        _ => return drip(&attacker, socket, number).await,
    };
    socket.write_all(begun).await?;
    attacker.read_to_the_end(&mut socket, HOLD).await;
    Ok(())
}

/// Sends a header byte by byte, one in two seconds.
async fn drip(attacker: &Attacker, mut socket: tokio::net::TcpStream, number: usize) -> Result<()> {
    let bytes: &[u8] = match number % 3 {
        0 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        1 => &[0xFF, 0xFF, 0xFF, 0x81, 0, 0, 0, 8, 0, 0, 0, 17, 0, 0, 0, 5],
        _ => b"GET /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    };
    for byte in bytes {
        if socket.write_all(&[*byte]).await.is_err() {
            attacker.ended();
            return Ok(());
        }
        sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}
