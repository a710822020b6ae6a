//! The records of the administration RPC on a byte stream.

use std::io;

use bytes::{Bytes, BytesMut};
use protocol::pack::Pack;
use protocol::rpc::frame::{self, FrameDecoder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A stream of records, both ways.
#[derive(Debug)]
pub struct Records<S> {
    stream: S,
    input: BytesMut,
    decoder: FrameDecoder,
}

impl<S> Records<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Records on `stream`, of which `early` was read already; none may be longer than `limit`.
    pub fn new(stream: S, early: &[u8], limit: usize) -> Self {
        Self {
            stream,
            input: BytesMut::from(early),
            decoder: FrameDecoder::new(limit),
        }
    }

    /// The next record, or nothing when the peer has hung up between two of them.
    ///
    /// # Errors
    /// When the connection breaks or the peer breaks the limit.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let record = self.decoder.decode(&mut self.input);
            if let Some(record) = record.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                return Ok(Some(record));
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) if self.input.is_empty() => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // Stock peers close without `close_notify`.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.input.is_empty() => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a record.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, pack: &Pack) -> io::Result<()> {
        let mut output = BytesMut::new();
        frame::encode(&pack.encode(), &mut output)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.stream.write_all(&output).await?;
        self.stream.flush().await
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.stream.shutdown()).await;
    }
}
