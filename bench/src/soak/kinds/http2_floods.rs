//! Floods of HTTP/2: resets, continuations, pings, settings, long headers, claimed lengths.

use std::time::Duration;

use anyhow::Result;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use crate::soak::{
    attacker::Attacker,
    http2::{
        self, CONTINUATION, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
        field, fields, frame, setting,
    },
};

const FRAMES: u32 = 5_000;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    for shape in 0..8 {
        let mut socket = http2::connect(&attacker, &[]).await?;
        attacker.attempts(FRAMES as usize);
        let sending = async {
            for number in 0..FRAMES {
                if socket.write_all(&flood(shape, number)).await.is_err() {
                    break;
                }
            }
        };
        timeout(Duration::from_secs(10), sending).await.ok();
        attacker.read_to_the_end(&mut socket, Duration::from_secs(2)).await;
    }
    Ok(())
}

/// Returns the next frames of a flood.
fn flood(shape: u32, number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    match shape {
        // Calls that are reset at once.
        0 => {
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [http2::call(stream, "listScopes", &[]), reset].concat()
        }
        // A header that never ends.
        1 if number == 0 => frame(HEADERS, 0, 1, &fields("listScopes")),
        1 => frame(CONTINUATION, 0, 1, &field("x", "y")),
        2 => frame(PING, 0, 0, &[0; 8]),
        3 => frame(SETTINGS, 0, 0, &setting(4, number)),
        4 => frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        // A header of 16 KB in each call.
        5 => {
            let long = [fields("listScopes"), field("x-long", &"y".repeat(15_000))].concat();
            frame(HEADERS, END_HEADERS, stream, &long)
        }
        // A message that claims 4 GiB, and calls that never send theirs.
        6 => {
            let claim = frame(DATA, 0, stream, &[0, 0xFF, 0xFF, 0xFF, 0xFF]);
            [frame(HEADERS, END_HEADERS, stream, &fields("createScope")), claim].concat()
        }
        // More data than the window allows.
        _ => {
            let head = frame(HEADERS, END_HEADERS, stream, &fields("createScope"));
            let data = frame(DATA, 0, stream, &[0; 16_000]);
            if number.is_multiple_of(100) { head } else { [head, data].concat() }
        }
    }
}
