//! The receive buffer of a connection, and the memory that it and all parts of it keep alive.
//!
//! Commands are slices of the blocks that were filled from the socket. Each block is lent by the
//! pool of all connections until the last slice of it is gone, wherever that is: in a reply, in the
//! queue of the journal, or in a block of an append that has not ended. The first block is the
//! connection's own, so a small request arrives whatever the others occupy. A longer frame is lent
//! as a whole before more of it is taken: a connection never waits for one half of its frame while
//! it keeps the other half from others. All that is reserved on the word of headers is in the pool,
//! so it is bounded for all connections together.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use pravega_sdk_wire_protocol::{
    Command as _, Decoder, FRAME_HEADER_LEN, FrameHeader, MAX_FRAME_LEN, MAX_REQUEST_LIST,
    WireCommand,
    commands::{MergeSegments, MergeSegmentsBatch, ReadTable, RemoveTableKeys, UpdateTableEntries},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::{Instant, sleep},
};

use crate::{
    budget::{Charge, Pool},
    limits::OWN_BYTES,
};

/// A block is filled until less than this is free, in bytes.
const MIN_SPARE: usize = 1 << 10;
/// The longest block for frames that are shorter, in bytes.
const MAX_BLOCK: usize = 64 << 10;
/// The most bytes of one read, before the other connections of the thread have their turn.
const MAX_READ: usize = 256 << 10;
/// The memory of an element of a list once it is decoded and handled, in bytes at most, and as a
/// multiple of its bytes.
const ELEMENT: usize = 256;
const ELEMENT_TIMES: usize = 16;
/// The interval between checks whether the connection's own block is free again.
const RETRY: Duration = Duration::from_millis(5);

/// Who lends the memory of a block.
#[derive(Debug)]
enum Lease {
    /// It is the connection's own.
    Own,
    /// The pool.
    Lent(#[expect(dead_code, reason = "the pool has it back when this is dropped")] Charge),
}

/// A part of a block, with its lease.
struct Leased {
    bytes: Bytes,
    _lease: Arc<Lease>,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The frames left in the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// No whole frame is left.
    All,
    /// Whole frames are left.
    More,
    /// The next bytes are not a frame.
    Bad,
}

/// The receive buffer of a connection.
#[derive(Debug)]
pub(crate) struct ReceiveBuffer {
    pool: Pool,
    decoder: Decoder,
    buffer: BytesMut,
    /// The length of the block that `buffer` is a part of.
    block: usize,
    lease: Arc<Lease>,
    own: Arc<Lease>,
    /// The length of the next block, if the frames are shorter.
    next_block: usize,
    /// When the first byte of the incomplete frame arrived; `None` between frames.
    begun: Option<Instant>,
}

impl ReceiveBuffer {
    pub(crate) fn new(pool: Pool) -> Self {
        let own = Arc::new(Lease::Own);
        Self {
            pool,
            // As in the Java server, the limit is that of the whole frame: its header and its
            // payload.
            decoder: Decoder::with_max_payload_len(MAX_FRAME_LEN - FRAME_HEADER_LEN),
            buffer: BytesMut::new(),
            block: 0,
            lease: Arc::clone(&own),
            own,
            next_block: OWN_BYTES,
            begun: None,
        }
    }

    /// When the first byte of the incomplete frame arrived; `None` between frames.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// Returns true if it holds no bytes, but a block that the pool lends.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty() && !Arc::ptr_eq(&self.lease, &self.own)
    }

    /// Gives back the block of an idle buffer.
    pub(crate) fn free(&mut self) {
        if self.is_idle() {
            (self.buffer, self.block) = (BytesMut::new(), 0);
            (self.lease, self.next_block) = (Arc::clone(&self.own), OWN_BYTES);
        }
    }

    /// Removes whole frames, at most `max`, and adds their commands.
    pub(crate) fn take(&mut self, commands: &mut VecDeque<WireCommand>, max: usize) -> Decoded {
        let (mut len, mut lens) = (0, Vec::new());
        let decoded = loop {
            match self.decoder.peek(self.buffer.get(len..).unwrap_or_default()) {
                Ok(Some(FrameHeader { payload_len, .. }))
                    if self.buffer.len() - len >= FRAME_HEADER_LEN + payload_len =>
                {
                    if lens.len() >= max {
                        break Decoded::More;
                    }
                    lens.push(FRAME_HEADER_LEN + payload_len);
                    len += FRAME_HEADER_LEN + payload_len;
                }
                Ok(_) => break Decoded::All,
                Err(_) => break Decoded::Bad,
            }
        };
        if len > 0 {
            let bytes = self.buffer.split_to(len).freeze();
            let mut frames = Bytes::from_owner(Leased { bytes, _lease: Arc::clone(&self.lease) });
            self.begun = None;
            for len in lens {
                match self.decoder.decode_frame(frames.split_to(len)) {
                    Ok(command) => commands.push_back(command),
                    Err(_) => return Decoded::Bad,
                }
            }
        }
        decoded
    }

    /// Waits for bytes, and returns how many have arrived; 0 at the end of the connection. There is
    /// memory for them after [`make_room`](Self::make_room). Dropping the future loses none.
    pub(crate) async fn read(
        &mut self,
        reading: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<usize> {
        let spare = self.buffer.capacity() - self.buffer.len();
        let read = reading.read_buf(&mut (&mut self.buffer).limit(MAX_READ)).await?;
        if read > 0 && self.begun.is_none() {
            self.begun = Some(Instant::now());
        }
        if read == spare {
            self.next_block = (self.block * 2).clamp(OWN_BYTES, MAX_BLOCK);
        }
        Ok(read)
    }

    /// Waits until there is memory for more bytes.
    pub(crate) async fn make_room(&mut self) {
        let len = self.buffer.len();
        let frame = match self.decoder.peek(&self.buffer) {
            Ok(Some(header)) => FRAME_HEADER_LEN + header.payload_len,
            _ => 0,
        };
        // With a long block, the next long frame would wait for memory that this connection has.
        if self.is_idle() && (self.block > MAX_BLOCK || self.pool.is_wanted()) {
            self.free();
        }
        if self.has_room(len, frame) {
            return;
        }
        let size = frame.max(self.next_block).max(OWN_BYTES);
        let (size, lease) = if frame <= OWN_BYTES {
            self.small_lease(size, len).await
        } else {
            let asked = Instant::now();
            // The rest of the pool is left to those that have a part of it and wait for more.
            let lent = (size + self.decoded(frame)).min(MAX_FRAME_LEN.max(size));
            let charge = self.pool.charge(lent).await;
            // The client is not to blame for that time.
            self.begun = self.begun.map(|begun| begun + asked.elapsed());
            (size, Arc::new(Lease::Lent(charge)))
        };
        let mut block = BytesMut::with_capacity(size);
        block.extend_from_slice(&self.buffer);
        (self.buffer, self.block, self.lease) = (block, size, lease);
    }

    /// The memory of the lists of the incomplete frame, besides its bytes, once it is decoded and
    /// handled.
    fn decoded(&self, frame: usize) -> usize {
        const LISTS: [i32; 5] = [
            UpdateTableEntries::CODE,
            RemoveTableKeys::CODE,
            ReadTable::CODE,
            MergeSegments::CODE,
            MergeSegmentsBatch::CODE,
        ];
        match self.decoder.peek(&self.buffer) {
            Ok(Some(FrameHeader { code, .. })) if LISTS.contains(&code) => {
                (frame * ELEMENT_TIMES).min(MAX_REQUEST_LIST * ELEMENT)
            }
            _ => 0,
        }
    }

    /// Returns true if the block has room, perhaps once the bytes before are given up.
    fn has_room(&mut self, len: usize, frame: usize) -> bool {
        let spare = self.buffer.capacity() - len;
        if frame > len && len + spare >= frame {
            return true;
        }
        if self.next_block > self.block {
            // Many short frames come at once: they are read into a longer block if there is one.
            let is_lent = self.pool.may_charge(self.next_block);
            if is_lent || self.block == 0 {
                return false;
            }
            self.next_block = self.block;
        }
        spare >= MIN_SPARE.max(self.block / 2)
            || self.block > len + MIN_SPARE && self.buffer.try_reclaim(self.block - len)
            || spare >= MIN_SPARE
    }

    /// A lease for a block of short frames, and the length of it.
    async fn small_lease(&self, size: usize, len: usize) -> (usize, Arc<Lease>) {
        let fits = len + MIN_SPARE <= OWN_BYTES;
        if size <= OWN_BYTES && fits && self.is_own_free() {
            return (OWN_BYTES, Arc::clone(&self.own));
        }
        if let Some(charge) = self.pool.try_charge(size) {
            return (size, Arc::new(Lease::Lent(charge)));
        }
        let lent = self.pool.charge(size);
        tokio::pin!(lent);
        loop {
            if fits && self.is_own_free() {
                return (OWN_BYTES, Arc::clone(&self.own));
            }
            tokio::select! {
                charge = &mut lent => return (size, Arc::new(Lease::Lent(charge))),
                () = sleep(RETRY), if fits => {}
            }
        }
    }

    /// Returns true if no slice of the connection's own block is left.
    fn is_own_free(&self) -> bool {
        let of_buffer = usize::from(Arc::ptr_eq(&self.lease, &self.own));
        Arc::strong_count(&self.own) <= 1 + of_buffer
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_wire_protocol::{SendBuffer, commands::AppendBlock};
    use tokio::time::timeout;
    use uuid::Uuid;

    use super::*;
    use crate::limits::REQUEST_BYTES;

    fn frame(len: usize) -> Vec<u8> {
        let mut out = SendBuffer::new();
        let command = AppendBlock { writer_id: Uuid::nil(), data: vec![7; len].into() };
        WireCommand::from(command).encode(&mut out).unwrap();
        out.to_vec()
    }

    /// Reads everything that a client sends; returns the commands.
    async fn read_all(buffer: &mut ReceiveBuffer, mut sent: &[u8]) -> VecDeque<WireCommand> {
        let mut commands = VecDeque::new();
        loop {
            while buffer.take(&mut commands, 64) == Decoded::More {}
            buffer.make_room().await;
            if buffer.read(&mut sent).await.unwrap() == 0 {
                return commands;
            }
        }
    }

    #[tokio::test]
    async fn every_block_is_lent_until_the_last_slice_of_it_is_gone() {
        let pool = Pool::new(10 << 20);
        let mut buffer = ReceiveBuffer::new(pool.clone());
        let mut kept = read_all(&mut buffer, &frame(100)).await;
        assert_eq!(pool.lent(), 0, "the first block is the connection's own");
        let mut most = 0;
        for round in 1..=20_usize {
            let len = if round % 3 == 0 { 200_000 } else { 3000 };
            kept.extend(read_all(&mut buffer, &frame(len)).await);
            most = kept.iter().map(|kept| kept.payload_len().unwrap()).sum();
            assert!(pool.lent() + OWN_BYTES >= most, "{} for {most}", pool.lent());
        }
        assert!(pool.lent() <= 2 * most, "{} for {most}", pool.lent());
        kept.clear();
        buffer.free();
        assert_eq!(pool.lent(), 0);
        // Nothing is kept from frame to frame, so nothing more is lent.
        for _ in 0..20 {
            read_all(&mut buffer, &frame(100_000).repeat(3)).await;
            assert!(pool.lent() <= 200_000, "{}", pool.lent());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_request_after_another_long_one_does_not_wait_for_the_memory_of_that() {
        let pool = Pool::new(REQUEST_BYTES);
        let mut buffer = ReceiveBuffer::new(pool.clone());
        let sent = [7 << 20, 12 << 20].map(frame).concat();
        let (mut sent, mut handled) = (&sent[..], 0);
        while handled < 2 {
            // Each command is handled, and gone, before more is read.
            let mut commands = VecDeque::new();
            buffer.take(&mut commands, 64);
            handled += commands.drain(..).count();
            let room = timeout(Duration::from_secs(60), buffer.make_room()).await;
            assert!(room.is_ok(), "it waits for itself: {} bytes are lent", pool.lent());
            buffer.read(&mut sent).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_request_arrives_although_the_pool_is_empty_and_a_long_one_waits() {
        let pool = Pool::new(1 << 20);
        let all = pool.try_charge(1 << 20).unwrap();
        let mut buffer = ReceiveBuffer::new(pool.clone());
        for _ in 0..100 {
            assert_eq!(read_all(&mut buffer, &frame(3000).repeat(2)).await.len(), 2);
        }
        // The connection's own block is still in use.
        let kept = read_all(&mut buffer, &frame(3000).repeat(2)).await;
        let more = frame(3000).repeat(2);
        let far = Duration::from_secs(60);
        assert!(timeout(far, read_all(&mut buffer, &more)).await.is_err());
        drop(kept);
        timeout(far, buffer.make_room()).await.unwrap();
        let mut buffer = ReceiveBuffer::new(pool.clone());
        let long = frame(100_000);
        let mut reads = tokio::spawn(async move { read_all(&mut buffer, &long).await.len() });
        assert!(timeout(far, &mut reads).await.is_err());
        assert!(pool.is_wanted());
        drop(all);
        assert_eq!(timeout(far, reads).await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn more_frames_are_said_to_be_left_only_if_they_are() {
        let mut buffer = ReceiveBuffer::new(Pool::new(1 << 20));
        for (frames, left) in [(1, Decoded::All), (2, Decoded::All), (3, Decoded::More)] {
            let sent = [frame(100).repeat(frames), frame(100)[..50].to_vec()].concat();
            let (mut sent, mut commands) = (&sent[..], VecDeque::new());
            buffer.make_room().await;
            buffer.read(&mut sent).await.unwrap();
            assert_eq!(buffer.take(&mut commands, 2), left, "{frames} frames");
            assert_eq!(commands.len(), frames.min(2));
            buffer = ReceiveBuffer::new(Pool::new(1 << 20));
        }
    }

    #[tokio::test]
    async fn many_short_frames_are_read_into_longer_blocks() {
        let mut buffer = ReceiveBuffer::new(Pool::new(1 << 20));
        assert_eq!(read_all(&mut buffer, &frame(100).repeat(5000)).await.len(), 5000);
        assert_eq!(buffer.block, MAX_BLOCK);
    }
}
