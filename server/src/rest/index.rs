//! What the service has, for a person who opens its address.

/// The paths of the service.
const INDEX: &str = "\
The REST interface of a Pravega server

/v1/scopes                                      scopes
/v1/scopes/SCOPE/streams                        streams of a scope
/v1/scopes/SCOPE/streams/STREAM                 configuration of a stream
/v1/scopes/SCOPE/streams/STREAM/scaling-events  how it scaled: ?from=MILLIS&to=MILLIS
/v1/scopes/SCOPE/readergroups                   reader groups of a scope
/v1/scopes/SCOPE/readergroups/GROUP             streams and readers of a group
/v1/health                                      whether the server takes changes
/metrics                                        figures, as Prometheus reads them
";

pub(super) async fn show() -> &'static str {
    INDEX
}
