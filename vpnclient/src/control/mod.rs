//! The local socket of a running client: others of this user's programs share its tunnel by it.
//!
//! A program says in one line of JSON what it wants, and is answered by one ([`Request`]). After `{"connect": "HOST:PORT"}` and
//! `{"manage": true}` that were answered with `{"ok": true}` the bytes that follow are the connection's; after `{"up": NAME}`
//! lines follow that say what happens.

mod nc;
mod serve;
mod socket;

use std::io::{self, ErrorKind};

use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use transport::tls::Fingerprint;
use zeroize::Zeroizing;

pub use nc::nc;
pub(crate) use serve::serve_programs;
pub use serve::{serve, serve_other};
pub use socket::{ControlSocket, Folder, SERVICE};

use crate::failure::Failure;
use crate::rootless::Destination;

/// The longest line of a program.
const REQUEST_BYTES: u64 = 16 * 1024;
/// The longest line of a client: the service tells of up to 1,024 accounts in one.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// What a program wants of a running client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A connection through the tunnel.
    Connect(Destination),
    /// How its connections stand.
    Status,
    /// The client service: calls of the RPC follow, without a password.
    Manage,
    /// The client service: connect an account, and say what happens.
    Up {
        /// The account.
        name: String,
        /// The password, where none is kept.
        password: Option<Zeroizing<String>>,
        /// The certificate to accept from now on.
        pin: Option<Fingerprint>,
    },
    /// The client service: disconnect an account.
    Down(String),
    /// The client service: an account's own options, or new ones for it.
    Options(String, Option<Vec<String>>),
}

impl Request {
    fn to_json(&self) -> Value {
        match self {
            Self::Connect(to) => json!({ "connect": to.to_string() }),
            Self::Status => json!({ "status": true }),
            Self::Manage => json!({ "manage": true }),
            Self::Up { name, password, pin } => json!({
                "up": name,
                "password": password.as_ref().map(|password| password.as_str()),
                "pin": pin.map(|pin| pin.to_string()),
            }),
            Self::Down(name) => json!({ "down": name }),
            Self::Options(name, options) => json!({ "account": name, "options": options }),
        }
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        if let Some(to) = value["connect"].as_str() {
            return to.parse().map(Self::Connect);
        }
        if value["status"] == true {
            return Ok(Self::Status);
        }
        if value["manage"] == true {
            return Ok(Self::Manage);
        }
        if let Some(name) = value["up"].as_str() {
            let pin = value["pin"].as_str().map(str::parse::<Fingerprint>).transpose();
            return Ok(Self::Up {
                name: name.to_owned(),
                password: value["password"]
                    .as_str()
                    .map(|text| Zeroizing::new(text.to_owned())),
                pin: pin.map_err(|e| e.to_string())?,
            });
        }
        if let Some(name) = value["down"].as_str() {
            return Ok(Self::Down(name.to_owned()));
        }
        if let Some(name) = value["account"].as_str() {
            let options = serde_json::from_value(value["options"].clone());
            return options
                .map(|options| Self::Options(name.to_owned(), options))
                .map_err(|e| format!("options are a list of words: {e}"));
        }
        Err("this client knows {\"connect\": \"HOST:PORT\"}, {\"status\": true}, and as a service {\"manage\": true}, \
             {\"up\": NAME}, {\"down\": NAME} and {\"account\": NAME}"
            .to_owned())
    }

    /// Asks a running client.
    ///
    /// # Errors
    /// What the client says, or what happened to the socket.
    pub async fn ask(&self, stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> io::Result<Value> {
        let answer = self.put(stream).await?;
        match answer["error"].as_str() {
            Some(error) => Err(io::Error::other(error.to_owned())),
            None => Ok(answer),
        }
    }

    /// The same; the answer may be a refusal.
    ///
    /// # Errors
    /// What happened to the socket.
    pub async fn put(&self, stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> io::Result<Value> {
        write_line(stream, &self.to_json()).await?;
        read_answer(stream).await
    }

    /// Reads what a program wants.
    ///
    /// # Errors
    /// `InvalidData` for what is no request, which the program was told.
    pub async fn receive(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> io::Result<Self> {
        let read = read_line(stream, REQUEST_BYTES).await;
        let request = read.and_then(|line| {
            Self::from_json(&line).map_err(|why| io::Error::new(ErrorKind::InvalidData, why))
        });
        if let Err(error) = &request {
            answer(stream, Err(error)).await?;
        }
        request
    }
}

/// Tells a program what became of its request.
///
/// # Errors
/// What happened to the socket.
pub async fn answer(
    stream: &mut (impl AsyncWrite + Unpin),
    outcome: Result<(), &io::Error>,
) -> io::Result<()> {
    let line = match outcome {
        Ok(()) => json!({ "ok": true }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    write_line(stream, &line).await
}

/// Tells a program why its request came to nothing.
///
/// # Errors
/// What happened to the socket.
pub async fn refuse(stream: &mut (impl AsyncWrite + Unpin), failure: &Failure) -> io::Result<()> {
    let line = json!({ "error": failure.to_string(), "reason": failure.reason().word() });
    write_line(stream, &line).await
}

/// As [`answer`], with more to say when all is well.
///
/// # Errors
/// What happened to the socket.
pub async fn answer_with(stream: &mut (impl AsyncWrite + Unpin), mut value: Value) -> io::Result<()> {
    value["ok"] = Value::Bool(true);
    write_line(stream, &value).await
}

/// Writes one line of the talk.
///
/// # Errors
/// What happened to the socket.
pub(crate) async fn write_line(stream: &mut (impl AsyncWrite + Unpin), value: &Value) -> io::Result<()> {
    stream.write_all(format!("{value}\n").as_bytes()).await
}

/// Reads one line of what a client says.
///
/// # Errors
/// `UnexpectedEof` at the end, `InvalidData` for what is no JSON.
pub(crate) async fn read_answer(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Value> {
    read_line(stream, ANSWER_BYTES).await
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), longest: u64) -> io::Result<Value> {
    let mut line = String::new();
    let read = stream.take(longest).read_line(&mut line).await?;
    if read == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let line = Zeroizing::new(line);
    if !line.ends_with('\n') {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("a line that ends within {longest} bytes is wanted"),
        ));
    }
    serde_json::from_str(&line).map_err(|e| io::Error::new(ErrorKind::InvalidData, e.to_string()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{BufReader, duplex};

    use super::*;

    #[tokio::test]
    async fn a_request_arrives_as_it_was_meant_and_an_error_comes_back_as_one() {
        let (near, far) = duplex(4096);
        let wanted = Request::Connect("web.private:80".parse().unwrap());
        let asked = wanted.clone();
        let asking = tokio::spawn(async move { asked.ask(&mut BufReader::new(near)).await });
        let mut far = BufReader::new(far);
        assert_eq!(Request::receive(&mut far).await.unwrap(), wanted);
        answer(&mut far, Err(&io::Error::other("no such host")))
            .await
            .unwrap();
        far.flush().await.unwrap();
        assert_eq!(asking.await.unwrap().unwrap_err().to_string(), "no such host");
    }

    #[test]
    fn every_request_is_read_as_it_was_written() {
        for request in [
            Request::Status,
            Request::Manage,
            Request::Up {
                name: "to the lab".into(),
                password: Some(Zeroizing::new("secret".into())),
                pin: Some(format!("sha256:{}", "5a".repeat(32)).parse().unwrap()),
            },
            Request::Up {
                name: "lab".into(),
                password: None,
                pin: None,
            },
            Request::Down("lab".into()),
            Request::Options("lab".into(), None),
            Request::Options("lab".into(), Some(vec!["--no-dns".into()])),
        ] {
            assert_eq!(Request::from_json(&request.to_json()), Ok(request));
        }
    }

    #[tokio::test]
    async fn nonsense_is_answered_with_what_would_make_sense() {
        for line in ["{}\n", "{\"connect\": \"nowhere\"}\n", "no json\n"] {
            let (mut near, far) = duplex(4096);
            near.write_all(line.as_bytes()).await.unwrap();
            let mut far = BufReader::new(far);
            assert!(Request::receive(&mut far).await.is_err());
            far.flush().await.unwrap();
            let answer = read_answer(&mut BufReader::new(near)).await.unwrap();
            assert!(answer["error"].is_string(), "{answer}");
        }
    }

    #[tokio::test]
    async fn an_answer_may_be_long_and_a_request_may_not() {
        let status = crate::status::Status {
            routes: (0..50).map(|n| format!("10.{n}.0.0/16")).collect(),
            ..Default::default()
        };
        let (mut near, far) = duplex(4096);
        let mut far = BufReader::new(far);
        let told = vec![status; 1024];
        let telling = tokio::spawn(async move {
            answer_with(&mut near, json!({ "clients": told })).await.unwrap();
            let long = Request::Down("x".repeat(20_000));
            write_line(&mut near, &long.to_json()).await.unwrap();
            read_answer(&mut BufReader::new(near)).await.unwrap()
        });
        let heard = read_answer(&mut far).await.unwrap();
        assert_eq!(heard["clients"].as_array().map(Vec::len), Some(1024));
        let refused = Request::receive(&mut far).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
        // What is left of it, so that the other side can go on to read.
        let mut rest = String::new();
        far.read_line(&mut rest).await.unwrap();
        let answer = telling.await.unwrap();
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|error| error.contains("16384")),
            "{answer}"
        );
    }
}
