//! What the rules of a user grant: tokens, and what calls need.

use super::{
    operation::Operation,
    resource::{Need, Resource, operation_to_write, operation_to_write_table},
    rules::Rules,
};

/// What a token allows on a stream, and on the key-value table with the same name: nothing, if it
/// is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub(super) stream: Option<Operation>,
    pub(super) table: Option<Operation>,
}

impl Grant {
    /// The most of an operation that a user may do with a stream or a table. Without rules, a user
    /// may do everything.
    pub fn of(rules: Option<&Rules>, scope: &str, name: &str, asked: Operation) -> Self {
        let Some(rules) = rules else {
            return Self { stream: Some(asked), table: Some(asked) };
        };
        let of = |resource: Resource<'_>, to_write: Operation| {
            let allowed = rules.allow(&resource)?;
            let most = if allowed >= to_write { Operation::Write } else { Operation::Read };
            Some(most.min(asked))
        };
        Self {
            stream: of(Resource::of_stream(scope, name), operation_to_write(name)),
            table: of(Resource::of_table(scope, name), operation_to_write_table(name)),
        }
    }

    /// Returns true if an operation is allowed on one of the two.
    pub fn allows(&self, operation: Operation) -> bool {
        self.stream.max(self.table) >= Some(operation)
    }
}

impl Need<'_> {
    /// Returns true if rules allow it.
    pub fn is_allowed_by(&self, rules: &Rules) -> bool {
        match self {
            Self::Nothing => true,
            Self::Allowed(operation, resource) => rules.may(*operation, resource),
            Self::Token(operation, scope, name) => {
                Grant::of(Some(rules), scope, name, *operation).allows(*operation)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::parse(text).0
    }

    #[test]
    fn a_right_on_a_stream_or_on_the_table_with_its_name_is_enough_for_a_token() {
        let need = Need::Token(Operation::Write, "a", "t");
        assert!(need.is_allowed_by(&rules("prn::/scope:a/key-value-table:t,READ_UPDATE")));
        assert!(need.is_allowed_by(&rules("prn::/scope:a/stream:t,READ_UPDATE")));
        assert!(!need.is_allowed_by(&rules("prn::/scope:a/stream:t,READ")));
        assert!(!need.is_allowed_by(&rules("prn::/scope:a,READ_UPDATE")));
        assert!(Need::Nothing.is_allowed_by(&rules("")));
    }
}
