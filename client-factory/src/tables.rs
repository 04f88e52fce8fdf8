//! Openers of tables that clients agree on.

use pravega_sdk_event_stream::codec::Codec;
use pravega_sdk_table_synchronizer::{SynchronizerConfig, TableError, TableSynchronizer};
use pravega_sdk_types::ScopedKeyValueTable;

use crate::factory::ClientFactory;

impl ClientFactory {
    /// Opens a table whose entries many clients agree on, which is created unless it exists; see
    /// [`TableSynchronizer::open`].
    ///
    /// # Errors
    ///
    /// [`TableError`] if the table is not one of a synchronizer, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the table may or may not exist.
    pub async fn table_synchronizer<K: Codec, V: Codec>(
        &self,
        table: &ScopedKeyValueTable,
        key_codec: K,
        value_codec: V,
    ) -> Result<TableSynchronizer<K, V>, TableError> {
        let config = SynchronizerConfig::default();
        self.table_synchronizer_with(table, key_codec, value_codec, config).await
    }

    /// As [`Self::table_synchronizer`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::table_synchronizer`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::table_synchronizer`].
    pub async fn table_synchronizer_with<K: Codec, V: Codec>(
        &self,
        table: &ScopedKeyValueTable,
        key_codec: K,
        value_codec: V,
        config: SynchronizerConfig,
    ) -> Result<TableSynchronizer<K, V>, TableError> {
        let context = self.segment_context();
        TableSynchronizer::open(context, table, key_codec, value_codec, config).await
    }
}
