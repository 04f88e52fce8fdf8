//! The secrets, a server that has them, and its clients.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{AccessOperation, Credentials};
use pravega_sdk_integration_tests::harness::{
    self,
    canary::{Canary, Scanner, watch},
    issuer,
    jwt::{AUDIENCE, Signer, claims, key_set, now},
};
use pravega_sdk_server::{EmbeddedServer, JwtAccounts, ServerBuilder, ServerTls, account_line};
use tempfile::TempDir;

/// Each character between the words is one that some encoding changes.
pub(super) const PASSWORD: &str = "canary P4\"ss\\w&\u{f6}%=+/1 of the account";
/// What clients give that have another one.
pub(super) const WRONG: &str = "canary W7\"ng\\w&\u{f6}%=+/2 of no account";
/// The password of an account of the program.
pub(super) const ROOT: &str = "canary R9\"ot\\w&\u{f6}%=+/3 of the program";
pub(super) const TOKEN_KEY: &str = "canary+signs/with=this:0123456789abcdefghijklmnopqrstuvw";
/// The secret of a client of an issuer.
pub(super) const CLIENT: &str = "canary C2\"nt\\w&%=+/4 of the client";
/// The bytes of events, and of values in tables.
pub(super) const DATA: &str = "canary D5\"ta\\w&\u{f6}%=+/5 of an event";
/// Two parts of a key file that is none.
pub(super) const NO_KEY: &str = "canaryNoKey0123456789abcdefghijkl";
pub(super) const USER: &str = "ann";
/// A user without a password.
const SIGNED: &str = "jay";

/// Tokens of clients, which another party has signed.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) good: String,
    pub(super) expired: String,
    pub(super) foreign: String,
    /// The keys that check the first two.
    pub(super) keys: String,
}

/// The secrets, in a folder and in memory, and what looks for them.
#[derive(Debug)]
pub(super) struct Secrets {
    folder: TempDir,
    pub(super) tokens: Tokens,
    pub(super) scanner: &'static Scanner,
}

impl Tokens {
    fn make() -> Self {
        let signer = Signer::new("one");
        let mut late = claims(SIGNED);
        late["exp"] = (now() - 60).into();
        Self {
            good: signer.sign(&claims(SIGNED)),
            expired: signer.sign(&late),
            foreign: Signer::new("one").sign(&claims(SIGNED)),
            keys: key_set(&[&signer]),
        }
    }
}

impl Secrets {
    /// Makes the secrets, and has everything watched that this process logs.
    pub(super) async fn make() -> Self {
        let (folder, tokens) = (tempfile::tempdir().unwrap(), Tokens::make());
        let path = |name: &str| folder.path().join(name);
        // Its server makes a certificate with a key.
        for kind in ["server", "client"] {
            let tls = ServerTls::made_in(path(kind));
            harness::builder().with_tls(tls).start().await.unwrap().shutdown().await;
        }
        let line = account_line(USER, PASSWORD, "prn::*,READ_UPDATE");
        let no_key = format!("-----BEGIN PRIVATE KEY-----\n{NO_KEY}\n-----END PRIVATE KEY-----\n");
        for (name, content) in [
            ("accounts", line.as_str()),
            ("token-key", TOKEN_KEY),
            ("password", PASSWORD),
            ("wrong-password", WRONG),
            ("no-key", &no_key),
            ("token", &tokens.good),
            ("expired-token", &tokens.expired),
        ] {
            write(&path(name), content);
        }
        let canaries = Self::canaries(folder.path(), &tokens, &line).await;
        let scanner: &'static Scanner = Box::leak(Box::new(Scanner::new(&canaries)));
        watch(scanner);
        Self { folder, tokens, scanner }
    }

    async fn canaries(folder: &Path, tokens: &Tokens, line: &str) -> Vec<Canary> {
        let mut canaries: Vec<Canary> = [
            ("a password", PASSWORD),
            ("a wrong password", WRONG),
            ("the password of the program", ROOT),
            ("the key of tokens", TOKEN_KEY),
            ("the secret of a client", CLIENT),
            ("an event", DATA),
            ("a key that is none", NO_KEY),
            ("a token of an issuer", issuer::ACCESS),
            ("a token with permissions", issuer::PERMITTED),
        ]
        .iter()
        .map(|(name, secret)| Canary::new(name, secret))
        .collect();
        for (name, token) in [
            ("a token", &tokens.good),
            ("an expired token", &tokens.expired),
            ("a foreign token", &tokens.foreign),
        ] {
            canaries.extend(Canary::of_token(name, token));
        }
        for kind in ["server", "client"] {
            let pem = fs::read_to_string(folder.join(kind).join("server.key")).unwrap();
            canaries.extend(Canary::of_private_key(&format!("the key of the {kind}"), &pem));
        }
        canaries.extend(digest(line));
        let in_memory = ring::digest::digest(&ring::digest::SHA256, ROOT.as_bytes());
        canaries.push(Canary::new("the digest of the password of the program", in_memory));
        // Those of all servers begin alike.
        let builder = harness::builder().with_account(USER, PASSWORD);
        let server = builder.with_token_key(TOKEN_KEY.as_bytes()).start().await.unwrap();
        let credentials = Credentials::basic(USER, PASSWORD).unwrap();
        let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
        let client = ClientFactory::new(config).unwrap();
        let stream = &"scope/stream".parse().unwrap();
        let token = client.tokens().token(stream, AccessOperation::Write).await.unwrap();
        canaries.extend(Canary::of_token("a delegation token", token.expose()));
        server.shutdown().await;
        canaries
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only its owner may read.
    pub(super) fn file(&self, name: &str, content: &str) -> PathBuf {
        write(&self.path(name), content);
        self.path(name)
    }

    /// The certificate that clients trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.path("server/server.crt")
    }

    /// A server with an account of every kind, and REST.
    pub(super) fn accounts(&self) -> ServerBuilder {
        harness::builder()
            .with_rest_port(0)
            .with_account("root", ROOT)
            .with_accounts_file(self.path("accounts"))
            .with_jwt_accounts(self.signed())
            .with_token_key(TOKEN_KEY.as_bytes())
    }

    /// The accounts of clients with a token.
    pub(super) fn signed(&self) -> JwtAccounts {
        JwtAccounts::with_key_set(&self.tokens.keys, AUDIENCE)
            .with_user(SIGNED, "prn::*,READ_UPDATE")
    }

    pub(super) fn tls(&self) -> ServerTls {
        ServerTls::with_files(self.certificate(), self.path("server/server.key"))
    }

    /// The configuration of a client that repeats nothing for long.
    pub(super) fn config(&self, server: &EmbeddedServer, credentials: Credentials) -> ClientConfig {
        let (first, longest) = (Duration::from_millis(1), Duration::from_millis(50));
        ClientConfig::from_url(&server.url())
            .unwrap()
            .with_trust_store(self.certificate())
            .with_client_certificate(self.path("client/server.crt"), self.path("client/server.key"))
            .with_credentials(credentials)
            .with_retry(3, first, longest)
    }

    pub(super) fn client(
        &self,
        server: &EmbeddedServer,
        credentials: Credentials,
    ) -> ClientFactory {
        ClientFactory::new(self.config(server, credentials)).unwrap()
    }

    pub(super) fn basic(&self) -> Credentials {
        Credentials::basic(USER, PASSWORD).unwrap()
    }
}

/// The digest of a password, and its parts.
fn digest(line: &str) -> Vec<Canary> {
    let digest = line.split(':').nth(1).unwrap();
    let bytes: Vec<u8> = (0..digest.len() / 2)
        .map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let inner = String::from_utf8(bytes).unwrap();
    let hash = inner.rsplit(':').next().unwrap();
    vec![
        Canary::new("the digest of a password", digest),
        Canary::new("the text in a digest", &inner),
        Canary::new("the hash in a digest", hash),
    ]
}

fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
