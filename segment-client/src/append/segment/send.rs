//! The commands that the append machine sends: set-ups, blocks of events, bytes.

use pravega_sdk_types::{EventNumber, Offset};
use pravega_sdk_wire_protocol::{
    BytesAppend, EventsAppend, SendBuffer,
    commands::{ConditionalAppend, SetupAppend},
    event::Event,
};

use super::{
    item::Payload,
    machine::{AppendMachine, Block, State},
    transfer::{Parent, Transfer},
};

impl<T> AppendMachine<T> {
    /// Puts the next command, or the next block, into `out`.
    pub(crate) fn transmit(&mut self, out: &mut SendBuffer) {
        match &mut self.state {
            State::Detached | State::SettingUp => {}
            State::ToSetUp => self.send_set_up(out),
            State::Open => match self.items.get(self.sent).map(|item| &item.payload) {
                None => {}
                Some(Payload::Event(_) | Payload::Batch(_)) => self.send_block(out),
                Some(Payload::Conditional { .. }) => self.send_conditional(out),
                Some(Payload::Bytes { .. }) => self.send_bytes(out),
                Some(Payload::Large(_)) => self.begin_transfer(),
            },
            State::Transferring(transfer) => transfer.transmit(&mut self.requests, out),
        }
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
        let mut block =
            Block { last_number: EventNumber(0), items: 0, bytes: 0, is_conditional: false };
        for item in self.items.iter().skip(self.sent) {
            let fits = block.items == 0 || block.bytes + item.bytes <= limit;
            if !fits || !matches!(item.payload, Payload::Event(_) | Payload::Batch(_)) {
                break;
            }
            block.last_number = item.number;
            block.items += 1;
            block.bytes += item.bytes;
        }
        let append = EventsAppend {
            writer_id: self.writer_id.0,
            last_event_number: block.last_number.0,
            request_id: self.requests.next_id().0,
        };
        let events = self
            .items
            .iter()
            .skip(self.sent)
            .take(block.items)
            .flat_map(|item| item.payload.events());
        // Events were checked against the limit of a frame when they were enqueued.
        out.push_events(&append, events).ok();
        self.sent_block(block);
    }

    /// Sends as many bytes as fit a block, at their offset. Only one append is in flight: if the
    /// first of two is refused, the second could succeed when the bytes of another writer are as
    /// long as the first. Blocks grow instead.
    pub(super) fn send_bytes(&mut self, out: &mut SendBuffer) {
        let mut block =
            Block { last_number: EventNumber(0), items: 0, bytes: 0, is_conditional: false };
        let mut expected_offset = Offset(0);
        for item in self.items.iter().skip(self.sent) {
            let Payload::Bytes { offset, .. } = &item.payload else { break };
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
            request_id: self.requests.next_id().0,
        };
        let pieces = self
            .items
            .iter()
            .skip(self.sent)
            .take(block.items)
            .flat_map(|item| item.payload.events());
        out.push_bytes_append(&append, pieces).ok();
        self.sent_block(block);
    }

    pub(super) fn send_conditional(&mut self, out: &mut SendBuffer) {
        let Some(item) = self.items.get(self.sent) else { return };
        let Payload::Conditional { event, tail_offset } = &item.payload else { return };
        let append = ConditionalAppend {
            writer_id: self.writer_id.0,
            event_number: item.number.0,
            expected_offset: tail_offset.0,
            event: Event { data: event.clone() },
            request_id: self.requests.next_id().0,
        };
        let block =
            Block { last_number: item.number, items: 1, bytes: item.bytes, is_conditional: true };
        out.push(&append).ok();
        self.sent_block(block);
    }

    pub(super) fn sent_block(&mut self, block: Block) {
        self.sent += block.items;
        self.unsent_bytes -= block.bytes;
        self.sent_number = self.sent_number.max(block.last_number);
        self.blocks.push_back(block);
    }

    pub(super) fn begin_transfer(&mut self) {
        let Some(item) = self.items.get(self.sent) else { return };
        self.sent_number = self.sent_number.max(item.number);
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
