//! Calls of the controller on connections of HTTP/2 that open no window for the answers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use pravega_sdk_proto::StreamInfo;
use tokio::io::AsyncWriteExt as _;

use super::costly_calls::create;
use crate::soak::{
    attacker::Attacker,
    http2::{self, setting},
};

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const INITIAL_WINDOW: u16 = 4;
const SEGMENTS: i32 = 5_000;
const CALLS: u32 = 190;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    let info = create(&attacker, &mut controller, "wide", SEGMENTS).await.context("no stream")?;
    let mut socket = http2::connect(&attacker, &setting(INITIAL_WINDOW, 0)).await?;
    let message = encoded(&info);
    for call in 0..CALLS {
        attacker.attempt();
        socket.write_all(&http2::call(2 * call + 1, "getCurrentSegments", &message)).await?;
    }
    attacker.read_to_the_end(&mut socket, Duration::from_secs(10)).await;
    Ok(())
}

/// The message of a stream: scope and name.
pub(super) fn encoded(info: &StreamInfo) -> Vec<u8> {
    let mut message = Vec::new();
    for (tag, text) in [(0x0A, &info.scope), (0x12, &info.stream)] {
        message.push(tag);
        message.push(text.len() as u8);
        message.extend(text.as_bytes());
    }
    message
}
