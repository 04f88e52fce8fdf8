//! Reader groups shared with the Java client.

mod handles;
