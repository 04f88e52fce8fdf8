//! The kinds of misbehaviour, one file each.

mod attributes;
mod beyond_the_end;
mod broken_rules;
mod cancelled_calls;
mod churn;
mod connections;
mod costly_calls;
mod disk_queue;
mod drip;
mod extreme_calls;
mod extreme_commands;
mod half_frames;
mod http2_floods;
mod keep_alives;
mod large_records;
mod left_waits;
mod list_claims;
mod merges;
mod odd_names;
mod random_bytes;
mod rest_listings;
mod rest_requests;
mod rest_writes;
mod scales;
mod scope_deletion;
mod silence;
mod transactions;
mod transients;
mod truncation;
mod unread_answers;
mod unread_keys;
mod unread_names;
mod unread_tails;
mod writers;
mod wrong_protocol;

use std::pin::Pin;

use anyhow::Result;

use super::attacker::Attacker;

type Round = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A kind of misbehaviour.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How many of 200 clients are of this kind.
    pub(super) share: usize,
    /// One round, which a client repeats.
    pub(super) round: fn(Attacker) -> Round,
}

macro_rules! kinds {
    ($($name:ident $share:literal)*) => {
        /// All kinds, with their shares of the clients.
        pub(super) const KINDS: &[Kind] = &[$(Kind {
            name: stringify!($name),
            share: $share,
            round: |attacker| Box::pin($name::round(attacker)),
        }),*];
    };
}

kinds! {
    attributes 4
    beyond_the_end 12
    broken_rules 6
    cancelled_calls 5
    churn 5
    connections 6
    costly_calls 3
    disk_queue 6
    drip 8
    extreme_calls 8
    extreme_commands 10
    half_frames 8
    http2_floods 10
    keep_alives 4
    large_records 5
    left_waits 6
    list_claims 3
    merges 5
    odd_names 5
    random_bytes 6
    rest_listings 4
    rest_requests 8
    rest_writes 4
    scales 3
    scope_deletion 4
    silence 16
    transactions 5
    transients 4
    truncation 4
    unread_answers 5
    unread_keys 4
    unread_names 4
    unread_tails 6
    writers 4
    wrong_protocol 6
}
