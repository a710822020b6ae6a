use std::net::IpAddr;

use proptest::prelude::*;

use super::{Kind, Limits, Pack, PackError};
use crate::error::ErrorCode;

const LIMITS: Limits = Limits::BEFORE_LOGIN;

fn unhex(text: &str) -> Vec<u8> {
    let digits = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect::<Vec<_>>();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// One element of that many values, which are `bytes`.
fn element(name: &str, kind: u32, count: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = (name.len() as u32 + 1).to_be_bytes().to_vec();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(bytes);
    out
}

fn pack(elements: &[Vec<u8>]) -> Vec<u8> {
    [&(elements.len() as u32).to_be_bytes()[..], &elements.concat()].concat()
}

#[test]
fn the_worked_examples_of_the_reference_hold() {
    let mut method = Pack::new();
    method.set_str("method", "enum_hub");
    assert_eq!(
        method.encode(),
        unhex("00000001 00000007 6d6574686f64 00000002 00000001 00000008 656e756d5f687562")
    );

    let mut every = Pack::new();
    every
        .set_int("error", 0)
        .set_data("x", &[1, 2])
        .set_unistr("u", "é")
        .set_int64("q", 1);
    let bytes = unhex(
        "00000004 00000006 6572726f72 00000000 00000001 00000000 00000002 78 00000001 00000001 00000002 0102
         00000002 75 00000003 00000001 00000003 c3a900 00000002 71 00000004 00000001 0000000000000001",
    );
    assert_eq!(every.encode(), bytes);
    assert_eq!(Pack::decode(&bytes, &LIMITS), Ok(every));
}

#[test]
fn an_ipv4_address_stands_reversed_in_its_int() {
    let mut pack = Pack::new();
    let address: IpAddr = "10.91.1.2".parse().unwrap();
    pack.set_ip("Ip", address);
    assert_eq!(pack.int("Ip"), Some(0x0201_5b0a));
    assert_eq!(pack.ip("ip"), Some(address));
    pack.remove("Ip@ipv6_bool")
        .remove("Ip@ipv6_array")
        .remove("Ip@ipv6_scope_id");
    assert_eq!(pack.ip("Ip"), Some(address), "the INT alone will do");
}

#[test]
fn addresses_of_both_families_stand_in_one_list() {
    let addresses: [IpAddr; 3] = ["10.0.0.1", "2001:db8::1", "0.0.0.0"].map(|text| text.parse().unwrap());
    let mut pack = Pack::new();
    pack.set_ips("Ip", &addresses);
    assert_eq!([0, 1, 2].map(|i| pack.ip_at("Ip", i).unwrap()), addresses);
    assert_eq!(pack.ip_at("Ip", 3), None);
}

#[test]
fn a_reader_of_another_type_finds_nothing() {
    let mut pack = Pack::new();
    pack.set_int("n", 7).set_str("s", "text");
    assert_eq!(
        (pack.str("n"), pack.int("s"), pack.int64("n"), pack.unistr("s")),
        (None, None, None, None)
    );
    assert_eq!(
        (pack.int_or_0("s"), pack.bool("absent"), pack.data("absent")),
        (0, false, None)
    );
    assert_eq!(
        (pack.kind("N"), pack.count("N"), pack.count("absent")),
        (Some(Kind::Int), 1, 0)
    );
}

#[test]
fn names_ignore_case() {
    let mut pack = Pack::new();
    pack.set_int("HubName", 1).set_str("HUBNAME", "LAB");
    assert_eq!((pack.len(), pack.str("hubname")), (1, Some("LAB")));
}

#[test]
fn text_loses_blanks_and_what_follows_a_nul() {
    let mut pack = Pack::new();
    pack.set_str("a", " \tpass word\t ").set_unistr("b", "x\0hidden");
    assert_eq!((pack.str("a"), pack.unistr("b")), (Some("pass word"), Some("x")));
    let read = Pack::decode(
        &self::pack(&[
            element("a", 2, 1, &[0, 0, 0, 4, b' ', b'x', 0, b'y']),
            element("b", 3, 1, &[0, 0, 0, 1, b'z']),
            element("c", 2, 1, &[0, 0, 0, 2, 0xff, b'!']),
        ]),
        &LIMITS,
    )
    .unwrap();
    assert_eq!(
        (read.str("a"), read.unistr("b")),
        (Some("x"), Some("z")),
        "a missing NUL is tolerated"
    );
    assert_eq!(read.str("c"), Some("\u{fffd}!"));
}

#[test]
fn an_empty_list_is_no_element() {
    let mut pack = Pack::new();
    pack.set_ints("n", &[1, 2])
        .set_ints("n", &[])
        .set_strs::<&str>("s", &[]);
    assert!(pack.is_empty());
}

#[test]
fn an_error_is_a_number_other_than_0() {
    let mut pack = Pack::new();
    assert_eq!(pack.error(), None);
    assert_eq!(pack.set_int("error", 0).error(), None);
    assert_eq!(pack.set_int("error", 9).error(), Some(ErrorCode::AuthFailed));
}

#[test]
fn what_is_no_pack_is_refused() {
    let int = |name: &str| element(name, 0, 1, &[0; 4]);
    let zero_name = [vec![0; 4], vec![0; 12]].concat();
    for (bytes, error) in [
        (vec![], PackError::Truncated),
        (vec![0, 0, 0, 1], PackError::Truncated),
        (pack(&[zero_name]), PackError::NameLength),
        (pack(&[int("a"), int("A")]), PackError::DuplicateName),
        (pack(&[element("a", 0, 0, &[])]), PackError::NoValues),
        (pack(&[element("a", 5, 1, &[0; 8])]), PackError::UnknownType(5)),
        (pack(&[element("a", 1, 1, &[0, 0, 0, 9])]), PackError::Truncated),
        (pack(&[element("a", 1, 128, &[0; 127 * 4])]), PackError::Truncated),
    ] {
        assert_eq!(Pack::decode(&bytes, &LIMITS), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn every_limit_is_the_callers() {
    let limits = Limits {
        bytes: 200,
        elements: 2,
        values: 3,
        value_bytes: 10,
    };
    let decode = |bytes: &[u8]| Pack::decode(bytes, &limits).map(|pack| pack.len());
    let int = |name: &str| element(name, 0, 1, &[0; 4]);
    assert_eq!(decode(&pack(&[int("a"), int("b")])), Ok(2));
    assert_eq!(
        decode(&pack(&[int("a"), int("b"), int("c")])),
        Err(PackError::TooLarge("elements"))
    );
    assert_eq!(decode(&pack(&[element("a", 0, 3, &[0; 12])])), Ok(1));
    assert_eq!(
        decode(&pack(&[element("a", 0, 4, &[0; 16])])),
        Err(PackError::TooLarge("values in one element"))
    );
    let data = |len: u32| {
        pack(&[element(
            "a",
            1,
            1,
            &[&len.to_be_bytes()[..], &vec![0; len as usize]].concat(),
        )])
    };
    assert_eq!(decode(&data(10)), Ok(1));
    assert_eq!(decode(&data(11)), Err(PackError::TooLarge("bytes in one value")));
    assert_eq!(
        decode(&[0; 200]),
        Ok(0),
        "bytes behind the last element are ignored"
    );
    assert_eq!(decode(&[0; 201]), Err(PackError::TooLarge("bytes")));
}

#[test]
fn long_names_are_cut() {
    let long = "n".repeat(70);
    let read = Pack::decode(&pack(&[element(&long, 0, 1, &[0, 0, 0, 5])]), &LIMITS).unwrap();
    assert_eq!(read.int(&long[..63]), Some(5));
    let mut written = Pack::new();
    written.set_int(&long, 5);
    assert_eq!(written, read);
}

#[test]
fn stock_order_puts_the_underscore_behind_the_letters() {
    let mut pack = Pack::new();
    for name in ["unique_id", "UniqueId", "client_str", "ClientPort", "authtype"] {
        pack.set_int(name, 0);
    }
    pack.sort();
    let names = pack.elements().map(|(name, ..)| name).collect::<Vec<_>>();
    assert_eq!(
        names,
        ["authtype", "ClientPort", "client_str", "UniqueId", "unique_id"]
    );
}

#[test]
fn values_are_not_shown() {
    let mut pack = Pack::new();
    pack.set_str("plain_password", "microsoft");
    assert_eq!(format!("{pack:?}"), "{\"plain_password\": (Str, 1)}");
}

fn any_pack() -> impl Strategy<Value = Pack> {
    let element = (
        "[a-zA-Z:_@é]{0,40}",
        0..5,
        prop::collection::vec(any::<u64>(), 1..4),
        prop::collection::vec("[ -~é\t]{0,20}", 1..4),
    );
    prop::collection::vec(element, 0..12).prop_map(|elements| {
        let mut pack = Pack::new();
        for (name, kind, numbers, texts) in &elements {
            match kind {
                0 => pack.set_ints(name, &numbers.iter().map(|n| *n as u32).collect::<Vec<_>>()),
                1 => pack.set_int64s(name, numbers),
                2 => pack.set_strs(name, texts),
                3 => pack.set_unistrs(name, texts),
                _ => pack.set_datas(name, texts),
            };
        }
        pack
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(pack in any_pack()) {
        let bytes = pack.encode();
        prop_assert_eq!(bytes.len(), pack.encoded_len());
        prop_assert_eq!(Pack::decode(&bytes, &LIMITS), Ok(pack));
    }

    #[test]
    fn a_cut_pack_is_refused(pack in any_pack(), cut in any::<prop::sample::Index>()) {
        let bytes = pack.encode();
        let cut = cut.index(bytes.len());
        prop_assert_eq!(Pack::decode(&bytes[..cut], &LIMITS), Err(PackError::Truncated));
    }

    #[test]
    fn a_damaged_pack_does_no_harm(pack in any_pack(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = pack.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Pack::decode(&bytes, &LIMITS) {
            prop_assert_eq!(Pack::decode(&read.encode(), &Limits::ADMIN), Ok(read));
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Pack::decode(&bytes, &LIMITS);
    }
}
