//! The local socket of a running client: others of this user's programs share its tunnel by it.
//!
//! A program says in one line of JSON what it wants, and is answered by one. After `{"connect": "HOST:PORT"}` that was
//! answered with `{"ok": true}` the bytes that follow are the connection's.

mod nc;
mod socket;

use std::io::{self, ErrorKind};

use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub use nc::nc;
pub use socket::{ControlSocket, Folder, name_of};

use crate::rootless::Destination;

/// The longest line.
const LINE_BYTES: u64 = 16 * 1024;

/// What a program wants of a running client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A connection through the tunnel.
    Connect(Destination),
}

impl Request {
    fn to_json(&self) -> Value {
        match self {
            Self::Connect(to) => json!({ "connect": to.to_string() }),
        }
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        if let Some(to) = value["connect"].as_str() {
            return to.parse().map(Self::Connect);
        }
        Err("this client knows only {\"connect\": \"HOST:PORT\"}".to_owned())
    }

    /// Asks a running client.
    ///
    /// # Errors
    /// What the client says, or what happened to the socket.
    pub async fn ask(&self, stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> io::Result<Value> {
        write_line(stream, &self.to_json()).await?;
        let answer = read_line(stream).await?;
        match answer["error"].as_str() {
            Some(error) => Err(io::Error::other(error.to_owned())),
            None => Ok(answer),
        }
    }

    /// Reads what a program wants.
    ///
    /// # Errors
    /// `InvalidData` for what is no request, which the program was told.
    pub async fn receive(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> io::Result<Self> {
        let read = read_line(stream).await;
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

async fn write_line(stream: &mut (impl AsyncWrite + Unpin), value: &Value) -> io::Result<()> {
    stream.write_all(format!("{value}\n").as_bytes()).await
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Value> {
    let mut line = String::new();
    let read = stream.take(LINE_BYTES).read_line(&mut line).await?;
    if read == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
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

    #[tokio::test]
    async fn nonsense_is_answered_with_what_would_make_sense() {
        for line in ["{}\n", "{\"connect\": \"nowhere\"}\n", "no json\n"] {
            let (mut near, far) = duplex(4096);
            near.write_all(line.as_bytes()).await.unwrap();
            let mut far = BufReader::new(far);
            assert!(Request::receive(&mut far).await.is_err());
            far.flush().await.unwrap();
            let answer = read_line(&mut BufReader::new(near)).await.unwrap();
            assert!(answer["error"].is_string(), "{answer}");
        }
    }
}
