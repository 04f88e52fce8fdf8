//! Whether the head of a file is that of a folder's own file.

use super::{
    head::{FileHead, FileKind},
    ids::{FileNumber, FolderId, Salt},
    problem::What,
};

impl FileHead {
    /// Reads the head of a file of a folder, with its salt if that is known.
    pub(super) fn decode_of(
        bytes: &[u8],
        folder: FolderId,
        (kind, number): (FileKind, FileNumber),
        salt: Option<Salt>,
    ) -> Result<Self, What> {
        let head = Self::decode(bytes)?;
        head.check(folder, kind, number)?;
        if salt.is_some_and(|salt| salt != head.salt) { Err(What::NotOfLog) } else { Ok(head) }
    }

    /// Checks that the head is that of a file of a folder.
    pub(super) fn check(
        &self,
        folder: FolderId,
        kind: FileKind,
        number: FileNumber,
    ) -> Result<(), What> {
        if self.folder != folder {
            Err(What::OtherFolder(self.folder))
        } else if self.kind != kind {
            Err(What::OtherKind)
        } else if self.number != number {
            Err(What::OtherNumber(self.number))
        } else {
            Ok(())
        }
    }
}
