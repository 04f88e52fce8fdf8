//! The commands that the append machine sends: set-ups, blocks of events, bytes.

use pravega_sdk_types::{EventNumber, Offset};
use pravega_sdk_wire_protocol::{
    BytesAppend, EventsAppend, SendBuffer,
    commands::{ConditionalAppend, GetStreamSegmentInfo, SetupAppend},
    event::Event,
};

use super::{
    item::{Content, Payload, Pinned},
    machine::{AppendMachine, Block, BlockKind, Seal, State},
    transfer::{Parent, Transfer},
};

impl<T> AppendMachine<T> {
    /// Puts the next command, or the next block, into `out`, if [`Self::wants_to_send`].
    pub(crate) fn transmit(&mut self, out: &mut SendBuffer) {
        if !self.wants_to_send() {
            return;
        }
        match &mut self.state {
            State::Detached | State::CheckingSeal | State::SettingUp => {}
            State::ToSetUp if self.seal == Seal::Reported => self.ask_for_seal(out),
            State::ToSetUp => self.send_set_up(out),
            State::Open => match self.items.get(self.sent).map(|item| &item.content) {
                None => {}
                Some(Content::Routed { payload: Payload::Large(_), .. }) => self.begin_transfer(),
                Some(Content::Routed { .. }) => self.send_block(out),
                Some(Content::Pinned { payload: Pinned::Event(_), .. }) => {
                    self.send_conditional(out);
                }
                Some(Content::Pinned { payload: Pinned::Bytes(_), .. }) => self.send_bytes(out),
            },
            State::Transferring(transfer) => {
                if transfer.transmit(&mut self.requests, out) {
                    self.sent_up_to(self.items.front().map(|item| item.number));
                }
            }
        }
    }

    /// Asks if the seal is durable. The refusal of an append does not tell: it may come while
    /// appends before the seal are still on their way to the disk.
    fn ask_for_seal(&mut self, out: &mut SendBuffer) {
        self.set_up_request = self.requests.next_id();
        let ask = GetStreamSegmentInfo {
            request_id: self.set_up_request.0,
            segment_name: self.name.clone(),
            delegation_token: self.token.0.clone(),
        };
        out.push(&ask).ok();
        self.state = State::CheckingSeal;
    }

    pub(super) fn send_set_up(&mut self, out: &mut SendBuffer) {
        self.set_up_request = self.requests.next_id();
        let set_up = SetupAppend {
            request_id: self.set_up_request.0,
            writer_id: self.writer_id.0,
            segment: self.name.clone(),
            delegation_token: self.token.0.clone(),
        };
        // A segment's name and a token fit a frame; if they did not, the set-up would time out.
        out.push(&set_up).ok();
        self.state = State::SettingUp;
    }

    pub(super) fn send_block(&mut self, out: &mut SendBuffer) {
        let limit = self.limits.max_block_bytes;
        let mut block = Block::new(self.requests.next_id(), BlockKind::Events);
        for item in self.items.iter().skip(self.sent) {
            let fits = block.items == 0 || block.bytes + item.bytes <= limit;
            if !fits || !item.content.is_in_blocks() {
                break;
            }
            block.last_number = item.number;
            block.items += 1;
            block.bytes += item.bytes;
        }
        let append = EventsAppend {
            writer_id: self.writer_id.0,
            last_event_number: block.last_number.0,
            request_id: block.request.0,
        };
        let events = self
            .items
            .iter()
            .skip(self.sent)
            .take(block.items)
            .flat_map(|item| item.content.events());
        // Events were checked against the limit of a frame when they were enqueued.
        out.push_events(&append, events).ok();
        self.sent_block(block);
    }

    /// Sends as many bytes as fit a block, at their offset. Only one append is in flight: if the
    /// first of two is refused, the second could succeed when the bytes of another writer are as
    /// long as the first. Blocks grow instead.
    pub(super) fn send_bytes(&mut self, out: &mut SendBuffer) {
        let mut block = Block::new(self.requests.next_id(), BlockKind::Bytes);
        let mut expected_offset = Offset(0);
        for item in self.items.iter().skip(self.sent) {
            let Content::Pinned { offset, payload: Pinned::Bytes(_) } = &item.content else {
                break;
            };
            if block.items > 0 && block.bytes + item.bytes > self.limits.max_block_bytes {
                break;
            }
            if block.items == 0 {
                expected_offset = *offset;
            }
            block.last_number = item.number;
            block.items += 1;
            block.bytes += item.bytes;
        }
        let append = BytesAppend {
            writer_id: self.writer_id.0,
            event_number: block.last_number.0,
            expected_offset: expected_offset.0,
            request_id: block.request.0,
        };
        let pieces = self
            .items
            .iter()
            .skip(self.sent)
            .take(block.items)
            .flat_map(|item| item.content.events());
        out.push_bytes_append(&append, pieces).ok();
        self.sent_block(block);
    }

    pub(super) fn send_conditional(&mut self, out: &mut SendBuffer) {
        let Some(item) = self.items.get(self.sent) else { return };
        let Content::Pinned { offset, payload: Pinned::Event(event) } = &item.content else {
            return;
        };
        let block = Block {
            last_number: item.number,
            items: 1,
            bytes: item.bytes,
            ..Block::new(self.requests.next_id(), BlockKind::Conditional)
        };
        let append = ConditionalAppend {
            writer_id: self.writer_id.0,
            event_number: item.number.0,
            expected_offset: offset.0,
            event: Event { data: event.clone() },
            request_id: block.request.0,
        };
        out.push(&append).ok();
        self.sent_block(block);
    }

    pub(super) fn sent_block(&mut self, block: Block) {
        self.sent += block.items;
        self.unsent_bytes -= block.bytes;
        self.sent_up_to(Some(block.last_number));
        self.blocks.push_back(block);
    }

    /// Notes that events up to this number may be stored from now on.
    fn sent_up_to(&mut self, number: Option<EventNumber>) {
        let number = number.unwrap_or(EventNumber::NONE);
        self.sent_number = self.sent_number.max(number);
        self.in_doubt = self.in_doubt.max(number);
    }

    pub(super) fn begin_transfer(&mut self) {
        let Some(item) = self.items.get(self.sent) else { return };
        let transfer = Transfer::new(
            Parent {
                name: self.name.clone(),
                token: self.token.clone(),
                writer_id: self.writer_id,
                acknowledged: self.acknowledged,
            },
            item,
            self.limits.piece_bytes,
        );
        self.state = State::Transferring(Box::new(transfer));
    }
}
