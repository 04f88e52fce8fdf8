//! Random bytes on each port, half of them after a valid beginning.

use std::time::Duration;

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;

use crate::soak::{
    attacker::Attacker,
    http2::{self, PREFACE, SETTINGS},
};

/// Codes of commands of the wire protocol.
const CODES: [i32; 17] = [-127, 1, 3, 4, 5, 9, 20, 38, 58, 70, 74, 76, 78, 85, 88, 89, 90];

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    for number in 0..60 {
        let mut socket = attacker.connect(attacker.target.port(number)).await?;
        let length = attacker.random.usize(1..400);
        let noise: Vec<u8> = (0..length).map(|_| attacker.random.u8(..)).collect();
        let beginning = match number % 6 {
            0 => [PREFACE, &http2::frame(SETTINGS, 0, 0, &[])].concat(),
            1 => {
                let code = attacker.random.choice(CODES).unwrap_or_default();
                [code.to_be_bytes(), (length as i32).to_be_bytes()].concat()
            }
            2 => b"GET /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\n".to_vec(),
            _ => Vec::new(),
        };
        socket.write_all(&[beginning, noise].concat()).await.ok();
        socket.shutdown().await.ok();
        attacker.read_to_the_end(&mut socket, Duration::from_secs(10)).await;
    }
    Ok(())
}
