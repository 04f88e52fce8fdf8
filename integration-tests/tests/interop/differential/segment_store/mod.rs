//! The same requests to a Java segment store and to an embedded one: every reply is compared, field
//! by field.

mod compare;
mod requests;
mod scripts;
mod step;

use std::time::Duration;

use pravega_sdk_integration_tests::harness::{FAR, unique};
use tokio::time::Instant;

use self::compare::{KNOWN, are_alike, compare};
use self::scripts::{appends, attributes, merges, reads, tables, violations};
use self::step::{Expects, Names, Step};
use crate::connection::{Did, Store};
use crate::differential::both::{Differences, both, check};

/// Time to wait for replies from a server that should send none.
const QUIET: Duration = Duration::from_millis(700);

/// Time until a reply is what background work of the Java server makes it. It takes a second; the
/// count of entries that stays wrong on a busy machine does so for minutes.
const IN_THE_END: Duration = Duration::from_secs(20);

async fn run(store: &mut Store, step: &Step) -> Did {
    let patience = if step.expects == Expects::Silence { QUIET } else { FAR };
    let did = store.ask(&step.commands, patience).await;
    if did == Did::Closed {
        store.again().await;
    }
    did
}

fn sorted(mut dids: Vec<Did>) -> Vec<Did> {
    dids.sort_by_key(|did| if let Did::Replied(command) = did { command.name() } else { "" });
    dids
}

async fn wire_of(address: &str) -> Store {
    Store::connect(address).await
}

#[tokio::test]
async fn both_servers_answer_every_wire_request_alike() {
    let (real, embedded) = both().await;
    let names = Names { prefix: unique("differential") };
    let (mut there, mut here) =
        (wire_of(&real.store().await).await, wire_of(&embedded.store().await).await);
    let scripts = [
        ("appends", appends(&names)),
        ("reads", reads(&names)),
        ("merges", merges(&names)),
        ("attributes", attributes(&names)),
        ("hash tables", tables(&names, 0)),
        ("fixed-key tables", tables(&names, 2)),
        ("violations", violations(&names)),
    ];
    let mut differences = Differences::new();
    for (script, steps) in scripts {
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            // Answers that arrive together may have any order.
            let extra = steps[at + 1..].iter().take_while(|step| step.commands.is_empty()).count();
            let (mut theirs, mut ours) =
                (vec![run(&mut there, step).await], vec![run(&mut here, step).await]);
            if step.expects == Expects::ReplyInTheEnd {
                let deadline = Instant::now() + IN_THE_END;
                while !are_alike(script, step.name, &theirs[0], &ours[0])
                    && Instant::now() < deadline
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    theirs = vec![run(&mut there, step).await];
                }
            }
            for _ in 0..extra {
                theirs.push(there.next(FAR).await);
                ours.push(here.next(FAR).await);
            }
            for (real, embedded) in sorted(theirs).iter().zip(&sorted(ours)) {
                compare(script, step.name, real, embedded, &mut differences);
            }
            at += 1 + extra;
        }
    }
    // The Java server counts entries when it writes its index. On a busy machine its count was seen
    // to stay one too low, with the same entries.
    differences.remove(&("hash tables: size".to_owned(), "entryCount".to_owned()));
    check(&differences, KNOWN);
}
