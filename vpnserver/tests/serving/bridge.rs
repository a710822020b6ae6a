//! Local bridges in a process that may not make any.

use protocol::rpc::Nothing;
use protocol::rpc::bridge::LocalBridge;
use protocol::rpc::method::{
    AddLocalBridge, DeleteLocalBridge, EnumEthernet, EnumLocalBridge, GetBridgeSupport, SetLocalBridge,
};
use tempfile::TempDir;
use vpnserver::events::Event;

use crate::site::lab;

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_work_is_kept_listed_as_idle_and_explained_in_the_log() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    // No machine has it, so that root fails as well as anybody.
    let bridge = LocalBridge {
        device_name: "hw-not-there".to_owned(),
        hub_name: "lab".to_owned(),
        tap_mode: false,
        ..LocalBridge::default()
    };
    admin.call::<AddLocalBridge>(&bridge).await.unwrap();
    let reason = site
        .event(|event| match event {
            Event::PartFailed { part, reason, .. } if part.contains("hw-not-there") => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert!(reason.contains("hw-not-there"), "{reason}");
    let rows = admin.call::<EnumLocalBridge>(&Nothing {}).await.unwrap().bridges;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].online, rows[0].active), (true, false));
    assert!(admin.call::<AddLocalBridge>(&bridge).await.is_err());
    admin.call::<DeleteLocalBridge>(&bridge).await.unwrap();
    let rows = admin.call::<EnumLocalBridge>(&Nothing {}).await.unwrap().bridges;
    assert!(rows.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_work_is_tried_again_and_complained_of_once() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let bridge = LocalBridge {
        device_name: "hw-not-there".to_owned(),
        hub_name: "lab".to_owned(),
        tap_mode: false,
        ..LocalBridge::default()
    };
    admin.call::<AddLocalBridge>(&bridge).await.unwrap();
    let hub = site.server.hubs.named("lab").unwrap();
    hub.mend().await;
    hub.mend().await;
    let complaints = site.count(|event| matches!(event, Event::PartFailed { .. }));
    assert_eq!(complaints, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_device_can_have_are_refused() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    for (device_name, tap_mode) in [
        ("", true),
        ("twelve-chars", true),
        ("a/b", false),
        ("sixteen-chars-ab", false),
        ("a b", true),
    ] {
        let bridge = LocalBridge {
            device_name: device_name.to_owned(),
            hub_name: "lab".to_owned(),
            tap_mode,
            ..LocalBridge::default()
        };
        assert!(
            admin.call::<AddLocalBridge>(&bridge).await.is_err(),
            "{device_name:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_a_hosts_and_goes_with_a_tap_device_alone() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let bridge = |device: &str, tap_mode, address: Option<&str>| LocalBridge {
        device_name: device.to_owned(),
        hub_name: "lab".to_owned(),
        tap_mode,
        host_address: address.map(str::to_owned),
        ..LocalBridge::default()
    };
    // No name that root could make: whether the device works is not the question here.
    let (tap, interface) = ("hw/", "hw-not-there");
    assert!(
        admin
            .call::<AddLocalBridge>(&bridge(tap, true, None))
            .await
            .is_err()
    );
    for wrong in ["192.168.77.0/24", "192.168.77.1", "x"] {
        let request = bridge("hw-x", true, Some(wrong));
        assert!(admin.call::<AddLocalBridge>(&request).await.is_err(), "{wrong}");
    }
    let request = bridge(interface, false, Some("192.168.77.1/24"));
    assert!(admin.call::<AddLocalBridge>(&request).await.is_err());
    admin
        .call::<AddLocalBridge>(&bridge(interface, false, None))
        .await
        .unwrap();
    let rows = admin.call::<EnumLocalBridge>(&Nothing {}).await.unwrap().bridges;
    assert_eq!(rows[0].host_address, None);
    assert!(rows[0].problem.as_ref().unwrap().contains(interface));
    assert!(
        admin
            .call::<SetLocalBridge>(&bridge(interface, false, Some("192.168.77.1/24")))
            .await
            .is_err()
    );
    assert!(
        admin
            .call::<SetLocalBridge>(&bridge("hw-x", true, None))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_devices_of_the_machine_are_listed() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let support = admin.call::<GetBridgeSupport>(&Nothing {}).await.unwrap();
    assert!(!support.is_win_pcap_needed);
    let devices = admin.call::<EnumEthernet>(&Nothing {}).await.unwrap().devices;
    assert!(devices.iter().all(|device| device.device_name != "lo"));
}
