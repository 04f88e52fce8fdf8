//! What a command does not find: which part of its name does not exist, and what was meant perhaps.

use std::{fmt, sync::Arc, time::Duration};

use clap::ArgMatches;
use futures_util::StreamExt as _;
use pravega_sdk::{
    ClientFactory,
    controller_client::{Controller, listing},
    types::{
        ErrorKind, Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment, ScopedStream,
        StreamCut,
    },
};

use crate::{
    context::Context,
    failure::{Failure, Result},
    options::chosen,
    similar::similar,
};

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Scope(Scope),
    Stream(ScopedStream),
    Group(ScopedReaderGroup),
    Table(ScopedKeyValueTable),
}

/// The subjects of a command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Subjects {
    named: Vec<Subject>,
    /// What the command creates: only the scope of it must exist.
    created: Option<Subject>,
}

/// Time for finding out what exists. A failure is reported without advice after it.
const LIMIT: Duration = Duration::from_secs(3);
/// Names that are looked through.
const MAX_NAMES: usize = 10_000;
/// Names that are listed if none of them is similar.
const LISTED: usize = 5;

impl Subjects {
    /// Finds the subjects among the arguments, by the names and types that all commands use.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let (path, inner) = chosen(matches);
        let mut subjects = Self::default();
        let main = subject(inner);
        match path.last() {
            Some(&"create") => subjects.created = main,
            _ => subjects.named.extend(main),
        }
        for stream in all::<ScopedStream>(inner, "streams") {
            subjects.named.push(Subject::Stream(stream));
        }
        for id in ["cut", "from", "to"] {
            let cuts = all::<StreamCut>(inner, id);
            let streams = cuts.iter().filter_map(|cut| cut.bounded());
            subjects.named.extend(streams.map(|cut| Subject::Stream(cut.stream().clone())));
        }
        subjects
    }
}

/// The argument that names what a command is about.
fn subject(matches: &ArgMatches) -> Option<Subject> {
    let stream = one::<ScopedStream>(matches, "stream");
    let segment = one::<ScopedSegment>(matches, "segment").map(|it| it.scoped_stream());
    let group = || one::<ScopedReaderGroup>(matches, "group").map(Subject::Group);
    let table = || one::<ScopedKeyValueTable>(matches, "table").map(Subject::Table);
    let scope = || one::<Scope>(matches, "scope").map(Subject::Scope);
    stream.or(segment).map(Subject::Stream).or_else(group).or_else(table).or_else(scope)
}

fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    matches.try_get_one::<T>(id).ok().flatten().cloned()
}

fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Vec<T> {
    matches.try_get_many::<T>(id).ok().flatten().map(|it| it.cloned().collect()).unwrap_or_default()
}

/// Returns the failure of a command, in words about what does not exist, if that is the reason and
/// can be found out.
pub(crate) async fn explain(failure: Failure, subjects: &Subjects, context: &Context) -> Failure {
    if failure.kind() != Some(ErrorKind::NotFound) {
        return failure;
    }
    let missing = async {
        let client = context.client_for_advice().ok()?;
        if let Some(created) = &subjects.created
            && let Some(missing) = missing_scope(created.scope(), client.controller()).await.ok()?
        {
            return Some(missing);
        }
        for subject in &subjects.named {
            if let Some(missing) = find_missing(subject, &client).await.ok()? {
                return Some(missing);
            }
        }
        None
    };
    match tokio::time::timeout(LIMIT, missing).await {
        Ok(Some(missing)) => failure.explained(missing.text(), missing.hint()),
        Ok(None) | Err(_) => failure,
    }
}

/// Something that does not exist, and what does.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    what: &'static str,
    /// With its scope, if it has one.
    name: String,
    /// The names beside which it would be, without their scope.
    names: Names,
    create: Option<String>,
    list: String,
}

/// The names in a scope, or of all scopes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    known: Vec<String>,
    has_more: bool,
}

async fn find_missing(subject: &Subject, client: &ClientFactory) -> Result<Option<Missing>> {
    let controller = client.controller();
    if let Some(missing) = missing_scope(subject.scope(), controller).await? {
        return Ok(Some(missing));
    }
    let scope = subject.scope().clone();
    let names = match subject {
        Subject::Scope(_) => return Ok(None),
        Subject::Stream(_) => {
            let streams = listing::streams(Arc::clone(controller), scope);
            Names::of(streams, |stream| stream.stream().as_str().to_owned()).await?
        }
        Subject::Group(_) => {
            let groups = client.reader_groups(scope);
            Names::of(groups, |group| group.group().as_str().to_owned()).await?
        }
        Subject::Table(_) => {
            let tables = listing::key_value_tables(Arc::clone(controller), scope);
            Names::of(tables, |table| table.table().as_str().to_owned()).await?
        }
    };
    Ok(Missing::of(subject, names))
}

async fn missing_scope(scope: &Scope, controller: &Arc<dyn Controller>) -> Result<Option<Missing>> {
    if controller.scope_exists(scope).await? {
        return Ok(None);
    }
    let scopes = listing::scopes(Arc::clone(controller));
    let names = Names::of(scopes, |scope| scope.as_str().to_owned()).await?;
    Ok(Missing::of(&Subject::Scope(scope.clone()), names))
}

impl Names {
    async fn of<T, E>(
        mut listing: impl futures_util::Stream<Item = std::result::Result<T, E>> + Unpin,
        name: impl Fn(T) -> String,
    ) -> Result<Self>
    where
        Failure: From<E>,
    {
        let mut names = Self::default();
        while let Some(item) = listing.next().await {
            if names.known.len() == MAX_NAMES {
                names.has_more = true;
                break;
            }
            names.known.push(name(item?));
        }
        Ok(names)
    }
}

impl Subject {
    fn scope(&self) -> &Scope {
        match self {
            Self::Scope(scope) => scope,
            Self::Stream(stream) => stream.scope(),
            Self::Group(group) => group.scope(),
            Self::Table(table) => table.scope(),
        }
    }

    /// What it is, and its name without the scope.
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Scope(scope) => ("scope", scope.as_str()),
            Self::Stream(stream) => ("stream", stream.stream().as_str()),
            Self::Group(group) => ("reader group", group.group().as_str()),
            Self::Table(table) => ("table", table.table().as_str()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => scope.fmt(f),
            Self::Stream(stream) => stream.fmt(f),
            Self::Group(group) => group.fmt(f),
            Self::Table(table) => table.fmt(f),
        }
    }
}

impl Missing {
    /// `None` if the names have it, or are too many to tell.
    fn of(subject: &Subject, names: Names) -> Option<Self> {
        let (what, own) = subject.parts();
        if names.has_more || names.known.iter().any(|name| name == own) {
            return None;
        }
        let (name, scope) = (subject.to_string(), subject.scope());
        let (create, list) = match subject {
            Subject::Scope(_) => {
                (Some(format!("pravega scope create {name}")), "pravega scope list".to_owned())
            }
            Subject::Stream(_) => (
                Some(format!("pravega stream create {name}")),
                format!("pravega stream list {scope}"),
            ),
            Subject::Group(_) => (
                Some(format!("pravega group create {name} --stream {scope}/STREAM")),
                format!("pravega group list {scope}"),
            ),
            Subject::Table(_) => (
                Some(format!("pravega table create {name} --primary-key-length BYTES")),
                format!("pravega table list {scope}"),
            ),
        };
        // No user creates what has the name of an internal one.
        let create = create.filter(|_| !own.starts_with('_'));
        Some(Self { what, name, names, create, list })
    }

    fn text(&self) -> String {
        format!("there is no {} {}", self.what, self.name)
    }

    fn hint(&self) -> String {
        let (before, own) = match self.name.rsplit_once('/') {
            Some((scope, own)) => (format!("{scope}/"), own),
            None => (String::new(), self.name.as_str()),
        };
        let public: Vec<&str> = self.names.known.iter().map(String::as_str).collect();
        let public: Vec<&str> = public.into_iter().filter(|name| !name.starts_with('_')).collect();
        let found = match similar(own, &public) {
            Some(similar) => Some(format!("did you mean {before}{similar}?")),
            None if public.is_empty() => None,
            None if public.len() <= LISTED => {
                let full: Vec<String> =
                    public.iter().map(|name| format!("{before}{name}")).collect();
                Some(format!("existing {}s: {}.", self.what, full.join(", ")))
            }
            None => Some(format!("to list the existing {}s: {}.", self.what, self.list)),
        };
        let create = self.create.as_ref().map(|create| format!("To create it: {create}"));
        match (found, create) {
            (Some(found), Some(create)) => format!("{found} {create}"),
            (Some(found), None) => found.trim_end_matches('.').to_owned(),
            (None, Some(create)) => create.replacen('T', "t", 1),
            (None, None) => format!("to list the existing {}s: {}", self.what, self.list),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(arguments: &[&str]) -> Subjects {
        let arguments = [&["pravega"], arguments].concat();
        Subjects::of(&crate::command().try_get_matches_from(arguments).unwrap())
    }

    #[test]
    fn the_subject_of_a_command_is_found_among_its_arguments() {
        let stream = || Subject::Stream("s/t".parse().unwrap());
        let scope = || Subject::Scope("s".parse().unwrap());
        let group = || Subject::Group("s/g".parse().unwrap());
        let table = || Subject::Table("s/t".parse().unwrap());
        for (arguments, subject) in [
            (&["read", "s/t"][..], stream()),
            (&["read", "s/t", "--group", "g"], stream()),
            (&["write", "s/t"], stream()),
            (&["bytes", "get", "s/t"], stream()),
            (&["txn", "begin", "s/t"], stream()),
            (&["stream", "describe", "s/t"], stream()),
            (&["segment", "locate", "s/t/0.#epoch.0"], stream()),
            (&["stream", "list", "s"], scope()),
            (&["scope", "delete", "s"], scope()),
            (&["group", "describe", "s/g"], group()),
            (&["group", "checkpoint", "s/g"], group()),
            (&["table", "get", "s/t", "k"], table()),
            (&["table", "segments", "s/t"], table()),
        ] {
            let expected = Subjects { named: vec![subject], created: None };
            assert_eq!(subjects(arguments), expected, "{arguments:?}");
        }
        assert_eq!(subjects(&["scope", "list"]), Subjects::default());
    }

    #[test]
    fn of_what_is_created_only_the_scope_must_exist_and_of_a_group_also_the_streams() {
        let created = subjects(&["stream", "create", "s/t"]);
        assert_eq!(created.created, Some(Subject::Stream("s/t".parse().unwrap())));
        assert_eq!(created.named, []);
        let created = subjects(&["group", "create", "s/g", "--stream", "s/t"]);
        assert_eq!(created.created, Some(Subject::Group("s/g".parse().unwrap())));
        assert_eq!(created.named, [Subject::Stream("s/t".parse().unwrap())]);
    }

    fn missing(subject: &Subject, names: &[&str]) -> Option<(String, String)> {
        let known = names.iter().map(ToString::to_string).collect();
        let missing = Missing::of(subject, Names { known, has_more: false });
        missing.map(|missing| (missing.text(), missing.hint()))
    }

    #[test]
    fn a_missing_name_is_told_once_with_one_like_it_and_how_to_create_it() {
        let stream = Subject::Stream("shop/order".parse().unwrap());
        let (text, hint) = missing(&stream, &["refunds", "orders", "_MARKorders"]).unwrap();
        assert_eq!(text, "there is no stream shop/order");
        let create = "o create it: pravega stream create shop/order";
        assert_eq!(hint, format!("did you mean shop/orders? T{create}"));
        let (_, hint) = missing(&stream, &["film", "log"]).unwrap();
        assert_eq!(hint, format!("existing streams: shop/film, shop/log. T{create}"));
        let (_, hint) = missing(&stream, &["a", "b", "c", "d", "e", "f"]).unwrap();
        assert_eq!(
            hint,
            format!("to list the existing streams: pravega stream list shop. T{create}")
        );
        let (_, hint) = missing(&stream, &["_MARKorder"]).unwrap();
        assert_eq!(hint, format!("t{create}"));
        let internal = Subject::Stream(ScopedStream::internal("shop/_MARKorders").unwrap());
        let (_, hint) = missing(&internal, &["orders"]).unwrap();
        assert_eq!(hint, "existing streams: shop/orders");
        let (text, hint) = missing(&Subject::Scope("shp".parse().unwrap()), &["shop"]).unwrap();
        assert_eq!(text, "there is no scope shp");
        assert_eq!(hint, "did you mean shop? To create it: pravega scope create shp");
    }

    #[test]
    fn what_exists_or_may_exist_is_not_called_missing() {
        let stream = Subject::Stream("shop/orders".parse().unwrap());
        assert_eq!(missing(&stream, &["orders"]), None);
        let names = Names { known: Vec::new(), has_more: true };
        assert_eq!(Missing::of(&stream, names), None);
    }
}
