//! Frames of HTTP/2 by hand, so that a client can break its rules.

use anyhow::Result;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::attacker::Attacker;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SERVICE: &str = "/io.pravega.controller.stream.api.grpc.v1.ControllerService/";
/// The largest payload of a frame that a server takes by default.
const MAX_PAYLOAD: usize = 16_384;

/// Returns a frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = length.get(1..).unwrap_or_default().to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Returns a setting of the peer, for a frame of settings.
pub(super) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()
}

/// Returns a header field, literal and outside any table.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        push_length(&mut field, text.len());
        field.extend(text.as_bytes());
    }
    field
}

/// A length with a prefix of 7 bits, as in HPACK.
fn push_length(out: &mut Vec<u8>, length: usize) {
    if length < 127 {
        out.push(length as u8);
        return;
    }
    out.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// Returns the header fields of a call.
pub(super) fn fields(method: &str) -> Vec<u8> {
    [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", &format!("{SERVICE}{method}")),
        field(":authority", "127.0.0.1"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ]
    .concat()
}

/// Returns the frames of a call with a message.
pub(super) fn call(stream: u32, method: &str, message: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    let mut frames = frame(HEADERS, END_HEADERS, stream, &fields(method));
    let pieces = body.len().div_ceil(MAX_PAYLOAD);
    for (at, piece) in body.chunks(MAX_PAYLOAD).enumerate() {
        let flags = if at + 1 == pieces { END_STREAM } else { 0 };
        frames.extend(frame(DATA, flags, stream, piece));
    }
    frames
}

/// Connects and sends the preface with settings.
pub(super) async fn connect(attacker: &Attacker, settings: &[u8]) -> Result<TcpStream> {
    let mut socket = attacker.connect(attacker.target.controller).await?;
    socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_lengths_are_those_of_the_specification() {
        assert_eq!(frame(PING, 1, 2, b"x"), [0, 0, 1, PING, 1, 0, 0, 0, 2, b'x']);
        let mut length = Vec::new();
        push_length(&mut length, 1337);
        assert_eq!(length, [127, 0xBA, 0x09]);
        assert_eq!(field("a", "b"), [0, 1, b'a', 1, b'b']);
    }
}
