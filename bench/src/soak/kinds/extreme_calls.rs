//! Every call of the controller with extreme values in its fields, and with bytes that are no
//! message.

use std::time::Duration;

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;

use crate::soak::{attacker::Attacker, http2};

/// The calls, from the service's definition.
const DEFINITION: &str = include_str!("../../../../proto/Controller.proto");
const CALLS: u32 = 100;
/// Values that a varint may have.
const NUMBERS: [u64; 8] =
    [0, 1, 2, i32::MAX as u64, 1 << 31, i64::MAX as u64, u64::MAX, u64::MAX - (1 << 31)];

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let names: Vec<&str> = DEFINITION
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next())
        // Scopes of others are not touched.
        .filter(|name| !name.starts_with("deleteScope"))
        .collect();
    let scope = attacker.scope();
    let mut socket = http2::connect(&attacker, &[]).await?;
    for call in 0..CALLS {
        let name = attacker.random.choice(&names).copied().unwrap_or_default();
        let mut message = message(&scope, 3, &mut attacker.random);
        if attacker.random.u8(..) < 30 {
            for byte in &mut message {
                *byte ^= attacker.random.u8(..) & attacker.random.u8(..);
            }
        }
        attacker.attempt();
        // No more than the window that every connection has.
        message.truncate(600);
        if socket.write_all(&http2::call(2 * call + 1, name, &message)).await.is_err() {
            break;
        }
    }
    attacker.read_to_the_end(&mut socket, Duration::from_secs(2)).await;
    Ok(())
}

/// A message with some of the first fields, each of a random type and an extreme value.
fn message(scope: &str, depth: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut message = Vec::new();
    for field in 1..=random.u8(1..12) {
        match random.u8(0..8) {
            0 => {}
            1 | 2 => {
                message.push(field << 3);
                push_varint(&mut message, random.choice(NUMBERS).unwrap_or_default());
            }
            3 => {
                message.push(field << 3 | 1);
                let special = [f64::NAN, f64::INFINITY, -0.0, 0.5, 1.0, f64::MAX];
                message.extend(random.choice(special).unwrap_or_default().to_le_bytes());
            }
            4 | 5 if depth > 0 => {
                let nested = self::message(scope, depth - 1, random);
                push_bytes(&mut message, field, &nested);
            }
            6 => push_bytes(&mut message, field, &[0xFF, 0, b'/', b'.']),
            _ => push_bytes(&mut message, field, scope.as_bytes()),
        }
    }
    message
}

fn push_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    push_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

fn push_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        message.push(value as u8 | 128);
        value >>= 7;
    }
    message.push(value as u8);
}
