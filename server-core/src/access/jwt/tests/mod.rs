//! Tokens of other implementations, and tokens that are wrong in one way each.

mod golden;
mod key_sets;
mod permissions;
mod refused;
mod signer;
