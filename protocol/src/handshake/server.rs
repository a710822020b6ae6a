//! The server's side of the negotiation.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::BytesMut;
use rand::rngs::StdRng;

use super::welcome::refusal;
use super::{HandshakeError, Hello, Request, pages, wire};
use crate::error::ErrorCode;
use crate::http::{self, Head, HeadReader};
use crate::pack::{Limits, Pack};
use crate::signature;

/// Requests that may come before the signature (protocol §2.1).
const REQUESTS: u32 = 19;
/// Idle requests that may come before the real one (protocol §2.5).
const NOOPS: u32 = 30;
/// What a stranger can make us hold, and what may arrive early behind a request.
const HELD_BYTES: usize = 64 * 1024;

/// Carries one connection from its first byte to the data stage, the administration stage or its refusal.
///
/// Feed it with [`handle_input`](Self::handle_input), send what [`poll_output`](Self::poll_output) returns, answer
/// what [`poll_request`](Self::poll_request) returns. A request that makes no sense is refused here and never seen.
/// Once [`is_closing`](Self::is_closing), send what is left and close; once [`is_established`](Self::is_established),
/// the stream belongs to frames or administration records, of which [`into_rest`](Self::into_rest) has the first; once
/// [`is_api`](Self::is_api), it belongs to the JSON interface.
#[derive(Debug)]
pub struct ServerHandshake {
    hello: Hello,
    date: String,
    rng: StdRng,
    stage: Stage,
    input: BytesMut,
    reader: HeadReader,
    /// Head of the message whose body is awaited, and the length of that body.
    head: Option<(Head, usize)>,
    requests: u32,
    /// Whether the signature was right.
    signed: bool,
    noops: u32,
    request: Option<Request>,
    output: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Anything may come: browsers, scanners, clients.
    Signature,
    /// The hello is out; one request is awaited.
    Request,
    /// The request is with the caller. What success leads to:
    Answer(Next),
    Established,
    /// The client talks to the JSON interface; its bytes are untouched.
    Api,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The stream lives on.
    Stream,
    /// One answer was all.
    Close,
}

impl ServerHandshake {
    /// A fresh connection. `hello.random` must be new and unpredictable; the padding of messages is drawn from it
    /// too, since whoever can see it sees the messages themselves. `now` is for the `Date` header.
    #[must_use]
    pub fn new(hello: Hello, now: SystemTime) -> Self {
        Self {
            rng: wire::padding_rng(&hello.random),
            hello,
            date: http::date(now),
            stage: Stage::Signature,
            input: BytesMut::new(),
            reader: HeadReader::new(),
            head: None,
            requests: 0,
            signed: false,
            noops: 0,
            request: None,
            output: VecDeque::new(),
        }
    }

    /// Takes bytes from the client.
    ///
    /// # Errors
    /// [`HandshakeError`]: send what is left of the output and close.
    pub fn handle_input(&mut self, mut bytes: &[u8]) -> Result<(), HandshakeError> {
        while !bytes.is_empty() && self.stage != Stage::Closing {
            let room = HELD_BYTES - self.input.len();
            if room == 0 {
                self.stage = Stage::Closing;
                return Err(HandshakeError::TooMuch);
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.input.extend_from_slice(now);
            bytes = later;
            if let Err(error) = self.advance() {
                self.stage = Stage::Closing;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The next bytes for the client.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.output.pop_front()
    }

    /// The client's request, once. It must be answered by [`reply`](Self::reply) or [`refuse`](Self::refuse).
    pub fn poll_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    /// Answers the request. A refusal, a redirect and the answers to everything but login, additional connection and
    /// administration end the connection. Without an open request nothing happens.
    pub fn reply(&mut self, pack: &Pack) {
        let Stage::Answer(next) = self.stage else { return };
        self.send(pack);
        let goes_on = next == Next::Stream && pack.error().is_none() && !super::Redirect::is(pack);
        self.stage = if goes_on {
            Stage::Established
        } else {
            Stage::Closing
        };
    }

    /// Refuses the request.
    pub fn refuse(&mut self, code: ErrorCode) {
        self.reply(&refusal(code));
    }

    /// Whether the stream now belongs to what the request asked for.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.stage == Stage::Established
    }

    /// Whether the connection is to be closed after the output. Stock clients read the last answer and close; reading
    /// on until they do keeps the answer from being lost.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.stage == Stage::Closing
    }

    /// Whether the client's next request is for the JSON interface. That request, from its first byte, is in
    /// [`into_rest`](Self::into_rest), and the stream is HTTP from here on.
    #[must_use]
    pub fn is_api(&self) -> bool {
        self.stage == Stage::Api
    }

    /// Whether the client has shown that it speaks this protocol.
    #[must_use]
    pub fn is_vpn_client(&self) -> bool {
        self.signed
    }

    /// The bytes that came early and belong to the next stage.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.input.into()
    }

    fn advance(&mut self) -> Result<(), HandshakeError> {
        while matches!(self.stage, Stage::Signature | Stage::Request) {
            if self.head.is_none() {
                if self.stage == Stage::Signature && self.reader.is_at_start() {
                    match http::is_for_api(&self.input) {
                        Some(true) => self.stage = Stage::Api,
                        Some(false) => {}
                        None => return Ok(()),
                    }
                    if self.stage == Stage::Api {
                        return Ok(());
                    }
                }
                let Some(head) = self.reader.read(&mut self.input)? else {
                    return Ok(());
                };
                let body = self.expect_body(&head)?;
                self.head = body.map(|len| (head, len));
                continue;
            }
            let Some((head, _)) = self.head.take_if(|(_, len)| self.input.len() >= *len) else {
                return Ok(());
            };
            let len = head.content_length()?;
            let body = self.input.split_to(len);
            match self.stage {
                Stage::Signature => self.signature(&head, &body)?,
                _ => self.message(&body)?,
            }
        }
        Ok(())
    }

    /// Judges a head before any byte of its body is held: the length of the body to wait for, or `None` when the
    /// message is dealt with.
    fn expect_body(&mut self, head: &Head) -> Result<Option<usize>, HandshakeError> {
        let request = head.request()?;
        if self.stage == Stage::Request {
            let len = head.content_length().unwrap_or(0);
            let fits = (1..=Limits::BEFORE_LOGIN.bytes).contains(&len);
            if request.is("POST", wire::PACK_TARGET)
                && request.version == "HTTP/1.1"
                && head.is_pack()
                && fits
            {
                return Ok(Some(len));
            }
            self.refuse_message();
            return Ok(None);
        }
        self.requests += 1;
        if request.method.eq_ignore_ascii_case("POST") {
            let len = head.content_length()?;
            if signature::accepts_length(len) {
                return Ok(Some(len));
            }
            self.page(pages::FORBIDDEN, false)?;
            self.stage = Stage::Closing;
        } else if ["GET", "HEAD"]
            .iter()
            .any(|method| request.method.eq_ignore_ascii_case(method))
        {
            let page = if request.target == "/" {
                pages::ROOT
            } else {
                pages::NOT_FOUND
            };
            self.page(page, request.method.eq_ignore_ascii_case("HEAD"))?;
        } else {
            self.page(pages::NOT_IMPLEMENTED, false)?;
        }
        Ok(None)
    }

    /// An upload of a length that a signature can have.
    fn signature(&mut self, head: &Head, body: &[u8]) -> Result<(), HandshakeError> {
        if !head.request()?.is("POST", wire::SIGNATURE_TARGET) {
            return self.page(pages::NOT_FOUND, false);
        }
        if !signature::recognise(body) {
            return self.page(pages::FORBIDDEN, false);
        }
        self.signed = true;
        self.stage = Stage::Request;
        let hello = self.hello.to_pack();
        self.send(&hello);
        Ok(())
    }

    fn message(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        let Ok(pack) = Pack::decode(body, &Limits::BEFORE_LOGIN) else {
            self.refuse_message();
            return Ok(());
        };
        if pack.bool("noop") {
            self.noops += 1;
            if self.noops > NOOPS {
                return Err(HandshakeError::TooManyRequests);
            }
            let mut answer = Pack::new();
            answer.set_int("error", 0).set_int("noop", 1);
            self.send(&answer);
            return Ok(());
        }
        match Request::from_pack(&pack) {
            Ok(request) => {
                let close = matches!(request, Request::EnumHub | Request::ChangePassword(_));
                self.stage = Stage::Answer(if close { Next::Close } else { Next::Stream });
                self.request = Some(request);
            }
            Err(code) => {
                self.stage = Stage::Answer(Next::Close);
                self.refuse(code);
            }
        }
        Ok(())
    }

    /// A message that is no PACK in the right wrapping (protocol §2.5).
    fn refuse_message(&mut self) {
        self.stage = Stage::Answer(Next::Close);
        self.refuse(ErrorCode::Disconnected);
    }

    /// A page for a browser or scanner, unless it has had enough of them.
    fn page(&mut self, (status, body): (&str, &str), head_only: bool) -> Result<(), HandshakeError> {
        if self.requests > REQUESTS {
            return Err(HandshakeError::TooManyRequests);
        }
        let mut response = http::response(status, http::HTML_TYPE, &self.date, body.as_bytes());
        if head_only {
            response.truncate(response.len() - body.len());
        }
        self.output.push_back(response);
        Ok(())
    }

    fn send(&mut self, pack: &Pack) {
        let body = wire::encode(pack, &mut self.rng);
        self.output
            .push_back(http::response("200 OK", http::PACK_TYPE, &self.date, &body));
    }
}
