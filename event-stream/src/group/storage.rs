//! The places where the state of a group can be kept.

/// Where the state of a reader group is kept, on which all its readers agree.
///
/// It is chosen when the group is created, and stays. Readers and handles find it by themselves.
///
/// | | [`Stream`](Self::Stream) | [`Table`](Self::Table) |
/// |---|---|---|
/// | readers of Java's client | can join | are refused by their own client |
/// | an update writes | itself | the pages of the state that it changes, of 64 segments each |
/// | a change is read as | each update since the last look | the latest value of each page that changed |
/// | a reader that joins reads | the last whole state, and the updates since | the state |
/// | the state as a whole is written | after each 512 KiB of updates | never |
/// | the reports of readers | conflict with all updates | conflict with none of each other |
/// | longest state | 8 MiB | about 16 MB |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum GroupStorage {
    /// The stream that the controller creates for the group, as in Java's client.
    #[default]
    Stream,
    /// A table, for groups whose readers are all of this client.
    ///
    /// The group's stream has a mark, which Java's client cannot read. Its readers, handles and
    /// deletions fail with a `NumberFormatException` that says why, and what they write is not
    /// read. Leases are beside the mark.
    ///
    /// A change is read by each reader as the pages that changed, whatever the size of the group.
    ///
    /// The table is one table segment, which no controller lists. It is deleted with the group by
    /// this client. A deletion by another client of the controller, such as one of REST, and that
    /// of the scope leave it: readers find the group deleted, and a later group of its name has
    /// another table.
    Table,
}
