//! The kinds of value that occur in administration messages: how each stands in a PACK and in JSON
//! (admin RPC §2 and §5). The words of [`message!`](super::message) name them.

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

    /// Value `row` of element `name`; `None` when absent or of another type, as stock peers read.
    fn get(pack: &Pack, name: &str, row: usize) -> Option<Self::Value>;

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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<u32> {
        pack.int_at(name, row)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<u32> {
        pack.int_at(name, row).map(u32::swap_bytes)
    }

    fn to_json(value: &u32) -> Value {
        Value::from(value.swap_bytes())
    }

    fn from_json(value: &Value) -> Option<u32> {
        U32::from_json(value).map(u32::swap_bytes)
    }
}

/// `code T`: a number with names, `T` made by [`codes!`](super::codes).
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<T> {
        pack.int_at(name, row).map(T::from)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<bool> {
        pack.int_at(name, row).map(|value| value != 0)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<u64> {
        pack.int64_at(name, row)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<Timestamp> {
        pack.int64_at(name, row).map(Timestamp::from_wire)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<String> {
        pack.str_at(name, row).map(str::to_owned)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<String> {
        pack.unistr_at(name, row).map(str::to_owned)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<Secret<String>> {
        pack.str_at(name, row).map(|text| Secret::new(text.to_owned()))
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<Vec<u8>> {
        pack.data_at(name, row).map(<[u8]>::to_vec)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<Secret<Vec<u8>>> {
        Data::get(pack, name, row).map(Secret::new)
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<[u8; N]> {
        pack.data_at(name, row)?.try_into().ok()
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

    fn get(pack: &Pack, name: &str, row: usize) -> Option<IpAddr> {
        pack.ip_at(name, row)
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

fn copied<T: Copy>(values: &[&T]) -> Vec<T> {
    values.iter().map(|&&value| value).collect()
}
