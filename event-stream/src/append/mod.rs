//! Appending to one segment, as a machine.

pub(crate) mod machine;
