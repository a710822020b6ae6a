//! Names of network devices.

use crate::{Error, Result};

/// The longest device name, without the terminating zero (IFNAMSIZ - 1).
const MAX_LEN: usize = 15;

/// Refuses texts that the kernel would not take as a device name, or that would read as something else.
///
/// The kernel refuses `.`, `..`, `/`, `:`, white space and long names (`dev_valid_name`), and reads `%d` as
/// "the next free number", which would give a name that nobody asked for.
pub(crate) fn check(name: &str) -> Result<()> {
    let fits = (1..=MAX_LEN).contains(&name.len());
    let printable = name
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%'));
    if fits && printable && name != "." && name != ".." {
        Ok(())
    } else {
        Err(Error::BadName {
            name: name.escape_debug().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn ordinary_names_are_taken() {
        for name in ["tap0", "tap_mikalab", "a", "exactly15chars_"] {
            assert!(check(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_the_kernel_would_refuse_or_rewrite_are_refused_first() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a:1",
            "a b",
            "sixteen_chars_xx",
            "tap%d",
            "t\u{e4}p",
            "a\0b",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
