//! Encoded messages, so that tools can compare them with those of other implementations.

use pravega_sdk_types::{
    ReaderGroupConfiguration, RetentionPolicy, ScalingPolicy, ScopedKeyValueTable,
    ScopedReaderGroup, ScopedStream, StreamConfiguration, TransactionId,
};
use prost::Message as _;

use super::convert;
use crate::{ControllerError, KeyValueTableConfiguration};

/// Encodes a scaling policy as protobuf.
///
/// # Errors
///
/// [`ControllerError`] if a number does not fit.
pub fn scaling_policy(policy: ScalingPolicy) -> Result<Vec<u8>, ControllerError> {
    Ok(convert::scaling_policy(policy)?.encode_to_vec())
}

/// Encodes a retention policy as protobuf.
///
/// # Errors
///
/// [`ControllerError`] if a number does not fit.
pub fn retention_policy(policy: RetentionPolicy) -> Result<Vec<u8>, ControllerError> {
    Ok(convert::retention_policy(policy)?.encode_to_vec())
}

/// Encodes the configuration of a stream as protobuf.
///
/// # Errors
///
/// [`ControllerError`] if a number does not fit.
pub fn stream_config(
    stream: &ScopedStream,
    configuration: &StreamConfiguration,
) -> Result<Vec<u8>, ControllerError> {
    Ok(convert::stream_config(stream, configuration)?.encode_to_vec())
}

/// Encodes the configuration of a reader group as protobuf.
///
/// # Errors
///
/// [`ControllerError`] if a number does not fit.
pub fn reader_group(
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
) -> Result<Vec<u8>, ControllerError> {
    Ok(convert::group_config(group, configuration)?.encode_to_vec())
}

/// Decodes the form of [`reader_group`] and of other implementations.
///
/// # Errors
///
/// [`ControllerError`] if it is not the configuration of a group.
pub fn read_reader_group(bytes: &[u8]) -> Result<ReaderGroupConfiguration, ControllerError> {
    let message = pravega_sdk_proto::ReaderGroupConfiguration::decode(bytes)
        .map_err(ControllerError::protocol)?;
    convert::group_configuration(&message)
}

/// Encodes the configuration of a key-value table as protobuf.
///
/// # Errors
///
/// [`ControllerError`] if a number does not fit.
pub fn key_value_table(
    table: &ScopedKeyValueTable,
    configuration: &KeyValueTableConfiguration,
) -> Result<Vec<u8>, ControllerError> {
    Ok(convert::table_config(table, configuration)?.encode_to_vec())
}

/// Encodes the id of a transaction as protobuf.
#[must_use]
pub fn transaction_id(id: TransactionId) -> Vec<u8> {
    convert::transaction_id(id).encode_to_vec()
}
