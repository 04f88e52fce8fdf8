//! Commands that ask for a reply.

use crate::{Correlated, WireCommand};

/// A command that asks for a reply, to be sent as a [`WireCommand`] and answered by one.
pub trait Request:
    Correlated<Reply: TryFrom<WireCommand, Error = WireCommand>> + Into<WireCommand>
{
}

impl<C> Request for C
where
    C: Correlated + Into<WireCommand>,
    C::Reply: TryFrom<WireCommand, Error = WireCommand>,
{
}
