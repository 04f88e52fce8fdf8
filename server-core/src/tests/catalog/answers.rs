//! The length of an answer is known before a call changes anything.

use pravega_sdk_proto::{
    CreateTxnRequest, ReaderGroupConfiguration, ScaleRequest, StreamCut, StreamInfo,
    scale_request::KeyRangeEntry,
};
use prost::Message as _;

use super::{config, group, info, methods_with};
use crate::tests::{at, machine};

#[test]
fn the_answers_that_may_be_long_are_foretold() {
    // The other calls that change something answer with a status. The answer to an update of a
    // group has a number, too.
    let long = methods_with(|signature| {
        let changes = signature.contains("&mut self") && signature.contains("&mut Step");
        changes && signature.contains("Response>")
    });
    let known = ["create_group", "create_transaction", "scale", "update_group"];
    assert_eq!(long, known.map(str::to_owned).into());
    let foretold = methods_with(|signature| signature.ends_with("-> usize "));
    assert_eq!(foretold.iter().filter(|name| name.starts_with("most_of_")).count(), 3);
}

#[test]
fn no_answer_is_longer_than_was_foretold() {
    for segments in [1, 100, 10_000] {
        let mut machine = machine();
        let (catalog, mut step) = machine.call(at(1));
        catalog.create_scope("s", &mut step).unwrap();
        catalog.create_stream(config(segments), &mut step).unwrap();

        let begin = CreateTxnRequest { stream_info: Some(info()), ..Default::default() };
        let most = catalog.most_of_transaction(&begin.stream_info.clone().unwrap());
        let begun = catalog.create_transaction(&info(), 20_000, &mut step).unwrap();
        assert!(begun.encoded_len() <= most, "{} of {most}", begun.encoded_len());
        assert!(most <= 2 * begun.encoded_len() + 5000, "{} of {most}", begun.encoded_len());

        let count = 10_000 / segments;
        let width = 1.0 / f64::from(segments);
        let end = |part: i32| width * f64::from(part) / f64::from(count);
        let range = |part| KeyRangeEntry { start: end(part), end: end(part + 1) };
        let scale = ScaleRequest {
            stream_info: Some(info()),
            sealed_segments: vec![0],
            new_key_ranges: (0..count).map(range).collect(),
            scale_timestamp: 0,
        };
        let most = catalog.most_of_scale(&scale);
        let scaled = catalog.scale(&scale, &mut step).unwrap();
        assert_eq!(scaled.segments.len(), count as usize);
        assert!(scaled.encoded_len() <= most, "{} of {most}", scaled.encoded_len());

        let cut = |number: i32| {
            let stream_info = Some(StreamInfo { stream: format!("stream-{number}"), ..info() });
            StreamCut { stream_info, ..StreamCut::default() }
        };
        let starting_stream_cuts = (0..count).map(cut).collect();
        let wanted =
            ReaderGroupConfiguration { retention_type: 0, starting_stream_cuts, ..group() };
        for asked in [wanted.clone(), ReaderGroupConfiguration { ..group() }] {
            let most = catalog.most_of_group(&asked);
            let created = catalog.create_group(asked, &mut step).unwrap();
            assert_eq!(created.config.as_ref().unwrap().starting_stream_cuts.len(), count as usize);
            assert!(created.encoded_len() <= most, "{} of {most}", created.encoded_len());
        }
    }
}
