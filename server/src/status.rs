//! The statuses of calls that are not made or fail, as gRPC has them.

use pravega_sdk_server_core::catalog::CallError;
use tonic::Status;

use crate::identity::{self, Refused};

/// The longest text of a status, in bytes. It has names of the request, which are as long as the
/// client likes, and a text that the client does not take is lent by no pool.
const TEXT: usize = 1 << 10;

/// The status of a client that is not served.
pub(crate) fn of_refused(refused: Refused) -> Status {
    match refused {
        Refused::Unknown => Status::unauthenticated("the credentials are missing or wrong"),
        Refused::Forbidden(need) => {
            Status::permission_denied(cut(format!("the account may not: {need}")))
        }
        Refused::Busy => Status::unavailable(identity::BUSY),
        #[cfg(feature = "jwt")]
        Refused::NoKeys => Status::unavailable(identity::NO_KEYS),
    }
}

/// The status of a failed call.
pub(crate) fn of_failed(error: CallError) -> Status {
    match error {
        CallError::NotFound(message) => Status::not_found(cut(message)),
        CallError::Internal(message) => Status::internal(cut(message)),
        CallError::Unknown(message) => Status::unknown(cut(message)),
        CallError::Invalid(message) => Status::invalid_argument(cut(message)),
        CallError::ResourceExhausted(message) => Status::resource_exhausted(cut(message)),
        CallError::Unavailable(message) => Status::unavailable(cut(message)),
    }
}

fn cut(text: String) -> String {
    if text.len() <= TEXT {
        return text;
    }
    let end = (0..=TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use pravega_sdk_server_core::access::{Need, Operation, Resource};

    use super::*;

    #[test]
    fn the_text_of_a_status_is_short_however_long_the_names_of_its_request_are() {
        let long = "\u{e4}".repeat(500_000);
        let need = Need::Allowed(Operation::Read, Resource::Stream(&long, &long)).to_string();
        for status in [
            of_failed(CallError::NotFound(format!("stream x{long} is not found"))),
            of_failed(CallError::Invalid(long)),
            of_refused(Refused::Forbidden(need)),
        ] {
            assert!((TEXT..TEXT + 10).contains(&status.message().len()), "{}", status.message());
            assert!(status.message().ends_with("\u{e4}..."));
        }
        let short = of_failed(CallError::NotFound("stream a/b is not found".to_owned()));
        assert_eq!(short.message(), "stream a/b is not found");
    }
}
