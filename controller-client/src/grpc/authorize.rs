//! Adds credentials to requests.

use pravega_sdk_types::{ErrorKind, Failure, Outcome};
use secrecy::ExposeSecret as _;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};

use crate::{Authorization, ControllerError, Credentials};

/// The most bytes that the headers of a call have: the limit of Java's library for gRPC, which the
/// controller of Pravega does not change.
const MOST: usize = 8 << 10;

/// The header with the credentials of a request.
pub(super) struct Header(Option<(MetadataValue<Ascii>, Authorization)>);

impl Header {
    /// Returns the header with the present credentials.
    pub(super) async fn present(credentials: &Credentials) -> Result<Self, ControllerError> {
        // With the kind of the provider: its issuer may be away, which is no refusal.
        let header = credentials
            .authorization()
            .await
            .map_err(|error| Failure::caused_by(error, "the call has no credentials"))?;
        let Some(authorization) = header else { return Ok(Self(None)) };
        let value = authorization.header_value();
        let len = value.expose_secret().len();
        if len > MOST {
            // Controllers answer that in ways which look like failures that pass.
            let detail = format!(
                "the credentials have {len} bytes, more than the headers of a call may have, {MOST}"
            );
            return Err(unauthenticated(&detail).into());
        }
        let value = MetadataValue::try_from(value.expose_secret());
        let mut value =
            value.map_err(|_| unauthenticated("the credentials do not fit a header"))?;
        value.set_sensitive(true);
        Ok(Self(Some((value, authorization))))
    }

    /// Notes that the controller refused the credentials. Returns true if there may be others now.
    pub(super) fn refused(&self, credentials: &Credentials) -> bool {
        self.0.as_ref().is_some_and(|(_, authorization)| credentials.refused(authorization))
    }

    /// Returns true if another header has the same credentials.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let value = |header: &Self| header.0.as_ref().map(|(value, _)| value.clone());
        value(self) == value(other)
    }

    /// Creates a request with the header.
    pub(super) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some((value, _)) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

fn unauthenticated(detail: &str) -> Failure {
    Failure::new(ErrorKind::Unauthenticated, Outcome::NotApplied, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credentials_that_are_too_long_for_any_controller_are_not_sent() {
        let present = async |len: usize| {
            let credentials = Credentials::bearer("x".repeat(len)).unwrap();
            Header::present(&credentials).await.map(drop)
        };
        assert!(present(MOST - "Bearer ".len()).await.is_ok());
        let error = present(MOST).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Unauthenticated, Outcome::NotApplied)
        );
        assert!(error.to_string().contains("8199 bytes"), "{error}");
    }
}
