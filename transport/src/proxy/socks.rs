//! SOCKS 5 (RFC 1928) with name and password (RFC 1929), and SOCKS 4 with names (4a), of which no standard exists.

use std::net::IpAddr;

use bytes::{Buf, BytesMut};
use zeroize::Zeroizing;

use super::ProxyError;
use super::place::Login;
use crate::dial::Target;

const VERSION_5: u8 = 5;
const VERSION_4: u8 = 4;
/// The version of the exchange of name and password.
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const NO_LOGIN: u8 = 0;
const BY_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// How the proxy wants to know who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    None,
    Password,
}

/// Whether everything fits into one byte's length.
pub(super) fn check(target: &Target, login: Option<&Login>) -> Result<(), ProxyError> {
    const LONGEST: usize = 255;
    if target.host.len() > LONGEST {
        return Err(ProxyError::Unspeakable(
            "the server's name is longer than 255 bytes",
        ));
    }
    let fits = |text: &str| (1..=LONGEST).contains(&text.len());
    match login {
        Some(login) if !fits(&login.user) || !fits(&login.password) => Err(ProxyError::Unspeakable(
            "in SOCKS 5 user name and password have 1 to 255 bytes",
        )),
        _ => Ok(()),
    }
}

pub(super) fn methods(with_login: bool) -> Vec<u8> {
    match with_login {
        true => vec![VERSION_5, 2, NO_LOGIN, BY_PASSWORD],
        false => vec![VERSION_5, 1, NO_LOGIN],
    }
}

/// Which way the proxy takes of those it was offered, once it has said so.
pub(super) fn chosen(input: &mut BytesMut, with_login: bool) -> Result<Option<Method>, ProxyError> {
    version(input, VERSION_5)?;
    if input.len() < 2 {
        return Ok(None);
    }
    input.advance(1);
    match input.get_u8() {
        NO_LOGIN => Ok(Some(Method::None)),
        BY_PASSWORD if with_login => Ok(Some(Method::Password)),
        NO_METHOD if with_login => Err(ProxyError::LoginRefused(None)),
        NO_METHOD => Err(ProxyError::LoginWanted(None)),
        _ => Err(ProxyError::NotAProxy(
            "it chose a way to log in that was not offered",
        )),
    }
}

/// Name and password.
pub(super) fn password(login: &Login) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::with_capacity(3 + 2 * 255));
    message.push(PASSWORD_VERSION);
    for text in [login.user.as_str(), login.password.as_str()] {
        // `check` has seen to it that it fits.
        message.push(text.len() as u8);
        message.extend_from_slice(text.as_bytes());
    }
    message
}

/// Whether the answer to the password is there, which is yes then.
pub(super) fn accepted(input: &mut BytesMut) -> Result<bool, ProxyError> {
    version(input, PASSWORD_VERSION)?;
    if input.len() < 2 {
        return Ok(false);
    }
    input.advance(1);
    match input.get_u8() {
        0 => Ok(true),
        _ => Err(ProxyError::LoginRefused(None)),
    }
}

pub(super) fn connect5(target: &Target) -> Result<Vec<u8>, ProxyError> {
    check(target, None)?;
    let mut request = vec![VERSION_5, CONNECT, 0];
    match target.host.parse() {
        Ok(IpAddr::V4(ip)) => {
            request.push(IPV4);
            request.extend(ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(IPV6);
            request.extend(ip.octets());
        }
        Err(_) => {
            request.extend([NAME, target.host.len() as u8]);
            request.extend_from_slice(target.host.as_bytes());
        }
    }
    request.extend(target.port.to_be_bytes());
    Ok(request)
}

/// Whether the whole answer is there, which is yes then.
pub(super) fn connected5(input: &mut BytesMut, target: &Target) -> Result<bool, ProxyError> {
    version(input, VERSION_5)?;
    if let Some(reply) = input.get(1).filter(|reply| **reply != 0) {
        return Err(refusal5(*reply, target));
    }
    // Version, reply, a zero, the kind of address; then the address and the port.
    let address = match input.get(3) {
        None => return Ok(false),
        Some(&IPV4) => 4,
        Some(&IPV6) => 16,
        Some(&NAME) => match input.get(4) {
            None => return Ok(false),
            Some(len) => 1 + usize::from(*len),
        },
        Some(_) => {
            return Err(ProxyError::NotAProxy(
                "its answer has an address of no known kind",
            ));
        }
    };
    let len = 4 + address + 2;
    if input.len() < len {
        return Ok(false);
    }
    input.advance(len);
    Ok(true)
}

/// RFC 1928 §6.
fn refusal5(reply: u8, target: &Target) -> ProxyError {
    let unreached = |answer: &str| ProxyError::TargetUnreached {
        target: target.clone(),
        answer: answer.to_owned(),
    };
    match reply {
        1 => ProxyError::Refused("SOCKS reply 1, general failure".to_owned()),
        2 => ProxyError::Forbidden {
            target: target.clone(),
            answer: "SOCKS reply 2, not allowed by its rules".to_owned(),
        },
        3 => unreached("SOCKS reply 3, network unreachable"),
        4 => unreached("SOCKS reply 4, host unreachable"),
        5 => unreached("SOCKS reply 5, connection refused"),
        6 => unreached("SOCKS reply 6, time exceeded"),
        7 => ProxyError::Refused("SOCKS reply 7, it does not know CONNECT".to_owned()),
        8 => ProxyError::Refused("SOCKS reply 8, it does not know this kind of address".to_owned()),
        other => ProxyError::Refused(format!("SOCKS reply {other}")),
    }
}

/// The one message of version 4: the user's name and nothing that proves it.
pub(super) fn connect4(target: &Target, login: Option<&Login>) -> Result<Vec<u8>, ProxyError> {
    let mut request = vec![VERSION_4, CONNECT];
    request.extend(target.port.to_be_bytes());
    let name = match target.host.parse() {
        Ok(IpAddr::V4(ip)) => {
            request.extend(ip.octets());
            None
        }
        Ok(IpAddr::V6(_)) => {
            return Err(ProxyError::Unspeakable("SOCKS 4 knows no IPv6; take SOCKS 5"));
        }
        Err(_) => {
            // An address that cannot be says that a name follows.
            request.extend([0, 0, 0, 1]);
            Some(&target.host)
        }
    };
    let user = login.map(|login| login.user.as_str()).unwrap_or_default();
    for text in [Some(user), name.map(String::as_str)].into_iter().flatten() {
        if text.contains('\0') || text.len() > 255 {
            return Err(ProxyError::Unspeakable(
                "a name is longer than 255 bytes, or has a zero in it",
            ));
        }
        request.extend_from_slice(text.as_bytes());
        request.push(0);
    }
    Ok(request)
}

/// As [`connected5`].
pub(super) fn connected4(input: &mut BytesMut, target: &Target) -> Result<bool, ProxyError> {
    const ANSWER: usize = 8;
    // The version of the answer is zero.
    version(input, 0)?;
    match input.get(1) {
        None => return Ok(false),
        Some(90) => {}
        Some(91) => {
            return Err(ProxyError::TargetUnreached {
                target: target.clone(),
                answer: "SOCKS 4 reply 91, refused or failed".to_owned(),
            });
        }
        Some(92 | 93) => return Err(ProxyError::LoginRefused(None)),
        Some(_) => return Err(ProxyError::NotAProxy("its answer is none of SOCKS 4")),
    }
    if input.len() < ANSWER {
        return Ok(false);
    }
    input.advance(ANSWER);
    Ok(true)
}

fn version(input: &BytesMut, wanted: u8) -> Result<(), ProxyError> {
    match input.first() {
        Some(version) if *version != wanted => Err(ProxyError::NotAProxy("its answer is not SOCKS")),
        _ => Ok(()),
    }
}
