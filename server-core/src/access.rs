//! Access: accounts at the controller, tokens at the store.
//!
//! A token has the three parts of a JWT, so that clients can read its expiry. It is signed with a
//! secret that only this process knows, and only this process checks it.

use std::{fmt, hint::black_box};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use pravega_sdk_wire_protocol::codes::TokenFailure;
use sha3::{Digest as _, Sha3_256};

use crate::record::Millis;

/// Accounts, and the tokens that are issued to them.
pub struct Access {
    accounts: Vec<Account>,
    secret: [u8; 32],
    lifetime: Millis,
    /// Tokens of an earlier generation have expired.
    generation: u64,
}

impl fmt::Debug for Access {
    /// Shows neither the accounts nor the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}

/// What a token allows, and what a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Reading.
    Read,
    /// Reading, and every change.
    Write,
}

/// A user of the controller.
#[derive(Clone)]
pub struct Account {
    /// The digest of the Base64 text in the `authorization` header, so that the length of a
    /// password has no effect on a comparison.
    credentials: [u8; 32],
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    /// It was not issued here, is for another stream, or does not allow the operation.
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
        let plain = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self { credentials: digest(&plain) }
    }
}

impl Access {
    /// Accounts, with the secret that signs tokens and the time that they last.
    pub fn new(accounts: Vec<Account>, secret: [u8; 32], lifetime: Millis) -> Self {
        Self { accounts, secret, lifetime, generation: 0 }
    }

    /// Returns true if the header of a call names an account.
    pub fn admits(&self, header: &str) -> bool {
        let Some((scheme, credentials)) = header.split_once(' ') else { return false };
        let credentials = digest(credentials.trim());
        // Every account is compared, so that the time does not tell which one it is.
        let is_known = self.accounts.iter().fold(false, |is_known, account| {
            is_known | is_same(&account.credentials, &credentials)
        });
        // RFC 9110, 11.1: the scheme has no case.
        is_known && scheme.eq_ignore_ascii_case("basic")
    }

    /// Revokes all tokens issued so far.
    pub fn expire_tokens(&mut self) {
        self.generation += 1;
    }

    /// Issues a token for an operation on the segments of a stream, or of a table.
    pub fn issue(&self, scope: &str, stream: &str, allows: Operation, now: Millis) -> String {
        let claims = Claims {
            expires: (now.0 + self.lifetime.0) / 1000,
            generation: self.generation,
            allows,
            resource: format!("{scope}/{stream}"),
        };
        let signed = format!(
            "{}.{}",
            BASE64.encode(r#"{"alg":"SHA3-256","typ":"JWT"}"#),
            BASE64.encode(claims.encode(now))
        );
        format!("{signed}.{}", BASE64.encode(self.signature(&signed)))
    }

    /// Checks that a token allows an operation on all of some segments. `may_be_table` is false for
    /// a segment that is none of a table: a token for a table has the name of the table, and a
    /// stream may have the name that the table's segments have.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal`] if it has expired, was revoked, was not issued here, is for another stream,
    /// or does not allow the operation.
    pub fn check_token<'a>(
        &self,
        token: &str,
        operation: Operation,
        segments: impl IntoIterator<Item = &'a str>,
        may_be_table: impl Fn(&str) -> bool,
        now: Millis,
    ) -> Result<(), TokenRefusal> {
        let claims = self.claims_of(token).ok_or(TokenRefusal::Refused)?;
        if claims.expires.saturating_mul(1000) <= now.0 {
            return Err(TokenRefusal::Expired);
        }
        if claims.generation != self.generation {
            return Err(TokenRefusal::Revoked);
        }
        let mut segments = segments.into_iter();
        if claims.allows >= operation
            && segments.all(|segment| claims.cover(segment, &may_be_table))
        {
            Ok(())
        } else {
            Err(TokenRefusal::Refused)
        }
    }

    /// The claims of a token that was issued here.
    fn claims_of(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (_, body) = signed.split_once('.')?;
        let given: [u8; 32] = BASE64.decode(signature).ok()?.try_into().ok()?;
        if !is_same(&given, &self.signature(signed)) {
            return None;
        }
        Claims::decode(&String::from_utf8(BASE64.decode(body).ok()?).ok()?)
    }

    /// SHA-3 has no length extension, so hashing the secret before the message is enough.
    fn signature(&self, signed: &str) -> [u8; 32] {
        Sha3_256::new().chain_update(self.secret).chain_update(signed).finalize().into()
    }
}

/// The claims of a token. The text is JSON, as clients read the expiry from it. Only text that was
/// written here is read back, so the fields have a fixed order.
#[derive(Debug, PartialEq, Eq)]
struct Claims {
    /// In seconds since 1970.
    expires: i64,
    generation: u64,
    allows: Operation,
    /// The scope and the stream.
    resource: String,
}

/// Compares secrets in a time that does not depend on where they differ.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differences = one.iter().zip(other).fold(0, |differences, (one, other)| {
        // The compiler must not end the loop at the first difference.
        black_box(differences | (one ^ other))
    });
    differences == 0
}

/// The digest of a secret text.
fn digest(text: &str) -> [u8; 32] {
    Sha3_256::digest(text).into()
}

impl Operation {
    /// The operation in a token, by the name that the Java server's tokens use.
    fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "READ_UPDATE",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|operation| operation.name() == name)
    }
}

impl Claims {
    /// Returns true if the claims are for the stream or the table of a segment.
    fn cover(&self, segment: &str, may_be_table: impl Fn(&str) -> bool) -> bool {
        let Some(rest) = segment.strip_prefix(&*self.resource) else { return false };
        let of_table = || rest.strip_prefix("_kvtable").is_some_and(|rest| rest.starts_with('/'));
        rest.starts_with('/') || (of_table() && may_be_table(segment))
    }

    fn encode(&self, now: Millis) -> String {
        let Self { expires, generation, allows, resource } = self;
        let (issued, operation) = (now.0 / 1000, allows.name());
        let mut body =
            format!(r#"{{"aud":"segmentstore","exp":{expires},"generation":{generation}"#);
        body.push_str(&format!(r#","iat":{issued},"operation":"{operation}","resource":""#));
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
        let (_, rest) = rest.split_once(r#","operation":""#)?;
        let (operation, rest) = rest.split_once(r#"","resource":""#)?;
        let escaped = rest.strip_suffix(r#"","sub":"segmentstoreresource"}"#)?;
        let mut pieces = escaped.split("\\u");
        let mut resource = pieces.next()?.to_owned();
        for piece in pieces {
            let (code, rest) = piece.split_at_checked(4)?;
            resource.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            resource.push_str(rest);
        }
        let (expires, generation) = (expires.parse().ok()?, generation.parse().ok()?);
        Some(Self { expires, generation, allows: Operation::of(operation)?, resource })
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
        let token = access.issue("a", "b", Operation::Write, Millis(0));
        let check = |access: &Access, segment: &str, now| {
            let is_table = |name: &str| name != "a/b_kvtable/1.#epoch.0";
            access.check_token(&token, Operation::Write, [segment], is_table, Millis(now))
        };
        assert_eq!(check(&access, "a/b/0.#epoch.0", 9_999), Ok(()));
        assert_eq!(check(&access, "a/b_kvtable/0.#epoch.0", 9_999), Ok(()));
        let stream = "a/b_kvtable/1.#epoch.0";
        assert_eq!(check(&access, stream, 0), Err(TokenRefusal::Refused));
        assert_eq!(check(&access, "a/bc/0.#epoch.0", 0), Err(TokenRefusal::Refused));
        assert_eq!(check(&access, "a/b/0.#epoch.0", 10_000), Err(TokenRefusal::Expired));
        access.expire_tokens();
        assert_eq!(check(&access, "a/b/0.#epoch.0", 0), Err(TokenRefusal::Revoked));
    }

    #[test]
    fn a_token_allows_an_operation_if_it_names_it_and_covers_every_segment() {
        let access = access();
        let check = |allows, needs, segments: &[&'static str]| {
            let token = access.issue("a", "b", allows, Millis(0));
            access.check_token(&token, needs, segments.iter().copied(), |_| true, Millis(0))
        };
        let (own, mixed) = (["a/b/0", "a/b/1"], ["a/b/0", "a/c/0"]);
        assert_eq!(check(Operation::Read, Operation::Read, &own), Ok(()));
        assert_eq!(check(Operation::Write, Operation::Read, &own), Ok(()));
        assert_eq!(check(Operation::Read, Operation::Write, &own), Err(TokenRefusal::Refused));
        assert_eq!(check(Operation::Write, Operation::Write, &mixed), Err(TokenRefusal::Refused));
    }

    #[test]
    fn debug_output_shows_neither_the_secret_nor_an_account() {
        let access = Access::new(vec![Account::new("ann", "pw")], [201; 32], Millis(10_000));
        assert_eq!(format!("{access:?}"), "Access { accounts: 1, .. }");
    }

    #[test]
    fn a_token_that_was_changed_or_issued_elsewhere_is_refused() {
        let access = access();
        let issue = |access: &Access| access.issue("a", "b", Operation::Write, Millis(0));
        let token = issue(&access);
        let elsewhere = issue(&Access::new(vec![], [8; 32], Millis(10_000)));
        for bad in ["", "x", "a.b.c", &token[1..], &elsewhere, &format!("{token}x")] {
            assert_eq!(
                access.check_token(bad, Operation::Read, ["a/b/0"], |_| true, Millis(0)),
                Err(TokenRefusal::Refused),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_claims_of_any_name_are_read_back() {
        for resource in ["a/b", "", "a\"b\\u0041/\n\u{1f600}", "\\u", "\"}", ",\"sub\":\""] {
            for allows in [Operation::Read, Operation::Write] {
                let resource = resource.to_owned();
                let claims = Claims { expires: -7, generation: 3, allows, resource };
                assert_eq!(Claims::decode(&claims.encode(Millis(1_000))), Some(claims));
            }
        }
    }

    #[test]
    fn the_body_of_a_token_is_the_json_that_clients_read() {
        let token = access().issue("a", "b", Operation::Read, Millis(5_000));
        let body = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            concat!(
                r#"{"aud":"segmentstore","exp":15,"generation":0,"iat":5,"#,
                r#""operation":"READ","resource":"a/b","sub":"segmentstoreresource"}"#
            )
        );
    }

    #[test]
    fn secrets_are_the_same_only_if_every_bit_is() {
        let secret = digest("secret");
        assert!(is_same(&secret, &digest("secret")));
        for bit in 0..256 {
            let mut other = secret;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_same(&secret, &other), "bit {bit}");
        }
    }

    #[test]
    fn only_accounts_are_admitted() {
        let access = access();
        assert!(access.admits("Basic YW5uOnBhc3M6d29yZA=="));
        assert!(access.admits("basic YW5uOnBhc3M6d29yZA=="));
        assert!(!access.admits("Bearer YW5uOnBhc3M6d29yZA=="));
        assert!(!access.admits("Basic YW5uOnBhc3M="));
        assert!(!access.admits(""));
    }
}
