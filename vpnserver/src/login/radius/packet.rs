//! RADIUS packets (RFC 2865): a question for a user's access, and the answer to it.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The longest packet (RFC 2865, 3).
pub(super) const MAX_PACKET: usize = 4096;
/// The longest password that can be asked about (RFC 2865, 5.2).
pub(super) const MAX_PASSWORD: usize = 128;

const HEADER: usize = 20;
const AUTHENTICATOR: std::ops::Range<usize> = 4..HEADER;

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;
const ACCESS_CHALLENGE: u8 = 11;

const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const SERVICE_TYPE: u8 = 6;
const CALLED_STATION_ID: u8 = 30;
const CALLING_STATION_ID: u8 = 31;
const NAS_IDENTIFIER: u8 = 32;
const NAS_PORT_TYPE: u8 = 61;
const MESSAGE_AUTHENTICATOR: u8 = 80;

const SERVICE_FRAMED: u32 = 2;
const PORT_VIRTUAL: u32 = 5;

/// What is asked.
pub(super) struct Question<'a> {
    /// The name that the server knows.
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    /// Who asks.
    pub(super) nas: &'a str,
    pub(super) hub: &'a str,
    /// Where the client comes from.
    pub(super) client: &'a str,
}

/// A packet that asks, and what its answer is recognised by.
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    identifier: u8,
    authenticator: [u8; 16],
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The user may come in.
    Accept,
    /// The user may not.
    Reject,
    /// The server wants to ask the user something more, which the protocol of the tunnel has no room for.
    Challenge,
}

/// Why a packet is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("it is no RADIUS packet")]
    Malformed,
    #[error("it answers another question")]
    NotOurs,
    #[error("its authenticator is wrong: is the shared secret the same on both sides?")]
    WrongAuthenticator,
    #[error(
        "it has no valid Message-Authenticator, without which anybody on the way could have made it; update the RADIUS \
         server, or have it send the attribute"
    )]
    Unauthenticated,
}

impl Request {
    /// The packet for a question. `identifier` and `authenticator` must be fresh random numbers.
    pub(super) fn new(
        question: &Question<'_>,
        secret: &[u8],
        identifier: u8,
        authenticator: [u8; 16],
    ) -> Self {
        let mut bytes = vec![ACCESS_REQUEST, identifier, 0, 0];
        bytes.extend(authenticator);
        // First, so that nobody can put something before it (draft-ietf-radext-deprecating-radius).
        put(&mut bytes, MESSAGE_AUTHENTICATOR, &[0; 16]);
        put(&mut bytes, USER_NAME, question.user.as_bytes());
        let hidden = hide(question.password.as_bytes(), secret, &authenticator);
        put(&mut bytes, USER_PASSWORD, &hidden);
        put(&mut bytes, NAS_IDENTIFIER, question.nas.as_bytes());
        put(&mut bytes, SERVICE_TYPE, &SERVICE_FRAMED.to_be_bytes());
        put(&mut bytes, NAS_PORT_TYPE, &PORT_VIRTUAL.to_be_bytes());
        put(&mut bytes, CALLED_STATION_ID, question.hub.as_bytes());
        put(&mut bytes, CALLING_STATION_ID, question.client.as_bytes());
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let mac = mac(secret, &bytes);
        bytes[HEADER + 2..HEADER + 18].copy_from_slice(&mac);
        Self {
            bytes,
            identifier,
            authenticator,
        }
    }

    /// What `packet` answers. Whoever does not know the secret cannot make one that passes, nor turn a refusal into an
    /// acceptance (CVE-2024-3596): both authenticators must be right.
    pub(super) fn answer(&self, packet: &[u8], secret: &[u8]) -> Result<Answer, NoAnswer> {
        let length = packet.get(2..4).map_or(0, |length| {
            usize::from(u16::from_be_bytes([length[0], length[1]]))
        });
        if !(HEADER..=MAX_PACKET).contains(&length) || length > packet.len() {
            return Err(NoAnswer::Malformed);
        }
        // What is longer than the packet says is padding (RFC 2865, 3).
        let packet = &packet[..length];
        if packet[1] != self.identifier {
            return Err(NoAnswer::NotOurs);
        }
        let mut hash = Md5::new();
        hash.update(&packet[..4]);
        hash.update(self.authenticator);
        hash.update(&packet[HEADER..]);
        hash.update(secret);
        let right: bool = hash.finalize().as_slice().ct_eq(&packet[AUTHENTICATOR]).into();
        if !right {
            return Err(NoAnswer::WrongAuthenticator);
        }
        let attributes = attributes(packet).ok_or(NoAnswer::Malformed)?;
        self.check_mac(packet, &attributes, secret)?;
        match packet[0] {
            ACCESS_ACCEPT => Ok(Answer::Accept),
            ACCESS_REJECT => Ok(Answer::Reject),
            ACCESS_CHALLENGE => Ok(Answer::Challenge),
            _ => Err(NoAnswer::Malformed),
        }
    }

    /// RFC 3579, 3.2: over the packet with our authenticator, and zeros in place of the code itself.
    fn check_mac(&self, packet: &[u8], attributes: &[Attribute<'_>], secret: &[u8]) -> Result<(), NoAnswer> {
        let mut found = attributes
            .iter()
            .filter(|attribute| attribute.kind == MESSAGE_AUTHENTICATOR);
        let (Some(given), None) = (found.next(), found.next()) else {
            return Err(NoAnswer::Unauthenticated);
        };
        if given.value.len() != 16 {
            return Err(NoAnswer::Unauthenticated);
        }
        let mut zeroed = packet.to_vec();
        zeroed[AUTHENTICATOR].copy_from_slice(&self.authenticator);
        zeroed[given.at..given.at + 16].fill(0);
        let right: bool = mac(secret, &zeroed).ct_eq(given.value).into();
        if right {
            Ok(())
        } else {
            Err(NoAnswer::Unauthenticated)
        }
    }
}

struct Attribute<'a> {
    kind: u8,
    /// Where its value begins in the packet.
    at: usize,
    value: &'a [u8],
}

fn attributes(packet: &[u8]) -> Option<Vec<Attribute<'_>>> {
    let mut found = Vec::new();
    let mut at = HEADER;
    while at < packet.len() {
        let (kind, length) = (packet[at], usize::from(*packet.get(at + 1)?));
        let value = packet.get(at + 2..at + length)?; // a length below 2 is no range
        found.push(Attribute {
            kind,
            at: at + 2,
            value,
        });
        at += length;
    }
    Some(found)
}

/// Adds an attribute. One that is too long is cut: only names can be, and nothing is decided by their end.
fn put(packet: &mut Vec<u8>, kind: u8, value: &[u8]) {
    const MOST: usize = 253;
    let value = &value[..value.len().min(MOST)];
    packet.push(kind);
    packet.push(u8::try_from(value.len() + 2).unwrap_or(u8::MAX));
    packet.extend(value);
}

/// A password as it travels (RFC 2865, 5.2).
fn hide(password: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    let length = password.len().div_ceil(16).max(1) * 16;
    let mut hidden = Zeroizing::new(Vec::with_capacity(length));
    hidden.extend_from_slice(password);
    hidden.resize(length, 0);
    let mut before = *authenticator;
    for block in hidden.chunks_exact_mut(16) {
        let key = Md5::new().chain_update(secret).chain_update(before).finalize();
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        before.copy_from_slice(block);
    }
    hidden
}

fn mac(secret: &[u8], packet: &[u8]) -> [u8; 16] {
    // HMAC takes keys of any length.
    let Ok(mac) = Hmac::<Md5>::new_from_slice(secret) else {
        return [0; 16];
    };
    mac.chain_update(packet).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"s3cret";

    fn request() -> Request {
        let question = Question {
            user: "nemo",
            password: "arctangent",
            nas: "test",
            hub: "lab",
            client: "192.0.2.1",
        };
        Request::new(&question, SECRET, 7, [9; 16])
    }

    /// An answer as a server makes one, with what `attributes` holds behind the Message-Authenticator.
    fn reply(code: u8, request: &Request, secret: &[u8], attributes: &[u8]) -> Vec<u8> {
        let mut packet = vec![code, request.bytes[1], 0, 0];
        packet.extend(request.authenticator);
        put(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
        packet.extend(attributes);
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        let code = mac(secret, &packet);
        packet[22..38].copy_from_slice(&code);
        seal(packet, secret)
    }

    /// The response authenticator.
    fn seal(mut packet: Vec<u8>, secret: &[u8]) -> Vec<u8> {
        let hash = Md5::new().chain_update(&packet).chain_update(secret).finalize();
        packet[AUTHENTICATOR].copy_from_slice(&hash);
        packet
    }

    #[test]
    fn a_password_is_hidden_as_the_rfc_shows() {
        // RFC 2865, 7.1.
        let authenticator = [
            0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57, 0xbd, 0x83, 0xd5, 0xcb, 0x98, 0xf4, 0x22, 0x7a,
        ];
        let expected = [
            0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13, 0xce, 0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a, 0x0a, 0xee,
        ];
        assert_eq!(
            hide(b"arctangent", b"xyzzy5461", &authenticator).as_slice(),
            expected
        );
    }

    #[test]
    fn a_request_carries_its_message_authenticator_first() {
        let bytes = request().bytes;
        assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len());
        assert_eq!(bytes[HEADER..HEADER + 2], [MESSAGE_AUTHENTICATOR, 18]);
        let mut zeroed = bytes.clone();
        zeroed[22..38].fill(0);
        assert_eq!(bytes[22..38], mac(SECRET, &zeroed));
    }

    #[test]
    fn answers_are_read_whatever_else_they_hold() {
        let request = request();
        for attributes in [b"".as_slice(), b"\x12\x07hello", b"\x51\x02"] {
            let packet = reply(ACCESS_ACCEPT, &request, SECRET, attributes);
            assert_eq!(request.answer(&packet, SECRET), Ok(Answer::Accept));
        }
        let packet = reply(ACCESS_REJECT, &request, SECRET, b"");
        assert_eq!(request.answer(&packet, SECRET), Ok(Answer::Reject));
        let packet = reply(ACCESS_CHALLENGE, &request, SECRET, b"");
        assert_eq!(request.answer(&packet, SECRET), Ok(Answer::Challenge));
    }

    #[test]
    fn who_does_not_know_the_secret_cannot_answer() {
        let request = request();
        let packet = reply(ACCESS_ACCEPT, &request, b"guess", b"");
        assert_eq!(request.answer(&packet, SECRET), Err(NoAnswer::WrongAuthenticator));
        let mut packet = reply(ACCESS_REJECT, &request, SECRET, b"");
        packet[0] = ACCESS_ACCEPT;
        assert_eq!(request.answer(&packet, SECRET), Err(NoAnswer::WrongAuthenticator));
    }

    #[test]
    fn an_answer_without_message_authenticator_is_none() {
        let request = request();
        let mut bare = vec![ACCESS_ACCEPT, 7, 0, 20];
        bare.extend(request.authenticator);
        let bare = seal(bare, SECRET);
        assert_eq!(request.answer(&bare, SECRET), Err(NoAnswer::Unauthenticated));
        // A right response authenticator around a wrong message authenticator, as in CVE-2024-3596.
        let mut forged = reply(ACCESS_REJECT, &request, SECRET, b"");
        forged[0] = ACCESS_ACCEPT;
        forged[AUTHENTICATOR].copy_from_slice(&request.authenticator);
        let forged = seal(forged, SECRET);
        assert_eq!(request.answer(&forged, SECRET), Err(NoAnswer::Unauthenticated));
    }

    #[test]
    fn broken_packets_are_no_answers() {
        let request = request();
        let good = reply(ACCESS_ACCEPT, &request, SECRET, b"\x51\x05123");
        for length in 0..good.len() {
            assert!(request.answer(&good[..length], SECRET).is_err());
        }
        for (at, byte) in [(1, 8), (2, 0xff), (3, 19), (21, 0), (21, 1), (21, 255), (0, 99)] {
            let mut broken = good.clone();
            broken[at] = byte;
            assert!(request.answer(&broken, SECRET).is_err(), "{at} {byte}");
        }
        // What is behind the packet's end does not count.
        let padded = [good.as_slice(), b"padding"].concat();
        assert!(request.answer(&padded, SECRET).is_ok());
    }
}
