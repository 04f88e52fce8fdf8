//! Frames on their way out.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Collects frames to send, as a row of byte slices for vectored writes.
///
/// Small fields are gathered in blocks; a payload of [`SendBuffer::SHARE_MIN_LEN`] bytes or more is
/// kept as the caller's own [`Bytes`] between two blocks, so it is never copied. The buffer is a
/// [`Buf`]: hand it to a vectored write, then `advance` by what was written.
#[derive(Debug, Default)]
pub struct SendBuffer {
    /// Ready to be sent, in order.
    ready: VecDeque<Bytes>,
    /// Still growing; comes after all that is ready.
    tail: BytesMut,
    len: usize,
}

impl SendBuffer {
    /// A payload from this length on is not copied: below it, copying is cheaper than another slice
    /// in the write.
    pub const SHARE_MIN_LEN: usize = 4096;

    /// How much the growing block takes from the allocator at a time.
    const BLOCK_LEN: usize = 16 * 1024;

    /// Starts empty, without any memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes the buffer holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All that is in the buffer, copied into one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        for piece in &self.ready {
            all.extend_from_slice(piece);
        }
        all.extend_from_slice(&self.tail);
        all
    }

    /// How many separate slices the buffer holds.
    #[must_use]
    pub fn slices(&self) -> usize {
        self.ready.len() + usize::from(!self.tail.is_empty())
    }

    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.tail.reserve(bytes.len().max(Self::BLOCK_LEN));
        }
        self.tail.put_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn put_i32(&mut self, value: i32) {
        self.put_slice(&value.to_be_bytes());
    }

    /// A length that was checked against the frame limit, far below `i32::MAX`.
    pub(crate) fn put_len(&mut self, len: usize) {
        self.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
    }

    pub(crate) fn put_zeros(&mut self, len: usize) {
        if self.tail.capacity() - self.tail.len() < len {
            self.tail.reserve(len.max(Self::BLOCK_LEN));
        }
        self.tail.put_bytes(0, len);
        self.len += len;
    }

    pub(crate) fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < Self::SHARE_MIN_LEN {
            return self.put_slice(bytes);
        }
        if !self.tail.is_empty() {
            self.ready.push_back(self.tail.split().freeze());
        }
        self.ready.push_back(bytes.clone());
        self.len += bytes.len();
    }
}

impl Buf for SendBuffer {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.ready.front().map_or(&self.tail, |first| first)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        let pieces = self.ready.iter().map(|piece| &piece[..]).chain(tail);
        slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len, "advanced by {count} over {} bytes", self.len);
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0 {
            let Some(first) = self.ready.front_mut() else {
                break;
            };
            if left < first.len() {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.ready.pop_front();
        }
        self.tail.advance(left);
        if self.tail.is_empty() {
            // Lets the block be used again from its start.
            self.tail.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EncodeError, MAX_FRAME_LEN,
        commands::{AppendBlockEnd, KeepAlive},
    };

    fn append(data: Bytes) -> AppendBlockEnd {
        AppendBlockEnd {
            writer_id: uuid::Uuid::nil(),
            size_of_whole_events: 0,
            data,
            num_events: 1,
            last_event_number: 1,
            request_id: 1,
        }
    }

    #[test]
    fn a_large_payload_is_the_callers_own_memory() {
        let payload = Bytes::from(vec![7; 1 << 20]);
        let mut buffer = SendBuffer::new();
        buffer.push(&append(payload.clone())).unwrap();
        let shared = buffer.ready.iter().any(|piece| piece.as_ptr() == payload.as_ptr());
        assert!(shared, "the payload was copied");
        assert_eq!(buffer.slices(), 3);
    }

    #[test]
    fn advancing_byte_by_byte_hands_out_every_byte_once() {
        let mut buffer = SendBuffer::new();
        buffer.push(&KeepAlive {}).unwrap();
        buffer.push(&append(Bytes::from(vec![7; 5000]))).unwrap();
        buffer.push(&KeepAlive {}).unwrap();
        let whole = buffer.to_vec();
        for step in [1, 3, 4999] {
            let mut seen = Vec::new();
            let mut buffer = SendBuffer::new();
            buffer.push(&KeepAlive {}).unwrap();
            buffer.push(&append(Bytes::from(vec![7; 5000]))).unwrap();
            buffer.push(&KeepAlive {}).unwrap();
            while buffer.has_remaining() {
                let take = step.min(buffer.chunk().len());
                seen.extend_from_slice(&buffer.chunk()[..take]);
                buffer.advance(take);
            }
            assert_eq!(seen, whole);
        }
    }

    #[test]
    fn a_frame_over_the_limit_writes_nothing() {
        let mut buffer = SendBuffer::new();
        let refused = buffer.push(&append(Bytes::from(vec![0; MAX_FRAME_LEN]))).unwrap_err();
        assert!(matches!(refused, EncodeError::FrameTooLong { command: "AppendBlockEnd", .. }));
        assert_eq!(buffer.remaining(), 0);
        // 44 bytes of other fields and the header: the largest append that every server takes.
        buffer.push(&append(Bytes::from(vec![0; MAX_FRAME_LEN - 52]))).unwrap();
        assert_eq!(buffer.remaining(), MAX_FRAME_LEN);
    }
}
