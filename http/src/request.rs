//! What is asked of a server.

use secrecy::SecretString;

use crate::Url;

/// A request: a GET, or a POST of a form. JSON is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    url: Url,
    authorization: Option<SecretString>,
    form: Option<SecretString>,
}

impl Request {
    /// Creates a GET of a page.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self { url, authorization: None, form: None }
    }

    /// Creates a POST of a form, which is encoded as `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn post(url: Url, form: SecretString) -> Self {
        Self { form: Some(form), ..Self::get(url) }
    }

    /// Sets the header `Authorization`.
    #[must_use]
    pub fn with_authorization(mut self, authorization: SecretString) -> Self {
        self.authorization = Some(authorization);
        self
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the header `Authorization`, if there is one.
    #[must_use]
    pub fn authorization(&self) -> Option<&SecretString> {
        self.authorization.as_ref()
    }

    /// Returns the form of a POST.
    #[must_use]
    pub fn form(&self) -> Option<&SecretString> {
        self.form.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let url = Url::parse("https://h/x?key=hunter2").unwrap();
        let request = Request::post(url, "secret=hunter2".into());
        let shown = format!("{:?}", request.with_authorization("Bearer hunter2".into()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
