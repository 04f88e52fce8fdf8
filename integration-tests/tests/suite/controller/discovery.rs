//! Discovery of controllers, and tokens without authorization.

use pravega_sdk_controller_client::{
    AccessOperation, Controller, ControllerClient, ControllerConfig,
};
use pravega_sdk_integration_tests::harness::{
    controller, is_embedded, new_stream, port::Refusing, url,
};
use pravega_sdk_types::Scope;

#[tokio::test]
async fn without_authorization_tokens_are_empty() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    for access in [AccessOperation::Read, AccessOperation::Write, AccessOperation::ReadWrite] {
        assert!(controller.delegation_token(&stream, access).await.unwrap().is_empty());
    }
}

/// A standalone Java server does not know its own address; an embedded one does.
#[tokio::test]
async fn discovery_finds_the_controller_or_falls_back_to_the_address() {
    let plain = controller().await;
    match plain.controllers().await {
        Ok(controllers) => assert!(
            is_embedded() && url().ends_with(&controllers[0].to_string()),
            "{controllers:?}"
        ),
        Err(error) => assert!(!is_embedded() && error.to_string().contains("cluster"), "{error}"),
    }
    let discovering = url().replace("tcp://", "pravega://");
    let discovering =
        ControllerClient::new(ControllerConfig::new(discovering.parse().unwrap())).unwrap();
    discovering.scope_exists(&Scope::new("any").unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_controller_that_is_down_is_passed_over() {
    let dead = Refusing::bind();
    let list = url().replace("tcp://", &format!("tcp://{},", dead.address()));
    let controller = ControllerClient::new(ControllerConfig::new(list.parse().unwrap())).unwrap();
    for _ in 0..10 {
        controller.scope_exists(&Scope::new("any").unwrap()).await.unwrap();
    }
}
