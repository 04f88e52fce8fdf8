//! A number that many programs add to.

use std::fmt;

use bytes::Bytes;
use pravega_sdk_codec::Raw;
use pravega_sdk_types::{ErrorKind, Outcome};

use crate::{
    error::TableError,
    synchronizer::{TableSynchronizer, Update},
};

/// A number that many programs add to, each addition once.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_codec::Raw;
/// use pravega_sdk_table_synchronizer::{TableSynchronizer, recipes::Counter};
///
/// # type Done = Result<(), Box<dyn std::error::Error>>;
/// # async fn example(table: TableSynchronizer<Raw, Raw>) -> Done {
/// let mut orders = Counter::new(table, "orders");
/// let number = orders.add(1).await?;
/// println!("this is order {number}");
/// # Ok(())
/// # }
/// ```
pub struct Counter {
    table: TableSynchronizer<Raw, Raw>,
    key: Bytes,
}

impl Counter {
    /// Creates the handle of a counter, which is stored under a key. Nothing is sent.
    pub fn new(table: TableSynchronizer<Raw, Raw>, key: impl Into<Bytes>) -> Self {
        Self { table, key: key.into() }
    }

    /// Adds a number, which may be negative, and returns the sum. A counter begins at 0.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`]; of the kind
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the sum is too large, and
    /// [`Corrupt`](ErrorKind::Corrupt) if the key has a value that is no number.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the number may or may not be added.
    pub async fn add(&mut self, number: i64) -> Result<i64, TableError> {
        let key = &self.key;
        let added = self.table.update(|changes| {
            let before = read(changes.get(key.clone())?)?;
            let sum = before.checked_add(number).ok_or_else(|| {
                TableError::invalid(format_args!("{number} and the counter are more than it holds"))
            })?;
            changes.put(key.clone(), sum.to_be_bytes().to_vec())?;
            Ok(sum)
        });
        added.await.map(Update::into_inner)
    }

    /// Returns the number as it is in the table.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::fetch`], and of the kind
    /// [`Corrupt`](ErrorKind::Corrupt) if the key has a value that is no number.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn value(&mut self) -> Result<i64, TableError> {
        self.table.fetch().await?;
        read(self.table.state().get(self.key.clone())?)
    }
}

fn read(stored: Option<Bytes>) -> Result<i64, TableError> {
    let Some(stored) = stored else { return Ok(0) };
    stored.as_ref().try_into().map(i64::from_be_bytes).map_err(|_| {
        let detail = "the stored value is not a counter";
        TableError::new(ErrorKind::Corrupt, Outcome::NotApplied, detail)
    })
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("table", &self.table).finish_non_exhaustive()
    }
}
