//! The receive buffer of a connection, and the memory that it and all parts of it keep alive.
//!
//! Commands are slices of the blocks that were filled from the socket. Each block is lent by the
//! pool of all connections until the last slice of it is gone, wherever that is: in a reply, in the
//! queue of the journal, or in a block of an append that has not ended. The first block is the
//! connection's own, so a small request arrives whatever the others occupy. A longer frame is lent
//! as a whole before its bytes are taken: a connection never waits for one half of its frame while
//! it keeps the other half from others.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use pravega_sdk_wire_protocol::{
    Decoder, FRAME_HEADER_LEN, FrameHeader, MAX_FRAME_LEN, WireCommand,
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
/// The interval between checks whether the connection's own block is free again.
const RETRY: Duration = Duration::from_millis(5);

/// Who lends the memory of a block.
#[derive(Debug)]
enum Lease {
    /// It is the connection's own.
    Own,
    /// The pool.
    Lent(Charge),
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
    /// Whole frames may be left.
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

    /// Returns true if it holds no bytes, but a long block.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.block > OWN_BYTES
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
        let (mut len, mut lens, mut decoded) = (0, Vec::new(), Decoded::More);
        while lens.len() < max {
            match self.decoder.peek(self.buffer.get(len..).unwrap_or_default()) {
                Ok(Some(FrameHeader { payload_len, .. }))
                    if self.buffer.len() - len >= FRAME_HEADER_LEN + payload_len =>
                {
                    lens.push(FRAME_HEADER_LEN + payload_len);
                    len += FRAME_HEADER_LEN + payload_len;
                }
                Ok(_) => {
                    decoded = Decoded::All;
                    break;
                }
                Err(_) => {
                    decoded = Decoded::Bad;
                    break;
                }
            }
        }
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
        let read = reading.read_buf(&mut self.buffer).await?;
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
        if self.is_idle() && self.pool.is_wanted() {
            self.free();
        }
        let capacity = self.buffer.capacity();
        if capacity - len >= MIN_SPARE || (frame > len && capacity >= frame) {
            return;
        }
        let lent_for_frame = self.lent() >= frame;
        if self.block >= len + MIN_SPARE && self.buffer.try_reclaim(self.block - len) {
            return;
        }
        // The block grows with the bytes that have arrived, never with the length in a header.
        let for_frame = frame.min(len.saturating_mul(2));
        let mut size = for_frame.max(self.next_block).max(OWN_BYTES);
        let lease = if frame > OWN_BYTES && lent_for_frame {
            Arc::clone(&self.lease)
        } else if frame <= OWN_BYTES
            && let Some(lease) = self.small_lease(&mut size, len)
        {
            lease
        } else {
            let lent = self.pool.charge(size.max(frame));
            if frame > OWN_BYTES {
                Arc::new(Lease::Lent(lent.await))
            } else {
                self.own_or(lent, &mut size).await
            }
        };
        let mut block = BytesMut::with_capacity(size);
        block.extend_from_slice(&self.buffer);
        (self.buffer, self.block, self.lease) = (block, size, lease);
    }

    /// The bytes that the pool lends for the block; 0 if it is the connection's own.
    fn lent(&self) -> usize {
        match &*self.lease {
            Lease::Own => 0,
            Lease::Lent(charge) => charge.bytes(),
        }
    }

    /// A lease for a block of short frames that needs no waiting.
    fn small_lease(&self, size: &mut usize, len: usize) -> Option<Arc<Lease>> {
        let fits = len + MIN_SPARE <= OWN_BYTES;
        if *size > OWN_BYTES || !fits || !self.is_own_free() {
            if let Some(charge) = self.pool.try_charge(*size) {
                return Some(Arc::new(Lease::Lent(charge)));
            }
            if !fits || !self.is_own_free() {
                return None;
            }
        }
        *size = OWN_BYTES;
        Some(Arc::clone(&self.own))
    }

    /// Returns true if no slice of the connection's own block is left.
    fn is_own_free(&self) -> bool {
        let of_buffer = usize::from(Arc::ptr_eq(&self.lease, &self.own));
        Arc::strong_count(&self.own) <= 1 + of_buffer
    }

    /// Waits for the pool, or for the last slice of the connection's own block to go.
    async fn own_or(&self, lent: impl Future<Output = Charge>, size: &mut usize) -> Arc<Lease> {
        tokio::pin!(lent);
        let fits = self.buffer.len() + MIN_SPARE <= OWN_BYTES;
        loop {
            tokio::select! {
                charge = &mut lent => return Arc::new(Lease::Lent(charge)),
                () = sleep(RETRY), if fits => {
                    if self.is_own_free() {
                        *size = OWN_BYTES;
                        return Arc::clone(&self.own);
                    }
                }
            }
        }
    }
}
