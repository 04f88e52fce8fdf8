//! Every form of every canary is found, and nothing else is.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use pravega_sdk_types::Failure;

use super::*;

/// Text with characters that each encoding changes; `~~~` and `???` are `+` and `/` in base64.
const TEXT: &str = "p\u{e4}ss \"w\\rd\"&~~~???+/=%1\u{1F511}";
/// The same for bytes that are no text.
const BINARY: &[u8] = &[0, 255, 254, 128, 10, 32, 127, 61, 43, 47, 200, 9, 13, 1];

fn found(secret: &[u8], text: &str) -> Vec<String> {
    let scanner = Scanner::new(&[Canary::new("it", secret)]);
    scanner.scan("test", text.as_bytes());
    scanner.take_leaks().into_iter().map(|leak| leak.form).collect()
}

#[track_caller]
fn finds(secret: &[u8], text: &str, form: &str) {
    let forms = found(secret, &format!("before {text} after"));
    assert!(forms.iter().any(|found| found.starts_with(form)), "{form}: {forms:?} in {text}");
}

#[test]
fn a_text_is_found_as_it_is_and_escaped() {
    let secret = TEXT.as_bytes();
    finds(secret, TEXT, "raw");
    finds(secret, &format!("{TEXT:?}"), "escaped");
    finds(secret, &format!("{:?}", Some(TEXT)), "escaped");
    finds(secret, &TEXT.escape_default().to_string(), "escaped in full");
    finds(secret, &format!("{:?}", Bytes::from(TEXT)), "escaped bytes");
    let json = serde_json::json!({ "password": "a\u{1}b-c-d-e-f" }).to_string();
    finds(b"a\x01b-c-d-e-f", &json, "JSON");
}

#[test]
fn base64_is_found_in_both_alphabets_at_every_alignment_and_wrapped() {
    for secret in [TEXT.as_bytes(), BINARY] {
        for before in ["", "u", "us", "use", "user:"] {
            for after in [&b""[..], b"x", b"xy", b"xyz"] {
                let whole = [before.as_bytes(), secret, after].concat();
                for (engine, form) in [
                    (&BASE64_STANDARD, "base64 at"),
                    (&BASE64_STANDARD_NO_PAD, "base64 at"),
                    (&BASE64_URL_SAFE, "base64"),
                    (&BASE64_URL_SAFE_NO_PAD, "base64"),
                ] {
                    let encoded = engine.encode(&whole);
                    finds(secret, &encoded, form);
                    let (one, other) = encoded.split_at(9);
                    finds(secret, &format!("{one}\r\n  {other}"), form);
                }
            }
        }
    }
}

#[test]
fn hexadecimal_digits_are_found_in_both_cases_with_what_is_between_them() {
    for secret in [TEXT.as_bytes(), BINARY] {
        for separator in ["", " ", ":", "-", ", ", ", 0x", "\\x"] {
            let digits = |form: fn(&u8) -> String| {
                secret.iter().map(form).collect::<Vec<_>>().join(separator)
            };
            finds(secret, &digits(|byte| format!("{byte:02x}")), "hex");
            finds(secret, &digits(|byte| format!("{byte:02X}")), "HEX");
        }
    }
}

#[test]
fn percent_encodings_and_lists_of_numbers_are_found() {
    let all: String = TEXT.bytes().map(|byte| format!("%{byte:02x}")).collect();
    finds(TEXT.as_bytes(), &all, "percent-encoded in full");
    finds(TEXT.as_bytes(), &all.to_uppercase(), "percent-encoded in full");
    let part = "p%C3%A4ss%20%22w%5Crd%22%26~~~%3F%3F%3F%2B%2F%3D%251%F0%9F%94%91";
    finds(TEXT.as_bytes(), part, "percent-encoded");
    finds(TEXT.as_bytes(), &part.replace("%20", "+"), "field of a form");
    for secret in [TEXT.as_bytes(), BINARY] {
        finds(secret, &format!("{secret:?}"), "list");
        finds(secret, &format!("{:#?}", Some(secret)), "list");
        let signed: Vec<i8> = secret.iter().map(|byte| byte.cast_signed()).collect();
        finds(secret, &format!("{signed:?}"), "list of signed");
    }
}

#[test]
fn other_text_and_parts_of_a_canary_are_not_found() {
    let secret = TEXT.as_bytes();
    let short = &TEXT[1..];
    for other in ["", "password", "cGFzc3dvcmQ=", short] {
        assert_eq!(found(secret, other), Vec::<String>::new(), "{other}");
    }
    let short = BASE64_STANDARD.encode(&secret[..secret.len() - 3]);
    assert_eq!(found(secret, &short), Vec::<String>::new());
}

#[test]
fn a_canary_is_found_in_a_text_that_comes_in_parts_of_any_length() {
    let scanner = Scanner::new(&[Canary::new("it", TEXT)]);
    let text = format!("{}{TEXT}{}", "x".repeat(5000), "y".repeat(5000));
    for len in [1, 2, 7, 1000, 20_000] {
        let mut output = scanner.text("process");
        text.as_bytes().chunks(len).for_each(|part| output.push(part));
        assert!(output.end.len() < scanner.longest, "the memory is bounded");
        assert!(!scanner.take_leaks().is_empty(), "in parts of {len} bytes");
    }
    assert_eq!(scanner.seen()["process"], 5 * text.len());
}

#[test]
fn the_causes_of_an_error_and_the_debug_output_of_a_value_are_scanned() {
    let scanner = Scanner::new(&[Canary::new("it", "a-secret-word")]);
    let inner = Failure::invalid("no a-secret-word");
    scanner.error("call", &Failure::invalid("outer").with_source(inner));
    assert_eq!(scanner.take_leaks()[0].canary, "it");
    scanner.debug("value", &Some("a-secret-word"));
    assert_eq!(scanner.take_leaks()[0].canary, "it");
    scanner.require_none(&["debug", "error"]);
}

#[test]
#[should_panic(expected = "it (raw) in here: thea-secret-word!")]
fn a_leak_is_reported_with_its_place() {
    let scanner = Scanner::new(&[Canary::new("it", "a-secret-word")]);
    scanner.scan("here", b"the a-secret-word!");
    scanner.require_none(&[]);
}

#[test]
#[should_panic(expected = r#"nothing was scanned of {"h2"}"#)]
fn a_source_that_has_written_nothing_is_reported() {
    let scanner = Scanner::new(&[]);
    scanner.scan("pravega::x", b"text");
    scanner.require_none(&["pravega", "h2"]);
}

#[test]
fn the_secret_parts_of_a_private_key_are_canaries_and_its_public_key_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        use pravega_sdk_server::{EmbeddedServer, ServerTls};

        let tls = ServerTls::made_in(folder.path());
        EmbeddedServer::builder().with_tls(tls).start().await.unwrap().shutdown().await;
    });
    let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let (pem, certificate) = (read("server.key"), read("server.crt"));
    let canaries = Canary::of_private_key("key", &pem);
    let scanner = Scanner::new(&canaries);
    scanner.scan("test", pem.as_bytes());
    let mut leaked: Vec<_> = scanner.take_leaks().into_iter().map(|leak| leak.canary).collect();
    leaked.dedup();
    leaked.sort();
    leaked.dedup();
    assert_eq!(leaked.len(), canaries.len(), "{leaked:?}");
    scanner.scan("test", certificate.as_bytes());
    let der: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(der).unwrap();
    scanner.debug("certificate", &der);
    scanner.require_none(&["test", "debug"]);
}

#[test]
fn a_token_is_found_by_its_start_and_by_its_signature() {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWl0";
    let scanner = Scanner::new(&Canary::of_token("token", token));
    let of_other_stream = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4iLCJ4IjoxfQ.AAAAAAAAAAAAAAAAAAA";
    for text in [token.to_owned(), BASE64_STANDARD.encode(token), of_other_stream.to_owned()] {
        scanner.scan("test", text.as_bytes());
        assert_eq!(scanner.take_leaks()[0].canary, "the start of token", "{text}");
    }
    scanner.scan("test", b"signature c2lnbmF0dXJlLW9mLWl0");
    assert_eq!(scanner.take_leaks()[0].canary, "the signature of token");
}
