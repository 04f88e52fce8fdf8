//! What a client may do by its token, and by its account.

use std::sync::Arc;

use serde_json::{Value, json};

use super::signer::{NOW, Signer, check, claims, claims_with, set};
use crate::{
    access::{Account, Accounts, Admission, Operation, Resource, Rules},
    record::Millis,
};

const READ: Option<Operation> = Some(Operation::Read);
const WRITE: Option<Operation> = Some(Operation::Write);

fn admit(claims: &Value, accounts: &Accounts, usual: &str) -> Admission {
    let signer = Signer::ed25519();
    let checked = check(&signer.token("one", claims), &set(&[signer.jwk("one")])).unwrap();
    checked.admission(accounts, &Arc::new(Rules::parse(usual).0))
}

fn granted(permissions: Value) -> Value {
    claims_with("authorization", json!({ "permissions": permissions }))
}

#[test]
fn what_keycloak_grants_is_granted_by_pravegas_names() {
    let claims = granted(json!([
        { "rsid": "1", "rsname": "prn::/scope:shop", "scopes": ["READ"] },
        { "rsid": "2", "rsname": "prn::/scope:shop/stream:*", "scopes": ["READ"] },
        {
            "rsid": "3", "rsname": "prn::/scope:shop/stream:orders",
            "scopes": ["READ", "READ_UPDATE", "other"], "claims": { "a": ["b"] },
        },
        { "rsid": "4", "rsname": "prn::/scope:shop/key-value-table:t", "scopes": [] },
        { "rsid": "5", "rsname": "prn::/scope:shop/reader-group:g" },
        { "rsid": "6", "rsname": "Default Resource", "scopes": ["READ_UPDATE"] },
        { "rsid": "7", "rsname": "*", "scopes": ["READ_UPDATE"] },
        { "rsid": "8", "rsname": "prn::/scope:(a|b)", "scopes": ["READ_UPDATE"] },
        { "rsid": "9", "rsname": "prn::/,READ_UPDATE;prn::*", "scopes": ["READ_UPDATE"] },
        { "rsid": "11", "rsname": "prn::*", "scopes": ["read", "WRITE", "NONE"] },
        { "rsid": "10", "scopes": ["READ_UPDATE"] },
    ]));
    let admission = admit(&claims, &Accounts::default(), "");
    let allow = |resource: Resource<'_>| admission.rules().allow(&resource);
    assert_eq!(allow(Resource::Scope("shop")), READ);
    assert_eq!(allow(Resource::Stream("shop", "a")), READ);
    assert_eq!(allow(Resource::Stream("shop", "orders")), WRITE);
    assert_eq!(allow(Resource::Table("shop", "t")), None);
    assert_eq!(allow(Resource::Group("shop", "g")), None);
    assert_eq!(allow(Resource::Scopes), None);
    assert_eq!(allow(Resource::Scope("a")), None);
    assert_eq!(allow(Resource::Stream("other", "orders")), None);
    assert_eq!(admission.end(), Some(Millis((NOW + 330) * 1000)), "with the skew");
}

#[test]
fn the_account_of_the_user_counts_first_and_what_it_does_not_name_is_granted_by_the_token() {
    let (mut accounts, _) = Accounts::parse("ann:*:prn::/scope:shop/stream:secret,NONE");
    let all = granted(json!([{ "rsname": "prn::/scope:shop/*", "scopes": ["READ_UPDATE"] }]));
    let allow = |accounts: &Accounts, claims: &Value, usual: &str| {
        let admission = admit(claims, accounts, usual);
        ["secret", "orders"].map(|name| admission.rules().allow(&Resource::Stream("shop", name)))
    };
    assert_eq!(allow(&accounts, &all, ""), [None, WRITE]);
    assert_eq!(allow(&accounts, &all, "prn::*,READ"), [None, WRITE], "ann is not as usual");
    assert_eq!(allow(&accounts, &claims(), ""), [None, None]);
    assert_eq!(allow(&Accounts::default(), &all, ""), [WRITE, WRITE]);
    assert_eq!(allow(&Accounts::default(), &claims(), "prn::*,READ"), [READ, READ]);
    accounts.add(Account::new("ann", "pw"));
    assert_eq!(allow(&accounts, &claims(), ""), [WRITE, WRITE], "of one with a password, too");
    let nameless = claims_with("sub", "");
    assert_eq!(allow(&accounts, &nameless, "prn::*,READ"), [READ, READ]);
}

#[test]
fn permissions_of_another_shape_are_no_permissions() {
    let signer = Signer::ed25519();
    let keys = set(&[signer.jwk("one")]);
    for bad in [
        json!("all"),
        json!([1]),
        json!({ "permissions": "all" }),
        json!({ "permissions": [{ "rsname": "prn::*", "scopes": "READ" }] }),
        json!({ "permissions": [{ "rsname": ["prn::*"], "scopes": ["READ"] }] }),
    ] {
        let token = signer.token("one", &claims_with("authorization", bad.clone()));
        assert!(check(&token, &keys).is_err(), "{bad}");
    }
    for none in [json!(null), json!({}), json!({ "permissions": [] })] {
        let admission = admit(&claims_with("authorization", none), &Accounts::default(), "");
        assert_eq!(admission.rules(), &Rules::default());
    }
}
