//! A client of the REST interface that sends exactly what a test says.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Rest {
    address: String,
    /// More fields of the head, each with its line end.
    fields: String,
}

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The code.
    pub status: u16,
    /// The head, as text.
    pub head: String,
    /// The body, as text.
    pub body: String,
}

impl Response {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Rest {
    /// A client of the server at an address.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned(), fields: String::new() }
    }

    /// Adds a field to the head of every request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sends a request without a body.
    pub async fn ask(&self, method: &str, path: &str) -> Response {
        self.send(method, path, "", "").await
    }

    /// Sends a request with JSON.
    pub async fn put(&self, method: &str, path: &str, json: &Value) -> Response {
        let kind = "Content-Type: application/json\r\n";
        self.send(method, path, kind, &json.to_string()).await
    }

    /// Sends a request with fields, each with its line end, and a body.
    pub async fn send(&self, method: &str, path: &str, fields: &str, body: &str) -> Response {
        let len = if fields.contains("Content-Length:") || fields.contains("Transfer-Encoding:") {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}{fields}{len}\
             \r\n{body}",
            self.fields
        );
        self.raw(request.as_bytes()).await
    }

    /// Sends bytes, and returns the response.
    ///
    /// # Panics
    ///
    /// If there is no response.
    pub async fn raw(&self, request: &[u8]) -> Response {
        response(self.begin(request).await).await.expect("the connection is closed")
    }

    /// Sends bytes, as far as the server takes them, and returns the connection.
    pub async fn begin(&self, request: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.write_all(request).await.ok();
        socket
    }
}

/// Returns the response on a connection; `None` if it is closed without a whole one.
pub async fn response(mut socket: TcpStream) -> Option<Response> {
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.ok();
    let text = String::from_utf8_lossy(&received);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunked(body)? } else { body.to_owned() };
    Some(Response { status, head: head.to_owned(), body })
}

/// The bytes of all chunks; `None` if the last one is missing.
fn unchunked(mut chunks: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (len, rest) = chunks.split_once("\r\n")?;
        let len = usize::from_str_radix(len, 16).ok()?;
        if len == 0 {
            return Some(body);
        }
        let (chunk, rest) = rest.split_at_checked(len)?;
        body.push_str(chunk);
        chunks = rest.strip_prefix("\r\n")?;
    }
}
