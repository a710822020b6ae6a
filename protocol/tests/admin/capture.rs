//! Reading captures, and PACKs as sets of elements.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::pack::{Kind, Limits, Pack};

/// One captured call.
pub(crate) struct Call {
    pub(crate) request: Pack,
    pub(crate) answer: Pack,
}

pub(crate) fn folder() -> PathBuf {
    data().join("admin")
}

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The names of the methods that were captured.
pub(crate) fn methods() -> Vec<String> {
    methods_in("admin")
}

/// As [`methods`], of a folder of captures.
pub(crate) fn methods_in(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(data().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The captured calls of a method.
pub(crate) fn calls(method: &str) -> Vec<Call> {
    calls_in("admin", method)
}

/// As [`calls`], of a folder of captures.
pub(crate) fn calls_in(folder: &str, method: &str) -> Vec<Call> {
    let bytes = std::fs::read(data().join(folder).join(format!("{method}.bin"))).unwrap();
    let mut rest = &bytes[..];
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let request = record(&mut rest, b'C');
        let answer = record(&mut rest, b'S');
        calls.push(Call { request, answer });
    }
    calls
}

fn record(rest: &mut &[u8], direction: u8) -> Pack {
    assert_eq!(rest[0], direction);
    let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
    let pack = Pack::decode(&rest[5..5 + length], &Limits::ADMIN).unwrap();
    *rest = &rest[5 + length..];
    pack
}

/// The elements by name, each value as text. The INT of an IPv6 address is left out: it is a placeholder that
/// nobody reads, 0 at login and 192.0.2.254 here.
pub(crate) fn elements(pack: &Pack) -> BTreeMap<String, Vec<String>> {
    let mut elements = BTreeMap::new();
    for (name, kind, count) in pack.elements() {
        let value = |row| match kind {
            Kind::Int if pack.bool_at(&format!("{name}@ipv6_bool"), row) => "IPv6".to_owned(),
            Kind::Int => format!("int {}", pack.int_at(name, row).unwrap()),
            Kind::Int64 => format!("int64 {}", pack.int64_at(name, row).unwrap()),
            Kind::Str => format!("str {:?}", pack.str_at(name, row).unwrap()),
            Kind::UniStr => format!("unistr {:?}", pack.unistr_at(name, row).unwrap()),
            Kind::Data => format!("data {:02x?}", pack.data_at(name, row).unwrap()),
        };
        elements.insert(name.to_owned(), (0..count).map(value).collect());
    }
    elements
}

/// Whether an element says nothing: zeros and empty texts.
pub(crate) fn is_blank(values: &[String]) -> bool {
    values.iter().all(|value| {
        let (kind, value) = value.split_once(' ').unwrap_or((value, ""));
        match kind {
            "data" => value.bytes().all(|byte| b"0[], ".contains(&byte)),
            "str" | "unistr" => value == "\"\"",
            _ => value == "0",
        }
    })
}
