//! Access: accounts at the controller, tokens at the store.
//!
//! A token has the three parts of a JWT, so that clients can read its expiry. It is signed with a
//! secret that only this process knows, and only this process checks it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use pravega_sdk_wire_protocol::codes::TokenFailure;
use sha3::{Digest as _, Sha3_256};

use crate::record::Millis;

/// Accounts, and the tokens that are issued to them.
#[derive(Debug)]
pub struct Access {
    accounts: Vec<Account>,
    secret: [u8; 32],
    lifetime: Millis,
    /// Tokens of an earlier generation have expired.
    generation: u64,
}

/// A user of the controller.
#[derive(Clone)]
pub struct Account {
    /// The value of the `authorization` header.
    header: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account")
    }
}

/// A refusal of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It has expired.
    Expired,
    /// It was revoked before it expired.
    Revoked,
    /// It was not issued here, or is for another stream.
    Refused,
}

impl TokenRefusal {
    /// The code of the protocol.
    pub fn code(self) -> TokenFailure {
        match self {
            Self::Expired | Self::Revoked => TokenFailure::Expired,
            Self::Refused => TokenFailure::CheckFailed,
        }
    }
}

impl Account {
    /// An account with a user name and a password.
    pub fn new(user: &str, password: &str) -> Self {
        let plain = format!("{user}:{password}");
        Self {
            header: format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)),
        }
    }
}

impl Access {
    /// Accounts, with the secret that signs tokens and the time that they last.
    pub fn new(accounts: Vec<Account>, secret: [u8; 32], lifetime: Millis) -> Self {
        Self { accounts, secret, lifetime, generation: 0 }
    }

    /// Returns true if the header of a call names an account.
    pub fn admits(&self, header: &str) -> bool {
        self.accounts.iter().any(|account| account.header == header)
    }

    /// Revokes all tokens issued so far.
    pub fn expire_tokens(&mut self) {
        self.generation += 1;
    }

    /// Issues a token for the segments of a stream, or of a table.
    pub fn issue(&self, scope: &str, stream: &str, now: Millis) -> String {
        let claims = Claims {
            expires: (now.0 + self.lifetime.0) / 1000,
            generation: self.generation,
            resource: format!("{scope}/{stream}"),
        };
        let signed = format!(
            "{}.{}",
            BASE64.encode(r#"{"alg":"SHA3-256","typ":"JWT"}"#),
            BASE64.encode(claims.encode(now))
        );
        format!("{signed}.{}", BASE64.encode(self.signature(&signed)))
    }

    /// Checks that a token allows a segment.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal`] if it has expired, was revoked, was not issued here, or is for another
    /// stream.
    pub fn check_token(&self, token: &str, segment: &str, now: Millis) -> Result<(), TokenRefusal> {
        let claims = self.claims_of(token).ok_or(TokenRefusal::Refused)?;
        if claims.expires.saturating_mul(1000) <= now.0 {
            return Err(TokenRefusal::Expired);
        }
        if claims.generation != self.generation {
            return Err(TokenRefusal::Revoked);
        }
        let covers = segment.strip_prefix(&*claims.resource).is_some_and(|rest| {
            rest.starts_with('/')
                || rest.strip_prefix("_kvtable").is_some_and(|rest| rest.starts_with('/'))
        });
        if covers { Ok(()) } else { Err(TokenRefusal::Refused) }
    }

    /// The claims of a token that was issued here.
    fn claims_of(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (_, body) = signed.split_once('.')?;
        // The digests are compared, not the signatures, so that the time of the comparison reveals
        // nothing about the secret.
        let given = Sha3_256::digest(BASE64.decode(signature).ok()?);
        if given != Sha3_256::digest(self.signature(signed)) {
            return None;
        }
        Claims::decode(&String::from_utf8(BASE64.decode(body).ok()?).ok()?)
    }

    /// SHA-3 has no length extension, so hashing the secret before the message is enough.
    fn signature(&self, signed: &str) -> Vec<u8> {
        Sha3_256::new().chain_update(self.secret).chain_update(signed).finalize().to_vec()
    }
}

/// The claims of a token. The text is JSON, as clients read the expiry from it. Only text that was
/// written here is read back, so the fields have a fixed order.
#[derive(Debug, PartialEq, Eq)]
struct Claims {
    /// In seconds since 1970.
    expires: i64,
    generation: u64,
    /// The scope and the stream.
    resource: String,
}

impl Claims {
    fn encode(&self, now: Millis) -> String {
        let Self { expires, generation, resource } = self;
        let issued = now.0 / 1000;
        let mut body =
            format!(r#"{{"aud":"segmentstore","exp":{expires},"generation":{generation}"#);
        body.push_str(&format!(r#","iat":{issued},"resource":""#));
        for character in resource.chars() {
            match character {
                '"' | '\\' | ..' ' => body.push_str(&format!("\\u{:04x}", u32::from(character))),
                other => body.push(other),
            }
        }
        body.push_str(r#"","sub":"segmentstoreresource"}"#);
        body
    }

    fn decode(body: &str) -> Option<Self> {
        let rest = body.strip_prefix(r#"{"aud":"segmentstore","exp":"#)?;
        let (expires, rest) = rest.split_once(r#","generation":"#)?;
        let (generation, rest) = rest.split_once(r#","iat":"#)?;
        let (_, rest) = rest.split_once(r#","resource":""#)?;
        let escaped = rest.strip_suffix(r#"","sub":"segmentstoreresource"}"#)?;
        let mut pieces = escaped.split("\\u");
        let mut resource = pieces.next()?.to_owned();
        for piece in pieces {
            let (code, rest) = piece.split_at_checked(4)?;
            resource.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            resource.push_str(rest);
        }
        let (expires, generation) = (expires.parse().ok()?, generation.parse().ok()?);
        Some(Self { expires, generation, resource })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new(vec![Account::new("ann", "pass:word")], [7; 32], Millis(10_000))
    }

    #[test]
    fn a_token_is_valid_for_its_stream_until_it_expires() {
        let mut access = access();
        let token = access.issue("a", "b", Millis(0));
        let check =
            |access: &Access, segment: &str, now| access.check_token(&token, segment, Millis(now));
        assert_eq!(check(&access, "a/b/0.#epoch.0", 9_999), Ok(()));
        assert_eq!(check(&access, "a/b_kvtable/0.#epoch.0", 9_999), Ok(()));
        assert_eq!(check(&access, "a/bc/0.#epoch.0", 0), Err(TokenRefusal::Refused));
        assert_eq!(check(&access, "a/b/0.#epoch.0", 10_000), Err(TokenRefusal::Expired));
        access.expire_tokens();
        assert_eq!(check(&access, "a/b/0.#epoch.0", 0), Err(TokenRefusal::Revoked));
    }

    #[test]
    fn a_token_that_was_changed_or_issued_elsewhere_is_refused() {
        let access = access();
        let token = access.issue("a", "b", Millis(0));
        let elsewhere = Access::new(vec![], [8; 32], Millis(10_000)).issue("a", "b", Millis(0));
        for bad in ["", "x", "a.b.c", &token[1..], &elsewhere, &format!("{token}x")] {
            assert_eq!(
                access.check_token(bad, "a/b/0", Millis(0)),
                Err(TokenRefusal::Refused),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_claims_of_any_name_are_read_back() {
        for resource in ["a/b", "", "a\"b\\u0041/\n\u{1f600}", "\\u", "\"}", ",\"sub\":\""] {
            let claims = Claims { expires: -7, generation: 3, resource: resource.to_owned() };
            assert_eq!(Claims::decode(&claims.encode(Millis(1_000))), Some(claims));
        }
    }

    #[test]
    fn the_body_of_a_token_is_the_json_that_clients_read() {
        let token = access().issue("a", "b", Millis(5_000));
        let body = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            concat!(
                r#"{"aud":"segmentstore","exp":15,"generation":0,"iat":5,"#,
                r#""resource":"a/b","sub":"segmentstoreresource"}"#
            )
        );
    }

    #[test]
    fn only_accounts_are_admitted() {
        let access = access();
        assert!(access.admits("Basic YW5uOnBhc3M6d29yZA=="));
        assert!(!access.admits("Basic YW5uOnBhc3M="));
        assert!(!access.admits(""));
    }
}
