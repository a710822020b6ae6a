use std::fmt;
use std::ops::{Deref, DerefMut};

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value that must not be read by accident: a password, a hash as good as one, a private key.
///
/// It is wiped when dropped, compared in constant time, and `Debug` shows only that it is there. Reading it takes
/// a deliberate `*`.
#[derive(Clone, Default)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Guards `value`.
    pub fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// True for no bytes at all and for zero bytes only: both are how the wire says "none" or "leave it alone".
    pub fn is_blank(&self) -> bool {
        self.0.as_ref().iter().all(|&byte| byte == 0)
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize> Deref for Secret<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> DerefMut for Secret<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_value() {
        assert_eq!(format!("{:?}", Secret::new(String::from("hunter2"))), "<secret>");
        assert_eq!(format!("{:?}", Some(Secret::new(vec![1u8, 2]))), "Some(<secret>)");
    }

    #[test]
    fn zero_bytes_are_blank() {
        assert!(Secret::new(Vec::<u8>::new()).is_blank());
        assert!(Secret::new(vec![0u8; 20]).is_blank());
        assert!(!Secret::new(String::from("0")).is_blank());
    }
}
