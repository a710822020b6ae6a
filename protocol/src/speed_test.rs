//! The wire of the stock tools' speed test, `TrafficServer` and `TrafficClient` (client RPC §5).
//!
//! The server greets with [`GREETING`], the client answers with a [`Request`], and then one of the two sends whatever it
//! likes until the span is over. Of an upload the server reports how many bytes have arrived, as a `u64`.

/// What a server says first.
pub const GREETING: [u8; 16] = *b"TrafficServer\r\n\0";

/// The port when nobody names one.
pub const PORT: u16 = 9821;

/// The most connections of one measurement.
pub const MAX_CONNECTIONS: u32 = 32;

/// Which way the bytes of one connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Upload,
    /// From the server to the client.
    Download,
}

/// What a client asks of a server on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who sends.
    pub direction: Direction,
    /// The same on all connections of a measurement.
    pub measurement: u64,
    /// How long, in milliseconds.
    pub span: u64,
}

impl Request {
    /// How many bytes a request has.
    pub const LENGTH: usize = 17;

    /// What travels.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = u8::from(self.direction == Direction::Download);
        bytes[1..9].copy_from_slice(&self.measurement.to_be_bytes());
        bytes[9..].copy_from_slice(&self.span.to_be_bytes());
        bytes
    }

    /// Reads a request. As for stock servers, every number but 0 asks for a download.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Self {
        let number = |at: usize| {
            let digits = &bytes[at..at + 8];
            digits
                .iter()
                .fold(0, |number: u64, &byte| number << 8 | u64::from(byte))
        };
        Self {
            direction: if bytes[0] == 0 {
                Direction::Upload
            } else {
                Direction::Download
            },
            measurement: number(1),
            span: number(9),
        }
    }
}

/// What bytes of a TCP stream are on an Ethernet, where each segment of 1,460 of them is a frame of 1,514.
#[must_use]
pub fn on_ethernet(bytes: u64) -> u64 {
    const SEGMENT: u128 = 1460;
    const FRAME: u128 = 1514;
    u64::try_from(u128::from(bytes) * FRAME / SEGMENT).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_the_stock_client_are_read_and_written() {
        // Captured: two seconds, down and up.
        for (hex, direction, measurement) in [
            (
                "01ec5fd052bf2298e400000000000007d0",
                Direction::Download,
                0xec5f_d052_bf22_98e4,
            ),
            (
                "005e59852bf89b58da00000000000007d0",
                Direction::Upload,
                0x5e59_852b_f89b_58da,
            ),
        ] {
            let bytes: Vec<u8> = (0..Request::LENGTH)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let bytes: [u8; Request::LENGTH] = bytes.try_into().unwrap();
            let request = Request {
                direction,
                measurement,
                span: 2000,
            };
            assert_eq!(Request::decode(&bytes), request);
            assert_eq!(request.encode(), bytes);
        }
    }

    #[test]
    fn frames_are_counted_as_the_stock_client_counts_them() {
        // What the stock server reported of two connections, and what the stock client made of it.
        assert_eq!(on_ethernet(0x254c_0088 + 0x275e_d131), 1_333_837_344);
        assert_eq!(on_ethernet(0), 0);
        assert_eq!(on_ethernet(u64::MAX), u64::MAX);
    }
}
