//! Listings of thousands of streams with tags through REST, in a row, half of them never read.

use std::time::Duration;

use anyhow::Result;
use pravega_sdk_proto::Tags;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::costly_calls::{configuration, create};
use crate::soak::attacker::Attacker;

const STREAMS: usize = 1_000;
const REQUESTS: usize = 200;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    let Some(mut info) = create(&attacker, &mut controller, "stream-0", 1).await else {
        return Ok(());
    };
    for number in 1..STREAMS {
        info.stream = format!("stream-{number}");
        let mut config = configuration(info.clone(), 1);
        config.tags = Some(Tags { tag: (0..5).map(|tag| format!("{tag:0>100}")).collect() });
        attacker.count(controller.create_stream(config).await);
    }
    let scope = &info.scope;
    let one = format!("GET /v1/scopes/{scope}/streams HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let requests = one.repeat(REQUESTS);
    for read in [true, false] {
        let mut socket = attacker.connect(attacker.target.rest).await?;
        attacker.attempts(REQUESTS);
        timeout(Duration::from_secs(5), socket.write_all(requests.as_bytes())).await.ok();
        if read {
            attacker.read_to_the_end(&mut socket, Duration::from_secs(5)).await;
        } else {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
    Ok(())
}
