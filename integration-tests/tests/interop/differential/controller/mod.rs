//! The same calls to a Java controller and to an embedded one: every answer is compared.

mod both;
mod groups;
mod requests;
mod segments;
mod streams;
mod transactions;

use self::both::Both;

#[tokio::test]
async fn both_controllers_answer_every_call_alike() {
    let mut both = Both::start().await;
    streams::scopes(&mut both).await;
    streams::streams(&mut both).await;
    segments::scales(&mut both).await;
    segments::cuts(&mut both).await;
    transactions::transactions(&mut both).await;
    groups::groups(&mut both).await;
    groups::tables(&mut both).await;
    transactions::times(&mut both).await;
    streams::ends(&mut both).await;
    both.check();
}
