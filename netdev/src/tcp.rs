//! What the kernel has measured on a TCP connection.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::sys;

/// How a TCP connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The time there and back, smoothed.
    pub rtt: Duration,
    /// Segments that were sent again, since the connection was made.
    pub retransmits: u32,
}

/// Reads it.
///
/// # Errors
/// It is no TCP socket, or one that is closed.
pub fn measure(socket: BorrowedFd<'_>) -> io::Result<Measured> {
    sys::tcp_info(socket).map(|info| Measured::read(&info))
}

/// The front of `struct tcp_info`, which has been the same since Linux 2.6.
const LENGTH: usize = 104;

impl Measured {
    fn read(info: &[u8; LENGTH]) -> Self {
        const RTT: usize = 68; // tcpi_rtt, microseconds
        const RETRANSMITS: usize = 100; // tcpi_total_retrans
        let word = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&info[at..at + 4]);
            u32::from_ne_bytes(bytes)
        };
        Self {
            rtt: Duration::from_micros(word(RTT).into()),
            retransmits: word(RETRANSMITS),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_connection_that_has_carried_something_has_a_round_trip_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(b"ping").unwrap();
        far.read_exact(&mut [0; 4]).unwrap();
        far.write_all(b"pong").unwrap();
        near.read_exact(&mut [0; 4]).unwrap();
        let measured = measure(near.as_fd()).unwrap();
        assert!(measured.rtt > Duration::ZERO && measured.rtt < Duration::from_secs(60));
    }

    #[test]
    fn nothing_is_measured_on_what_is_no_tcp() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(measure(socket.as_fd()).is_err());
    }
}
