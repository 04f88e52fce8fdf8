//! Bodies of REST that are too long, too deep, too slow, or not JSON.

use std::time::Duration;

use anyhow::Result;
use tokio::{
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};

use crate::soak::attacker::Attacker;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let scope = attacker.scope();
    let streams = format!("/v1/scopes/{scope}/streams");
    let bodies = [
        ("/v1/scopes", format!("{{\"scopeName\":\"{scope}\"}}")),
        ("/v1/scopes", format!("{{\"scopeName\":\"{}\"}}", "x".repeat(8 << 20))),
        ("/v1/scopes", "[".repeat(1 << 20)),
        ("/v1/scopes", "{\"a\":".repeat(100_000)),
        ("/v1/scopes", "\u{0}\u{1}not JSON".to_owned()),
        (
            &streams,
            "{\"streamName\":\"s\",\"scalingPolicy\":{\"type\":\"FIXED_NUM_SEGMENTS\",\
             \"minSegments\":2147483647}}"
                .to_owned(),
        ),
        (
            &streams,
            "{\"streamName\":\"s\",\"scalingPolicy\":{\"type\":\"FIXED_NUM_SEGMENTS\",\
             \"minSegments\":-1},\"retentionPolicy\":{\"type\":\"LIMITED_DAYS\",\
             \"value\":9223372036854775807}}"
                .to_owned(),
        ),
    ];
    for (path, body) in &bodies {
        let mut socket = attacker.connect(attacker.target.rest).await?;
        let request = format!("{}{body}", head(path, body.len()));
        timeout(Duration::from_secs(5), socket.write_all(request.as_bytes())).await.ok();
        socket.shutdown().await.ok();
        attacker.read_to_the_end(&mut socket, Duration::from_secs(10)).await;
    }
    // A body of which a byte comes each second.
    let mut socket = attacker.connect(attacker.target.rest).await?;
    socket.write_all(head("/v1/scopes", 1_000).as_bytes()).await?;
    for _ in 0..60 {
        if socket.write_all(b" ").await.is_err() {
            attacker.ended();
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}
