//! Names with paths, nulls and line ends in them, and tokens that are no tokens.

use anyhow::Result;
use bytes::Bytes;
use pravega_sdk_proto::{ScopeInfo, StreamConfig, StreamInfo};
use pravega_sdk_wire_protocol::commands::GetStreamSegmentInfo;

use crate::soak::{attack::delete, attacker::Attacker, wire::Wire};

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let long = "x".repeat(60_000);
    let own = attacker.number;
    let names = [
        format!("../../escaped-{own}"),
        format!("/escaped-{own}"),
        format!("a/../../escaped-{own}"),
        format!("nul\0byte-{own}"),
        format!("line\r\n\x1b[31m-{own}"),
        format!("C:\\escaped-{own}"),
        format!("{long}-{own}"),
    ];
    let mut wire = Wire::connect(&attacker).await?;
    for name in &names {
        attacker.made_segment(name);
        wire.create_new(name).await?;
        wire.append(name, Bytes::from_static(b"data")).await?;
        delete(&mut wire, name).await?;
    }
    for token in ["e30.e30.e30", "a.b", "....", "\0", &long] {
        wire.ask(GetStreamSegmentInfo {
            request_id: 1,
            segment_name: "a/b/0.#epoch.0".into(),
            delegation_token: token.into(),
        })
        .await?;
    }
    let mut controller = attacker.controller().await?;
    for name in ["../escaped", "a/b", "a b", "ü", "a\0b", "", "_system", &"x".repeat(300), &long] {
        let scope = name.to_owned();
        attacker.count(controller.create_scope(ScopeInfo { scope: scope.clone() }).await);
        let info = StreamInfo { scope: scope.clone(), stream: scope, access_operation: 0 };
        let stream_info = Some(info);
        attacker.count(
            controller.create_stream(StreamConfig { stream_info, ..Default::default() }).await,
        );
    }
    Ok(())
}
