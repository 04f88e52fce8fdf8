//! A message and its answer without their types, so that one piece of code drives all calls.
//!
//! The code of an attempt is large, and there are some forty calls: a copy of it for each would be
//! a megabyte of program.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use pravega_sdk_proto::controller_service_client::ControllerServiceClient;
use tonic::{Request, Response, Status, transport::Channel};

use super::authorize::Header;

pub(super) type Client = ControllerServiceClient<Channel>;
/// Sends a message with a method of the generated client.
pub(super) type SendWith<M, A> = fn(Client, Request<M>) -> Answering<A>;
type Answering<A> = BoxFuture<'static, Result<Response<A>, Status>>;
type SendUntyped = dyn Fn(Client, &Header) -> Sending + Send + Sync;
type Sending = BoxFuture<'static, Result<(), Status>>;

/// A message that can be sent more than once. Its answer is in a [`Reply`].
#[derive(Clone)]
pub(super) struct Message(Arc<SendUntyped>);

/// The place of the answer to a [`Message`].
pub(super) struct Reply<A>(Arc<Mutex<Option<A>>>);

impl Message {
    pub(super) fn new<M, A>(message: M, send: SendWith<M, A>) -> (Self, Reply<A>)
    where
        M: Clone + Send + Sync + 'static,
        A: Send + 'static,
    {
        let reply = Arc::new(Mutex::new(None));
        let place = Arc::clone(&reply);
        let send = move |client, header: &Header| -> Sending {
            let answering = send(client, header.request(message.clone()));
            let place = Arc::clone(&place);
            Box::pin(async move {
                let answer = answering.await?.into_inner();
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                Ok(())
            })
        };
        (Self(Arc::new(send)), Reply(reply))
    }

    /// Sends the message. The answer is in its place after the future has returned `Ok`.
    pub(super) fn send(&self, client: Client, header: &Header) -> Sending {
        (self.0)(client, header)
    }
}

impl<A> Reply<A> {
    /// Returns the answer, if one has come.
    pub(super) fn take(&self) -> Option<A> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
