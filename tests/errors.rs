//! Every public error has the one shape: a kind, an outcome, and whether a repeat may succeed.
//!
//! A type that does not have it fails the build. A public error type that is not listed here fails
//! `cargo xtask tidy`.

use std::error::Error;

use pravega_sdk::{
    Classified, ClientFactory, ErrorKind, FactoryError, Outcome, ReadError, TransactionError,
    TryEnqueueError, WriteError,
    codec::CodecError,
    connection_pool::{self, ClaimError, CloseError, CloseFailure, ConnectFailure},
    controller_client::{ControllerError, ControllerUri, ControllerUriError, CredentialError},
    event_stream::group::{GroupReaderError, GroupUpdateError, ReaderGroupError, StaticShareError},
    segment_client::{
        ConnectionError, RequestError,
        attributes::{AttributeError, AttributeValueError},
        error::NoRuntime,
        request::AskError,
    },
    table_synchronizer::{
        KeyVersionError, RevisionError, RevisionedStreamError, StateEntryError, StateError,
        TableError, WatchPositionError,
    },
    tls::TlsError,
    types::{
        Endpoint, EndpointError, EventPointer, EventPointerError, Failure, KeyRange, KeyRangeError,
        NameError, ReaderGroupConfiguration, ReaderGroupConfigurationError, RetryPolicyError,
        ScopedStream, SegmentMapError, SegmentRange, SegmentRangeError, StreamCut, StreamCutError,
        StreamPosition, StreamPositionError, Tag, Timestamp, TimestampError, TransactionId,
        TransactionIdError, modified_utf8::InvalidModifiedUtf8, serial::SerialError,
    },
    wire_protocol::{
        AppendViolation, DecodeError, EncodeError, IncompatibleVersion, event::CorruptEvent,
        value::ValueError,
    },
};

fn shape<E: Error + Classified + Send + Sync + 'static>() {}

/// Lists every public error type.
#[test]
fn every_public_error_has_a_kind_and_an_outcome() {
    // types
    shape::<EndpointError>();
    shape::<EventPointerError>();
    shape::<Failure>();
    shape::<InvalidModifiedUtf8>();
    shape::<KeyRangeError>();
    shape::<NameError>();
    shape::<pravega_sdk::types::PolicyError>();
    shape::<ReaderGroupConfigurationError>();
    shape::<RetryPolicyError>();
    shape::<SegmentMapError>();
    shape::<SegmentRangeError>();
    shape::<SerialError>();
    shape::<StreamCutError>();
    shape::<StreamPositionError>();
    shape::<TimestampError>();
    shape::<TransactionIdError>();
    // codec
    shape::<CodecError>();
    // wire-protocol
    shape::<AppendViolation>();
    shape::<CorruptEvent>();
    shape::<DecodeError>();
    shape::<EncodeError>();
    shape::<IncompatibleVersion>();
    shape::<ValueError>();
    // tls
    shape::<TlsError>();
    // connection-pool
    shape::<ClaimError>();
    shape::<CloseError>();
    shape::<CloseFailure>();
    shape::<ConnectFailure>();
    shape::<connection_pool::PolicyError>();
    // controller-client
    shape::<ControllerError>();
    shape::<ControllerUriError>();
    shape::<CredentialError>();
    // segment-client
    shape::<AskError>();
    shape::<AttributeError>();
    shape::<AttributeValueError>();
    shape::<ConnectionError>();
    shape::<NoRuntime>();
    shape::<ReadError>();
    shape::<RequestError>();
    shape::<WriteError>();
    // table-synchronizer
    shape::<KeyVersionError>();
    shape::<RevisionError>();
    shape::<RevisionedStreamError>();
    shape::<StateEntryError>();
    shape::<StateError>();
    shape::<TableError>();
    shape::<WatchPositionError>();
    // event-stream
    shape::<GroupReaderError>();
    shape::<GroupUpdateError>();
    shape::<ReaderGroupError>();
    shape::<StaticShareError>();
    shape::<TransactionError>();
    shape::<TryEnqueueError>();
    // client-factory
    shape::<FactoryError>();
}

/// Lists every public error type of issuers.
#[cfg(feature = "identity")]
#[test]
fn every_public_error_of_an_issuer_has_a_kind_and_an_outcome() {
    use pravega_sdk::identity::{IdentityError, Keycloak};

    shape::<IdentityError>();
    check(&Keycloak::from_json("{}").unwrap_err(), ErrorKind::Config);
}

/// Lists every public error type of the embedded server.
#[cfg(feature = "embedded")]
#[test]
fn every_public_error_of_the_server_has_a_kind_and_an_outcome() {
    use pravega_sdk::embedded::{ClockError, CopyError, EmbeddedError, OpenError, StartError};

    shape::<ClockError>();
    shape::<CopyError>();
    shape::<EmbeddedError>();
    shape::<OpenError>();
    shape::<StartError>();
}

#[track_caller]
fn check(error: &impl Classified, kind: ErrorKind) {
    assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{error}");
    assert!(!error.is_retryable(), "{error}");
}

#[test]
fn a_refused_text_has_the_kind_of_the_part_that_is_wrong() {
    check(&"no scope".parse::<ScopedStream>().unwrap_err(), ErrorKind::InvalidName);
    check(&"host".parse::<Endpoint>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"http://host:1".parse::<ControllerUri>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"noon".parse::<Timestamp>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"1".parse::<TransactionId>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"".parse::<Tag>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"a/b".parse::<EventPointer>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"?:0-8".parse::<EventPointer>().unwrap_err(), ErrorKind::InvalidName);
    check(&"a/b".parse::<SegmentRange>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"?:0..8".parse::<SegmentRange>().unwrap_err(), ErrorKind::InvalidName);
    check(&"?".parse::<StreamCut>().unwrap_err(), ErrorKind::InvalidStreamCut);
    check(&"middle".parse::<StreamPosition>().unwrap_err(), ErrorKind::InvalidArgument);
    check(&"cut:?".parse::<StreamPosition>().unwrap_err(), ErrorKind::InvalidStreamCut);
    check(&"event:?:0-8".parse::<StreamPosition>().unwrap_err(), ErrorKind::InvalidName);
    check(&"time:noon".parse::<StreamPosition>().unwrap_err(), ErrorKind::InvalidArgument);
}

#[test]
fn refused_values_have_a_kind() {
    check(&KeyRange::new(0.5, 0.5).unwrap_err(), ErrorKind::InvalidArgument);
    check(&ReaderGroupConfiguration::new([]).unwrap_err(), ErrorKind::InvalidArgument);
    check(&EventPointer::from_bytes(&[]).unwrap_err(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn an_address_without_a_host_is_refused_before_anything_is_sent() {
    let refused = ClientFactory::connect("tcp://").await;
    check(&refused.unwrap_err(), ErrorKind::Config);
}
