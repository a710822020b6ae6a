//! Messages with random values, and random PACKs.

use std::sync::LazyLock;

use proptest::prelude::*;
use protocol::pack::{Kind, Limits, Pack};
use protocol::rpc::client::{self, account::Account};
use protocol::rpc::method::{Codec, TABLE};

use crate::capture::{Call, calls, calls_in, elements, methods, methods_in};

/// The messages whose shape a capture shows, with a PACK of that shape.
fn shapes() -> Vec<(&'static str, Codec, Pack)> {
    let captured = methods();
    let rows = TABLE
        .iter()
        .filter(|row| captured.iter().any(|name| name == row.name));
    rows.flat_map(|row| {
        calls(row.name)
            .into_iter()
            .filter(|call| call.answer.error().is_none())
            .map(|call| (row.name, row.response, call.answer))
    })
    // A capability is written twice, so its two values cannot be random on their own.
    .filter(|(name, ..)| *name != "GetCaps")
    .chain(client_shapes())
    .collect()
}

/// The same of the client service, whose requests hold as much as its answers.
fn client_shapes() -> impl Iterator<Item = (&'static str, Codec, Pack)> {
    let captured = methods_in("client");
    let rows = client::method::TABLE
        .iter()
        .filter(move |row| captured.iter().any(|name| name == row.name));
    rows.flat_map(|row| {
        let answered = |call: &Call| client::refused(&call.answer).is_none();
        let calls = calls_in("client", row.name).into_iter().filter(answered);
        calls.map(|call| (row.name, row.response, call.answer))
    })
}

/// The same of requests, as they are understood: stock clients send more than any server reads.
fn requests() -> Vec<(&'static str, Codec, Pack)> {
    let captured = methods();
    let rows = TABLE
        .iter()
        .filter(|row| captured.iter().any(|name| name == row.name));
    rows.flat_map(|row| {
        calls(row.name).into_iter().map(|call| {
            (
                row.name,
                row.request,
                (row.request.pack_to_pack)(&call.request).unwrap(),
            )
        })
    })
    .collect()
}

/// Both, read once.
static ALL: LazyLock<Vec<(&str, Codec, Pack)>> =
    LazyLock::new(|| shapes().into_iter().chain(requests()).collect());

/// Elements that say how others are to be read: how many rows there are, that a policy is there.
const KEPT: &[&str] = &["NumItem", "UsePolicy", "policy:Ver3"];

/// A PACK of the same elements with other values. Flags, enumerations, dates and hashes are as good as numbers.
fn refilled(shape: &Pack, mut random: impl FnMut() -> u64) -> Pack {
    let mut pack = Pack::new();
    for (name, kind, count) in shape.elements() {
        match kind {
            // Parts of addresses depend on each other.
            _ if name.contains('@') || KEPT.contains(&name) => copy(shape, name, kind, count, &mut pack),
            Kind::Int if is_flag(shape, name, count) => {
                pack.set_bools(name, &fill(count, || random().is_multiple_of(2)))
            }
            Kind::Int => pack.set_ints(name, &fill(count, || random() as u32)),
            // Between ten hours and some thousand years into 1970, where a date has one spelling.
            Kind::Int64 => pack.set_int64s(name, &fill(count, || 36_000_000 + (random() >> 17))),
            Kind::Str => pack.set_strs(name, &fill(count, || format!("s{}", random()))),
            Kind::UniStr => pack.set_unistrs(name, &fill(count, || format!("ü{}", random()))),
            Kind::Data => {
                let length = |row| shape.data_at(name, row).unwrap().len();
                let values: Vec<Vec<u8>> = (0..count)
                    .map(|row| fill(length(row), || random() as u8))
                    .collect();
                pack.set_datas(name, &values)
            }
        };
    }
    pack
}

/// A captured 0 or 1 may be a flag, which has no other values.
fn is_flag(shape: &Pack, name: &str, count: usize) -> bool {
    (0..count).all(|row| shape.int_at(name, row).unwrap() < 2)
}

fn copy<'a>(shape: &Pack, name: &str, kind: Kind, count: usize, pack: &'a mut Pack) -> &'a mut Pack {
    match kind {
        Kind::Int => pack.set_ints(
            name,
            &(0..count)
                .map(|row| shape.int_at(name, row).unwrap())
                .collect::<Vec<_>>(),
        ),
        _ => pack.set_datas(
            name,
            &(0..count)
                .map(|row| shape.data_at(name, row).unwrap())
                .collect::<Vec<_>>(),
        ),
    }
}

fn fill<T>(count: usize, one: impl FnMut() -> T) -> Vec<T> {
    std::iter::repeat_with(one).take(count).collect()
}

/// Seeds a small generator (SplitMix64): the whole case is one number.
fn generator(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Elements with names of the protocol and any type and number of values.
fn nonsense(mut random: impl FnMut() -> u64, names: &[String]) -> Pack {
    let mut pack = Pack::new();
    for _ in 0..random() % 40 {
        let name = &names[random() as usize % names.len()];
        let count = 1 + random() as usize % 5;
        match random() % 5 {
            0 => pack.set_ints(name, &fill(count, || random() as u32)),
            1 => pack.set_int64s(name, &fill(count, &mut random)),
            2 => pack.set_strs(name, &fill(count, || random().to_string())),
            3 => pack.set_unistrs(name, &fill(count, || random().to_string())),
            _ => pack.set_datas(name, &fill(count, || random().to_be_bytes())),
        };
    }
    pack
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_values_survive_both_encodings(seed: u64) {
        let mut random = generator(seed);
        for (name, codec, shape) in &*ALL {
            let pack = refilled(shape, &mut random);
            prop_assert_eq!(elements(&(codec.pack_to_pack)(&pack).unwrap()), elements(&pack), "{}", name);
            let json = (codec.pack_to_json)(&pack).unwrap();
            let back = (codec.json_to_pack)(&json).unwrap();
            prop_assert_eq!(elements(&back), elements(&pack), "{} by way of JSON", name);
            prop_assert_eq!((codec.pack_to_json)(&back).unwrap(), json);
        }
    }

    #[test]
    fn a_damaged_file_of_an_account_is_refused_or_read_as_what_it_says(seed: u64) {
        let mut random = generator(seed);
        let mut file = include_bytes!("../data/client/account-password.vpn").to_vec();
        for _ in 0..=random() % 8 {
            let at = random() as usize % file.len();
            file[at] = random() as u8;
        }
        if let Ok(account) = Account::from_file(&file) {
            prop_assert_eq!(Account::from_file(account.to_file().as_bytes()), Ok(account));
        }
    }

    #[test]
    fn elements_of_wrong_types_and_numbers_do_no_harm(seed: u64) {
        let mut names: Vec<String> =
            shapes().iter().flat_map(|(_, _, shape)| elements(shape).into_keys()).collect();
        names.sort();
        names.dedup();
        let pack = nonsense(generator(seed), &names);
        for row in TABLE {
            for codec in [row.request, row.response] {
                let once = (codec.pack_to_pack)(&pack).unwrap();
                let twice = (codec.pack_to_pack)(&once).unwrap();
                prop_assert_eq!(elements(&once), elements(&twice), "{}", row.name);
                let json = (codec.pack_to_json)(&pack).unwrap();
                prop_assert!((codec.json_to_pack)(&json).is_ok(), "{}", row.name);
            }
        }
    }

    #[test]
    fn random_bytes_are_no_message_or_a_harmless_one(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(pack) = Pack::decode(&bytes, &Limits::BEFORE_LOGIN) {
            for row in TABLE {
                prop_assert!((row.request.pack_to_json)(&pack).is_ok());
            }
        }
    }
}
