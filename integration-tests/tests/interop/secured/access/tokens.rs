//! Delegation tokens: what both controllers put into them, and those that only a test makes.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use pravega_sdk_integration_tests::harness::calls::basic;
use pravega_sdk_proto::{
    StreamInfo, controller_service_client::ControllerServiceClient, stream_info::AccessOperation,
};
use pravega_sdk_server_core::{
    access::{Access, Grant, Operation, TokenKey},
    record::Millis,
};
use ring::hmac;
use serde_json::{Value, json};
use tonic::{Code, Request, transport::Channel};

use super::{
    answers::{Answers, Known},
    calls::{Controllers, GROUPS, TABLES, users},
};
use crate::secured::variable;

/// The keys that the servers sign tokens with. A standalone server has this one, whatever its
/// configuration says.
pub(super) const KEYS: Keys = Keys { there: b"secret", here: b"0123456789abcdef0123456789abcdef" };
/// Keys of no server.
pub(super) const OTHER_KEYS: Keys =
    Keys { there: b"another", here: b"fedcba9876543210fedcba9876543210" };

pub(super) struct Keys {
    there: &'static [u8],
    pub(super) here: &'static [u8],
}

/// A token for each server, which say the same.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) there: String,
    pub(super) here: String,
}

impl Tokens {
    /// The same text for both servers.
    pub(super) fn same(text: &str) -> Self {
        Self { there: text.to_owned(), here: text.to_owned() }
    }

    /// Makes tokens to read and write a stream, which expire after a time of either sign.
    pub(super) fn made(keys: &Keys, scope: &str, stream: &str, seconds: i64) -> Self {
        const LIFETIME: Duration = Duration::from_secs(600);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let expires = i64::try_from(now.as_secs()).unwrap() + seconds;
        let issued = expires - i64::try_from(LIFETIME.as_secs()).unwrap();
        let claims = json!({
            "sub": "segmentstoreresource",
            "aud": "segmentstore",
            "iat": issued,
            (format!("prn::/scope:{scope}/stream:{stream}")): "READ_UPDATE",
            "exp": expires,
        });
        let header = json!({ "alg": "HS512" }).to_string();
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims.to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA512, keys.there);
        let signature = BASE64.encode(hmac::sign(&key, signed.as_bytes()));

        let lifetime = Millis(i64::try_from(LIFETIME.as_millis()).unwrap());
        let access = Access::with_key(&TokenKey::new(keys.here).unwrap(), lifetime);
        let grant = Grant::of(None, scope, stream, Operation::Write);
        let here = access.issue(scope, stream, grant, Millis(issued * 1000), None);
        Self { there: format!("{signed}.{signature}"), here }
    }

    /// Changes both tokens.
    pub(super) fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self { there: change(&self.there), here: change(&self.here) }
    }
}

/// A token of other claims with the signature of one that was issued.
pub(super) fn with_a_changed_claim(token: &str) -> String {
    let parts: Vec<_> = token.split('.').collect();
    let claims = String::from_utf8(BASE64.decode(parts[1]).unwrap()).unwrap();
    let changed = claims.replacen("\"READ\"", "\"READ_UPDATE\"", 2);
    assert_ne!(changed, claims);
    format!("{}.{}.{}", parts[0], BASE64.encode(changed), parts[2])
}

/// A token that says that it is not signed, and is not.
pub(super) fn without_a_signature(token: &str) -> String {
    let header = json!({ "alg": "none" }).to_string();
    format!("{}.{}.", BASE64.encode(header), token.split('.').nth(1).unwrap())
}

/// What a token allows on the stream for which a controller was asked for it.
const READ: &str = "READ";
const READ_UPDATE: &str = "READ_UPDATE";
/// It has no claim for the stream, but one for the table with its name.
const OF_THE_TABLE: &str = "a token for the table";
/// There is none.
const DENIED: &str = "denied";

const STREAMS: [&str; 4] = ["t", "_RGt", "_MARKt", "t_kvtable"];
const OPERATIONS: [(AccessOperation, &str); 4] = [
    (AccessOperation::Read, "to read"),
    (AccessOperation::Write, "to write"),
    (AccessOperation::ReadWrite, "to read and write"),
    (AccessOperation::Unspecified, "of old clients"),
];

const KNOWN: &[Known<&str>] = &[
    Known::of(
        &["_RGt to write", "_RGt to read and write"],
        &["all-READ", "group-READ"],
        (DENIED, READ_UPDATE),
        GROUPS,
    ),
    Known::of(
        &["t to read"],
        &["table-READ", "table-READ_UPDATE", "all-but-a-stream"],
        (DENIED, OF_THE_TABLE),
        TABLES,
    ),
    Known::of(
        &["t to write", "t to read and write", "t of old clients"],
        &["table-READ_UPDATE", "all-but-a-stream"],
        (DENIED, OF_THE_TABLE),
        TABLES,
    ),
    Known::of(
        &["_MARKt to read", "_MARKt to write", "_MARKt to read and write"],
        &["all-but-a-stream"],
        (DENIED, OF_THE_TABLE),
        TABLES,
    ),
    Known::of(&["t_kvtable to read"], &["streams"], (READ, DENIED), TABLES),
    Known::of(&["t_kvtable to read"], &["table-READ", "table-READ_UPDATE"], (DENIED, READ), TABLES),
    Known::of(
        &["t_kvtable to write", "t_kvtable to read and write", "t_kvtable of old clients"],
        &["streams"],
        (READ_UPDATE, DENIED),
        TABLES,
    ),
    Known::of(
        &["t_kvtable to write", "t_kvtable to read and write", "t_kvtable of old clients"],
        &["table-READ_UPDATE"],
        (DENIED, READ_UPDATE),
        TABLES,
    ),
];

/// What a token allows on the stream for which a controller was asked for it.
async fn allows(
    controller: &mut ControllerServiceClient<Channel>,
    info: StreamInfo,
    header: &str,
) -> &'static str {
    let resource = format!("prn::/scope:{}/stream:{}", info.scope, info.stream);
    let mut request = Request::new(info);
    request.metadata_mut().insert("authorization", header.parse().unwrap());
    let token = match controller.get_delegation_token(request).await {
        Ok(answer) => answer.into_inner().delegation_token,
        Err(status) if status.code() == Code::PermissionDenied => return DENIED,
        Err(status) => panic!("{resource}: {status}"),
    };
    let claims = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    match claims[&resource].as_str() {
        None => OF_THE_TABLE,
        Some(allowed) => [READ, READ_UPDATE].into_iter().find(|right| *right == allowed).unwrap(),
    }
}

#[tokio::test]
async fn both_controllers_issue_the_same_tokens() {
    let file = variable("PRAVEGA_TEST_ACCOUNTS");
    let mut controllers = Controllers::of(&file).await;
    let mut answers = Answers::new();
    for (user, _) in users(&file) {
        let header = basic(&user, &variable("PRAVEGA_TEST_PASSWORD"));
        for name in STREAMS {
            for (operation, what) in OPERATIONS {
                let info = StreamInfo {
                    scope: "a".to_owned(),
                    stream: name.to_owned(),
                    access_operation: operation.into(),
                };
                let (there, here) = tokio::join!(
                    allows(&mut controllers.there, info.clone(), &header),
                    allows(&mut controllers.here, info, &header)
                );
                answers.add(&format!("{name} {what}"), &user, there, here);
            }
        }
    }
    answers.check(KNOWN);
}
