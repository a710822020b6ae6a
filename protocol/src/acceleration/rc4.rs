//! RC4, the stream cipher of version 1. Broken as ciphers go; it is here because peers of before 2020 speak nothing else.

/// The state of one stream.
pub(super) struct Rc4 {
    state: [u8; 256],
    i: u8,
    j: u8,
}

impl Rc4 {
    /// The stream of a key, which must not be empty.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut state = [0; 256];
        for (place, value) in state.iter_mut().zip(0..=255) {
            *place = value;
        }
        let mut j = 0_u8;
        for (i, &byte) in (0..256).zip(key.iter().cycle()) {
            j = j.wrapping_add(state[i]).wrapping_add(byte);
            state.swap(i, usize::from(j));
        }
        Self { state, i: 0, j: 0 }
    }

    /// Encrypts or decrypts, which is the same.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.i = self.i.wrapping_add(1);
            let a = self.state[usize::from(self.i)];
            self.j = self.j.wrapping_add(a);
            let b = self.state[usize::from(self.j)];
            self.state.swap(usize::from(self.i), usize::from(self.j));
            *byte ^= self.state[usize::from(a.wrapping_add(b))];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_of_rfc_6229_come_out() {
        // RFC 6229, section 2: keys 0x0102030405 and 0x0102...10, offset 0.
        let keys: [(&[u8], [u8; 8]); 2] = [
            (&[1, 2, 3, 4, 5], [0xb2, 0x39, 0x63, 0x05, 0xf0, 0x3d, 0xc0, 0x27]),
            (
                &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
                [0x9a, 0xc7, 0xcc, 0x9a, 0x60, 0x9d, 0x1e, 0xf7],
            ),
        ];
        for (key, expected) in keys {
            let mut stream = [0; 8];
            Rc4::new(key).apply(&mut stream);
            assert_eq!(stream, expected);
        }
    }
}
