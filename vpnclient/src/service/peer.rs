//! Who is at the other end of a TCP connection within this machine.
//!
//! A service without a password would be every local user's; the kernel knows whose socket the other end is.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The user whose socket is connected from `peer` to `own`, if both are of this machine.
///
/// # Errors
/// What the kernel says.
pub(super) fn user_of(peer: SocketAddr, own: SocketAddr) -> io::Result<Option<u32>> {
    let table = match peer {
        SocketAddr::V4(_) => "/proc/self/net/tcp",
        SocketAddr::V6(_) => "/proc/self/net/tcp6",
    };
    Ok(find(&fs::read_to_string(table)?, peer, own))
}

/// Finds the row of the socket in the kernel's table (proc(5)). A socket that nobody holds any more is nobody's: the kernel would
/// say that it is root's.
fn find(table: &str, peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    const ESTABLISHED: &str = "01";
    let (peer, own) = (address(peer), address(own));
    table.lines().skip(1).find_map(|row| {
        let columns: Vec<_> = row.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, user, _, inode, ..] = columns.as_slice() else {
            return None;
        };
        let found = *local == peer && *remote == own && *state == ESTABLISHED && *inode != "0";
        found.then(|| user.parse().ok()).flatten()
    })
}

/// An address as the kernel prints it: each word of the address in the machine's own order.
fn address(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let mut four = [0; 4];
        four.copy_from_slice(bytes);
        format!("{:08X}", u32::from_ne_bytes(four))
    };
    let ip: String = match address.ip() {
        IpAddr::V4(ip) => ip.octets().chunks(4).map(word).collect(),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn the_kernel_says_whose_the_other_end_is() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may do without IPv6.
            let Ok(listener) = TcpListener::bind(loopback) else {
                continue;
            };
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (far, peer) = listener.accept().unwrap();
            let own = far.local_addr().unwrap();
            assert_eq!(user_of(peer, own).unwrap(), Some(geteuid().as_raw()));
            drop(near);
            assert_eq!(user_of(peer, own).unwrap(), None, "a closed end is nobody's");
        }
    }

    #[test]
    fn an_end_that_nobody_holds_is_nobodys() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:A001 0100007F:26CB 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n\
                     1: 0100007F:A002 0100007F:26CB 06 00000000:00000000 03:00000000 00000000     0        0 0 1\n\
                     2: 0100007F:A003 0100007F:26CB 01 00000000:00000000 03:00000000 00000000     0        0 0 1\n";
        let own = "127.0.0.1:9931".parse().unwrap();
        let found = |port: u16| find(table, ([127, 0, 0, 1], port).into(), own);
        if cfg!(target_endian = "little") {
            assert_eq!(found(0xa001), Some(1000));
            assert_eq!((found(0xa002), found(0xa003), found(0xa004)), (None, None, None));
        }
    }
}
