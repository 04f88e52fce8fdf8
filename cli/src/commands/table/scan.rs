//! `pravega table scan` and `export`

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use pravega_sdk::{
    table_synchronizer::{KeyValueTable, Keys, TableError},
    types::ScopedKeyValueTable,
};
use serde_json::{Map, Value};

use super::{
    format::{Formats, KeyCoder, Nesting},
    page::{Columns, Layout, Row},
};
use crate::{
    context::Context,
    escape::escape,
    failure::{Failure, Result},
    output::{Format, closed},
};

/// Which keys of a table.
#[derive(Debug, clap::Args)]
struct Selection {
    /// Only this primary key; --prefix, --from and --to are about its secondary keys then
    #[arg(long, value_name = "KEY")]
    primary: Option<String>,
    /// Only keys that begin with this
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    prefix: Option<String>,
    /// The first key
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// The last key
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    /// Stop after this many
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    /// SCOPE/TABLE
    table: ScopedKeyValueTable,
    #[command(flatten)]
    selection: Selection,
    /// Print keys without their values
    #[arg(long, conflicts_with = "value_format")]
    keys_only: bool,
    /// Print the version after each key
    #[arg(long)]
    show_version: bool,
    #[command(flatten)]
    formats: Formats,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// SCOPE/TABLE
    table: ScopedKeyValueTable,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    formats: Formats,
}

/// Entries that are printed together: a page of a server has about as many.
const PAGE: usize = 1000;

pub(super) async fn scan(arguments: Scan, context: &mut Context) -> Result<()> {
    let Scan { table, selection, keys_only, show_version, formats } = arguments;
    let table = context.client().await?.key_value_table(&table).await?;
    let keys = KeyCoder::new(formats.keys, &table);
    let columns = Columns::with_key(show_version);
    let layout = Layout { keys, values: formats.value_format, columns };
    let rows = if keys_only {
        selection.keys(&table, &keys)?
    } else {
        selection.entries(&table, &keys)?
    };
    let output = &mut context.output;
    let (printed, end) = pages(rows, |rows| layout.print(rows, output)).await;
    match end {
        Err(failure) if printed.is_some() => Err(failure.with_hint("the list is not complete")),
        end => end,
    }
}

pub(super) async fn export(arguments: Export, context: &mut Context) -> Result<()> {
    let Export { table, selection, formats } = arguments;
    if context.output.format() == Format::Table {
        return Err(Failure::usage("an export is JSON, one entry per line, and no table"));
    }
    let table = context.client().await?.key_value_table(&table).await?;
    let keys = KeyCoder::new(formats.keys, &table);
    let rows = selection.entries(&table, &keys)?;
    let output = &mut context.output;
    let print = |rows: &[Row]| {
        let mut text = Vec::new();
        for row in rows {
            put_exported(row, &formats, &keys, &mut text);
        }
        output.raw(&text)
    };
    let (last, end) = pages(rows, print).await;
    let Err(failure) = end else { return Ok(()) };
    let Some(last) = last else { return Err(failure) };
    let last = match &selection.primary {
        None => keys.shown_primary(&last.key),
        Some(_) => keys.shown_secondary(&last.key),
    };
    let last = escape(&last);
    let hint = format!("the export is not complete; its last entry and the rest: --from '{last}'");
    Err(failure.with_hint(hint))
}

/// Adds the line of an entry, without its version: an import makes a new one.
fn put_exported(row: &Row, formats: &Formats, keys: &KeyCoder, text: &mut Vec<u8>) {
    let mut fields = Map::new();
    keys.put_fields(&row.key, &mut fields);
    if let Some(value) = &row.value {
        formats.value_format.put_field(value, Nesting::Exact, &mut fields);
    }
    text.extend_from_slice(Value::Object(fields).to_string().as_bytes());
    text.push(b'\n');
}

type Rows = BoxStream<'static, std::result::Result<Row, TableError>>;

/// Prints the rows as they arrive. Returns the last that was printed.
async fn pages(
    rows: Rows,
    mut print: impl FnMut(&[Row]) -> Result<()>,
) -> (Option<Row>, Result<()>) {
    let mut pages = rows.ready_chunks(PAGE);
    let mut last = None;
    let closed = closed();
    tokio::pin!(closed);
    loop {
        let page = tokio::select! {
            biased;
            page = pages.next() => page,
            () = &mut closed => return (last, Ok(())),
        };
        let Some(page) = page else { return (last, Ok(())) };
        let mut rows = Vec::with_capacity(page.len());
        let mut failure = None;
        for row in page {
            match row {
                Ok(row) => rows.push(row),
                // The last item of an iteration.
                Err(error) => failure = Some(error),
            }
        }
        if let Err(failure) = print(&rows) {
            return (last, Err(failure));
        }
        last = rows.pop().or(last);
        if let Some(error) = failure {
            return (last, Err(error.into()));
        }
    }
}

impl Selection {
    fn entries(&self, table: &KeyValueTable, coder: &KeyCoder) -> Result<Rows> {
        let rows = table.entries(&self.range(coder)?)?.map_ok(Row::from);
        Ok(rows.take(self.count()).boxed())
    }

    fn keys(&self, table: &KeyValueTable, coder: &KeyCoder) -> Result<Rows> {
        let rows = table.keys(&self.range(coder)?)?.map_ok(Row::from);
        Ok(rows.take(self.count()).boxed())
    }

    fn count(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    fn range(&self, coder: &KeyCoder) -> Result<Keys> {
        let prefix = self.prefix.as_deref().map(|text| coder.prefix(text)).transpose()?;
        let Some(primary) = &self.primary else {
            let end =
                |text: &Option<String>| text.as_deref().map(|text| coder.primary(text)).transpose();
            return Ok(match prefix {
                Some(prefix) => Keys::prefix(prefix),
                None => Keys::range(end(&self.from)?, end(&self.to)?),
            });
        };
        let end =
            |text: &Option<String>| text.as_deref().map(|text| coder.secondary(text)).transpose();
        let keys = Keys::of(coder.primary(primary)?);
        Ok(match prefix {
            Some(prefix) => keys.secondary_prefix(prefix),
            None => keys.secondary_range(end(&self.from)?, end(&self.to)?),
        })
    }
}
