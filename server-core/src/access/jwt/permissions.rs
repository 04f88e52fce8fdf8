//! What Keycloak grants: the permissions in a token that its authorization services have issued
//! (a requesting party token), as rules.
//!
//! ```json
//! { "authorization": { "permissions": [
//!     { "rsname": "prn::/scope:shop/stream:orders", "scopes": ["READ_UPDATE"] }
//! ] } }
//! ```
//!
//! Clients of Pravega ask Keycloak for such a token with all that they are granted. A resource has
//! the name that rules have, of which `*` may be a part, and its scopes are Pravega's rights.

use serde::Deserialize;

use crate::access::{operation::Operation, rules::Rules};

/// How the names of all resources of Pravega begin.
const PRAVEGA: &str = "prn::";

/// The claim of that name.
#[derive(Deserialize, Default)]
pub(super) struct Authorization {
    #[serde(default)]
    permissions: Vec<Permission>,
}

#[derive(Deserialize)]
struct Permission {
    rsname: Option<String>,
    scopes: Option<Vec<String>>,
}

impl Authorization {
    /// The permissions as rules. Those for resources that are none of Pravega's, or without a right
    /// of Pravega's, grant nothing.
    pub(super) fn rules(&self) -> Rules {
        let grants = self.permissions.iter().filter_map(Permission::grant);
        let (rules, _) = Rules::of_grants(grants);
        rules
    }
}

impl Permission {
    fn grant(&self) -> Option<(&str, Operation)> {
        let name = self.rsname.as_deref().filter(|name| name.starts_with(PRAVEGA))?;
        let scopes = self.scopes.as_deref().unwrap_or_default();
        let most = scopes.iter().filter_map(|scope| Operation::of(scope)).max()?;
        Some((name, most))
    }
}
