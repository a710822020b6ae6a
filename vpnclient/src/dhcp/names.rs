//! Domain names that a server pushes. They end up in resolver settings, so only plain ones are taken.

/// A plain domain name, without the final dot.
pub(super) fn domain(text: &str) -> Option<String> {
    let name = text.trim().trim_end_matches('.');
    let plain = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    (name.len() <= 253 && name.split('.').all(plain)).then(|| name.to_ascii_lowercase())
}

/// The names of option 119 (RFC 3397): DNS encoding, with pointers into the option itself.
pub(crate) fn search_list(bytes: &[u8], max: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < bytes.len() && names.len() < max {
        let Some((name, next)) = read_name(bytes, at) else {
            break;
        };
        names.extend(domain(&name));
        at = next;
    }
    names
}

/// One name and where the next begins. A pointer must point backwards, so that reading ends.
fn read_name(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut at = start;
    let mut next = None;
    let mut limit = start;
    loop {
        let len = usize::from(*bytes.get(at)?);
        match len {
            0 => return Some((labels.join("."), next.unwrap_or(at + 1))),
            0xc0.. => {
                let target = (len & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                next = next.or(Some(at + 2));
                if target >= limit {
                    return None;
                }
                limit = target;
                at = target;
            }
            0x40..0xc0 => return None,
            _ => {
                let label = bytes.get(at + 1..at + 1 + len)?;
                labels.push(String::from_utf8_lossy(label).into_owned());
                if labels.len() > 127 {
                    return None;
                }
                at += 1 + len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_taken_and_others_refused() {
        assert_eq!(domain("Corp.Example.ORG.").as_deref(), Some("corp.example.org"));
        let long = "a".repeat(64);
        for text in ["", ".", "a..b", "a b", "x;reboot", "-option", "\u{e4}.org", &long] {
            assert_eq!(domain(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_compressed_search_list_is_read() {
        // The example of RFC 3397 section 2: eng.apple.com and marketing.apple.com.
        let bytes = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(search_list(bytes, 9), ["eng.apple.com", "marketing.apple.com"]);
        assert_eq!(search_list(bytes, 1), ["eng.apple.com"]);
    }

    #[test]
    fn loops_and_cut_off_names_end_the_list() {
        for bytes in [
            &b"\xc0\x00"[..],
            b"\x03abc\xc0\x00",
            b"\x05ab",
            b"\x03abc",
            b"\xc0",
            b"\x41a\x00",
        ] {
            assert!(search_list(bytes, 9).is_empty(), "{bytes:?}");
        }
    }
}
