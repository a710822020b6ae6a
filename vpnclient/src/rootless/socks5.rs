//! SOCKS version 5 (RFC 1928) with names and passwords (RFC 1929): what clients say and hear, as bytes.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::destination::Destination;

/// The version of the protocol, and of the exchange of passwords in it.
const VERSION: u8 = 5;
const PASSWORD_VERSION: u8 = 1;

/// How a client may say who it is.
pub(super) const NO_PROOF: u8 = 0;
pub(super) const PASSWORD: u8 = 2;
/// None of the client's methods will do.
pub(super) const NO_METHOD: u8 = 0xff;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Connect,
    Associate,
    Other,
}

/// What becomes of it (RFC 1928 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Granted = 0,
    Failed = 1,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    Refused = 5,
    TimedOut = 6,
    NoSuchCommand = 7,
    NoSuchAddress = 8,
}

impl Outcome {
    /// What an error means to a client.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Self::NetworkUnreachable,
            ErrorKind::HostUnreachable | ErrorKind::NotFound => Self::HostUnreachable,
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Self::Refused,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::Unsupported => Self::NoSuchAddress,
            _ => Self::Failed,
        }
    }

    /// The answer, with the address at which what was granted is to be had.
    pub(super) fn answer(self, at: SocketAddrV4) -> Vec<u8> {
        let mut answer = vec![VERSION, self as u8, 0];
        write_address(&mut answer, at);
        answer
    }
}

/// The methods that a client offers.
pub(super) async fn methods(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    if from.read_u8().await? != VERSION {
        return Err(invalid("not SOCKS version 5; set the program's proxy to SOCKS5"));
    }
    let mut methods = vec![0; from.read_u8().await?.into()];
    from.read_exact(&mut methods).await?;
    Ok(methods)
}

/// The answer to [`methods`].
pub(super) fn method(chosen: u8) -> [u8; 2] {
    [VERSION, chosen]
}

/// Name and password.
pub(super) async fn password(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    if from.read_u8().await? != PASSWORD_VERSION {
        return Err(invalid("not version 1 of names and passwords"));
    }
    Ok((counted(from).await?, counted(from).await?))
}

/// The answer to [`password`].
pub(super) fn password_answer(right: bool) -> [u8; 2] {
    [PASSWORD_VERSION, u8::from(!right)]
}

/// The request: what, and where.
pub(super) async fn request(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(Command, Destination)> {
    let [version, command, _, kind] = {
        let mut head = [0; 4];
        from.read_exact(&mut head).await?;
        head
    };
    if version != VERSION {
        return Err(invalid("not a request of SOCKS version 5"));
    }
    let host = match kind {
        IPV4 => Ipv4Addr::from_bits(from.read_u32().await?).to_string(),
        IPV6 => Ipv6Addr::from_bits(from.read_u128().await?).to_string(),
        NAME => String::from_utf8(counted(from).await?).map_err(|_| invalid("a host's name is no text"))?,
        _ => return Err(invalid("an address of an unknown kind")),
    };
    let port = from.read_u16().await?;
    let command = match command {
        1 => Command::Connect,
        3 => Command::Associate,
        _ => Command::Other,
    };
    Ok((command, Destination { host, port }))
}

async fn counted(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; from.read_u8().await?.into()];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// A datagram of an association: where it is to go, and its data. `None` for pieces, which nobody sends, and for what
/// is no such datagram (RFC 1928 §7).
pub(super) fn datagram(bytes: &[u8]) -> Option<(Destination, &[u8])> {
    let [0, 0, 0, kind, rest @ ..] = bytes else {
        return None;
    };
    let (host, rest) = match *kind {
        IPV4 => {
            let (address, rest) = rest.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*address).to_string(), rest)
        }
        IPV6 => {
            let (address, rest) = rest.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*address).to_string(), rest)
        }
        NAME => {
            let (len, rest) = rest.split_first()?;
            let (name, rest) = rest.split_at_checked((*len).into())?;
            (std::str::from_utf8(name).ok()?.to_owned(), rest)
        }
        _ => return None,
    };
    let (port, data) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    Some((Destination { host, port }, data))
}

/// A datagram that came from `from`, for the client.
pub(super) fn datagram_from(from: SocketAddrV4, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10 + data.len());
    bytes.extend([0, 0, 0]);
    write_address(&mut bytes, from);
    bytes.extend_from_slice(data);
    bytes
}

fn write_address(to: &mut Vec<u8>, address: SocketAddrV4) {
    to.push(IPV4);
    to.extend(address.ip().octets());
    to.extend(address.port().to_be_bytes());
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn requests_name_hosts_in_three_ways() {
        let name = b"\x05\x01\x00\x03\x0bweb.private\x00\x50";
        let (command, to) = request(&mut &name[..]).await.unwrap();
        assert_eq!(
            (command, to.to_string()),
            (Command::Connect, "web.private:80".to_owned())
        );
        let ipv4 = [5, 3, 0, 1, 10, 0, 1, 2, 0, 53];
        let (command, to) = request(&mut &ipv4[..]).await.unwrap();
        assert_eq!(
            (command, to.to_string()),
            (Command::Associate, "10.0.1.2:53".to_owned())
        );
        let mut ipv6 = vec![5, 2, 0, 4];
        ipv6.extend(Ipv6Addr::LOCALHOST.octets());
        ipv6.extend([1, 187]);
        let (command, to) = request(&mut &ipv6[..]).await.unwrap();
        assert_eq!(
            (command, to.to_string()),
            (Command::Other, "[::1]:443".to_owned())
        );
    }

    #[tokio::test]
    async fn another_version_is_told_what_to_do() {
        let error = methods(&mut &b"\x04\x01\x00\x50"[..]).await.unwrap_err();
        assert!(error.to_string().contains("SOCKS5"), "{error}");
    }

    #[test]
    fn a_datagram_there_and_back() {
        let from = "10.0.1.2:53".parse().unwrap();
        let bytes = datagram_from(from, b"answer");
        let (to, data) = datagram(&bytes).unwrap();
        assert_eq!((to.to_string(), data), (from.to_string(), &b"answer"[..]));
        let mut piece = bytes;
        piece[2] = 1;
        assert_eq!(datagram(&piece), None);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = datagram(&bytes);
        }
    }
}
