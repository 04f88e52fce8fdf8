//! An issuer of tokens that answers as Keycloak does, and remembers what it was asked.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// The token of a login.
pub const ACCESS: &str = "access-token-of-a-login";
/// The token with the permissions.
pub const PERMITTED: &str = "token-with-permissions";
/// Longer than any request takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The issuer, on a port of this machine. It answers one request at a time.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Value>>>,
}

/// What an issuer answers to requests for tokens.
#[derive(Debug, Clone)]
enum Manner {
    /// This status; with 200, a token.
    Status(u16),
    /// Tokens with permissions that another party has made.
    Issuing(String),
    /// An error that repeats all that was sent.
    Repeating,
}

impl Issuer {
    /// Starts an issuer. `status` is what it answers to logins: 200 if they are right.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub fn start(status: u16) -> io::Result<Self> {
        Self::begin(Manner::Status(status))
    }

    /// Starts an issuer of this token with permissions.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub fn issuing(token: &str) -> io::Result<Self> {
        Self::begin(Manner::Issuing(token.to_owned()))
    }

    /// Starts an issuer that refuses clients with an error in which their secret is.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub fn repeating() -> io::Result<Self> {
        Self::begin(Manner::Repeating)
    }

    fn begin(manner: Manner) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let issuer = Self { address: listener.local_addr()?, asked: Arc::default() };
        let (address, asked) = (issuer.address, Arc::clone(&issuer.asked));
        // It ends with the process, or with its owner.
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if Arc::strong_count(&asked) == 1 {
                    return;
                }
                serve(socket, address, &manner, &asked).ok();
            }
        });
        Ok(issuer)
    }

    /// Returns its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far, each as an object with its method and its path, and, if it has
    /// a body, that and its credentials. A token of the issuer is described.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // Wakes the thread, which finds itself alone.
        self.asked = Arc::default();
        TcpStream::connect(self.address).ok();
    }
}

fn serve(
    mut socket: TcpStream,
    address: SocketAddr,
    manner: &Manner,
    asked: &Mutex<Vec<Value>>,
) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());

    let sent = authorization.clone();
    let mut request = json!({ "method": method, "path": path });
    if method == "POST" {
        let previous = "<access_token of the previous answer>";
        request["authorization"] = authorization.map(|text| text.replace(ACCESS, previous)).into();
        request["body"] = body.clone().into();
    }
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);

    let (status, answer) = match (path.split_once("/.well-known/"), manner) {
        (Some((realm, _)), _) => {
            let issuer = format!("http://{address}{realm}");
            let endpoint = format!("{issuer}/protocol/openid-connect/token");
            (200, json!({ "issuer": issuer, "token_endpoint": endpoint }))
        }
        (None, Manner::Repeating) => {
            let sent = format!("{} {body}", sent.unwrap_or_default());
            (401, json!({ "error": sent, "error_description": sent }))
        }
        (None, Manner::Status(status)) if *status != 200 => {
            (*status, json!({ "error": "unauthorized_client" }))
        }
        (None, manner) => {
            let is_login = body.contains("grant_type=client_credentials");
            let permitted = if let Manner::Issuing(token) = manner { token } else { PERMITTED };
            let token = if is_login { ACCESS } else { permitted };
            (200, json!({ "access_token": token, "expires_in": 300 }))
        }
    };
    let answer = answer.to_string();
    let length = answer.len();
    write!(
        socket,
        "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{answer}"
    )
}
