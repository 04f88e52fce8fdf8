//! Configuration of an embedded server.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use pravega_sdk_server_core::{
    access::{Access, Account, Rules, TokenKey},
    catalog::Intervals,
    log::{CheckpointSettings, FolderId, Settings, SpaceSettings},
    machine::{Config, Machine},
    placement::{CONTAINERS, Placement},
    record::{Durability, Millis},
    store::MemoryLimit,
};

use uuid::Uuid;

use crate::{clock::Clock, log::Configure, signing::Signing};

/// The default memory limit, in bytes: 1 GiB.
const DEFAULT_MEMORY_LIMIT: u64 = 1 << 30;
/// The longest and the shortest log file, in bytes, and how many of them a limited folder has.
const FILE_LEN: u64 = 64 << 20;
const LEAST_FILE_LEN: u64 = 1 << 20;
const FILES: u64 = 16;
/// The part of a limited folder that is kept free besides some log files, in bytes.
const SPARE: u64 = 4 << 20;
/// A disk with less has no part that is kept free.
const LEAST_CAPACITY: u64 = 32 << 20;

/// Configures an embedded server; from
/// [`EmbeddedServer::builder`](crate::EmbeddedServer::builder).
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    pub(crate) address: IpAddr,
    pub(crate) controller_port: u16,
    pub(crate) rest_port: Option<u16>,
    pub(crate) rest_hosts: Vec<String>,
    pub(crate) directory: Option<PathBuf>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::ServerTls>,
    memory_limit: u64,
    disk_limit: Option<u64>,
    pub(crate) stores: usize,
    pub(crate) accounts: Vec<Account>,
    pub(crate) accounts_file: Option<PathBuf>,
    #[cfg(feature = "jwt")]
    pub(crate) jwt: Option<crate::jwt::JwtAccounts>,
    token_lifetime: Duration,
    pub(crate) signing: Option<Signing>,
    /// The key of the above, once the server starts.
    pub(crate) token_key: Option<TokenKey>,
    clock: ClockKind,
    intervals: Intervals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClockKind {
    Wall,
    Standing,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            controller_port: 0,
            rest_port: None,
            rest_hosts: Vec::new(),
            directory: None,
            #[cfg(feature = "tls")]
            tls: None,
            memory_limit: DEFAULT_MEMORY_LIMIT,
            disk_limit: None,
            stores: 1,
            accounts: Vec::new(),
            accounts_file: None,
            #[cfg(feature = "jwt")]
            jwt: None,
            token_lifetime: Duration::from_secs(600),
            signing: None,
            token_key: None,
            clock: ClockKind::Wall,
            intervals: Intervals::default(),
        }
    }
}

impl ServerBuilder {
    /// Sets the port of the controller; 0, the default, means a free port. The stores always listen
    /// on free ports.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.controller_port = port;
        self
    }

    /// Serves the controller's REST interface on a port; 0 means a free port. It is off by default.
    ///
    /// It has the accounts of the other ports. Requests must name the server by an address, as
    /// `localhost`, or by a name from [`with_rest_host`](Self::with_rest_host), so that a web page
    /// cannot use it in the name of its visitors.
    #[must_use]
    pub fn with_rest_port(mut self, port: u16) -> Self {
        self.rest_port = Some(port);
        self
    }

    /// Adds a name by which clients may call the REST interface, such as that of a proxy; without a
    /// port.
    #[must_use]
    pub fn with_rest_host(mut self, host: &str) -> Self {
        self.rest_hosts.push(host.to_owned());
        self
    }

    /// Keeps all data in a folder, which is created if it does not exist. Without a folder, the
    /// data is lost when the server ends.
    ///
    /// Acknowledged changes survive a crash of the process and of the system. Of the bytes of
    /// segments, those that are in use are in memory as well, within the memory limit.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets the most memory that segments may use, in bytes; 1 GiB by default. Above it, requests
    /// that need more are refused; reads, truncations and deletions still work. With a
    /// [folder](Self::with_directory), bytes of segments leave memory before that, and are read
    /// from it when they are needed.
    ///
    /// Requests and replies on their way have a bound of their own, whatever clients do: the server
    /// uses at most 64 MiB more than the limit, and what the allocator rounds.
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Sets the most bytes that the files of the folder may have. Default: what its file system
    /// has, if that is 32 MiB or more; a limit above that counts as that. Near the limit, requests
    /// that take space are refused; reads, truncations and deletions still work. Space that is not
    /// used any longer comes back within seconds.
    ///
    /// A part of it is kept free for moving what is still read: 4 MiB, and three and a half log
    /// files of a sixteenth of the limit each, which have 1 to 64 MiB. The server warns when four
    /// fifths of the rest are used.
    #[must_use]
    pub fn with_disk_limit(mut self, bytes: u64) -> Self {
        self.disk_limit = Some(bytes);
        self
    }

    /// Sets the number of segment stores, 1 by default and at most 4. Each has a port and a share
    /// of the segments.
    #[must_use]
    pub fn with_segment_stores(mut self, stores: usize) -> Self {
        self.stores = stores.clamp(1, CONTAINERS as usize);
        self
    }

    /// Adds an account that may do everything. With accounts, calls of the controller and of REST
    /// need the user and password of one, and requests to the stores need delegation tokens.
    ///
    /// A token allows only its operation on the segments of its stream, until it expires. A
    /// connection on which a writer was set up ends then, as on a Java server: the writer asks for
    /// another token and goes on.
    ///
    /// Without TLS, which the feature `tls` has, passwords, tokens and events are readable on the
    /// way. The server listens on 127.0.0.1, where every program and every user of the machine can
    /// connect; without accounts, each of them can do everything.
    #[must_use]
    pub fn with_account(mut self, user: &str, password: &str) -> Self {
        self.accounts.push(Account::new(user, password));
        self
    }

    /// Adds an account that may do what its rules allow, in the form that the accounts of the Java
    /// server have, such as `prn::/scope:shop,READ;prn::/scope:shop/stream:*,READ_UPDATE`.
    ///
    /// A rule is a pattern and one of `READ`, `READ_UPDATE` and `NONE`. The first rule counts whose
    /// pattern is the whole name of a resource, where `*` is for any text:
    ///
    /// | name | resource |
    /// |---|---|
    /// | `prn::/` | the list of scopes: to create and delete them |
    /// | `prn::/scope:S` | a scope: to list what is in it, and to create streams, groups and tables |
    /// | `prn::/scope:S/stream:N` | a stream, with its transactions |
    /// | `prn::/scope:S/reader-group:N` | a reader group, with its state: its readers need `READ` |
    /// | `prn::/scope:S/key-value-table:N` | a key-value table |
    ///
    /// A rule that cannot be read allows nothing, and is logged when the server starts. Java takes
    /// a pattern for a regular expression: one that has more of that than `.*` cannot be read here,
    /// so it may be meant for any resource, and the rules after it allow no more than it does.
    #[must_use]
    pub fn with_limited_account(mut self, user: &str, password: &str, rules: &str) -> Self {
        let (rules, skipped) = Rules::parse(rules);
        for rule in skipped {
            tracing::warn!(rule, "a rule of an account cannot be read, and allows nothing");
        }
        self.accounts.push(Account::new(user, password).with_rules(rules));
        self
    }

    /// Adds the accounts of a file, which the Java server can use as well: a line for each, with
    /// the user, the digest of the password as `pravega-admin password create-password-file` writes
    /// it, and the [rules](Self::with_limited_account), with colons between them. Lines that begin
    /// with `#` are comments. An account with `*` in place of the digest has no password: it is for
    /// users whose tokens another party signs, with the feature `jwt`.
    ///
    /// A changed file is read within about a second. What cannot be read in it is logged and
    /// skipped; if the file cannot be read at all, the accounts stay as they are. Delegation tokens
    /// that an account has are valid until they expire.
    ///
    /// Checking a password takes some milliseconds of a thread, once for each account and change of
    /// the file, and one at a time: wrong passwords wait for each other, for ten seconds at most.
    #[must_use]
    pub fn with_accounts_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.accounts_file = Some(path.into());
        self
    }

    /// Lets in clients with a JWT that another party has signed, besides those with a password.
    /// As with [accounts](Self::with_account), all others are refused.
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn with_jwt_accounts(mut self, accounts: crate::jwt::JwtAccounts) -> Self {
        self.jwt = Some(accounts);
        self
    }

    /// Serves TLS, and nothing else, on the ports of the controller, of the stores, and of REST.
    /// Each connection takes up to 50 KiB more than without.
    ///
    /// A client has ten seconds for its handshake; one that speaks no TLS is let go at once.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the lifetime of delegation tokens, 10 minutes by default.
    #[must_use]
    pub fn with_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Signs delegation tokens with this key, so that tokens from before a restart are accepted,
    /// and those of other servers that have the key. By default each server makes a key at its
    /// start.
    ///
    /// A program that has the key can make tokens for everything. It has 32 bytes or more, which
    /// are random: the start of the server fails with [`StartError::TokenKey`] if it is shorter, or
    /// repeats few bytes. Only servers with accounts have tokens.
    ///
    /// [`StartError::TokenKey`]: crate::StartError::TokenKey
    #[must_use]
    pub fn with_token_key(mut self, key: &[u8]) -> Self {
        self.signing = Some(Signing::Given(TokenKey::new(key).map(Box::new)));
        self
    }

    /// Signs delegation tokens with [a key](Self::with_token_key) from a file: its content, without
    /// line breaks at its end, such as from `openssl rand -base64 32`. It is read when the server
    /// starts, which fails if other users of the system can read the file.
    #[must_use]
    pub fn with_token_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.signing = Some(Signing::File(path.into()));
        self
    }

    /// Uses a clock that only [`EmbeddedServer::advance_clock`] advances. Leases, watermarks,
    /// retention, scaling by rate and the expiry of tokens depend on it.
    ///
    /// [`EmbeddedServer::advance_clock`]: crate::EmbeddedServer::advance_clock
    #[must_use]
    pub fn with_standing_clock(mut self) -> Self {
        self.clock = ClockKind::Standing;
        self
    }

    /// Sets the interval between watermarks, 10 seconds by default.
    #[must_use]
    pub fn with_watermark_interval(mut self, interval: Duration) -> Self {
        self.intervals.watermarks = millis(interval);
        self
    }

    /// Sets the interval between applications of retention, 30 minutes by default.
    #[must_use]
    pub fn with_retention_interval(mut self, interval: Duration) -> Self {
        self.intervals.retention = millis(interval);
        self
    }

    /// Sets the shortest time for which rates are measured before a stream scales by them, 2
    /// minutes by default. Merges need ten times as long.
    #[must_use]
    pub fn with_rate_window(mut self, window: Duration) -> Self {
        self.intervals.rate_window = millis(window);
        self.intervals.rates = (self.intervals.rate_window / 24).max(1);
        self
    }

    /// Returns true if clients need an account.
    pub(crate) fn has_accounts(&self) -> bool {
        #[cfg(feature = "jwt")]
        if self.jwt.is_some() {
            return true;
        }
        !self.accounts.is_empty() || self.accounts_file.is_some()
    }

    /// An empty machine as configured.
    pub(crate) fn machine(&self, durability: Durability) -> Machine {
        let lifetime = Millis(millis(self.token_lifetime));
        let access = self.has_accounts().then(|| match &self.token_key {
            Some(key) => Access::with_key(key, lifetime),
            None => Access::new(secret(), lifetime),
        });
        Machine::new(Config {
            memory_limit: MemoryLimit(self.memory_limit),
            durability,
            placement: Placement::over(self.stores),
            access,
            intervals: self.intervals,
        })
    }

    /// The configuration of the log in a folder, on a disk with space for some bytes, if that is
    /// known.
    pub(crate) fn log_configuration(&self, capacity: Option<u64>) -> Configure {
        let capacity = capacity.filter(|bytes| *bytes >= LEAST_CAPACITY);
        let limit = match (self.disk_limit, capacity) {
            (Some(limit), Some(capacity)) => Some(limit.min(capacity)),
            (limit, capacity) => limit.or(capacity),
        };
        let file_len = match limit {
            Some(limit) => (limit / FILES).clamp(LEAST_FILE_LEN, FILE_LEN),
            None => FILE_LEN,
        };
        // Every folder has its own number.
        let folder = FolderId(0);
        let usual = Settings::new(folder);
        let writer = Settings {
            file_len,
            frame_len: usual.frame_len.min(file_len),
            ahead: usual.ahead.min(file_len / 4),
            ..usual
        };
        // For one file that is moved to, one that is written, the next one, runs and a checkpoint.
        let reserve = 3 * file_len + file_len / 2 + SPARE;
        let space = SpaceSettings { limit, reserve };
        let memory = self.memory_limit;
        let checkpoints = CheckpointSettings::within(folder, memory);
        Configure { writer, checkpoints, space, memory }
    }

    pub(crate) fn clock(&self) -> Clock {
        match self.clock {
            ClockKind::Wall => Clock::Wall,
            ClockKind::Standing => Clock::standing(),
        }
    }
}

/// The line of an account for a [file of accounts](ServerBuilder::with_accounts_file), with the
/// digest of its password and its [rules](ServerBuilder::with_limited_account). Each call has
/// another salt, and takes some milliseconds.
#[must_use]
pub fn account_line(user: &str, password: &str, rules: &str) -> String {
    Account::line(user, password, &secret(), rules)
}

/// A secret that only this process knows.
pub(crate) fn secret() -> [u8; 32] {
    // Random UUIDs come from the system's randomness, 122 bits each.
    let mut secret = [0; 32];
    let halves = [Uuid::new_v4(), Uuid::new_v4()];
    secret
        .iter_mut()
        .zip(halves.iter().flat_map(Uuid::as_bytes))
        .for_each(|(byte, random)| *byte = *random);
    secret
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_a_limited_folder_that_is_kept_free_is_the_one_that_is_documented() {
        const MIB: u64 = 1 << 20;
        for (limit, reserve) in [(32, 11), (200, 47), (1024, 228), (4096, 228)] {
            let builder = ServerBuilder::default().with_disk_limit(limit * MIB);
            let space = builder.log_configuration(None).space;
            assert_eq!((space.limit, space.reserve / MIB), (Some(limit * MIB), reserve));
        }
    }
}
