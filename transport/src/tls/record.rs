//! The record layer of a connection after its handshake: bytes of a stream to sealed records and back, without a socket.
//!
//! rustls makes the handshake and then hands over the traffic secrets ([`rustls::kernel`]). What it would do afterwards is
//! done here, so that bytes pass through memory once: sealing reads frames where they are and writes records into the
//! buffer that goes to the socket, opening reads records where the socket put them and writes into the chunk of which
//! frames are slices. Keys are renewed, alerts and tickets are handled as rustls does it; docs/adr/0010-records.md says
//! why this is worth having.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, Error, InvalidMessage, PeerMisbehaved, ProtocolVersion,
};

use super::keys::Keys;

/// Kind, version and length stand before every record.
pub(super) const HEADER: usize = 5;
/// The most plaintext in a record.
pub(super) const MAX_PLAIN: usize = 16 * 1024;
/// The longest body of a record that is believed (RFC 5246 §6.2.3; TLS 1.3 allows less).
pub(super) const MAX_BODY: usize = MAX_PLAIN + 2048;

/// Content types (RFC 8446 §5.1).
pub(super) mod kind {
    pub(in crate::tls) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in crate::tls) const ALERT: u8 = 21;
    pub(in crate::tls) const HANDSHAKE: u8 = 22;
    pub(in crate::tls) const DATA: u8 = 23;
}

/// Handshake messages that may come after the handshake.
mod message {
    pub(super) const HELLO_REQUEST: u8 = 0;
    pub(super) const CLIENT_HELLO: u8 = 1;
    pub(super) const NEW_SESSION_TICKET: u8 = 4;
    pub(super) const KEY_UPDATE: u8 = 24;
}

/// A KeyUpdate that asks for none in return (RFC 8446 §4.6.3).
const KEY_UPDATE: [u8; 5] = [message::KEY_UPDATE, 0, 0, 1, 0];
/// Records that are left to a key for its last words: a KeyUpdate, or `close_notify` and an alert.
const RESERVE: u64 = 4;

// What rustls (and BoringSSL) tolerate.
const KEY_UPDATES: u8 = 32;
const WARNINGS: u8 = 4;
const EMPTY_RECORDS: u8 = 32;
const HANDSHAKE_BYTES: usize = 0xffff;

/// What renews the keys of both directions.
#[derive(Clone)]
pub(super) struct Schedule(Arc<Mutex<Kernel>>);

pub(super) enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Schedule {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self(Arc::new(Mutex::new(kernel)))
    }

    fn next(&self, sending: bool) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        let mut kernel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *kernel, sending) {
            (Kernel::Client(kernel), true) => kernel.update_tx_secret(),
            (Kernel::Client(kernel), false) => kernel.update_rx_secret(),
            (Kernel::Server(kernel), true) => kernel.update_tx_secret(),
            (Kernel::Server(kernel), false) => kernel.update_rx_secret(),
        }
    }

    fn is_client(&self) -> bool {
        let kernel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*kernel, Kernel::Client(_))
    }
}

/// Whether a whole record is at the front, or what no record looks like.
pub(super) fn holds_record(bytes: &[u8]) -> bool {
    bytes.first_chunk::<HEADER>().is_some_and(|header| {
        let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
        body > MAX_BODY || bytes.len() >= HEADER + body
    })
}

/// The records of a batch on their way to the socket: a buffer that is used again, with its fill.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    bytes: Vec<u8>,
    end: usize,
}

impl Sealed {
    /// What is in it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.end = 0;
    }

    fn room(&mut self, len: usize) -> &mut [u8] {
        let start = self.end;
        self.end += len;
        if self.bytes.len() < self.end {
            // Zeroed once in the buffer's life.
            self.bytes.resize(self.end.next_power_of_two(), 0);
        }
        &mut self.bytes[start..self.end]
    }
}

/// The sending direction.
pub(crate) struct Sealer {
    keys: Keys,
    schedule: Schedule,
    seq: u64,
    /// Records that may be sealed with one key (RFC 8446 §5.5).
    limit: u64,
    #[cfg(test)]
    renewals: u64,
}

impl Sealer {
    pub(super) fn new(
        (seq, secrets): &(u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
        limit: u64,
        schedule: Schedule,
    ) -> Result<Self, Error> {
        Ok(Self {
            keys: Keys::new(secrets, version)?,
            schedule,
            seq: *seq,
            limit,
            #[cfg(test)]
            renewals: 0,
        })
    }

    /// Appends full records of `plain`, the last one as short as need be.
    ///
    /// # Errors
    /// When the key has sealed all it may and cannot be renewed, which TLS 1.2 does not know: the connection must end.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Sealed) -> Result<(), Error> {
        for part in plain.chunks(MAX_PLAIN) {
            if self.seq >= self.limit.saturating_sub(RESERVE) {
                if !self.keys.is_tls13() {
                    return Err(Error::EncryptError);
                }
                self.renew(out)?;
            }
            self.put(kind::DATA, part, out)?;
        }
        Ok(())
    }

    /// Renews the key, and tells the peer.
    pub(super) fn renew(&mut self, out: &mut Sealed) -> Result<(), Error> {
        self.put(kind::HANDSHAKE, &KEY_UPDATE, out)?;
        let (seq, secrets) = self.schedule.next(true)?;
        self.keys = Keys::new(&secrets, ProtocolVersion::TLSv1_3)?;
        self.seq = seq;
        #[cfg(test)]
        {
            self.renewals += 1;
        }
        Ok(())
    }

    /// Says that nothing follows.
    pub(crate) fn close_notify(&mut self, out: &mut Sealed) -> Result<(), Error> {
        self.put(kind::ALERT, &[1, AlertDescription::CloseNotify.into()], out)
    }

    /// Answers what the peer asked for beside its data.
    pub(crate) fn answer(&mut self, answer: Answer, out: &mut Sealed) -> Result<(), Error> {
        match answer {
            Answer::KeyUpdate => self.renew(out),
            Answer::NoRenegotiation => {
                self.put(kind::ALERT, &[1, AlertDescription::NoRenegotiation.into()], out)
            }
        }
    }

    /// Tells the peer what it did wrong.
    pub(crate) fn alert(&mut self, alert: AlertDescription, out: &mut Sealed) -> Result<(), Error> {
        self.put(kind::ALERT, &[2, alert.into()], out)
    }

    pub(super) fn put(&mut self, kind: u8, plain: &[u8], out: &mut Sealed) -> Result<(), Error> {
        if self.seq >= self.limit {
            return Err(Error::EncryptError);
        }
        let start = out.end;
        let record = out.room(self.keys.record_len(plain.len()));
        let outcome = self.keys.seal(self.seq, kind, plain, record);
        // Never twice, also when the first use failed.
        self.seq += 1;
        if outcome.is_err() {
            out.end = start;
        }
        outcome
    }
}

/// What the peer wants to be answered on the sending direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It renewed its key and wants ours renewed.
    KeyUpdate,
    /// It wants to negotiate anew, which is refused.
    NoRenegotiation,
}

/// The peer broke the rules, or the connection was tampered with: the alert to send, and what happened.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) alert: Option<AlertDescription>,
    pub(crate) error: Error,
}

impl Refusal {
    fn new(alert: AlertDescription, error: impl Into<Error>) -> Self {
        Self {
            alert: Some(alert),
            error: error.into(),
        }
    }
}

/// The receiving direction.
pub(crate) struct Opener {
    keys: Keys,
    schedule: Schedule,
    seq: u64,
    closed: bool,
    /// A handshake message that is not complete.
    joined: Vec<u8>,
    answer: Option<Answer>,
    key_updates: u8,
    renegotiations: u8,
    warnings: u8,
    empty: u8,
}

impl Opener {
    pub(super) fn new(
        (seq, secrets): &(u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
        schedule: Schedule,
    ) -> Result<Self, Error> {
        Ok(Self {
            keys: Keys::new(secrets, version)?,
            schedule,
            seq: *seq,
            closed: false,
            joined: Vec::new(),
            answer: None,
            key_updates: 0,
            renegotiations: 0,
            warnings: 0,
            empty: 0,
        })
    }

    /// Whether the peer has said that nothing follows.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What the peer wants to be answered.
    pub(crate) fn poll_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// Opens the complete records at the front of `input`, appends their data to `plain`, and returns how much of `input`
    /// is done with. Nothing that was not proven to be the peer's gets into `plain`.
    ///
    /// # Errors
    /// When the peer breaks the rules. The connection must end.
    pub(crate) fn open(&mut self, input: &[u8], plain: &mut BytesMut) -> Result<usize, Refusal> {
        let mut at = 0;
        while !self.closed {
            let Some(header) = input[at..].first_chunk::<HEADER>() else {
                break;
            };
            let len = self.body_len(header)?;
            let Some(body) = input.get(at + HEADER..at + HEADER + len) else {
                break;
            };
            self.open_one(header, body, plain)?;
            at += HEADER + len;
        }
        Ok(if self.closed { input.len() } else { at })
    }

    /// The length that a header announces, if records look like this.
    fn body_len(&self, header: &[u8; HEADER]) -> Result<usize, Refusal> {
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let expected = if self.keys.is_tls13() {
            header[0] == kind::DATA
        } else {
            matches!(header[0], kind::ALERT | kind::HANDSHAKE | kind::DATA)
        };
        if header[1..3] != [3, 3] {
            let error = InvalidMessage::UnknownProtocolVersion;
            return Err(Refusal::new(AlertDescription::DecodeError, error));
        }
        if !expected {
            let error = match header[0] {
                kind::CHANGE_CIPHER_SPEC => PeerMisbehaved::IllegalMiddleboxChangeCipherSpec.into(),
                // A record in the clear, where one has been promised that nobody but the peer can make.
                kind::ALERT | kind::HANDSHAKE => Error::DecryptError,
                _ => InvalidMessage::InvalidContentType.into(),
            };
            return Err(Refusal::new(AlertDescription::UnexpectedMessage, error));
        }
        if len > MAX_BODY {
            let error = InvalidMessage::MessageTooLarge;
            return Err(Refusal::new(AlertDescription::RecordOverflow, error));
        }
        Ok(len)
    }

    fn open_one(&mut self, header: &[u8; HEADER], body: &[u8], plain: &mut BytesMut) -> Result<(), Refusal> {
        let tampered = |error| Refusal::new(AlertDescription::BadRecordMac, error);
        let len = self
            .keys
            .sealed_len(body.len())
            .ok_or_else(|| tampered(Error::DecryptError))?;
        let start = plain.len();
        plain.resize(start + len, 0);
        let opened = self.keys.open(self.seq, header, body, &mut plain[start..]);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                plain.truncate(start);
                return Err(match error {
                    Error::PeerSentOversizedRecord => Refusal::new(AlertDescription::RecordOverflow, error),
                    Error::DecryptError => tampered(error),
                    error => Refusal::new(AlertDescription::UnexpectedMessage, error),
                });
            }
        };
        self.seq += 1;
        if opened.kind == kind::DATA {
            plain.truncate(start + opened.len);
            return self.took_data(opened.len);
        }
        let content = plain.split_off(start);
        self.handle(opened.kind, &content[..opened.len])
    }

    fn took_data(&mut self, len: usize) -> Result<(), Refusal> {
        self.not_within_message()?;
        self.key_updates = 0;
        if len > 0 {
            self.empty = 0;
            return Ok(());
        }
        self.empty += 1;
        if self.empty > EMPTY_RECORDS {
            let error = PeerMisbehaved::TooManyEmptyFragments;
            return Err(Refusal::new(AlertDescription::UnexpectedMessage, error));
        }
        Ok(())
    }

    fn not_within_message(&self) -> Result<(), Refusal> {
        if self.joined.is_empty() {
            return Ok(());
        }
        let error = PeerMisbehaved::MessageInterleavedWithHandshakeMessage;
        Err(Refusal::new(AlertDescription::UnexpectedMessage, error))
    }

    fn handle(&mut self, kind: u8, content: &[u8]) -> Result<(), Refusal> {
        match kind {
            kind::ALERT => {
                self.not_within_message()?;
                self.alert(content)
            }
            kind::HANDSHAKE if content.is_empty() => Err(Refusal::new(
                AlertDescription::DecodeError,
                InvalidMessage::InvalidEmptyPayload,
            )),
            kind::HANDSHAKE => self.join(content),
            _ => Err(Refusal::new(
                AlertDescription::UnexpectedMessage,
                InvalidMessage::InvalidContentType,
            )),
        }
    }

    /// RFC 8446 §6; warnings mean something in TLS 1.2 only.
    fn alert(&mut self, content: &[u8]) -> Result<(), Refusal> {
        let (level, description) = match content {
            [level @ (1 | 2), description] => (*level, AlertDescription::from(*description)),
            _ => {
                let error = InvalidMessage::MissingData("alert");
                return Err(Refusal::new(AlertDescription::DecodeError, error));
            }
        };
        if description == AlertDescription::CloseNotify {
            self.closed = true;
            return Ok(());
        }
        let error = Error::AlertReceived(description);
        if level == 2 {
            return Err(Refusal { alert: None, error });
        }
        self.warnings += 1;
        if self.warnings > WARNINGS {
            let error = PeerMisbehaved::TooManyWarningAlertsReceived;
            return Err(Refusal::new(AlertDescription::UnexpectedMessage, error));
        }
        if self.keys.is_tls13() && description != AlertDescription::UserCanceled {
            return Err(Refusal::new(AlertDescription::DecodeError, error));
        }
        Ok(())
    }

    /// Handshake messages may be cut at any byte and may share records.
    fn join(&mut self, content: &[u8]) -> Result<(), Refusal> {
        let mut joined = std::mem::take(&mut self.joined);
        joined.extend_from_slice(content);
        let mut rest = &joined[..];
        while let [kind, a, b, c, body @ ..] = rest {
            let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if len > HANDSHAKE_BYTES {
                let error = InvalidMessage::HandshakePayloadTooLarge;
                return Err(Refusal::new(AlertDescription::DecodeError, error));
            }
            let Some((body, after)) = body.split_at_checked(len) else {
                break;
            };
            self.message(*kind, body, after.is_empty())?;
            rest = after;
        }
        self.joined = rest.to_vec();
        Ok(())
    }

    fn message(&mut self, kind: u8, body: &[u8], is_last: bool) -> Result<(), Refusal> {
        match (self.keys.is_tls13(), self.schedule.is_client(), kind) {
            (true, _, message::KEY_UPDATE) => self.key_update(body, is_last),
            // Nobody resumes a session here, so that tickets are of no use.
            (true, true, message::NEW_SESSION_TICKET) => Ok(()),
            (false, true, message::HELLO_REQUEST) | (false, false, message::CLIENT_HELLO) => {
                self.renegotiations += 1;
                if self.renegotiations > 1 {
                    let error = PeerMisbehaved::TooManyRenegotiationRequests;
                    return Err(Refusal::new(AlertDescription::UnexpectedMessage, error));
                }
                self.answer = Some(Answer::NoRenegotiation);
                Ok(())
            }
            _ => {
                let error = InvalidMessage::UnexpectedMessage("a handshake message after the handshake");
                Err(Refusal::new(AlertDescription::UnexpectedMessage, error))
            }
        }
    }

    /// RFC 8446 §4.6.3: from the next record on the peer uses its next key.
    fn key_update(&mut self, body: &[u8], is_last: bool) -> Result<(), Refusal> {
        let wants_ours = match body {
            [0] => false,
            [1] => true,
            _ => {
                let error = InvalidMessage::InvalidKeyUpdate;
                return Err(Refusal::new(AlertDescription::IllegalParameter, error));
            }
        };
        if !is_last {
            let error = PeerMisbehaved::KeyEpochWithPendingFragment;
            return Err(Refusal::new(AlertDescription::UnexpectedMessage, error));
        }
        self.key_updates += 1;
        if self.key_updates > KEY_UPDATES {
            let error = PeerMisbehaved::TooManyKeyUpdateRequests;
            return Err(Refusal::new(AlertDescription::UnexpectedMessage, error));
        }
        let renewed = self.schedule.next(false).and_then(|(seq, secrets)| {
            self.seq = seq;
            Keys::new(&secrets, ProtocolVersion::TLSv1_3)
        });
        self.keys = renewed.map_err(|error| Refusal::new(AlertDescription::InternalError, error))?;
        if wants_ours {
            self.answer = Some(Answer::KeyUpdate);
        }
        Ok(())
    }
}

#[cfg(test)]
impl Sealer {
    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(super) fn renewals(&self) -> u64 {
        self.renewals
    }
}

#[cfg(test)]
impl Opener {
    /// Records that were opened with the present key, in the handshake's last flight too.
    pub(super) fn records(&self) -> u64 {
        self.seq
    }
}
