//! Megabytes in reader groups, names of writers, tags and positions.

use anyhow::Result;
use pravega_sdk_proto::{
    ReaderGroupConfiguration, ReaderGroupInfo, RemoveWriterRequest, StreamCut, Tags,
    TimestampFromWriter,
};

use super::costly_calls::{configuration, create};
use crate::soak::attacker::Attacker;

/// In bytes.
const LONG: usize = 3 << 20;

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    let Some(info) = create(&attacker, &mut controller, "tagged", 1).await else {
        return Ok(());
    };
    let scope = info.scope.clone();
    for _ in 0..5 {
        let reader_group = format!("group-{:x}", attacker.random.u64(..));
        let reader_group_id = uuid::Uuid::from_u128(attacker.random.u128(..)).to_string();
        // Cuts of segments that no stream has.
        let cut = StreamCut {
            stream_info: Some(info.clone()),
            cut: (0..LONG as i64 / 14).map(|number| (number + (1 << 33), 1)).collect(),
        };
        let group = ReaderGroupConfiguration {
            scope: scope.clone(),
            reader_group_name: reader_group.clone(),
            reader_group_id: reader_group_id.clone(),
            starting_stream_cuts: vec![cut.clone()],
            ..Default::default()
        };
        attacker.count(controller.create_reader_group(group).await);
        let group =
            ReaderGroupInfo { scope: scope.clone(), reader_group, reader_group_id, generation: 0 };
        attacker.count(controller.delete_reader_group(group).await);
        let writer = format!("{:x}{}", attacker.random.u64(..), "w".repeat(LONG));
        let note = TimestampFromWriter { writer: writer.clone(), position: None, timestamp: 1 };
        attacker.count(controller.note_timestamp_from_writer(note).await);
        let short = format!("{:x}", attacker.random.u64(..));
        let note = TimestampFromWriter { writer: short, position: Some(cut), timestamp: 1 };
        attacker.count(controller.note_timestamp_from_writer(note).await);
        let remove = RemoveWriterRequest { writer, stream: Some(info.clone()) };
        attacker.count(controller.remove_writer(remove).await);
    }
    for tag in ["t".repeat(LONG), String::new()] {
        let many = (0..20_000).map(|number| format!("{tag:.200}-{number}")).collect();
        for tags in [vec![tag], many] {
            let mut config = configuration(info.clone(), 1);
            config.tags = Some(Tags { tag: tags });
            attacker.count(controller.update_stream(config).await);
        }
    }
    attacker.count(controller.seal_stream(info.clone()).await);
    attacker.count(controller.delete_stream(info).await);
    Ok(())
}
