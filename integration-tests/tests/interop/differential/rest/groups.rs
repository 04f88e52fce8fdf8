//! Requests about reader groups. Both servers have a group that only the controller knows: the
//! state of a group is written by the clients that read.

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_types::ReaderGroupConfiguration;
use serde_json::json;
use uuid::Uuid;

use super::both::Both;

/// Groups: listed, shown, deleted, missing.
pub(super) async fn groups(both: &mut Both) {
    both.ask("groups: none", "GET", &both.path("/readergroups")).await;
    let group = format!("{}/group", both.scope).parse().unwrap();
    let stream = format!("{}/stream", both.scope).parse().unwrap();
    let configuration = ReaderGroupConfiguration::new([stream]).unwrap();
    let configuration = configuration.with_identity(Uuid::from_u128(7), Some(0));
    for url in &both.urls {
        let factory = ClientFactory::new(ClientConfig::from_url(url).unwrap()).unwrap();
        factory.controller().create_reader_group(&group, &configuration).await.unwrap();
    }
    both.ask("groups", "GET", &both.path("/readergroups")).await;
    both.ask("groups of a missing scope", "GET", "/v1/scopes/none-of-this-name/readergroups").await;
    let path = both.path("/readergroups/group");
    let shown = both.ask("a group without a state", "GET", &path).await.json();
    let expected = json!({
        "scopeName": both.scope,
        "readerGroupName": "group",
        "onlineReaderIds": [],
        "streamList": [format!("{}/stream", both.scope)],
    });
    assert_eq!(shown, expected);
    both.ask("a missing group", "GET", &both.path("/readergroups/none")).await;
    let elsewhere = "/v1/scopes/none-of-this-name/readergroups/group";
    both.ask("a group of a missing scope", "GET", elsewhere).await;
    both.ask("deletion of a missing group", "DELETE", &both.path("/readergroups/none")).await;
    both.ask("deletion of a group without a state", "DELETE", &path).await;
}
