//! The digest of a password, as Java's `StrongPasswordProcessor` writes it: the hexadecimal form of
//! `iterations:salt:digest`, of which the last two are hexadecimal themselves.

use super::keyed::{is_same, pbkdf2};

/// The length of the digests of Java, in bytes.
const LEN: usize = 64;
/// The most iterations and the longest salt of a digest: a file must not make each check of a
/// password a matter of minutes.
const MOST_ITERATIONS: u32 = 1_000_000;
const LONGEST_SALT: usize = 1024;
/// The iterations of a digest that is made here, as in Java.
const ITERATIONS: u32 = 5000;

/// What is known of a password.
#[derive(Clone)]
pub(super) struct Hashed {
    iterations: u32,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

impl Hashed {
    /// Reads a digest; `None` if the text is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let inner = String::from_utf8(from_hex(text.trim())?).ok()?;
        let mut parts = inner.split(':');
        let (iterations, salt, digest) = (parts.next()?, parts.next()?, parts.next()?);
        let iterations = iterations.parse().ok()?;
        let (salt, digest) = (from_hex(salt)?, from_hex(digest)?);
        let is_fine = parts.next().is_none()
            && (1..=MOST_ITERATIONS).contains(&iterations)
            && (1..=LONGEST_SALT).contains(&salt.len())
            && digest.len() == LEN;
        is_fine.then_some(Self { iterations, salt, digest })
    }

    /// The digest of a password, with a salt that no other has.
    pub(super) fn make(password: &str, salt: &[u8]) -> Self {
        let digest = pbkdf2(password.as_bytes(), salt, ITERATIONS, LEN);
        Self { iterations: ITERATIONS, salt: salt.to_vec(), digest }
    }

    /// The digest of no password, to take as long as for one.
    pub(super) fn of_no_password() -> Self {
        Self { iterations: ITERATIONS, salt: vec![0; 32], digest: Vec::new() }
    }

    /// Returns true for the password. It takes milliseconds.
    pub(super) fn is_of(&self, password: &str) -> bool {
        let digest = pbkdf2(password.as_bytes(), &self.salt, self.iterations, LEN);
        is_same(&digest, &self.digest)
    }

    /// The text that is read back.
    pub(super) fn text(&self) -> String {
        let Self { iterations, salt, digest } = self;
        to_hex(format!("{iterations}:{}:{}", to_hex(salt), to_hex(digest)).as_bytes())
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let [high, low] = pair else { return None };
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_its_password_alone() {
        let hashed = Hashed::make("pass:wörd", b"salt");
        assert!(hashed.is_of("pass:wörd"));
        assert!(!hashed.is_of("pass:word"));
        assert!(!hashed.is_of(""));
        let read = Hashed::parse(&hashed.text()).unwrap();
        assert!(read.is_of("pass:wörd"));
        assert!(!Hashed::of_no_password().is_of(""));
    }

    #[test]
    fn a_digest_is_that_of_another_implementation() {
        // By Python: hashlib.pbkdf2_hmac("sha256", "pass:w\u{f6}rd", bytes(range(32)), 1000, 64).
        let digest = "51506ecf05b998e86d2af03f7dbefa257c9daef3dd5193fd90b8a4dd37638d607b01ec41\
                      678305c1351222854b162fa37919af2a478b4fa27ce9c7b06184287f";
        let salt: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        let inner = format!("1000:{salt}:{digest}");
        let hashed = Hashed::parse(&to_hex(inner.as_bytes())).unwrap();
        assert!(hashed.is_of("pass:w\u{f6}rd"));
        assert!(!hashed.is_of("pass:wo\u{308}rd"));
    }

    #[test]
    fn only_digests_of_java_are_read() {
        let text = |inner: &str| to_hex(inner.as_bytes());
        let (salt, digest) = ("0a".repeat(32), "1b".repeat(64));
        assert!(Hashed::parse(&text(&format!("5000:{salt}:{digest}"))).is_some());
        for bad in [
            String::new(),
            "secret".to_owned(),
            text("5000"),
            text(&format!("0:{salt}:{digest}")),
            text(&format!("1000001:{salt}:{digest}")),
            text(&format!("5000::{digest}")),
            text(&format!("5000:{salt}:{}", "1b".repeat(63))),
            text(&format!("5000:{salt}:{digest}:")),
            text(&format!("5000:{salt}:{digest}1")),
            text(&format!("5000:{salt}:{}", "zz".repeat(64))),
        ] {
            assert!(Hashed::parse(&bad).is_none(), "{bad}");
        }
    }
}
