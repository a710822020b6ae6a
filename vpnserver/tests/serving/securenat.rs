//! SecureNAT as an administrator switches and sets it.

use std::net::Ipv4Addr;

use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::method::{
    DeleteSession, DisableSecureNAT, EnableSecureNAT, EnumDHCP, EnumNAT, EnumSession, GetHubStatus,
    GetSecureNATOption, GetSecureNATStatus, SetSecureNATOption,
};
use protocol::rpc::securenat::{SecureNatOption, SecureNatRequest, SecureNatStatus};
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
