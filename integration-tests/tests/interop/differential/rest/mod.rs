//! The same requests to the REST services of a Java server and of an embedded one: every code is
//! compared, and every body as JSON.

mod both;
mod groups;
mod scopes;
mod streams;

use self::both::Both;

#[tokio::test]
async fn both_rest_services_answer_every_call_alike() {
    let mut both = Both::start().await;
    scopes::scopes(&mut both).await;
    streams::creations(&mut both).await;
    streams::scaling_policies(&mut both).await;
    streams::retention_policies(&mut both).await;
    streams::lists(&mut both).await;
    streams::updates(&mut both).await;
    streams::scaling(&mut both).await;
    groups::groups(&mut both).await;
    streams::ends(&mut both).await;
    scopes::paths(&mut both).await;
    scopes::health(&mut both).await;
    both.check();
}
