//! What every call of the controller passes through: bounds of its request, its answer and its
//! time, before and after the service that handles it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use pravega_sdk_proto::controller_service_server::ControllerServiceServer;
use tokio::{sync::Semaphore, time::timeout};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        Service as HttpService,
        http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION},
    },
};

use crate::{
    answer::Answer,
    budget::{Budget, Charge, Pool},
    limits::{
        CALL, CALL_BYTES, CALLS, DECODED_CALL_BYTES, FIRST_WORD, OWN_BYTES, SHORT_CREDENTIALS,
        SILENCE_WHEN_WANTED,
    },
    service::Service,
    state::ServerState,
    turns::Account,
    watched::{OnlyCall, Watch},
};

/// The length of the header before a message of gRPC.
const MESSAGE_HEADER: usize = 5;
/// A message of this many bytes is decoded and handled outside the threads of the runtime: it takes
/// a millisecond or more.
const LONG: usize = 64 << 10;
/// The memory that a decoded message uses for each byte, and for each of its fields, at most. An
/// integer of one byte takes eight, in a list that grows by doubling; an empty message of two bytes
/// takes the structure of it.
const DECODED_BYTE: usize = 8;
const DECODED_FIELD: usize = 200;

/// The calls of the controller, within their bounds.
#[derive(Debug, Clone)]
pub(crate) struct Calls(Guarded<ControllerServiceServer<Service>>);

impl Calls {
    pub(crate) fn new(state: Arc<ServerState>, service: Service) -> Self {
        let inner = ControllerServiceServer::new(service);
        Self(Guarded { inner, state, calls: Arc::new(Semaphore::new(CALLS)) })
    }

    pub(crate) fn state(&self) -> &ServerState {
        &self.0.state
    }

    /// Makes a call for a client with an account of its work.
    pub(crate) async fn call(
        self,
        request: Request<Body>,
        account: Arc<Account>,
    ) -> Result<Response<Body>, Infallible> {
        Ok(self.0.call(request, &account).await)
    }
}

/// The service of the controller within its bounds.
#[derive(Debug, Clone)]
struct Guarded<S> {
    inner: S,
    state: Arc<ServerState>,
    /// Calls in flight beyond the first of each connection.
    calls: Arc<Semaphore>,
}

impl<S> Guarded<S>
where
    S: HttpService<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    async fn call(self, request: Request<Body>, account: &Arc<Account>) -> Response<Body> {
        let patience = deadline(request.headers()).map_or(CALL, |deadline| deadline.min(CALL));
        let done = timeout(patience, self.handle(request, account)).await;
        let done = done.unwrap_or_else(|_| Err(Status::deadline_exceeded("it takes too long")));
        done.unwrap_or_else(Status::into_http)
    }

    async fn handle(
        mut self,
        request: Request<Body>,
        account: &Arc<Account>,
    ) -> Result<Response<Body>, Status> {
        let (mut head, body) = request.into_parts();
        let watch =
            head.extensions.get::<Arc<Watch>>().map_or_else(|| Watch::new(None), Arc::clone);
        let (_call, is_only) = watch.call();
        let _credentials = keep_credentials(&mut head.headers, is_only, &self.state.budget)?;
        let _place = if is_only {
            head.extensions.insert(OnlyCall);
            None
        } else {
            self.calls.acquire().await.ok()
        };
        let requests = &self.state.budget.requests;
        let (message, mut charge) = timeout(FIRST_WORD, receive(body, requests))
            .await
            .map_err(|_| Status::deadline_exceeded("the request did not arrive"))??;
        admit(&message, &mut charge, requests).await?;
        let is_long = message.len() >= LONG;
        let request = Request::from_parts(head, Body::new(Message(Some(message))));
        let calling = self.inner.call(request);
        let response = if is_long { account.apart(calling).await } else { calling.await };
        let response = match response {
            Ok(response) => response,
            Err(never) => match never {},
        };
        drop(charge);
        Answer::of(response, watch.answer(), &self.state.budget.replies).await
    }
}

/// Keeps the credentials of a call, for which the pool lends memory unless they are short, or it is
/// the only one of its connection.
///
/// Other headers are not used, and would be kept for as long as the call is. A value is a part of
/// all that was read from the socket with it, so it is copied.
fn keep_credentials(
    headers: &mut HeaderMap,
    is_only: bool,
    budget: &Budget,
) -> Result<Option<Charge>, Status> {
    let credentials = headers.remove(AUTHORIZATION);
    *headers = HeaderMap::new();
    let Some(credentials) = credentials else { return Ok(None) };
    let len = credentials.len();
    let lent = match is_only || len <= SHORT_CREDENTIALS {
        true => None,
        false => {
            let lent = budget.credentials.try_charge(len);
            Some(lent.ok_or_else(|| Status::unavailable("too many calls with long credentials"))?)
        }
    };
    let mut copy = HeaderValue::from_bytes(credentials.as_bytes())
        .map_err(|_| Status::unauthenticated("the credentials are no header"))?;
    copy.set_sensitive(true);
    headers.insert(AUTHORIZATION, copy);
    Ok(lent)
}

/// How long the client waits for the answer, from the header `grpc-timeout`; `None` if it does not
/// say.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Receives the message of a call, which waits for the memory of it.
async fn receive(mut body: Body, requests: &Pool) -> Result<(Bytes, Option<Charge>), Status> {
    let mut message = BytesMut::new();
    let mut charge: Option<Charge> = None;
    loop {
        let next = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let Ok(next) = timeout(SILENCE_WHEN_WANTED, next).await else {
            if charge.is_some() && requests.is_wanted() {
                let why = "the rest of the request does not arrive, and others wait for its memory";
                return Err(Status::unavailable(why));
            }
            continue;
        };
        let Some(frame) = next else { return Ok((message.freeze(), charge)) };
        let Ok(data) = frame?.into_data() else { continue };
        let len = message.len() + data.len();
        let announced = announced_len(&message, &data).unwrap_or_default();
        if len.max(announced) > MESSAGE_HEADER + CALL_BYTES {
            let why = format!("a message has more than {CALL_BYTES} bytes");
            return Err(Status::out_of_range(why));
        }
        if charge.is_none() && len > OWN_BYTES {
            // All of it at once: nothing is kept from others while the rest has to wait.
            charge = Some(requests.charge(len.max(announced)).await);
        }
        message.extend_from_slice(&data);
    }
}

/// The length of a message with its header, as the header has it; `None` if it is not there yet.
fn announced_len(received: &[u8], next: &[u8]) -> Option<usize> {
    let mut header = received.iter().chain(next).skip(1).copied();
    let len = [header.next()?, header.next()?, header.next()?, header.next()?];
    Some(MESSAGE_HEADER.saturating_add(u32::from_be_bytes(len) as usize))
}

/// Waits for the memory that a message needs once it is decoded; refuses one that needs too much.
async fn admit(message: &[u8], charge: &mut Option<Charge>, requests: &Pool) -> Result<(), Status> {
    let bytes = message.get(MESSAGE_HEADER..).unwrap_or_default();
    let decoded = bytes.len() * DECODED_BYTE + fields(bytes) * DECODED_FIELD;
    if decoded > DECODED_CALL_BYTES {
        return Err(Status::new(
            Code::ResourceExhausted,
            format!("the message has too many parts: it needs {decoded} bytes of memory"),
        ));
    }
    if decoded > OWN_BYTES {
        // What was lent for the encoded message goes back first: no call waits for another while
        // it keeps something from it.
        drop(charge.take());
        *charge = Some(requests.charge(message.len() + decoded).await);
    }
    Ok(())
}

/// The number of fields of a message, until one that is broken.
fn fields(mut message: &[u8]) -> usize {
    let mut count = 0;
    while let Some(rest) = after_field(message) {
        (message, count) = (rest, count + 1);
    }
    count
}

/// What follows the first field of a message; `None` if there is none, or it is broken.
fn after_field(message: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = varint(message)?;
    match tag & 7 {
        0 => varint(rest).map(|(_, rest)| rest),
        1 => rest.get(8..),
        2 => {
            let (len, rest) = varint(rest)?;
            rest.get(usize::try_from(len).ok()?..)
        }
        5 => rest.get(4..),
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7F).checked_shl(7 * at as u32).unwrap_or_default();
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// A message that arrived.
struct Message(Option<Bytes>);

impl http_body::Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|message| Ok(http_body::Frame::data(message))))
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_proto::{ScopeInfo, controller_service_server::ControllerService as _};
    use pravega_sdk_server_core::{
        access::Account,
        record::{Durability, Sequence},
    };
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        builder::ServerBuilder,
        clock::Clock,
        durable::Durable,
        identity::Identity,
        limits::CREDENTIALS_BYTES,
        ports::{Clients, Port},
        service::Addresses,
    };

    fn state() -> Arc<ServerState> {
        let machine = ServerBuilder::default().machine(Durability::InMemory);
        let durable = watch::Sender::new(Durable::To(Sequence::default()));
        Arc::new(ServerState::new(machine, Clock::standing(), durable, None))
    }

    /// A service that never answers.
    #[derive(Clone)]
    struct Silent;

    impl HttpService<Request<Body>> for Silent {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            std::future::pending()
        }
    }

    /// A body that never arrives.
    struct Absent;

    impl http_body::Body for Absent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_has_a_deadline_and_so_has_its_request() {
        let (state, calls) = (state(), Arc::new(Semaphore::new(1)));
        let account = state.turns.account();
        let guarded = Guarded { inner: Silent, state, calls };
        for (body, deadline) in [
            (Body::new(Message(Some(Bytes::from_static(&[0; 5])))), CALL),
            (Body::new(Absent), FIRST_WORD),
        ] {
            let begun = tokio::time::Instant::now();
            let response = guarded.clone().call(Request::new(body), &account).await;
            let status = response.headers().get("grpc-status").unwrap();
            assert_eq!(status, &(Code::DeadlineExceeded as i32).to_string());
            assert_eq!(begun.elapsed(), deadline);
        }
    }

    #[test]
    fn long_credentials_are_lent_memory_and_short_ones_and_the_first_are_not() {
        let budget = Budget::default();
        let keep = |len: usize, is_only: bool| {
            let read = Bytes::from(vec![b'x'; 64 << 10]);
            let value = HeaderValue::from_maybe_shared(read.slice(..len)).unwrap();
            let others = ("user-agent".parse().unwrap(), HeaderValue::from_static("test"));
            let mut headers = HeaderMap::from_iter([(AUTHORIZATION, value), others]);
            let lent = keep_credentials(&mut headers, is_only, &budget)?;
            assert!(read.is_unique(), "it keeps all that was read with it");
            assert_eq!((headers.len(), headers[AUTHORIZATION].len()), (1, len));
            Ok::<_, Status>(lent)
        };
        let all: Vec<_> = std::iter::from_fn(|| keep(8000, false).ok()).collect();
        assert_eq!(all.len(), CREDENTIALS_BYTES / 8000);
        assert_eq!(keep(8000, false).unwrap_err().code(), Code::Unavailable);
        assert!(keep(8000, true).unwrap().is_none() && keep(100, false).unwrap().is_none());
        drop(all);
        assert!(keep(8000, false).unwrap().is_some());
        assert_eq!(budget.credentials.lent(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_a_stranger_keeps_no_seat() {
        let state = state();
        let ann = vec![Account::new("ann", "pw")];
        state.set_identity(Identity::open(ann, None, [7; 32]).unwrap());
        let (scheme, host) = ("tcp", "127.0.0.1".to_owned());
        let addresses = Addresses { scheme, host, controller: 1, stores: vec![2], rest: None };
        let service = Service::new(state, addresses);
        let (port, cut) = (Port::new("test", 1, Clients::Strangers), CancellationToken::new());
        // No credentials, another password, and the right one.
        for (header, keeps) in [("", false), ("Basic YW5uOm5v", false), ("Basic YW5uOnB3", true)] {
            let watch = Watch::new(Some(Arc::new(port.seat(&cut).unwrap())));
            tokio::time::advance(Duration::from_secs(1)).await;
            let mut request = tonic::Request::new(ScopeInfo { scope: "s".to_owned() });
            request.metadata_mut().insert("authorization", header.parse().unwrap());
            request.extensions_mut().insert(Arc::clone(&watch));
            let (_call, _) = watch.call();
            assert_eq!(service.check_scope_exists(request).await.is_ok(), keeps, "{header}");
            assert_eq!(port.seat(&cut).is_none(), keeps, "{header}");
        }
    }

    #[test]
    fn the_deadline_of_the_client_is_that_of_the_header() {
        let of = |text: &'static str| {
            let headers = [("grpc-timeout".parse().unwrap(), text.parse().unwrap())];
            deadline(&HeaderMap::from_iter(headers))
        };
        for (text, seconds) in [("2H", 7200.0), ("3M", 180.0), ("99999999S", 99_999_999.0)] {
            assert_eq!(of(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for (text, nanos) in [("5m", 5_000_000), ("6u", 6_000), ("7n", 7)] {
            assert_eq!(of(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "S", "5", "5x", "-5S", "+5S", "123456789S", "5.0S", "\u{e9}"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(deadline(&HeaderMap::new()), None);
    }

    #[test]
    fn the_fields_of_a_message_are_counted() {
        assert_eq!(fields(&[]), 0);
        // A number, an empty message, a string, a fixed one of eight bytes, one of four.
        let all =
            [8, 0x96, 1, 18, 0, 26, 2, b'a', b'b', 33, 1, 2, 3, 4, 5, 6, 7, 8, 45, 1, 2, 3, 4];
        assert_eq!(fields(&all), 5);
        for len in 0..all.len() {
            assert!(fields(&all[..len]) < 5);
        }
        assert_eq!(fields(&[18, 0].repeat(1000)), 1000);
        // Lengths that no message has.
        assert_eq!(fields(&[18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]), 0);
        assert_eq!(fields(&[0xFF; 20]), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_of_many_empty_parts_is_refused_before_it_is_decoded() {
        let requests = Pool::new(1 << 20);
        let message = |parts: usize| [vec![0; 5], [18, 0].repeat(parts)].concat();
        let mut charge = None;
        admit(&message(10_000), &mut charge, &requests).await.unwrap();
        assert_eq!(charge.as_ref().map(Charge::bytes), Some(1 << 20));
        let refused = admit(&message(2_000_000), &mut charge, &requests).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
    }

    #[test]
    fn the_length_of_a_message_is_known_after_its_header() {
        assert_eq!(announced_len(&[0, 0, 0], &[1]), None);
        assert_eq!(announced_len(&[0, 0, 0], &[1, 2, 9]), Some(5 + 258));
        assert_eq!(announced_len(&[], &[0, 0xFF, 0xFF, 0xFF, 0xFF]), Some(5 + 0xFFFF_FFFF));
    }
}
