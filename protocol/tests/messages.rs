//! Messages from elements nobody would send: no panic, and what is understood survives being written and read again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use protocol::error::ErrorCode;
use protocol::handshake::{Attached, Hello, HubList, Redirect, Request, Welcome};
use protocol::pack::{Limits, Pack};

/// Names of every message, so that random elements meet readers that look for them.
const NAMES: &[&str] = &[
    "error",
    "method",
    "hubname",
    "username",
    "authtype",
    "secure_password",
    "plain_password",
    "cert",
    "sign",
    "ticket",
    "client_str",
    "client_ver",
    "client_build",
    "hello",
    "version",
    "build",
    "random",
    "hubward_password",
    "max_connection",
    "use_encrypt",
    "use_compress",
    "half_connection",
    "qos",
    "unique_id",
    "UniqueId",
    "ClientProductName",
    "ClientPort",
    "ServerIpAddress",
    "ServerIpAddress6",
    "ServerIpAddress@ipv6_bool",
    "ServerIpAddress@ipv6_array",
    "V_Title",
    "V_IsNT",
    "rudp_bulk_max_version",
    "use_udp_acceleration",
    "udp_acceleration_max_version",
    "udp_acceleration_version",
    "udp_acceleration_client_ip",
    "udp_acceleration_client_port",
    "udp_acceleration_client_key",
    "udp_acceleration_client_key_v2",
    "udp_acceleration_server_port",
    "udp_acceleration_server_key",
    "udp_acceleration_server_key_v2",
    "udp_acceleration_server_cookie",
    "udp_acceleration_client_cookie",
    "session_name",
    "connection_name",
    "session_key",
    "timeout",
    "vlan_id",
    "Msg",
    "policy:Ver3",
    "policy:Access",
    "policy:MaxMac",
    "policy:CheckIPv6",
    "Redirect",
    "Ip",
    "Ip@ipv6_bool",
    "Ip@ipv6_array",
    "Port",
    "Ticket",
    "Cert",
    "direction",
    "NumHub",
    "HubName",
    "secure_old_password",
    "new_password",
    "new_password_ntlm",
    "accept_empty_password",
];

#[derive(Clone, Debug)]
enum Value {
    Int(Vec<u32>),
    Data(Vec<u8>),
    Str(String),
    UniStr(String),
    Int64(u64),
}

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![0..4_u32, Just(99), any::<u32>()];
    let length = prop_oneof![Just(16_usize), Just(20), Just(128), 0..40_usize];
    let word = prop_oneof![
        prop::sample::select(vec![
            "login",
            "additional_connect",
            "enum_hub",
            "password",
            "admin",
            "LAB"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,20}",
    ];
    prop_oneof![
        4 => prop::collection::vec(number, 1..3).prop_map(Value::Int),
        4 => length.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len)).prop_map(Value::Data),
        4 => word.prop_map(Value::Str),
        1 => "[ -~]{0,9}".prop_map(Value::UniStr),
        1 => any::<u64>().prop_map(Value::Int64),
    ]
}

fn message() -> impl Strategy<Value = Pack> {
    prop::collection::vec((prop::sample::select(NAMES), value()), 0..60).prop_map(|elements| {
        let mut pack = Pack::new();
        for (name, value) in &elements {
            match value {
                Value::Int(values) => pack.set_ints(name, values),
                Value::Data(bytes) => pack.set_data(name, bytes),
                Value::Str(text) => pack.set_str(name, text),
                Value::UniStr(text) => pack.set_unistr(name, text),
                Value::Int64(number) => pack.set_int64(name, *number),
            };
        }
        pack
    })
}

/// Reads, writes and reads again.
fn settles<T: PartialEq + std::fmt::Debug>(
    pack: &Pack,
    read: impl Fn(&Pack) -> Result<T, ErrorCode>,
    write: impl Fn(&T) -> Pack,
) {
    if let Ok(typed) = read(pack) {
        let bytes = write(&typed).encode();
        let again = Pack::decode(&bytes, &Limits::REPLY).unwrap();
        assert!(read(&again).as_ref() == Ok(&typed), "{typed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn what_is_understood_survives_the_wire(mut pack in message(), method in 0..6_usize) {
        if let Some(method) = ["login", "additional_connect", "enum_hub", "password", "admin"].get(method) {
            pack.remove("error").set_str("method", method);
        }
        settles(&pack, Request::from_pack, Request::to_pack);
        pack.remove("error");
        settles(&pack, Hello::from_pack, Hello::to_pack);
        settles(&pack, Welcome::from_pack, Welcome::to_pack);
        settles(&pack, Redirect::from_pack, Redirect::to_pack);
        settles(&pack, Attached::from_pack, |attached| attached.to_pack());
        settles(&pack, HubList::from_pack, HubList::to_pack);
    }
}
