//! One direction of one captured connection, taken apart.

use std::path::Path;

use bytes::BytesMut;
use protocol::http::HeadReader;
use protocol::signature::{IMAGE_BYTES, SHORT};

/// Who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

pub(crate) struct Stream {
    /// HTTP messages, head and body. In the body of a signature the picture is missing.
    pub(crate) messages: Vec<Vec<u8>>,
    /// Bodies of the messages that carry a PACK.
    pub(crate) packs: Vec<Vec<u8>>,
    /// Everything behind the last message.
    pub(crate) rest: Vec<u8>,
}

/// A file of the captures.
pub(crate) fn data(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/se-vpn");
    std::fs::read(folder.join(file)).unwrap()
}

/// The head of a message, up to and with its empty line.
pub(crate) fn head(message: &[u8]) -> String {
    let end = message
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap()
        + 4;
    String::from_utf8(message[..end].to_vec()).unwrap()
}

impl Stream {
    pub(crate) fn load(name: &str, side: Side) -> Self {
        let (suffix, last) = match side {
            Side::Client => ("c2s", 1),
            Side::Server => ("s2c", 2),
        };
        let mut rest = data(&format!("{name}.{suffix}.bin"));
        let (mut messages, mut packs) = (Vec::new(), Vec::new());
        while packs.len() < last {
            let mut input = BytesMut::from(&rest[..]);
            let head = HeadReader::new().read(&mut input).unwrap().unwrap();
            let start = rest.len() - input.len();
            let is_signature = head
                .request()
                .is_ok_and(|line| line.is("POST", "/vpnsvc/connect.cgi"));
            let body = head.content_length().unwrap() - if is_signature { IMAGE_BYTES } else { 0 };
            let later = rest.split_off(start + body);
            if head.is_pack() {
                packs.push(rest[start..].to_vec());
            }
            messages.push(std::mem::replace(&mut rest, later));
        }
        Self {
            messages,
            packs,
            rest,
        }
    }

    /// The whole stream, as a client sends it that uses the short signature.
    pub(crate) fn with_short_signature(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in &self.messages {
            if message.starts_with(b"POST /vpnsvc/connect.cgi") {
                let head = format!(
                    "POST /vpnsvc/connect.cgi HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
                    SHORT.len()
                );
                bytes.extend_from_slice(head.as_bytes());
                bytes.extend_from_slice(SHORT);
            } else {
                bytes.extend_from_slice(message);
            }
        }
        bytes.extend_from_slice(&self.rest);
        bytes
    }
}
