//! What belongs to the whole server, and what connects its hubs, is read as it was written.

use std::net::Ipv4Addr;

use protocol::error::ErrorCode;
use protocol::policy::Policy;

use crate::secret::{Identity, Sealed};
use crate::store::testing::{Fixture, hub};
use crate::store::{
    Cascade, CascadeProof, CascadeProxy, HubName, Id, KeepAlive, KeepProtocol, Layer3Interface, Layer3Route,
    Layer3Switch, ProxyKind, ServerCertificate, Store, StoreError, Syslog,
};

fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> ErrorCode {
    result.unwrap_err().code()
}

/// A cascade with a value of its own in every place.
fn cascade(name: &str) -> Cascade {
    Cascade {
        id: Id::random(),
        name: name.to_owned(),
        online: true,
        host: "vpn.example".to_owned(),
        port: 992,
        udp_port: 40,
        hub: "there".to_owned(),
        username: "bridge".to_owned(),
        proof: CascadeProof::Certificate {
            der: vec![1, 2],
            key: Sealed::from_bytes(vec![3]),
        },
        proxy: CascadeProxy {
            kind: ProxyKind::Socks5,
            host: "proxy.example".to_owned(),
            port: 8080,
            username: "us".to_owned(),
            password: Some(Sealed::from_bytes(vec![4, 5])),
            http_headers: "X-A: 1\r\n".to_owned(),
        },
        max_connections: 4,
        additional_interval: 2,
        connection_life: 60,
        encrypt: true,
        compress: false,
        half_duplex: true,
        no_qos: false,
        no_udp_acceleration: true,
        check_certificate: true,
        server_certificate: Some(vec![6]),
        policy: Policy {
            max_upload: 5_000_000,
            ..Policy::default()
        },
    }
}

#[test]
fn the_servers_settings_are_read_as_they_were_written() {
    let Fixture { store, vault, dir } = Fixture::new();
    let fresh = store.server().unwrap();
    assert_eq!(fresh.keep_alive, KeepAlive::default(), "nothing goes out unasked");
    assert_eq!((fresh.syslog, fresh.certificate), (Syslog::default(), None));
    let certificate = ServerCertificate {
        chain: vec![vec![1, 2, 3], vec![4]],
        key: vault.seal(&Identity::ServerKey, b"key").unwrap(),
    };
    let written = store
        .update_server(&|server| {
            server.certificate = Some(certificate.clone());
            server.cipher = Some("ECDHE-RSA-AES256-GCM-SHA384".to_owned());
            server.keep_alive = KeepAlive {
                enabled: true,
                host: "keep.example".to_owned(),
                port: 80,
                protocol: KeepProtocol::Tcp,
                interval: 60,
            };
            server.syslog = Syslog {
                level: 2,
                host: "logs.example".to_owned(),
                port: 514,
            };
            Ok(())
        })
        .unwrap();
    drop(store);
    let store = crate::store::SqliteStore::open(dir.path()).unwrap().store;
    assert_eq!(format!("{:?}", store.server().unwrap()), format!("{written:?}"));
    assert_eq!(store.server().unwrap().certificate, Some(certificate));
}

#[test]
fn settings_that_cannot_work_are_refused_and_change_nothing() {
    let Fixture { store, .. } = Fixture::new();
    type Wrong = fn(&mut crate::store::Server);
    let wrongs: [Wrong; 5] = [
        |server| server.keep_alive.enabled = true,
        |server| server.keep_alive.interval = 601,
        |server| server.syslog.level = 4,
        |server| server.syslog.level = 1,
        |server| server.syslog.host = "x".repeat(254),
    ];
    for (number, wrong) in wrongs.iter().enumerate() {
        let refused = store.update_server(&|server| {
            server.name = "changed".to_owned();
            wrong(server);
            Ok(())
        });
        assert_eq!(code(refused), ErrorCode::InvalidParameter, "{number}");
    }
    assert_ne!(store.server().unwrap().name, "changed");
}

#[test]
fn a_cascade_is_read_as_it_was_written() {
    let Fixture { store, .. } = Fixture::new();
    store.add_hub(&hub("office")).unwrap();
    let made = cascade("Zürich");
    store.add_cascade("OFFICE", &made).unwrap();
    assert_eq!(
        format!("{:?}", store.cascade("office", "ZÜRICH").unwrap()),
        format!("{made:?}")
    );
    store.add_cascade("office", &cascade("another")).unwrap();
    let changed = store
        .update_cascade("office", "zürich", &|cascade| {
            cascade.name = "Bern".to_owned();
            cascade.proof = CascadeProof::Anonymous;
            Ok(())
        })
        .unwrap();
    assert_eq!(changed.id, made.id);
    let names: Vec<_> = store
        .cascades("office")
        .unwrap()
        .into_iter()
        .map(|cascade| cascade.name)
        .collect();
    assert_eq!(names, ["Bern", "another"], "in the order they were made");
    store.delete_cascade("office", "BERN").unwrap();
    assert_eq!(code(store.cascade("office", "Bern")), ErrorCode::ObjectNotFound);
    store.delete_hub("office").unwrap();
    store.add_hub(&hub("office")).unwrap();
    assert!(
        store.cascades("office").unwrap().is_empty(),
        "they go with their hub"
    );
}

#[test]
fn two_cascades_of_a_hub_have_two_names() {
    let Fixture { store, .. } = Fixture::new();
    store.add_hub(&hub("office")).unwrap();
    store.add_hub(&hub("lab")).unwrap();
    store.add_cascade("office", &cascade("Éire")).unwrap();
    store.add_cascade("lab", &cascade("éire")).unwrap();
    assert_eq!(
        code(store.add_cascade("office", &cascade("éire"))),
        ErrorCode::LinkExists
    );
    store.add_cascade("office", &cascade("other")).unwrap();
    let renamed = store.update_cascade("office", "other", &|cascade| {
        cascade.name = "ÉIRE".to_owned();
        Ok(())
    });
    assert_eq!(code(renamed), ErrorCode::LinkExists);
    assert_eq!(
        code(store.add_cascade("office", &cascade(" "))),
        ErrorCode::InvalidParameter
    );
    assert_eq!(code(store.cascades("nowhere")), ErrorCode::HubNotFound);
}

#[test]
fn a_layer_3_switch_is_read_as_it_was_written() {
    let Fixture { store, .. } = Fixture::new();
    let route = |network: [u8; 4]| Layer3Route {
        network: network.into(),
        mask: [255, 255, 0, 0].into(),
        gateway: [192, 168, 1, 9].into(),
        metric: 1,
    };
    let interface = |hub: &str, address: [u8; 4]| Layer3Interface {
        hub: hub.to_owned(),
        address: address.into(),
        mask: Ipv4Addr::new(255, 255, 255, 0),
    };
    let made = Layer3Switch {
        interfaces: vec![interface("a", [10, 0, 0, 1]), interface("b", [10, 0, 1, 1])],
        routes: vec![route([9, 0, 0, 0]), route([10, 9, 0, 0])],
        active: true,
        ..Layer3Switch::new(HubName::parse("core").unwrap())
    };
    store.add_layer3_switch(&made).unwrap();
    assert_eq!(store.layer3_switch("CORE").unwrap(), made);
    assert_eq!(code(store.add_layer3_switch(&made)), ErrorCode::L3SwitchExists);
    let changed = store
        .update_layer3_switch("core", &|switch| {
            switch.interfaces.remove(0);
            switch.active = false;
            Ok(())
        })
        .unwrap();
    assert_eq!(store.layer3_switches().unwrap(), [changed]);
    store.delete_layer3_switch("core").unwrap();
    assert_eq!(code(store.layer3_switch("core")), ErrorCode::L3SwitchNotFound);
    store
        .add_layer3_switch(&Layer3Switch::new(HubName::parse("core").unwrap()))
        .unwrap();
    assert!(
        store.layer3_switch("core").unwrap().routes.is_empty(),
        "they go with their switch"
    );
}
