//! SecureNAT as an administrator switches and sets it.

use std::net::Ipv4Addr;

use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::method::{
    AddDhcpReservation, DeleteDhcpReservation, DeleteSession, DisableSecureNAT, EnableSecureNAT, EnumDHCP,
    EnumDhcpReservation, EnumNAT, EnumSession, GetHubStatus, GetSecureNATOption, GetSecureNATStatus,
    SetSecureNATOption,
};
use protocol::rpc::securenat::{DhcpReservation, SecureNatOption, SecureNatRequest, SecureNatStatus};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};

use crate::site::{lab, set_online};

fn of_lab() -> HubRequest {
    HubRequest {
        hub_name: "lab".to_owned(),
    }
}

async fn option(admin: &mut AdminClient) -> SecureNatOption {
    let request = SecureNatRequest {
        hub_name: "lab".to_owned(),
    };
    admin.call::<GetSecureNATOption>(&request).await.unwrap()
}

fn of_alice(last: u8) -> DhcpReservation {
    DhcpReservation {
        hub_name: "lab".to_owned(),
        ip_address: Ipv4Addr::new(192, 168, 30, last).into(),
        user_name: "alice".to_owned(),
        ..DhcpReservation::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_are_made_listed_and_deleted_and_clashes_refused() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let code = |outcome: Result<DhcpReservation, AdminError>| match outcome {
        Err(AdminError::Refused(code)) => code,
        other => panic!("{other:?}"),
    };
    let by_mac = |last: u8, mac: u8| DhcpReservation {
        user_name: String::new(),
        mac_address: [2, 0, 0, 0, 0, mac],
        ..of_alice(last)
    };
    admin.call::<AddDhcpReservation>(&by_mac(50, 1)).await.unwrap();
    for (clash, wanted) in [
        (by_mac(50, 2), ErrorCode::ObjectExists),
        (by_mac(51, 1), ErrorCode::ObjectExists),
        (by_mac(1, 3), ErrorCode::InvalidParameter),
        (by_mac(255, 3), ErrorCode::InvalidParameter),
        (
            DhcpReservation {
                user_name: "nobody".to_owned(),
                ..of_alice(60)
            },
            ErrorCode::ObjectNotFound,
        ),
        (
            DhcpReservation {
                mac_address: [2, 0, 0, 0, 0, 9],
                ..of_alice(60)
            },
            ErrorCode::InvalidParameter,
        ),
    ] {
        assert_eq!(
            code(admin.call::<AddDhcpReservation>(&clash).await),
            wanted,
            "{clash:?}"
        );
    }
    // A tool that knows nothing of them takes none away; one that does replaces them all.
    let mut settings = option(&mut admin).await;
    let written = Some("192.168.30.50=mac:02-00-00-00-00-01".to_owned());
    assert_eq!(settings.dhcp_reservations, written);
    settings.dhcp_reservations = None;
    admin.call::<SetSecureNATOption>(&settings).await.unwrap();
    assert_eq!(option(&mut admin).await.dhcp_reservations, written);
    settings.dhcp_reservations = Some("192.168.30.70=user:alice".to_owned());
    admin.call::<SetSecureNATOption>(&settings).await.unwrap();
    let list = admin.call::<EnumDhcpReservation>(&of_lab()).await.unwrap();
    assert_eq!(list.reservations.len(), 1);
    assert_eq!(list.reservations[0].user_name, "alice");
    admin.call::<DeleteDhcpReservation>(&of_alice(70)).await.unwrap();
    let gone = admin.call::<DeleteDhcpReservation>(&of_alice(70)).await;
    assert_eq!(code(gone), ErrorCode::ObjectNotFound);
}

/// A stock tool keeps the first 3,199 bytes of what it reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_cuts_long_lists_of_routes_takes_none_away() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let mut settings = option(&mut admin).await;
    let routes: Vec<_> = (0..200)
        .map(|i| format!("10.{i}.0.0/255.255.0.0/192.168.30.1"))
        .collect();
    settings.dhcp_push_routes = routes.join(", ");
    settings.apply_dhcp_push_routes = true;
    admin.call::<SetSecureNATOption>(&settings).await.unwrap();
    let mut read = option(&mut admin).await;
    assert_eq!(read.dhcp_push_routes, settings.dhcp_push_routes);
    read.dhcp_push_routes.truncate(3199);
    read.nat_udp_timeout = 77;
    admin.call::<SetSecureNATOption>(&read).await.unwrap();
    let after = option(&mut admin).await;
    assert_eq!(
        (after.nat_udp_timeout, after.dhcp_push_routes),
        (77, settings.dhcp_push_routes)
    );
}

/// Where nothing runs, nothing is told of.
async fn is_idle(admin: &mut AdminClient) -> bool {
    let status = admin.call::<GetSecureNATStatus>(&of_lab()).await.unwrap();
    let nothing = SecureNatStatus {
        hub_name: "lab".to_owned(),
        ..SecureNatStatus::default()
    };
    let flows = admin.call::<EnumNAT>(&of_lab()).await.unwrap().sessions.len();
    let leases = admin.call::<EnumDHCP>(&of_lab()).await.unwrap().leases.len();
    status == nothing && flows + leases == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_from_its_switching_on_to_its_switching_off() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    assert!(is_idle(&mut admin).await);

    admin.call::<EnableSecureNAT>(&of_lab()).await.unwrap();
    let status = admin.call::<GetSecureNATStatus>(&of_lab()).await.unwrap();
    assert!(!status.is_kernel_mode);
    assert_eq!(status.num_dhcp_clients, 0);
    assert!(
        admin
            .call::<EnumNAT>(&of_lab())
            .await
            .unwrap()
            .sessions
            .is_empty()
    );
    assert!(
        admin
            .call::<GetHubStatus>(&of_lab())
            .await
            .unwrap()
            .secure_nat_enabled
    );
    let sessions = admin.call::<EnumSession>(&of_lab()).await.unwrap().sessions;
    assert!(sessions[0].secure_nat_mode);
    let object = protocol::rpc::HubObject {
        hub_name: "lab".to_owned(),
        name: sessions[0].name.clone(),
    };
    let refused = admin.call::<DeleteSession>(&object).await;
    assert!(matches!(
        refused,
        Err(AdminError::Refused(ErrorCode::SecureNatCannotDisconnect))
    ));

    admin.call::<DisableSecureNAT>(&of_lab()).await.unwrap();
    assert!(is_idle(&mut admin).await);
    let sessions = admin.call::<EnumSession>(&of_lab()).await.unwrap().sessions;
    assert!(sessions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_rests_while_its_hub_is_offline() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<EnableSecureNAT>(&of_lab()).await.unwrap();
    set_online(&mut admin, "lab", false).await;
    assert!(is_idle(&mut admin).await);
    set_online(&mut admin, "lab", true).await;
    admin.call::<GetSecureNATStatus>(&of_lab()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn its_settings_are_kept_and_nonsense_is_refused() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let usual = option(&mut admin).await;
    let changed = SecureNatOption {
        ip: Ipv4Addr::new(10, 1, 2, 1).into(),
        mask: Ipv4Addr::new(255, 255, 255, 0).into(),
        dhcp_lease_ip_start: Ipv4Addr::new(10, 1, 2, 10).into(),
        dhcp_lease_ip_end: Ipv4Addr::new(10, 1, 2, 20).into(),
        dhcp_gateway_address: Ipv4Addr::new(10, 1, 2, 1).into(),
        dhcp_dns_server_address: Ipv4Addr::new(10, 1, 2, 1).into(),
        dhcp_push_routes: "10.7.0.0/255.255.0.0/10.1.2.1".to_owned(),
        apply_dhcp_push_routes: true,
        ..usual.clone()
    };
    admin.call::<SetSecureNATOption>(&changed).await.unwrap();
    let read = option(&mut admin).await;
    assert_eq!(
        (read.ip, read.dhcp_push_routes.as_str()),
        (changed.ip, "10.7.0.0/255.255.0.0/10.1.2.1")
    );
    let backwards = SecureNatOption {
        dhcp_lease_ip_start: changed.dhcp_lease_ip_end,
        dhcp_lease_ip_end: changed.dhcp_lease_ip_start,
        ..changed.clone()
    };
    let refused = admin.call::<SetSecureNATOption>(&backwards).await;
    assert!(matches!(
        refused,
        Err(AdminError::Refused(ErrorCode::InvalidParameter))
    ));
    assert_eq!(
        option(&mut admin).await.dhcp_lease_ip_start,
        changed.dhcp_lease_ip_start
    );
}
