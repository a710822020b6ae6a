//! How the stock software hides passwords that it must be able to read again: RC4 with a key that everybody knows
//! (client RPC §4.2). It keeps a password from a glance, and from nobody else.

use zeroize::Zeroizing;

/// On 32-bit systems it is four bytes of the same word.
const KEY: &[u8] = b"EncryptP";

/// Hides a password, or shows a hidden one: the two are the same.
#[must_use]
pub fn hide(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut state: [u8; 256] = std::array::from_fn(|index| index.to_le_bytes()[0]);
    let mut j = 0_u8;
    for i in 0..state.len() {
        j = j.wrapping_add(state[i]).wrapping_add(KEY[i % KEY.len()]);
        state.swap(i, j.into());
    }
    let (mut i, mut j) = (0_u8, 0_u8);
    let next = |byte: &u8| {
        i = i.wrapping_add(1);
        j = j.wrapping_add(state[usize::from(i)]);
        state.swap(i.into(), j.into());
        byte ^ state[usize::from(state[usize::from(i)].wrapping_add(state[usize::from(j)]))]
    };
    Zeroizing::new(bytes.iter().map(next).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_twice_is_shown() {
        let password = b"correct horse".as_slice();
        let hidden = hide(password);
        assert_ne!(hidden.as_slice(), password);
        assert_eq!(hide(&hidden).as_slice(), password);
        assert!(hide(b"").is_empty());
    }

    #[test]
    fn passwords_of_stock_files_are_read() {
        let cases: [(&[u8], &[u8]); 3] = [
            (&[0x0c], b"b"),
            (&[0x1e, 0xef], b"pp"),
            (&[0x1e, 0xf3, 0x05, 0x8b, 0x1e, 0x5d, 0x1b], b"plainpw"),
        ];
        for (hidden, password) in cases {
            assert_eq!(hide(hidden).as_slice(), password);
        }
    }
}
