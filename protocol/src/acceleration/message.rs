//! The message inside a datagram (protocol §8.2).

/// What stands before the payload.
pub(super) const HEADER_BYTES: usize = 23;

/// The head of an inner message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The receiver's cookie.
    pub(super) cookie: u32,
    /// The sender's clock in milliseconds, never 0.
    pub(super) tick: u64,
    /// The newest tick that the sender has seen of the receiver's; 0 is none.
    pub(super) echo: u64,
    /// Bytes of payload; 0 is a keep-alive.
    pub(super) size: u16,
    /// Whether the payload is a zlib stream.
    pub(super) compressed: bool,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.cookie.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.tick.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.echo.to_be_bytes());
        bytes[20..22].copy_from_slice(&self.size.to_be_bytes());
        bytes[22] = u8::from(self.compressed);
        bytes
    }

    /// The head and what is behind it, padding included; none for less than a head.
    pub(super) fn read(inner: &[u8]) -> Option<(Self, &[u8])> {
        let (cookie, rest) = inner.split_first_chunk()?;
        let (tick, rest) = rest.split_first_chunk()?;
        let (echo, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (flag, rest) = rest.split_first()?;
        let header = Self {
            cookie: u32::from_be_bytes(*cookie),
            tick: u64::from_be_bytes(*tick),
            echo: u64::from_be_bytes(*echo),
            size: u16::from_be_bytes(*size),
            compressed: *flag == 1,
        };
        Some((header, rest))
    }
}
