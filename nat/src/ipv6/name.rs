//! Domain names as DNS writes them (RFC 1035 §3.1), uncompressed.

const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 255;

/// The name on the wire; none for a text that is no domain name.
pub(super) fn encode(name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if label.is_empty() || label.len() > MAX_LABEL {
            return None;
        }
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= MAX_NAME).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_with_their_lengths() {
        assert_eq!(encode("corp.example").unwrap(), b"\x04corp\x07example\0");
        assert_eq!(encode("corp."), encode("corp"));
        for wrong in ["", ".", "a..b", &"x".repeat(64), &"x.".repeat(130)] {
            assert_eq!(encode(wrong), None, "{wrong}");
        }
    }
}
