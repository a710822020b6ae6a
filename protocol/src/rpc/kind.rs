//! The kinds of value that occur in administration messages: how each stands in a PACK and in JSON
//! (admin RPC §2 and §5). The words of `message!` name them.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Secret, Timestamp};
use crate::pack::Pack;

/// One kind of value.
pub trait Kind {
    /// The Rust type of a field of this kind.
    type Value: Clone;

    /// What JSON appends to the element's name.
    const SUFFIX: &'static str;

    /// What an absent element means: zero, empty, 0.0.0.0.
    fn absent() -> Self::Value;

    /// Sets element `name` to one value per row.
    fn put(pack: &mut Pack, name: &str, values: &[&Self::Value]);

    /// The first values of element `name`, at most `rows`; none when it is absent or of another type, as stock peers
    /// read. `None` stands for a single value that is no such kind's.
    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<Self::Value>>;

    /// The JSON value.
    fn to_json(value: &Self::Value) -> Value;

    /// Reads JSON leniently, as the stock server does: numbers, texts and flags stand for each other. `None` when
    /// nothing sensible can be made of it.
    fn from_json(value: &Value) -> Option<Self::Value>;
}

/// `u32`: a number.
pub enum U32 {}

impl Kind for U32 {
    type Value = u32;
    const SUFFIX: &'static str = "_u32";

    fn absent() -> u32 {
        0
    }

    fn put(pack: &mut Pack, name: &str, values: &[&u32]) {
        pack.set_ints(name, &copied(values));
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<u32>> {
        first(pack.ints(name), rows, |&value| value)
    }

    fn to_json(value: &u32) -> Value {
        Value::from(*value)
    }

    fn from_json(value: &Value) -> Option<u32> {
        U64::from_json(value)?.try_into().ok()
    }
}

/// `swapped`: a number that the stock server sends with its bytes reversed, because it copies a block kept in
/// network order (admin RPC §2, byte-order trap). The field holds the true number. JSON carries the reversed one
/// too, since scripts written for the stock server turn it round.
pub enum Swapped {}

impl Kind for Swapped {
    type Value = u32;
    const SUFFIX: &'static str = "_u32";

    fn absent() -> u32 {
        0
    }

    fn put(pack: &mut Pack, name: &str, values: &[&u32]) {
        let reversed: Vec<u32> = values.iter().map(|value| value.swap_bytes()).collect();
        pack.set_ints(name, &reversed);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<u32>> {
        first(pack.ints(name), rows, |value| value.swap_bytes())
    }

    fn to_json(value: &u32) -> Value {
        Value::from(value.swap_bytes())
    }

    fn from_json(value: &Value) -> Option<u32> {
        U32::from_json(value).map(u32::swap_bytes)
    }
}

/// `code T`: a number with names, `T` made by `codes!`.
pub struct Code<T>(PhantomData<T>);

impl<T: Clone + Copy + Default + From<u32> + Into<u32>> Kind for Code<T> {
    type Value = T;
    const SUFFIX: &'static str = "_u32";

    fn absent() -> T {
        T::default()
    }

    fn put(pack: &mut Pack, name: &str, values: &[&T]) {
        let numbers: Vec<u32> = values.iter().map(|&&value| value.into()).collect();
        pack.set_ints(name, &numbers);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<T>> {
        first(pack.ints(name), rows, |&value| T::from(value))
    }

    fn to_json(value: &T) -> Value {
        Value::from((*value).into())
    }

    fn from_json(value: &Value) -> Option<T> {
        U32::from_json(value).map(T::from)
    }
}

/// `bool`: a flag; an INT 0 or 1 in a PACK.
pub enum Bool {}

impl Kind for Bool {
    type Value = bool;
    const SUFFIX: &'static str = "_bool";

    fn absent() -> bool {
        false
    }

    fn put(pack: &mut Pack, name: &str, values: &[&bool]) {
        pack.set_bools(name, &copied(values));
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<bool>> {
        first(pack.ints(name), rows, |&value| value != 0)
    }

    fn to_json(value: &bool) -> Value {
        Value::Bool(*value)
    }

    fn from_json(value: &Value) -> Option<bool> {
        match value {
            Value::Bool(value) => Some(*value),
            Value::Number(number) => Some(number.as_f64()? != 0.0),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "" | "0" | "false" | "no" => Some(false),
                "1" | "true" | "yes" => Some(true),
                _ => None,
            },
            _ => None,
        }
    }
}

/// `u64`: a 64-bit number: bytes, packets, ticks.
pub enum U64 {}

impl Kind for U64 {
    type Value = u64;
    const SUFFIX: &'static str = "_u64";

    fn absent() -> u64 {
        0
    }

    fn put(pack: &mut Pack, name: &str, values: &[&u64]) {
        pack.set_int64s(name, &copied(values));
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<u64>> {
        first(pack.int64s(name), rows, |&value| value)
    }

    fn to_json(value: &u64) -> Value {
        Value::from(*value)
    }

    fn from_json(value: &Value) -> Option<u64> {
        match value {
            Value::Bool(value) => Some(u64::from(*value)),
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.trim().is_empty() => Some(0),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// `time`: a point in time.
pub enum Time {}

impl Kind for Time {
    type Value = Timestamp;
    const SUFFIX: &'static str = "_dt";

    fn absent() -> Timestamp {
        Timestamp::NONE
    }

    fn put(pack: &mut Pack, name: &str, values: &[&Timestamp]) {
        let milliseconds: Vec<u64> = values.iter().map(|value| value.to_wire()).collect();
        pack.set_int64s(name, &milliseconds);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<Timestamp>> {
        first(pack.int64s(name), rows, |&value| Timestamp::from_wire(value))
    }

    fn to_json(value: &Timestamp) -> Value {
        Value::String(value.to_json_text())
    }

    fn from_json(value: &Value) -> Option<Timestamp> {
        match value {
            Value::Number(number) => number.as_u64().map(Timestamp),
            Value::String(text) => Timestamp::from_json_text(text),
            _ => None,
        }
    }
}

/// `str`: text for machines: names, hosts. Bytes in the sender's locale on old systems, UTF-8 today.
pub enum Str {}

impl Kind for Str {
    type Value = String;
    const SUFFIX: &'static str = "_str";

    fn absent() -> String {
        String::new()
    }

    fn put(pack: &mut Pack, name: &str, values: &[&String]) {
        pack.set_strs(name, values);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<String>> {
        first(pack.strs(name), rows, String::clone)
    }

    fn to_json(value: &String) -> Value {
        Value::from(value.as_str())
    }

    fn from_json(value: &Value) -> Option<String> {
        match value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::String(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// `unistr`: text for people: notes, full names.
pub enum Unistr {}

impl Kind for Unistr {
    type Value = String;
    const SUFFIX: &'static str = "_utf";

    fn absent() -> String {
        String::new()
    }

    fn put(pack: &mut Pack, name: &str, values: &[&String]) {
        pack.set_unistrs(name, values);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<String>> {
        first(pack.unistrs(name), rows, String::clone)
    }

    fn to_json(value: &String) -> Value {
        Str::to_json(value)
    }

    fn from_json(value: &Value) -> Option<String> {
        Str::from_json(value)
    }
}

/// `password`: a [`Str`] that must not be seen.
pub enum Password {}

impl Kind for Password {
    type Value = Secret<String>;
    const SUFFIX: &'static str = "_str";

    fn absent() -> Secret<String> {
        Secret::default()
    }

    fn put(pack: &mut Pack, name: &str, values: &[&Secret<String>]) {
        let texts: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
        pack.set_strs(name, &texts);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<Secret<String>>> {
        first(pack.strs(name), rows, |text| Secret::new(text.clone()))
    }

    fn to_json(value: &Secret<String>) -> Value {
        Value::from(value.as_str())
    }

    fn from_json(value: &Value) -> Option<Secret<String>> {
        Str::from_json(value).map(Secret::new)
    }
}

/// `data`: bytes: certificates, files.
pub enum Data {}

impl Kind for Data {
    type Value = Vec<u8>;
    const SUFFIX: &'static str = "_bin";

    fn absent() -> Vec<u8> {
        Vec::new()
    }

    fn put(pack: &mut Pack, name: &str, values: &[&Vec<u8>]) {
        pack.set_datas(name, values);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<Vec<u8>>> {
        first(pack.datas(name), rows, Vec::clone)
    }

    fn to_json(value: &Vec<u8>) -> Value {
        Value::String(STANDARD.encode(value))
    }

    fn from_json(value: &Value) -> Option<Vec<u8>> {
        STANDARD.decode(value.as_str()?.trim()).ok()
    }
}

/// `secret`: [`Data`] that must not be seen: hashes that are as good as the password, private keys.
pub enum SecretData {}

impl Kind for SecretData {
    type Value = Secret<Vec<u8>>;
    const SUFFIX: &'static str = "_bin";

    fn absent() -> Secret<Vec<u8>> {
        Secret::default()
    }

    fn put(pack: &mut Pack, name: &str, values: &[&Secret<Vec<u8>>]) {
        let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_slice()).collect();
        pack.set_datas(name, &bytes);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<Secret<Vec<u8>>>> {
        first(pack.datas(name), rows, |bytes| Secret::new(bytes.clone()))
    }

    fn to_json(value: &Secret<Vec<u8>>) -> Value {
        Data::to_json(value)
    }

    fn from_json(value: &Value) -> Option<Secret<Vec<u8>>> {
        Data::from_json(value).map(Secret::new)
    }
}

/// `mac`, `id16`: exactly `N` bytes. Another length reads as absent.
pub enum Fixed<const N: usize> {}

impl<const N: usize> Kind for Fixed<N> {
    type Value = [u8; N];
    const SUFFIX: &'static str = "_bin";

    fn absent() -> [u8; N] {
        [0; N]
    }

    fn put(pack: &mut Pack, name: &str, values: &[&[u8; N]]) {
        pack.set_datas(name, values);
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<[u8; N]>> {
        pack.datas(name)
            .iter()
            .take(rows)
            .map(|bytes| bytes.as_slice().try_into().ok())
            .collect()
    }

    fn to_json(value: &[u8; N]) -> Value {
        Value::String(STANDARD.encode(value))
    }

    fn from_json(value: &Value) -> Option<[u8; N]> {
        Data::from_json(value)?.try_into().ok()
    }
}

/// `ip`: an IPv4 or IPv6 address; four elements in a PACK, one text in JSON.
pub enum Ip {}

impl Kind for Ip {
    type Value = IpAddr;
    const SUFFIX: &'static str = "_ip";

    fn absent() -> IpAddr {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }

    fn put(pack: &mut Pack, name: &str, values: &[&IpAddr]) {
        pack.set_ips(name, &copied(values));
    }

    fn get(pack: &Pack, name: &str, rows: usize) -> Vec<Option<IpAddr>> {
        // Looked up here, not per row: a list has thousands.
        let flags = pack.ints(&format!("{name}@ipv6_bool"));
        let arrays = pack.datas(&format!("{name}@ipv6_array"));
        let address = |(row, number): (usize, &u32)| {
            if flags.get(row).is_none_or(|&flag| flag == 0) {
                return Some(IpAddr::from(number.to_le_bytes()));
            }
            let octets: [u8; 16] = arrays.get(row)?.as_slice().try_into().ok()?;
            Some(IpAddr::from(octets))
        };
        pack.ints(name)
            .iter()
            .take(rows)
            .enumerate()
            .map(address)
            .collect()
    }

    fn to_json(value: &IpAddr) -> Value {
        Value::String(value.to_string())
    }

    fn from_json(value: &Value) -> Option<IpAddr> {
        match value.as_str()?.trim() {
            "" => Some(Self::absent()),
            text => text.parse().ok(),
        }
    }
}

fn first<T, V>(values: &[T], rows: usize, one: impl Fn(&T) -> V) -> Vec<Option<V>> {
    values.iter().take(rows).map(|value| Some(one(value))).collect()
}

fn copied<T: Copy>(values: &[&T]) -> Vec<T> {
    values.iter().map(|&&value| value).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_texts_and_flags_stand_for_each_other_in_json() {
        assert_eq!(U32::from_json(&json!(7)), Some(7));
        assert_eq!(U32::from_json(&json!(" 7 ")), Some(7));
        assert_eq!(U32::from_json(&json!(true)), Some(1));
        assert_eq!(Bool::from_json(&json!("true")), Some(true));
        assert_eq!(Bool::from_json(&json!(0)), Some(false));
        assert_eq!(Str::from_json(&json!(443)), Some("443".to_owned()));
        assert_eq!(Time::from_json(&json!("")), Some(Timestamp::NONE));
        assert_eq!(Ip::from_json(&json!("")), Some(Ip::absent()));
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        for value in [json!(-1), json!(1u64 << 32), json!("many"), json!([1]), json!({})] {
            assert_eq!(U32::from_json(&value), None, "{value}");
        }
        assert_eq!(Bool::from_json(&json!("perhaps")), None);
        assert_eq!(Ip::from_json(&json!("10.0.0")), None);
        assert_eq!(Data::from_json(&json!("not base64")), None);
        assert_eq!(Fixed::<6>::from_json(&json!("AAAA")), None);
    }

    #[test]
    fn an_ipv6_address_without_its_bytes_is_nothing() {
        let mut pack = Pack::new();
        pack.set_ints("Ip", &[0, 0x0100_000a, 0])
            .set_bools("Ip@ipv6_bool", &[true, false, true]);
        pack.set_datas("Ip@ipv6_array", &[&[0u8; 4][..], &[]]);
        let addresses = Ip::get(&pack, "Ip", 9);
        assert_eq!(addresses, [None, Some(IpAddr::from([10, 0, 0, 1])), None]);
    }

    #[test]
    fn bytes_of_another_length_are_nothing() {
        let mut pack = Pack::new();
        pack.set_datas("MacAddress", &[&[1u8; 6][..], &[1; 5]]);
        assert_eq!(Fixed::<6>::get(&pack, "MacAddress", 2), [Some([1; 6]), None]);
    }
}
