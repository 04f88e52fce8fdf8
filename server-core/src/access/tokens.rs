//! Tokens: what the controller allows a client to do at the stores.
//!
//! A token is a JWT with the claims of Java's, so that clients can read its expiry. It is signed
//! with a secret that only this process knows, or with a key of several servers, which check the
//! tokens of each other.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use pravega_sdk_wire_protocol::codes::TokenFailure;

use super::{
    grant::Grant,
    keyed::{DIGEST, Key, is_same},
    operation::Operation,
    resource::Resource,
    token_key::TokenKey,
};
use crate::record::Millis;

/// The header of every token.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The most by which a clock that issued a token may be ahead of one that checks it, in
/// milliseconds.
const SKEW: i64 = 60_000;

/// Returns true if a moment of a token is so far ahead that the clock has gone back since.
pub(crate) fn is_ahead(moment: Millis, now: Millis) -> bool {
    moment > now.after(SKEW)
}

/// The issue and the check of tokens.
pub struct Access {
    key: Key,
    /// What tells the tokens of this key from those of another.
    issuer: u64,
    lifetime: Millis,
    /// Tokens of an earlier generation have expired.
    generation: u64,
}

impl fmt::Debug for Access {
    /// Does not show the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// A refusal of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It has expired.
    Expired,
    /// It was revoked before it expired, claims to be issued with another secret, such as before a
    /// restart, or was issued by a clock that was ahead: the client asks the controller for
    /// another.
    Revoked,
    /// It was not issued, is for another stream, or does not allow the operation.
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

impl Access {
    /// Tokens that are signed with a secret, and last for a time.
    pub fn new(secret: [u8; 32], lifetime: Millis) -> Self {
        Self::with_key(&TokenKey(Key::new(&secret)), lifetime)
    }

    /// Tokens that are signed with a key that other servers may have too.
    pub fn with_key(key: &TokenKey, lifetime: Millis) -> Self {
        let key = key.0.clone();
        let [a, b, c, d, e, f, g, h, ..] = key.sign(&[b"issuer"]);
        let issuer = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self { key, issuer, lifetime, generation: 0 }
    }

    /// Revokes all tokens issued so far.
    pub fn expire_tokens(&mut self) {
        self.generation += 1;
    }

    /// Issues a token for the segments of a stream, or of a table; empty if it would allow nothing,
    /// or no stream can have the name. It lasts for the lifetime of tokens, but not beyond the end
    /// of the client's admission, if that has one.
    pub fn issue(
        &self,
        scope: &str,
        name: &str,
        allows: Grant,
        now: Millis,
        admitted_until: Option<Millis>,
    ) -> String {
        if !allows.allows(Operation::Read) || !Resource::Stream(scope, name).is_valid() {
            return String::new();
        }
        let usual = Millis(now.0.saturating_add(self.lifetime.0));
        let Millis(expires) = admitted_until.map_or(usual, |end| end.min(usual));
        let claims = Claims {
            issued: now.0 / 1000,
            expires: expires / 1000,
            issuer: self.issuer,
            generation: self.generation,
            allows,
            scope: scope.to_owned(),
            name: name.to_owned(),
        };
        let signed = format!("{}.{}", BASE64.encode(HEADER), BASE64.encode(claims.encode()));
        let signature = self.key.sign(&[signed.as_bytes()]);
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// Checks that a token allows an operation on all of some segments, and returns when it
    /// expires. `may_be_table` is false for a segment that is none of a table: a token for a table
    /// has the name of the table, and a stream may have the name that the table's segments have.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal`] if it has expired, is from a time to come, was revoked, was not issued with
    /// this secret, is for another stream, or does not allow the operation.
    pub fn check_token<'a>(
        &self,
        token: &str,
        operation: Operation,
        segments: impl IntoIterator<Item = &'a str>,
        may_be_table: impl Fn(&str) -> bool,
        now: Millis,
    ) -> Result<Millis, TokenRefusal> {
        let claims = self.claims_of(token)?;
        let expires = Millis(claims.expires.saturating_mul(1000));
        if expires <= now {
            return Err(TokenRefusal::Expired);
        }
        let is_ahead = is_ahead(Millis(claims.issued.saturating_mul(1000)), now);
        if is_ahead || claims.generation != self.generation {
            return Err(TokenRefusal::Revoked);
        }
        let mut segments = segments.into_iter();
        if segments.all(|segment| claims.allow(operation, segment, &may_be_table)) {
            Ok(expires)
        } else {
            Err(TokenRefusal::Refused)
        }
    }

    /// The claims of a token that was issued with this secret.
    fn claims_of(&self, token: &str) -> Result<Claims, TokenRefusal> {
        let (claimed, is_signed) = self.claimed(token).ok_or(TokenRefusal::Refused)?;
        match is_signed {
            true => Ok(claimed),
            // Nothing is allowed by it.
            false if claimed.issuer != self.issuer => Err(TokenRefusal::Revoked),
            false => Err(TokenRefusal::Refused),
        }
    }

    /// What a token claims, and whether it is signed with this secret; `None` if it is no token.
    fn claimed(&self, token: &str) -> Option<(Claims, bool)> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, body) = signed.split_once('.')?;
        let given: [u8; DIGEST] = BASE64.decode(signature).ok()?.try_into().ok()?;
        // The signature covers the header: the algorithm is never one that the token chooses.
        let is_signed = is_same(&given, &self.key.sign(&[signed.as_bytes()]));
        if BASE64.decode(header).ok()? != HEADER.as_bytes() {
            return None;
        }
        let claims = Claims::decode(&String::from_utf8(BASE64.decode(body).ok()?).ok()?)?;
        Some((claims, is_signed))
    }
}

/// The claims of a token. The text is JSON, as clients read the expiry from it. Only text that was
/// written by this code counts, so the fields have a fixed order, and names need no escapes.
#[derive(Debug, PartialEq, Eq)]
struct Claims {
    /// In seconds since 1970.
    issued: i64,
    expires: i64,
    issuer: u64,
    generation: u64,
    allows: Grant,
    scope: String,
    name: String,
}

/// What begins and separates the claims.
const SUBJECT: &str = r#"{"sub":"segmentstoreresource","aud":"segmentstore","iat":"#;
const EXPIRY: &str = r#","exp":"#;
const ISSUER: &str = r#","iss":""#;
const GENERATION: &str = r#"","generation":"#;

impl Claims {
    /// Returns true if the claims allow an operation on a segment.
    fn allow(
        &self,
        operation: Operation,
        segment: &str,
        may_be_table: impl Fn(&str) -> bool,
    ) -> bool {
        let of_stream = || {
            let rest = segment.strip_prefix(&*self.scope)?.strip_prefix('/')?;
            rest.strip_prefix(&*self.name)
        };
        let Some(rest) = of_stream() else { return false };
        if rest.starts_with('/') {
            return self.allows.stream >= Some(operation);
        }
        self.allows.table >= Some(operation)
            && rest.strip_prefix("_kvtable").is_some_and(|rest| rest.starts_with('/'))
            && may_be_table(segment)
    }

    fn encode(&self) -> String {
        let Self { issued, expires, issuer, generation, allows, scope, name } = self;
        let mut body = format!(
            "{SUBJECT}{issued}{EXPIRY}{expires}{ISSUER}{issuer:016x}{GENERATION}{generation}"
        );
        // As in Java, also for the state of a group: the stores know only streams.
        for (resource, allowed) in [
            (Resource::Stream(scope, name), allows.stream),
            (Resource::Table(scope, name), allows.table),
        ] {
            if let Some(operation) = allowed {
                body.push_str(&format!(r#","{resource}":"{}""#, operation.name()));
            }
        }
        body.push('}');
        body
    }

    fn decode(body: &str) -> Option<Self> {
        let rest = body.strip_prefix(SUBJECT)?.strip_suffix('}')?;
        let (issued, rest) = rest.split_once(EXPIRY)?;
        let (expires, rest) = rest.split_once(ISSUER)?;
        let (issuer, rest) = rest.split_once(GENERATION)?;
        let issuer = u64::from_str_radix(issuer, 16).ok()?;
        let mut parts = rest.split(',');
        let (issued, expires) = (issued.parse().ok()?, expires.parse().ok()?);
        let generation = parts.next()?.parse().ok()?;
        let mut allows = Grant { stream: None, table: None };
        let mut named = None;
        for part in parts {
            let (resource, operation) = part.strip_prefix('"')?.split_once("\":\"")?;
            let operation = Operation::of(operation.strip_suffix('"')?)?;
            let (scope, rest) = resource.strip_prefix("prn::/scope:")?.split_once('/')?;
            let name = match rest.split_once(':')? {
                ("stream", name) => {
                    allows.stream = Some(operation);
                    name
                }
                ("key-value-table", name) => {
                    allows.table = Some(operation);
                    name
                }
                _ => return None,
            };
            named = Some((scope.to_owned(), name.to_owned()));
        }
        let (scope, name) = named?;
        Some(Self { issued, expires, issuer, generation, allows, scope, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{
        Rules,
        resource::{operation_to_write, operation_to_write_table},
    };

    fn access() -> Access {
        Access::new([7; 32], Millis(10_000))
    }

    /// What a user without rules is granted.
    fn all(operation: Operation) -> Grant {
        Grant::of(None, "a", "b", operation)
    }

    #[test]
    fn a_token_is_valid_for_its_stream_until_it_expires() {
        let mut access = access();
        let token = access.issue("a", "b", all(Operation::Write), Millis(0), None);
        let check = |access: &Access, segment: &str, now| {
            let is_table = |name: &str| name != "a/b_kvtable/1.#epoch.0";
            access.check_token(&token, Operation::Write, [segment], is_table, Millis(now))
        };
        let expires = Ok(Millis(10_000));
        assert_eq!(check(&access, "a/b/0.#epoch.0", 9_999), expires);
        assert_eq!(check(&access, "a/b_kvtable/0.#epoch.0", 9_999), expires);
        let stream = "a/b_kvtable/1.#epoch.0";
        assert_eq!(check(&access, stream, 0), Err(TokenRefusal::Refused));
        assert_eq!(check(&access, "a/bc/0.#epoch.0", 0), Err(TokenRefusal::Refused));
        assert_eq!(check(&access, "ab/0.#epoch.0", 0), Err(TokenRefusal::Refused));
        assert_eq!(check(&access, "a/b/0.#epoch.0", 10_000), Err(TokenRefusal::Expired));
        access.expire_tokens();
        assert_eq!(check(&access, "a/b/0.#epoch.0", 0), Err(TokenRefusal::Revoked));
    }

    #[test]
    fn a_token_of_a_clock_that_was_ahead_is_refused_as_one_for_which_another_is_asked() {
        let access = access();
        let issued = Millis(400 * 24 * 3600 * 1000);
        let token = access.issue("a", "b", all(Operation::Write), issued, None);
        let check = |now| {
            let checked =
                access.check_token(&token, Operation::Write, ["a/b/0"], |_| true, Millis(now));
            checked.map(drop)
        };
        assert_eq!(check(issued.0), Ok(()));
        // Servers with the same key have clocks of their own.
        assert_eq!(check(issued.0 - SKEW), Ok(()));
        assert_eq!(check(issued.0 - SKEW - 1), Err(TokenRefusal::Revoked));
        assert_eq!(check(0), Err(TokenRefusal::Revoked));
    }

    #[test]
    fn a_token_ends_with_the_admission_of_its_client_if_that_is_earlier() {
        let access = access();
        let end = |admitted_until| {
            let token = access.issue("a", "b", all(Operation::Read), Millis(0), admitted_until);
            access.check_token(&token, Operation::Read, ["a/b/0"], |_| true, Millis(0))
        };
        assert_eq!(end(None), Ok(Millis(10_000)));
        assert_eq!(end(Some(Millis(20_000))), Ok(Millis(10_000)));
        assert_eq!(end(Some(Millis(4_900))), Ok(Millis(4_000)));
        assert_eq!(end(Some(Millis(900))), Err(TokenRefusal::Expired));
    }

    #[test]
    fn a_token_allows_an_operation_if_it_names_it_and_covers_every_segment() {
        let access = access();
        let check = |allows, needs, segments: &[&'static str]| {
            let token = access.issue("a", "b", all(allows), Millis(0), None);
            let segments = segments.iter().copied();
            access.check_token(&token, needs, segments, |_| true, Millis(0)).map(|_| ())
        };
        let (own, mixed) = (["a/b/0", "a/b/1"], ["a/b/0", "a/c/0"]);
        assert_eq!(check(Operation::Read, Operation::Read, &own), Ok(()));
        assert_eq!(check(Operation::Write, Operation::Read, &own), Ok(()));
        assert_eq!(check(Operation::Read, Operation::Write, &own), Err(TokenRefusal::Refused));
        assert_eq!(check(Operation::Write, Operation::Write, &mixed), Err(TokenRefusal::Refused));
    }

    #[test]
    fn a_token_allows_what_the_rules_do_and_not_more_than_was_asked_for() {
        let (rules, _) = Rules::parse(
            "prn::/scope:a/stream:r,READ;prn::/scope:a/stream:w,READ_UPDATE;\
             prn::/scope:a/key-value-table:t,READ_UPDATE;prn::/scope:a/reader-group:g,READ",
        );
        let access = access();
        let allows = |name: &str, asked, segment: &'static str| {
            let grant = Grant::of(Some(&rules), "a", name, asked);
            let token = access.issue("a", name, grant, Millis(0), None);
            let may = |operation| {
                let checked = access.check_token(&token, operation, [segment], |_| true, Millis(0));
                checked.is_ok().then_some(operation)
            };
            may(Operation::Write).or(may(Operation::Read))
        };
        let (read, write) = (Operation::Read, Operation::Write);
        assert_eq!(allows("r", write, "a/r/0"), Some(read));
        assert_eq!(allows("w", write, "a/w/0"), Some(write));
        assert_eq!(allows("w", read, "a/w/0"), Some(read));
        assert_eq!(allows("w", write, "a/w_kvtable/0"), None);
        assert_eq!(allows("t", write, "a/t_kvtable/0"), Some(write));
        assert_eq!(allows("t", write, "a/t/0"), None);
        assert_eq!(allows("_RGg", write, "a/_RGg/0"), Some(write), "readers write its state");
        assert_eq!(allows("_RGg", write, "a/_RGg_kvtable/0"), Some(write), "also in a table");
        assert_eq!(allows("_MARKr", write, "a/_MARKr/0"), Some(write), "as on the Java server");
        assert_eq!(allows("x", read, "a/x/0"), None);
        let none = Grant::of(Some(&rules), "a", "x", read);
        assert_eq!(access.issue("a", "x", none, Millis(0), None), "");
    }

    #[test]
    fn a_right_on_streams_opens_no_table_by_the_name_of_its_segments() {
        let allows = |rules: &str, name: &str, segment: &'static str| {
            let (rules, _) = Rules::parse(rules);
            let grant = Grant::of(Some(&rules), "a", name, Operation::Write);
            let token = access().issue("a", name, grant, Millis(0), None);
            let may = |operation| {
                let access = access();
                let checked = access.check_token(&token, operation, [segment], |_| true, Millis(0));
                checked.is_ok().then_some(operation)
            };
            may(Operation::Write).or(may(Operation::Read))
        };
        let (streams, groups) =
            ("prn::/scope:a/stream:*,READ_UPDATE", "prn::/scope:a/reader-group:*,READ_UPDATE");
        assert_eq!(allows(streams, "t", "a/t/0"), Some(Operation::Write));
        for rules in [streams, groups] {
            for name in ["t", "t_kvtable"] {
                assert_eq!(allows(rules, name, "a/t_kvtable/0"), None, "{rules} {name}");
            }
        }
        assert_eq!(allows(streams, "_RGg_kvtable", "a/_RGg_kvtable/0"), None);
        // Some clients ask for the token of a table by the name of its segments.
        let tables = "prn::/scope:a/key-value-table:t,READ_UPDATE";
        for name in ["t", "t_kvtable"] {
            assert_eq!(allows(tables, name, "a/t_kvtable/0"), Some(Operation::Write), "{name}");
        }
    }

    #[test]
    fn no_token_is_issued_for_a_name_that_no_stream_has() {
        for bad in ["", "b\",\"x", "b/stream:c", "b,", "b\n"] {
            let token = access().issue("a", bad, all(Operation::Write), Millis(0), None);
            assert_eq!(token, "", "{bad}");
        }
    }

    #[test]
    fn debug_output_does_not_show_the_secret() {
        let access = Access::new([201; 32], Millis(10_000));
        assert_eq!(format!("{access:?}"), "Access { lifetime: Millis(10000), .. }");
    }

    #[test]
    fn a_token_of_another_secret_is_refused_as_one_for_which_another_is_asked() {
        let elsewhere = Access::new([8; 32], Millis(10_000));
        let token = elsewhere.issue("a", "b", all(Operation::Write), Millis(0), None);
        let check = |token: &str| {
            access().check_token(token, Operation::Read, ["a/b/0"], |_| true, Millis(0))
        };
        assert_eq!(check(&token), Err(TokenRefusal::Revoked));
        assert_eq!(TokenRefusal::Revoked.code(), TokenFailure::Expired);
        // It claims to be of this secret, and is signed with the other.
        let [ours, theirs] = [&access(), &elsewhere].map(|it| format!("{:016x}", it.issuer));
        let body = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
        let body = BASE64.encode(String::from_utf8(body).unwrap().replace(&theirs, &ours));
        let signed = format!("{}.{body}", BASE64.encode(HEADER));
        let signature = BASE64.encode(elsewhere.key.sign(&[signed.as_bytes()]));
        assert_eq!(check(&format!("{signed}.{signature}")), Err(TokenRefusal::Refused));
    }

    /// Names that a stream, a group and a table, their segments and their marks may have.
    const CONFUSABLE: [&str; 9] = [
        "t",
        "t_kvtable",
        "t_kvtable_kvtable",
        "_RGt",
        "_RGt_kvtable",
        "_MARKt",
        "_MARKt_kvtable",
        "_MARK_RGt",
        "_RG_MARKt",
    ];

    /// What a segment belongs to, and what writing to it needs.
    fn owner(name: &'static str, is_table: bool) -> (Resource<'static>, Operation) {
        match name.strip_suffix("_kvtable").filter(|_| is_table) {
            Some(table) => (Resource::of_table("a", table), operation_to_write_table(table)),
            None => (Resource::of_stream("a", name), operation_to_write(name)),
        }
    }

    #[test]
    fn no_token_opens_a_segment_whose_owner_the_rules_do_not_name() {
        let access = access();
        let mut opened = 0;
        let kinds = ["stream", "reader-group", "key-value-table"];
        let resources =
            kinds.iter().flat_map(|kind| CONFUSABLE.map(|name| format!("{kind}:{name}")));
        let rights = ["READ", "READ_UPDATE"];
        for rule in resources.flat_map(|of| rights.map(|right| format!("{of},{right}"))) {
            let (rules, _) = Rules::parse(&format!("prn::/scope:a/{rule}"));
            for (name, asked) in CONFUSABLE.iter().flat_map(|name| {
                [Operation::Read, Operation::Write].map(|operation| (*name, operation))
            }) {
                let grant = Grant::of(Some(&rules), "a", name, asked);
                let token = access.issue("a", name, grant, Millis(0), None);
                for (of, is_table) in CONFUSABLE.iter().flat_map(|of| [(*of, true), (*of, false)]) {
                    let (resource, to_write) = owner(of, is_table);
                    let allowed = rules.allow(&resource);
                    let segment = format!("a/{of}/0.#epoch.0");
                    for needs in [Operation::Read, Operation::Write] {
                        let checked =
                            access.check_token(&token, needs, [&*segment], |_| is_table, Millis(0));
                        let needed = if needs == Operation::Write { to_write } else { needs };
                        let is_allowed = allowed >= Some(needed) && asked >= needs;
                        assert!(
                            checked.is_err() || is_allowed,
                            "{rule}: a token for {name} opens {segment} ({is_table}) for {needs:?}"
                        );
                        opened += u32::from(checked.is_ok());
                    }
                }
            }
        }
        assert!(opened > 100, "{opened}");
    }

    #[test]
    fn a_token_that_was_changed_is_refused() {
        let access = access();
        let token = access.issue("a", "b", all(Operation::Write), Millis(0), None);
        let (body, none) = (token.split('.').nth(1).unwrap(), BASE64.encode(r#"{"alg":"none"}"#));
        for bad in [
            "",
            "x",
            "a.b.c",
            &token[1..],
            &format!("{token}x"),
            &format!("{none}.{body}."),
            &format!("{none}.{body}.{}", token.rsplit('.').next().unwrap()),
        ] {
            assert_eq!(
                access.check_token(bad, Operation::Read, ["a/b/0"], |_| true, Millis(0)),
                Err(TokenRefusal::Refused),
                "{bad}"
            );
        }
    }

    #[test]
    fn servers_with_the_same_key_accept_the_tokens_of_each_other() {
        let key = |text: &str| TokenKey::new(text.as_bytes()).unwrap();
        let one = Access::with_key(&key("0123456789abcdef0123456789abcdef"), Millis(10_000));
        let two = Access::with_key(&key("0123456789abcdef0123456789abcdef"), Millis(99_000));
        let other = Access::with_key(&key("0123456789abcdef0123456789abcdeF"), Millis(10_000));
        let token = one.issue("a", "b", all(Operation::Write), Millis(0), None);
        let check = |access: &Access| {
            access.check_token(&token, Operation::Write, ["a/b/0"], |_| true, Millis(0))
        };
        assert_eq!(check(&two), Ok(Millis(10_000)));
        assert_eq!(check(&other), Err(TokenRefusal::Revoked));
    }

    #[test]
    fn claims_are_read_back() {
        for stream in [None, Some(Operation::Read), Some(Operation::Write)] {
            for table in [Some(Operation::Read), Some(Operation::Write)] {
                let (scope, name) = ("a.b".to_owned(), "_RG-c".to_owned());
                let allows = Grant { stream, table };
                let (issued, expires, issuer, generation) = (1, -7, 0xA, 3);
                let claims = Claims { issued, expires, issuer, generation, allows, scope, name };
                assert_eq!(Claims::decode(&claims.encode()), Some(claims));
            }
        }
    }

    #[test]
    fn the_body_of_a_token_is_the_json_that_clients_read() {
        let token = access().issue("a", "b", all(Operation::Read), Millis(5_000), None);
        let body = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
        let issuer = format!("{:016x}", access().issuer);
        assert_eq!(
            String::from_utf8(body).unwrap().replace(&issuer, "ISSUER"),
            concat!(
                r#"{"sub":"segmentstoreresource","aud":"segmentstore","iat":5,"exp":15,"#,
                r#""iss":"ISSUER","generation":0,"prn::/scope:a/stream:b":"READ","#,
                r#""prn::/scope:a/key-value-table:b":"READ"}"#
            )
        );
    }
}
