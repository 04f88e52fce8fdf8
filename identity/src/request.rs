//! The requests to an issuer.

use pravega_sdk_controller_client::secret::joined;
use pravega_sdk_http::{Request, Url};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    client::{Client, Proof},
    form,
    plan::Plan,
};

/// The grant for the permissions of the holder of a token.
const PERMISSIONS: &str = "urn:ietf:params:oauth:grant-type:uma-ticket";

/// Asks for the page that names the endpoint for tokens.
pub(crate) fn discovery(plan: &Plan) -> Request {
    Request::get(plan.discovery.clone())
}

/// Asks for a token, with the client's secret.
pub(crate) fn login(plan: &Plan, endpoint: &Url) -> Request {
    let Client { id, proof } = &plan.client;
    let mut fields = vec![("grant_type", "client_credentials")];
    match proof {
        Proof::Basic { .. } => {}
        Proof::Post { secret } => {
            fields.extend([("client_id", id.as_str()), ("client_secret", secret.expose_secret())]);
        }
        Proof::None => fields.push(("client_id", id)),
    }
    fields.extend(plan.scope.as_deref().map(|scope| ("scope", scope)));
    fields.extend(plan.audience.as_deref().map(|audience| ("audience", audience)));
    let request = post(endpoint, fields);
    match plan.client.authorization() {
        Some(authorization) => request.with_authorization(authorization),
        None => request,
    }
}

/// Asks for a token with the permissions that the holder of another one has.
pub(crate) fn permissions(audience: &str, endpoint: &Url, token: &SecretString) -> Request {
    let authorization = joined(&["Bearer ", token.expose_secret()]);
    let fields = vec![("audience", audience), ("grant_type", PERMISSIONS)];
    post(endpoint, fields).with_authorization(authorization)
}

/// The order of fields is that of their names, as Java's client has them.
fn post(endpoint: &Url, mut fields: Vec<(&str, &str)>) -> Request {
    fields.sort_unstable_by_key(|(name, _)| *name);
    Request::post(endpoint.clone(), form::form(&fields))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Encoding;

    fn plan(proof: Proof) -> Plan {
        Plan {
            discovery: Url::parse("http://h/x").unwrap(),
            issuer: None,
            client: Client { id: "c&d".to_owned(), proof },
            scope: Some("one two".to_owned()),
            audience: Some("pravega".to_owned()),
            permissions_on: None,
            least_left: Duration::ZERO,
        }
    }

    fn body(request: &Request) -> &str {
        request.form().unwrap().expose_secret()
    }

    #[test]
    fn the_secret_is_in_the_header_or_in_the_body_or_nowhere() {
        let endpoint = Url::parse("https://h/token").unwrap();
        let secret = || SecretString::from("s=t");
        let basic = Proof::Basic { secret: secret(), encoding: Encoding::Form };
        let basic = login(&plan(basic), &endpoint);
        assert!(basic.authorization().is_some());
        let rest = "audience=pravega&grant_type=client_credentials&scope=one+two";
        assert_eq!(body(&basic), rest);
        let post = login(&plan(Proof::Post { secret: secret() }), &endpoint);
        assert!(post.authorization().is_none());
        assert_eq!(
            body(&post),
            "audience=pravega&client_id=c%26d&client_secret=s%3Dt&grant_type=client_credentials\
             &scope=one+two"
        );
        let public = login(&plan(Proof::None), &endpoint);
        assert!(public.authorization().is_none());
        assert!(body(&public).contains("client_id=c%26d") && !body(&public).contains("secret"));
        assert!(!format!("{basic:?}{post:?}").contains("s%3Dt"));
    }

    #[test]
    fn permissions_are_asked_for_with_the_token_of_the_login() {
        let endpoint = Url::parse("https://h/token").unwrap();
        let request = permissions("pravega", &endpoint, &"abc".into());
        assert_eq!(request.authorization().unwrap().expose_secret(), "Bearer abc");
    }
}
