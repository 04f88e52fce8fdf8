//! Adds credentials to requests.

use pravega_sdk_types::{ErrorKind, Failure, Outcome};
use secrecy::ExposeSecret as _;
use tonic::{Request, metadata::MetadataValue};

use crate::{ControllerError, Credentials};

/// Creates a request of `message` with the present credentials.
pub(super) async fn authorized<M>(
    credentials: &Credentials,
    message: M,
) -> Result<Request<M>, ControllerError> {
    let mut request = Request::new(message);
    let header = credentials
        .authorization()
        .await
        .map_err(|error| unauthenticated("the call has no credentials").with_source(error))?;
    if let Some(header) = header {
        let value = MetadataValue::try_from(header.header_value().expose_secret());
        let mut value =
            value.map_err(|_| unauthenticated("the credentials do not fit a header"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    Ok(request)
}

fn unauthenticated(detail: &str) -> Failure {
    Failure::new(ErrorKind::Unauthenticated, Outcome::NotApplied, detail)
}
