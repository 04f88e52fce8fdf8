//! Probes of the connection pool, for `bpftrace`, `perf` and DTrace.
//!
//! With the feature `usdt` each function here is a probe of the provider `pravega_pool`, a single
//! no-op instruction until a tracer attaches to it; without the feature it is an empty function.
//! The macro that makes probes expands to inline assembly, so this is the one crate of the
//! workspace in which `unsafe` is not forbidden.

#[cfg(feature = "usdt")]
#[usdt::provider(provider = "pravega_pool")]
mod pool {
    fn claim_granted(_backend: &str, _slot: u64, _waited_us: u64) {}
    fn claim_refused(_waited_us: u64) {}
    fn slot_connected(_backend: &str, _slot: u64) {}
    fn slot_failed(_backend: &str, _slot: u64) {}
    fn slot_retired(_backend: &str, _slot: u64) {}
}

macro_rules! probes {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            $(#[$doc])*
            #[inline]
            #[cfg_attr(not(feature = "usdt"), allow(unused_variables))]
            pub fn $name($($argument: $type),*) {
                #[cfg(feature = "usdt")]
                pool::$name!(|| ($($argument),*));
            }
        )*
    };
}

probes! {
    /// A claim got a connection after `waited_us` microseconds.
    claim_granted(backend: &str, slot: u64, waited_us: u64);
    /// A connection to a backend was established.
    slot_connected(backend: &str, slot: u64);
    /// A connection to a backend failed.
    slot_failed(backend: &str, slot: u64);
    /// A connection was closed.
    slot_retired(backend: &str, slot: u64);
}

/// A claim failed after `waited_us` microseconds without a connection.
#[inline]
#[cfg_attr(not(feature = "usdt"), allow(unused_variables))]
pub fn claim_refused(waited_us: u64) {
    #[cfg(feature = "usdt")]
    pool::claim_refused!(|| waited_us);
}

/// Registers the probes with the system; does nothing without the feature.
///
/// # Errors
///
/// The error of the system, as text.
pub fn register() -> Result<(), String> {
    #[cfg(feature = "usdt")]
    usdt::register_probes().map_err(|error| error.to_string())?;
    Ok(())
}
