//! Copies of the segments: the records that restore them.
//!
//! A copy is made in portions, and clients are served between them. A change of what was copied
//! already is followed: its record belongs to the copy as well. A change of what was not copied yet
//! is copied as it is then. Of the segment in between, of which a part is copied, attributes are
//! followed one by one; bytes and entries are only added after those that are copied; and its
//! start, its length, its end and its time are copied last.

use std::ops::ControlFlow;

use bytes::Bytes;
use bytestring::ByteString;
use uuid::Uuid;

use super::{
    copying::{CopiedPart, CopyPlace, Extent},
    requests::Progress,
    segment::{Content, Segment},
    state::Store,
};
use crate::{
    copying::Copying,
    record::{Attributes, KeyVersion, Many, Millis, Portion, Record},
};

/// The most attributes in one record of a copy.
const ATTRIBUTES: usize = 4096;
/// The memory of each.
const ATTRIBUTE_BYTES: usize = 24;
/// The longest part of a segment's bytes in one record of a copy.
const BYTES: usize = 256 << 10;

impl Store {
    /// Begins a copy, in place of one that was not finished.
    pub(crate) fn begin_copy(&mut self) {
        self.copying = Some(Copying::default());
        self.unmade.forget_copy();
    }

    /// Adds the next records to a portion of the copy.
    pub(crate) fn copy(&mut self, portion: &mut Portion) -> Progress {
        let Some(Copying { mut place, followed }) = self.copying.take() else {
            return Progress::Finished;
        };
        let was_finished = matches!(place, CopyPlace::End);
        while !portion.is_full() && !matches!(place, CopyPlace::End) {
            place = self.copy_next(place, portion);
        }
        if !was_finished && matches!(place, CopyPlace::End) {
            // The changes of many segments that are not made yet follow the segments.
            self.unmade.copy().into_iter().for_each(|record| portion.push(record));
        }
        let is_finished = matches!(place, CopyPlace::End);
        self.copying = Some(Copying { place, followed });
        if is_finished { Progress::Finished } else { Progress::Unfinished }
    }

    /// Copies the next segment, or a part of it; returns how far the copy has come.
    fn copy_next(&self, place: CopyPlace, portion: &mut Portion) -> CopyPlace {
        let next = match &place {
            CopyPlace::Begin => self.segments.last_key_value(),
            CopyPlace::Within(name, _) => self.segments.get_key_value(name),
            CopyPlace::From(name) => self.segments.range::<ByteString, _>(..name).next_back(),
            CopyPlace::End => None,
        };
        let Some((name, segment)) = next else {
            return CopyPlace::End;
        };
        let part = if let CopyPlace::Within(_, part) = place { Some(part) } else { None };
        match copy_segment(name, segment, part, portion) {
            ControlFlow::Break(part) => CopyPlace::Within(name.clone(), part),
            ControlFlow::Continue(()) => CopyPlace::From(name.clone()),
        }
    }

    /// Takes the changes of what was copied already, since the last call.
    pub(crate) fn take_followed(&mut self) -> Vec<Record> {
        self.copying.as_mut().map(Copying::take_followed).unwrap_or_default()
    }

    /// Ends the copy.
    pub(crate) fn end_copy(&mut self) {
        self.copying = None;
        self.unmade.forget_copy();
    }

    /// Notes a change of many segments that is begun; returns true if the copy has it whole. What a
    /// copy does not have whole is followed segment by segment, as it is made.
    pub(super) fn follow_many(&mut self, many: &Many) -> bool {
        match &mut self.copying {
            Some(Copying { place: CopyPlace::End, followed }) => {
                followed.push(Record::Many(many.clone()));
                true
            }
            _ => false,
        }
    }

    /// Notes a change before it is applied, if it changes what was copied.
    pub(super) fn follow(&mut self, record: &Record) {
        let Some(mut copying) = self.copying.take() else { return };
        match record {
            Record::Merged { target, source, attributes, at } => {
                self.follow_merge(&mut copying, target, source, (attributes, *at));
            }
            record => copying.follow(record),
        }
        self.copying = Some(copying);
    }

    fn follow_merge(
        &self,
        copying: &mut Copying<CopyPlace>,
        target: &ByteString,
        source: &ByteString,
        (attributes, at): (&Attributes, Millis),
    ) {
        let Ok(from) = self.segment(source) else { return };
        let of_source = copying.place.extent(source);
        match (copying.place.extent(target), of_source) {
            (Extent::Whole, Extent::Whole) => {
                let (target, source, attributes) =
                    (target.clone(), source.clone(), attributes.clone());
                copying.followed.push(Record::Merged { target, source, attributes, at });
                return;
            }
            (Extent::Whole, _) => {
                let segment = || target.clone();
                let attributes = attributes.clone();
                // The time is that of the merge, also if there are no bytes.
                let data = Bytes::new();
                copying.followed.push(Record::Appended {
                    segment: segment(),
                    data,
                    attributes,
                    at,
                });
                if let Content::Stream(bytes) = &from.content {
                    copying.followed.extend(bytes.pieces().map(|data| {
                        let attributes = Attributes::new();
                        Record::Appended { segment: segment(), data, attributes, at }
                    }));
                }
            }
            (Extent::Part(part), _) => {
                copying.follow_attributes(target, attributes, part);
            }
            (Extent::Nothing, _) => {}
        }
        if of_source != Extent::Nothing {
            copying.follow(&Record::Deleted { segment: source.clone() });
        }
    }

    /// The whole store as records that restore it.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        for (name, segment) in &self.segments {
            let mut portion = Portion::new(usize::MAX);
            // It is never full.
            let _whole = copy_segment(name, segment, None, &mut portion);
            portion.records.into_iter().for_each(&mut put);
        }
        self.unmade.records().for_each(put);
    }
}

impl Copying<CopyPlace> {
    /// Notes a change of one segment.
    fn follow(&mut self, record: &Record) {
        let Some(segment) = record.segment() else { return };
        let part = match self.place.extent(segment) {
            Extent::Nothing => return,
            Extent::Whole => return self.followed.push(record.clone()),
            Extent::Part(part) => part,
        };
        match record {
            Record::Deleted { .. } => {
                self.place = CopyPlace::From(segment.clone());
                self.followed.push(record.clone());
            }
            // What is removed may have been copied.
            Record::Removed { .. } => self.followed.push(record.clone()),
            Record::Appended { attributes, .. } | Record::Attributed { attributes, .. } => {
                self.follow_attributes(segment, attributes, part);
            }
            _ => {}
        }
    }

    fn follow_attributes(
        &mut self,
        segment: &ByteString,
        attributes: &Attributes,
        part: CopiedPart,
    ) {
        let copied = attributes.iter().filter(|(id, _)| part.has_attribute(*id));
        let attributes: Attributes = copied.copied().collect();
        if !attributes.is_empty() {
            self.followed.push(Record::Attributed { segment: segment.clone(), attributes });
        }
    }
}

/// Copies a segment from the part on that is copied already; breaks off with the part that is
/// copied then if the portion is full.
fn copy_segment(
    name: &ByteString,
    segment: &Segment,
    part: Option<CopiedPart>,
    portion: &mut Portion,
) -> ControlFlow<CopiedPart> {
    let was_begun = part.is_some();
    let part = match part {
        None => copy_attributes(name, segment, None, portion)?,
        Some(CopiedPart::Attributes(last)) => copy_attributes(name, segment, Some(last), portion)?,
        Some(part) => part,
    };
    match (&segment.content, part) {
        (Content::Stream(_), CopiedPart::Bytes(at)) => copy_bytes(name, segment, at, portion)?,
        (Content::Table(table, _), CopiedPart::Entries(last)) => {
            for (key, value, version) in table.after(last) {
                portion.push(Record::RestoredEntry { segment: name.clone(), key, value, version });
                if portion.is_full() {
                    return ControlFlow::Break(CopiedPart::Entries(version));
                }
            }
        }
        // The part is that of this kind of segment.
        _ => {}
    }
    let at = segment.last_modified;
    if was_begun {
        if segment.table().is_some() {
            portion.push(restored(name, segment));
        }
        // The time is that of the last change in any case.
        let offset = segment.start();
        portion.push(Record::Truncated { segment: name.clone(), offset, at });
    }
    if segment.sealed {
        portion.push(Record::Sealed { segment: name.clone(), at });
    }
    ControlFlow::Continue(())
}

fn restored(name: &ByteString, segment: &Segment) -> Record {
    let (start, length) = (segment.start(), segment.len());
    Record::Restored { segment: name.clone(), start, length }
}

/// Copies the attributes after one, and where the segment starts; without one, from its creation
/// on. Returns the part that is copied then.
fn copy_attributes(
    name: &ByteString,
    segment: &Segment,
    mut after: Option<Uuid>,
    portion: &mut Portion,
) -> ControlFlow<CopiedPart, CopiedPart> {
    let most = (portion.enough() / ATTRIBUTE_BYTES).clamp(1, ATTRIBUTES);
    loop {
        let attributes: Attributes = segment.attributes_after(after).take(most).collect();
        let last = attributes.get(most - 1).map(|(id, _)| *id);
        let name = name.clone();
        if after.is_none() {
            let key_len = segment.table().map(|(table, _)| table.key_len() as u32);
            let at = segment.last_modified;
            portion.push(Record::Created { segment: name, key_len, attributes, at });
        } else if !attributes.is_empty() {
            portion.push(Record::Attributed { segment: name, attributes });
        }
        let Some(last) = last else { break };
        if portion.is_full() {
            return ControlFlow::Break(CopiedPart::Attributes(last));
        }
        after = Some(last);
    }
    portion.push(restored(name, segment));
    ControlFlow::Continue(match &segment.content {
        Content::Stream(bytes) => CopiedPart::Bytes(bytes.start()),
        Content::Table(..) => CopiedPart::Entries(KeyVersion(i64::MIN)),
    })
}

/// Copies the bytes from an offset on.
fn copy_bytes(
    name: &ByteString,
    segment: &Segment,
    mut from: u64,
    portion: &mut Portion,
) -> ControlFlow<CopiedPart> {
    let Content::Stream(bytes) = &segment.content else {
        return ControlFlow::Continue(());
    };
    loop {
        if from < bytes.start() {
            // It was truncated meanwhile.
            portion.push(restored(name, segment));
            from = bytes.start();
        }
        let data = bytes.read_whole(from, portion.enough().clamp(1, BYTES));
        if data.is_empty() {
            return ControlFlow::Continue(());
        }
        from += data.len() as u64;
        let (attributes, at) = (Attributes::new(), segment.last_modified);
        portion.push(Record::Appended { segment: name.clone(), data, attributes, at });
        if portion.is_full() {
            return ControlFlow::Break(CopiedPart::Bytes(from));
        }
    }
}
