//! Readers: absent, of another type and out of range all read as nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Kind, Pack, Values};
use crate::error::ErrorCode;

impl Pack {
    /// Whether an element of this name exists, whatever its type.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The type of an element.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<Kind> {
        self.find(name).map(Values::kind)
    }

    /// How many values an element has; 0 when it is absent.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.find(name).map_or(0, Values::len)
    }

    /// The first value of an INT element.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<u32> {
        self.int_at(name, 0)
    }

    /// The first value of an INT element, 0 when absent: how stock peers read every number and flag.
    #[must_use]
    pub fn int_or_0(&self, name: &str) -> u32 {
        self.int(name).unwrap_or(0)
    }

    /// A flag: an INT that is not 0.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        self.int_or_0(name) != 0
    }

    /// The first value of an INT64 element.
    #[must_use]
    pub fn int64(&self, name: &str) -> Option<u64> {
        self.int64_at(name, 0)
    }

    /// The first value of a STR element.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.str_at(name, 0)
    }

    /// The first value of a UNISTR element.
    #[must_use]
    pub fn unistr(&self, name: &str) -> Option<&str> {
        self.unistr_at(name, 0)
    }

    /// The first value of a DATA element.
    #[must_use]
    pub fn data(&self, name: &str) -> Option<&[u8]> {
        self.data_at(name, 0)
    }

    /// The first value of a DATA element that has exactly `N` bytes.
    #[must_use]
    pub fn array<const N: usize>(&self, name: &str) -> Option<[u8; N]> {
        self.data(name)?.try_into().ok()
    }

    /// The first address of an IP quadruple.
    #[must_use]
    pub fn ip(&self, name: &str) -> Option<IpAddr> {
        self.ip_at(name, 0)
    }

    /// Value `i` of an INT element.
    #[must_use]
    pub fn int_at(&self, name: &str, i: usize) -> Option<u32> {
        match self.find(name)? {
            Values::Int(values) => values.get(i).copied(),
            _ => None,
        }
    }

    /// Value `i` of an INT element as a flag.
    #[must_use]
    pub fn bool_at(&self, name: &str, i: usize) -> bool {
        self.int_at(name, i).is_some_and(|v| v != 0)
    }

    /// Value `i` of an INT64 element.
    #[must_use]
    pub fn int64_at(&self, name: &str, i: usize) -> Option<u64> {
        match self.find(name)? {
            Values::Int64(values) => values.get(i).copied(),
            _ => None,
        }
    }

    /// Value `i` of a STR element.
    #[must_use]
    pub fn str_at(&self, name: &str, i: usize) -> Option<&str> {
        match self.find(name)? {
            Values::Str(values) => values.get(i).map(String::as_str),
            _ => None,
        }
    }

    /// Value `i` of a UNISTR element.
    #[must_use]
    pub fn unistr_at(&self, name: &str, i: usize) -> Option<&str> {
        match self.find(name)? {
            Values::UniStr(values) => values.get(i).map(String::as_str),
            _ => None,
        }
    }

    /// Value `i` of a DATA element.
    #[must_use]
    pub fn data_at(&self, name: &str, i: usize) -> Option<&[u8]> {
        match self.find(name)? {
            Values::Data(values) => values.get(i).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Address `i` of an IP quadruple. `NAME@ipv6_bool` decides; a lone INT is an IPv4 address whose octets stand in
    /// reversed order (protocol §3).
    #[must_use]
    pub fn ip_at(&self, name: &str, i: usize) -> Option<IpAddr> {
        if self.bool_at(&format!("{name}@ipv6_bool"), i) {
            let octets: [u8; 16] = self.data_at(&format!("{name}@ipv6_array"), i)?.try_into().ok()?;
            return Some(IpAddr::V6(Ipv6Addr::from(octets)));
        }
        self.int_at(name, i)
            .map(|v| IpAddr::V4(Ipv4Addr::from(v.to_le_bytes())))
    }

    /// All values of an INT element.
    #[must_use]
    pub fn ints(&self, name: &str) -> &[u32] {
        match self.find(name) {
            Some(Values::Int(values)) => values,
            _ => &[],
        }
    }

    /// All values of an INT64 element.
    #[must_use]
    pub fn int64s(&self, name: &str) -> &[u64] {
        match self.find(name) {
            Some(Values::Int64(values)) => values,
            _ => &[],
        }
    }

    /// All values of a STR element.
    #[must_use]
    pub fn strs(&self, name: &str) -> &[String] {
        match self.find(name) {
            Some(Values::Str(values)) => values,
            _ => &[],
        }
    }

    /// All values of a UNISTR element.
    #[must_use]
    pub fn unistrs(&self, name: &str) -> &[String] {
        match self.find(name) {
            Some(Values::UniStr(values)) => values,
            _ => &[],
        }
    }

    /// All values of a DATA element.
    #[must_use]
    pub fn datas(&self, name: &str) -> &[Vec<u8>] {
        match self.find(name) {
            Some(Values::Data(values)) => values,
            _ => &[],
        }
    }

    /// The refusal this PACK carries: an INT `error` other than 0.
    #[must_use]
    pub fn error(&self) -> Option<ErrorCode> {
        self.int("error")
            .filter(|code| *code != 0)
            .map(ErrorCode::from_code)
    }
}
