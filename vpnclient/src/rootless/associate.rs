//! UDP through SOCKS5 (RFC 1928 §7): an association lives as long as the connection by which it was asked for.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::doors::Way;
use super::socks5::{self, Outcome};

/// The largest datagram of UDP over IPv4, with what SOCKS puts before it.
const ROOM: usize = 65_535 + 262;

/// Grants an association and carries its datagrams.
pub(super) async fn associate(mut stream: TcpStream, way: &Way) -> io::Result<()> {
    let (own, client) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
    let door = UdpSocket::bind((own, 0)).await?;
    let SocketAddr::V4(at) = door.local_addr()? else {
        let nowhere = SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0);
        return stream.write_all(&Outcome::NoSuchAddress.answer(nowhere)).await;
    };
    way.ready().await?;
    let socket = way.station.bind()?;
    stream.write_all(&Outcome::Granted.answer(at)).await?;

    // The first datagram from the client's address says from which port it sends; others are strangers.
    let mut program = None;
    let mut room = vec![0; ROOM];
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            read = stream.read(&mut ignored) => if read? == 0 { return Ok(()) },
            received = door.recv_from(&mut room) => {
                let Ok((len, from)) = received else { continue };
                if from.ip() != client || *program.get_or_insert(from) != from {
                    continue;
                }
                let Some((to, data)) = socks5::datagram(&room[..len]) else { continue };
                // A name is looked for in line: names that are known cost nothing, and datagrams may be lost.
                let Ok(found) = way.names.find(&to.host).await else { continue };
                if let Some(address) = found.first() {
                    let _ = socket.send_to(data, SocketAddrV4::new(*address, to.port));
                }
            }
            (data, from) = socket.recv_from() => {
                if let Some(program) = program {
                    let _ = door.send_to(&socks5::datagram_from(from, &data), program).await;
                }
            }
        }
    }
}
