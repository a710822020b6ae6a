//! Bytes to elements and back.

use std::collections::HashSet;

use super::{Element, Limits, NAME_BYTES, Pack, PackError, Values, clean};

const INT: u32 = 0;
const DATA: u32 = 1;
const STR: u32 = 2;
const UNISTR: u32 = 3;
const INT64: u32 = 4;

impl Pack {
    /// Reads a PACK. Bytes behind the last element are ignored.
    ///
    /// # Errors
    /// [`PackError`] when the bytes are malformed or exceed `limits`; nothing is allocated on the word of a length
    /// field alone.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, PackError> {
        if bytes.len() > limits.bytes {
            return Err(PackError::TooLarge("bytes"));
        }
        let mut reader = Reader(bytes);
        let count = reader.count(limits.elements, "elements")?;
        let mut elements = Vec::with_capacity(count.min(128));
        let mut names = HashSet::with_capacity(count.min(128));
        for _ in 0..count {
            let element = reader.element(limits)?;
            if !names.insert(element.name.to_ascii_lowercase()) {
                return Err(PackError::DuplicateName);
            }
            elements.push(element);
        }
        Ok(Self { elements })
    }

    /// Writes the elements in their order. [`Pack::sort`] first gives the order of stock peers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        put_len(&mut out, self.elements.len());
        for element in &self.elements {
            put_len(&mut out, element.name.len() + 1);
            out.extend_from_slice(element.name.as_bytes());
            let kind = match &element.values {
                Values::Int(_) => INT,
                Values::Data(_) => DATA,
                Values::Str(_) => STR,
                Values::UniStr(_) => UNISTR,
                Values::Int64(_) => INT64,
            };
            out.extend_from_slice(&kind.to_be_bytes());
            put_len(&mut out, element.values.len());
            put_values(&mut out, &element.values);
        }
        out
    }

    /// How many bytes [`Pack::encode`] will write; exact, so that secrets are not left behind by a growing buffer.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let element = |e: &Element| {
            let values: usize = match &e.values {
                Values::Int(values) => 4 * values.len(),
                Values::Int64(values) => 8 * values.len(),
                Values::Data(values) => values.iter().map(|v| 4 + v.len()).sum(),
                Values::Str(values) => values.iter().map(|v| 4 + v.len()).sum(),
                Values::UniStr(values) => values.iter().map(|v| 4 + v.len() + 1).sum(),
            };
            4 + e.name.len() + 4 + 4 + values
        };
        4 + self.elements.iter().map(element).sum::<usize>()
    }
}

fn put_values(out: &mut Vec<u8>, values: &Values) {
    match values {
        Values::Int(values) => values
            .iter()
            .for_each(|v| out.extend_from_slice(&v.to_be_bytes())),
        Values::Int64(values) => values
            .iter()
            .for_each(|v| out.extend_from_slice(&v.to_be_bytes())),
        Values::Data(values) => values.iter().for_each(|v| put_bytes(out, v)),
        Values::Str(values) => values.iter().for_each(|v| put_bytes(out, v.as_bytes())),
        // A UNISTR counts and sends its NUL, a STR does neither (protocol §3).
        Values::UniStr(values) => values.iter().for_each(|v| {
            put_len(out, v.len() + 1);
            out.extend_from_slice(v.as_bytes());
            out.push(0);
        }),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The wire's lengths are 32 bits; nothing we build comes near (a PACK of 4 GiB).
fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PackError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(PackError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], PackError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(PackError::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, PackError> {
        self.fixed().map(u32::from_be_bytes)
    }

    fn count(&mut self, limit: usize, what: &'static str) -> Result<usize, PackError> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if count > limit {
            Err(PackError::TooLarge(what))
        } else {
            Ok(count)
        }
    }

    fn element(&mut self, limits: &Limits) -> Result<Element, PackError> {
        let name_len = self.u32()?.checked_sub(1).ok_or(PackError::NameLength)?;
        let name = self.take(usize::try_from(name_len).unwrap_or(usize::MAX))?;
        let name = text(&name[..name.len().min(NAME_BYTES)]);
        let name = name[..name.floor_char_boundary(NAME_BYTES)].to_owned();
        let kind = self.u32()?;
        let count = self.count(limits.values, "values in one element")?;
        if count == 0 {
            return Err(PackError::NoValues);
        }
        let values = match kind {
            INT => Values::Int(self.values(count, 4, Self::u32)?),
            INT64 => Values::Int64(self.values(count, 8, |r| r.fixed().map(u64::from_be_bytes))?),
            DATA => Values::Data(self.values(count, 4, |r| Ok(r.bytes(limits)?.to_vec()))?),
            STR => Values::Str(self.values(count, 4, |r| Ok(clean(&text(r.bytes(limits)?)).to_owned()))?),
            UNISTR => {
                Values::UniStr(self.values(count, 4, |r| Ok(clean(&text(r.bytes(limits)?)).to_owned()))?)
            }
            other => return Err(PackError::UnknownType(other)),
        };
        Ok(Element { name, values })
    }

    /// `count` values of at least `min` encoded bytes each: the count is believed only if that many bytes are there.
    fn values<T>(
        &mut self,
        count: usize,
        min: usize,
        mut one: impl FnMut(&mut Self) -> Result<T, PackError>,
    ) -> Result<Vec<T>, PackError> {
        if count.saturating_mul(min) > self.0.len() {
            return Err(PackError::Truncated);
        }
        (0..count).map(|_| one(self)).collect()
    }

    fn bytes(&mut self, limits: &Limits) -> Result<&'a [u8], PackError> {
        let len = self.count(limits.value_bytes, "bytes in one value")?;
        self.take(len)
    }
}

/// STR is in the sender's locale (protocol §3); what is not UTF-8 is shown with replacement characters.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
