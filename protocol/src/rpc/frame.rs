//! Framing of the administration connection once HTTP has ended: `u32` length (big endian), then that many bytes
//! of PACK; strictly one request, one response (admin RPC §2).

use bytes::{Buf, Bytes, BytesMut};

/// Length of the length.
const HEADER: usize = 4;

/// The longest record a whole-server administrator may send; a configuration file is the biggest thing there is.
pub const LIMIT: usize = 128 * 1024 * 1024;

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer announced more than the caller allows; nothing was reserved for it.
    #[error("the peer announced a record of {announced} bytes, {limit} are allowed")]
    TooLong {
        /// The announced length.
        announced: usize,
        /// The caller's limit.
        limit: usize,
    },
}

/// Cuts a byte stream into records.
#[derive(Clone, Copy, Debug)]
pub struct FrameDecoder {
    limit: usize,
}

impl FrameDecoder {
    /// A decoder that refuses records longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Takes the next whole record off the front of `input`, without its length; `None` until more bytes arrive.
    pub fn decode(&self, input: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(header) = input.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*header) as usize;
        if announced > self.limit {
            return Err(FrameError::TooLong {
                announced,
                limit: self.limit,
            });
        }
        if input.len() - HEADER < announced {
            return Ok(None);
        }
        input.advance(HEADER);
        Ok(Some(input.split_to(announced).freeze()))
    }
}

/// Appends `record` to `output` behind its length.
///
/// # Errors
/// When the length does not fit in 32 bits.
pub fn encode(record: &[u8], output: &mut BytesMut) -> Result<(), FrameError> {
    let length = u32::try_from(record.len()).map_err(|_| FrameError::TooLong {
        announced: record.len(),
        limit: u32::MAX as usize,
    })?;
    output.reserve(HEADER + record.len());
    output.extend_from_slice(&length.to_be_bytes());
    output.extend_from_slice(record);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn announced_length_over_the_limit_is_refused_before_the_bytes_arrive() {
        let mut input = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        let error = FrameDecoder::new(1024).decode(&mut input);
        assert_eq!(
            error,
            Err(FrameError::TooLong {
                announced: 0xffff_ffff,
                limit: 1024
            })
        );
    }

    proptest! {
        #[test]
        fn records_survive_any_cutting(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
            step in 1usize..50,
        ) {
            let mut wire = BytesMut::new();
            for record in &records {
                encode(record, &mut wire).unwrap();
            }
            let decoder = FrameDecoder::new(200);
            let (mut input, mut found) = (BytesMut::new(), Vec::new());
            for piece in wire.chunks(step) {
                input.extend_from_slice(piece);
                while let Some(record) = decoder.decode(&mut input).unwrap() {
                    found.push(record.to_vec());
                }
            }
            prop_assert_eq!(found, records);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = FrameDecoder::new(64).decode(&mut input) {}
        }
    }
}
