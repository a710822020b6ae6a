//! The client's side of the negotiation.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::BytesMut;
use rand::rngs::StdRng;

use super::{HandshakeError, Hello, wire};
use crate::http::{self, HEAD_BYTES, Head, HeadReader, HttpError};
use crate::pack::{Limits, Pack};
use crate::signature;

/// What the server answered.
#[derive(Debug)]
pub enum ClientEvent {
    /// Its first message. [`ClientHandshake::send`] may follow.
    Hello(Hello),
    /// Its answer to what was sent, which may be a refusal.
    Reply(Pack),
}

/// Carries one connection from its first byte to the data or administration stage.
///
/// The signature is in the output at once. After [`ClientEvent::Hello`], [`send`](Self::send) a request; after
/// [`ClientEvent::Reply`], either send another or take the stream, of which [`into_rest`](Self::into_rest) has the
/// first bytes.
#[derive(Debug)]
pub struct ClientHandshake {
    host: String,
    date: String,
    stage: Stage,
    input: BytesMut,
    reader: HeadReader,
    head: Option<(Head, usize)>,
    events: VecDeque<ClientEvent>,
    output: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
enum Stage {
    /// The signature is out.
    Hello,
    /// Nothing is expected: what comes belongs to the next stage. The generator draws padding.
    Idle(StdRng),
    /// A request is out.
    Reply(StdRng),
    Failed,
}

impl ClientHandshake {
    /// A fresh connection to `host`, which only goes into the `Host` header; `now` into the `Date` header.
    #[must_use]
    pub fn new(host: &str, now: SystemTime) -> Self {
        // Whoever configures a host name must not be able to add headers.
        let host = host.chars().filter(char::is_ascii_graphic).collect::<String>();
        let signature = http::signature_request(wire::SIGNATURE_TARGET, &host, signature::SHORT);
        Self {
            host,
            date: http::date(now),
            stage: Stage::Hello,
            input: BytesMut::new(),
            reader: HeadReader::new(),
            head: None,
            events: VecDeque::new(),
            output: VecDeque::from([signature]),
        }
    }

    /// Takes bytes from the server.
    ///
    /// # Errors
    /// [`HandshakeError`]: the other side is no server of this protocol, or refuses to say hello.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<(), HandshakeError> {
        // An answer of full length may have the head of another stage's bytes behind it.
        if self.input.len() + bytes.len() > Limits::REPLY.bytes + HEAD_BYTES {
            self.stage = Stage::Failed;
            return Err(HandshakeError::TooMuch);
        }
        self.input.extend_from_slice(bytes);
        self.advance().inspect_err(|_| self.stage = Stage::Failed)
    }

    /// The next bytes for the server.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.output.pop_front()
    }

    /// What the server answered.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Sends a request, such as [`Login::to_pack`](super::Login::to_pack). Before the hello, and while another is
    /// unanswered, nothing happens.
    pub fn send(&mut self, pack: &Pack) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Idle(mut rng) => {
                let body = wire::encode(pack, &mut rng);
                self.output.push_back(http::pack_request(
                    wire::PACK_TARGET,
                    &self.host,
                    &self.date,
                    &body,
                ));
                Stage::Reply(rng)
            }
            other => other,
        };
    }

    /// The bytes that came early and belong to the next stage.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.input.into()
    }

    fn advance(&mut self) -> Result<(), HandshakeError> {
        while matches!(self.stage, Stage::Hello | Stage::Reply(_)) {
            if self.head.is_none() {
                if self.reader.is_at_start() && !http::may_be_response(&self.input) {
                    return Err(HttpError::StartLine.into());
                }
                let Some(head) = self.reader.read(&mut self.input)? else {
                    return Ok(());
                };
                let len = self.expect_body(&head)?;
                self.head = Some((head, len));
            }
            let Some((_, len)) = self.head.take_if(|(_, len)| self.input.len() >= *len) else {
                return Ok(());
            };
            let body = self.input.split_to(len);
            let pack = Pack::decode(&body, self.limits())?;
            self.message(pack)?;
        }
        Ok(())
    }

    fn limits(&self) -> &'static Limits {
        match self.stage {
            Stage::Hello => &Limits::BEFORE_LOGIN,
            _ => &Limits::REPLY,
        }
    }

    fn expect_body(&self, head: &Head) -> Result<usize, HandshakeError> {
        let len = head.content_length()?;
        let fits = (1..=self.limits().bytes).contains(&len);
        match head.status()? {
            200 if head.is_pack() && fits => Ok(len),
            status => Err(HandshakeError::NotVpnServer { status }),
        }
    }

    fn message(&mut self, pack: Pack) -> Result<(), HandshakeError> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Hello => {
                let hello = Hello::from_pack(&pack).map_err(HandshakeError::Refused)?;
                self.stage = Stage::Idle(wire::padding_rng(&hello.random));
                self.events.push_back(ClientEvent::Hello(hello));
            }
            // Servers of 2025 and later may send these while they are busy (protocol §2.5).
            Stage::Reply(rng) if pack.bool("noop") => self.stage = Stage::Reply(rng),
            Stage::Reply(rng) => {
                self.stage = Stage::Idle(rng);
                self.events.push_back(ClientEvent::Reply(pack));
            }
            other => self.stage = other,
        }
        Ok(())
    }
}
