//! One direction's key: sealing and opening of single records (RFC 8446 §5.2; RFC 5246 §6.2.3.3 with RFC 5288 and RFC 7905).

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::{ConnectionTrafficSecrets, Error, InvalidMessage, ProtocolVersion};

use super::record::{HEADER, MAX_PLAIN, kind};

const TAG: usize = 16;
/// The part of the nonce that a TLS 1.2 record with AES-GCM carries (RFC 5288 §3).
const EXPLICIT: usize = 8;

/// A key with what makes a nonce of a sequence number.
pub(super) struct Keys {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    form: Form,
}

/// How records look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The kind is hidden behind the plaintext.
    Tls13,
    /// The nonce's second part stands before the ciphertext.
    Tls12Gcm,
    Tls12Chacha,
}

/// What a record turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) kind: u8,
    /// Bytes of plaintext.
    pub(super) len: usize,
}

impl Keys {
    pub(super) fn new(secrets: &ConnectionTrafficSecrets, version: ProtocolVersion) -> Result<Self, Error> {
        use ConnectionTrafficSecrets as Secrets;
        let (algorithm, key, iv): (&'static Algorithm, _, _) = match secrets {
            Secrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            Secrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            Secrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("a cipher without a name".into())),
        };
        let form = match (version, secrets) {
            (ProtocolVersion::TLSv1_3, _) => Form::Tls13,
            (ProtocolVersion::TLSv1_2, Secrets::Chacha20Poly1305 { .. }) => Form::Tls12Chacha,
            (ProtocolVersion::TLSv1_2, _) => Form::Tls12Gcm,
            _ => return Err(Error::General("a version without records".into())),
        };
        let unusable = |_| Error::General("a key of the wrong length".into());
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(unusable)?;
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(iv.as_ref());
        Ok(Self {
            key: LessSafeKey::new(key),
            iv: nonce,
            form,
        })
    }

    pub(super) fn is_tls13(&self) -> bool {
        self.form == Form::Tls13
    }

    /// The length of the record for so much plaintext.
    pub(super) fn record_len(&self, plain: usize) -> usize {
        HEADER
            + plain
            + TAG
            + match self.form {
                Form::Tls13 => 1,
                Form::Tls12Gcm => EXPLICIT,
                Form::Tls12Chacha => 0,
            }
    }

    /// Makes `record`, which has [`record_len`](Self::record_len) bytes, of `plain`, which has at most [`MAX_PLAIN`]. The
    /// encryption is the only pass over the bytes. A sequence number is used once.
    pub(super) fn seal(&self, seq: u64, kind: u8, plain: &[u8], record: &mut [u8]) -> Result<(), Error> {
        let nonce = self.nonce(seq);
        let body = record.len() - HEADER;
        let (header, rest) = record.split_at_mut(HEADER);
        let outer = if self.is_tls13() { kind::DATA } else { kind };
        header.copy_from_slice(&[outer, 3, 3, (body >> 8) as u8, body as u8]);
        let rest = if self.form == Form::Tls12Gcm {
            let (explicit, rest) = rest.split_at_mut(EXPLICIT);
            explicit.copy_from_slice(&nonce[NONCE_LEN - EXPLICIT..]);
            rest
        } else {
            rest
        };
        let (sealed, end) = rest.split_at_mut(plain.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let outcome = if self.is_tls13() {
            let aad = Aad::from(&*header);
            self.key
                .seal_out_of_place_scatter(nonce, aad, plain, sealed, &[kind], end)
        } else {
            let aad = Aad::from(additional_data(seq, kind, plain.len()));
            self.key
                .seal_out_of_place_scatter(nonce, aad, plain, sealed, &[], end)
        };
        outcome.map_err(|_| Error::EncryptError)
    }

    /// The bytes of ciphertext in a record's body of this length; none when it is too short to be one.
    pub(super) fn sealed_len(&self, body: usize) -> Option<usize> {
        let explicit = if self.form == Form::Tls12Gcm { EXPLICIT } else { 0 };
        let least = usize::from(self.is_tls13());
        body.checked_sub(explicit + TAG).filter(|len| *len >= least)
    }

    /// Opens a record into `plain`, which has [`sealed_len`](Self::sealed_len) bytes. The decryption is the only pass over
    /// them.
    pub(super) fn open(
        &self,
        seq: u64,
        header: &[u8; HEADER],
        body: &[u8],
        plain: &mut [u8],
    ) -> Result<Opened, Error> {
        let mut nonce = self.nonce(seq);
        let body = if self.form == Form::Tls12Gcm {
            let (explicit, body) = body.split_at(EXPLICIT);
            nonce[..NONCE_LEN - EXPLICIT].copy_from_slice(&self.iv[..NONCE_LEN - EXPLICIT]);
            nonce[NONCE_LEN - EXPLICIT..].copy_from_slice(explicit);
            body
        } else {
            body
        };
        let (sealed, tag) = body.split_at(plain.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let outcome = if self.is_tls13() {
            self.key
                .open_separate_gather(nonce, Aad::from(header), sealed, tag, plain)
        } else {
            let aad = Aad::from(additional_data(seq, header[0], plain.len()));
            self.key.open_separate_gather(nonce, aad, sealed, tag, plain)
        };
        outcome.map_err(|_| Error::DecryptError)?;
        if plain.len() > MAX_PLAIN + usize::from(self.is_tls13()) {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok(if self.is_tls13() {
            unpadded(plain)?
        } else {
            Opened {
                kind: header[0],
                len: plain.len(),
            }
        })
    }

    fn nonce(&self, seq: u64) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, seq) in nonce[NONCE_LEN - 8..].iter_mut().zip(seq.to_be_bytes()) {
            *byte ^= seq;
        }
        nonce
    }
}

/// The kind is the last byte that is not zero (RFC 8446 §5.4).
fn unpadded(plain: &[u8]) -> Result<Opened, Error> {
    match plain.iter().rposition(|byte| *byte != 0) {
        Some(len) => Ok(Opened {
            kind: plain[len],
            len,
        }),
        None => Err(InvalidMessage::InvalidContentType.into()),
    }
}

/// RFC 5246 §6.2.3.3.
fn additional_data(seq: u64, kind: u8, len: usize) -> [u8; 13] {
    let mut data = [0; 13];
    data[..8].copy_from_slice(&seq.to_be_bytes());
    data[8..].copy_from_slice(&[kind, 3, 3, (len >> 8) as u8, len as u8]);
    data
}
