//! Local bridges in a process that may not make any.

use protocol::rpc::Nothing;
use protocol::rpc::bridge::LocalBridge;
use protocol::rpc::method::{
    AddLocalBridge, DeleteLocalBridge, EnumEthernet, EnumLocalBridge, GetBridgeSupport,
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
        };
        assert!(
            admin.call::<AddLocalBridge>(&bridge).await.is_err(),
            "{device_name:?}"
        );
    }
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
