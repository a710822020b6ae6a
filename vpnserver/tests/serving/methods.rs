//! Every method there is: which of them the server has, what the others are answered, and who may call which.

use std::collections::BTreeMap;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::cluster::{FarmMemberRequest, FarmSetting};
use protocol::rpc::method::{
    EnumFarmMember, GetCaps, GetFarmConnectionStatus, GetFarmInfo, GetFarmSetting, Right, Row,
    SetFarmSetting, TABLE, Test,
};
use protocol::rpc::server::ServerType;
use protocol::rpc::{Nothing, Values};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};

use crate::site::{add_hub, lab};

/// Methods whose function the server does not have, with the ability that is 0 because of that, where there is one. A
/// stock server without the function answers them as ours does: 33.
const LACKING: [(&str, &str); 31] = [
    ("SetPortsUDP", ""),
    ("SetSpecialListener", "b_support_special_listener"),
    ("EnumEthVLan", "b_support_eth_vlan"),
    ("SetEnableEthVLan", "b_support_eth_vlan"),
    ("GetProtoOptions", "b_support_openvpn"),
    ("SetProtoOptions", "b_support_openvpn"),
    ("MakeOpenVpnConfigFile", "b_support_openvpn"),
    ("SetOpenVpnSstpConfig", "b_support_sstp"),
    ("GetOpenVpnSstpConfig", "b_support_sstp"),
    ("SetIPsecServices", "b_support_ipsec"),
    ("GetIPsecServices", "b_support_ipsec"),
    ("AddEtherIpId", "b_support_ipsec"),
    ("GetEtherIpId", "b_support_ipsec"),
    ("DeleteEtherIpId", "b_support_ipsec"),
    ("EnumEtherIpId", "b_support_ipsec"),
    ("AddWgk", ""),
    ("DeleteWgk", ""),
    ("EnumWgk", ""),
    ("GetDDnsClientStatus", "b_support_ddns"),
    ("ChangeDDnsClientHostname", "b_support_ddns"),
    ("GetDDnsInternetSettng", "b_support_ddns_proxy"),
    ("GetDDnsInternetSetting", "b_support_ddns_proxy"),
    ("SetDDnsInternetSettng", "b_support_ddns_proxy"),
    ("SetDDnsInternetSetting", "b_support_ddns_proxy"),
    ("GetAzureStatus", "b_support_azure"),
    ("SetAzureStatus", "b_support_azure"),
    ("AddLicenseKey", ""),
    ("DelLicenseKey", ""),
    ("EnumLicenseKey", ""),
    ("GetLicenseStatus", ""),
    // The vendor's own; a server that ends when it is told to crash would be a weapon.
    ("Debug", ""),
];
const CRASH: &str = "Crash";

fn refusal<T>(answer: Result<T, AdminError>) -> u32 {
    match answer {
        Err(AdminError::Refused(code)) => code.code(),
        Err(other) => panic!("{other}"),
        Ok(_) => 0,
    }
}

async fn call(admin: &mut AdminClient, row: &Row, arguments: Pack) -> u32 {
    refusal(admin.call_pack(row.name, arguments).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_is_there_or_lacks_its_function_and_says_so() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let caps = admin.call::<GetCaps>(&Nothing {}).await.unwrap();
    for (name, ability) in LACKING {
        assert_eq!(refusal(admin.call_pack(name, Pack::new()).await), 33, "{name}");
        assert!(!caps.has(ability), "{ability} is there and {name} is not");
    }
    assert_eq!(refusal(admin.call_pack(CRASH, Pack::new()).await), 33);
    let lacking: BTreeMap<_, _> = LACKING.into_iter().collect();
    let unexpected: Vec<_> = TABLE
        .iter()
        .map(|row| row.name)
        .filter(|name| !vpnserver::admin::has(name) && !lacking.contains_key(name) && *name != CRASH)
        .collect();
    assert_eq!(unexpected, [""; 0], "neither there nor listed as lacking");
    let unknown = admin.call_pack("NoSuchMethod", Pack::new()).await;
    assert_eq!(refusal(unknown), 33);
    admin.call::<GetCaps>(&Nothing {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_a_hub_calls_what_the_table_of_rights_allows() {
    let folder = TempDir::new().unwrap();
    let (site, mut local) = lab(&folder, &[]).await;
    add_hub(&mut local, "office").await;
    let mut of_hub = site.local_admin(Some("lab")).await.unwrap();
    let about = |hub: &str| {
        let mut arguments = Pack::new();
        for element in ["HubName", "HubName_Ex", "RpcHubName"] {
            arguments.set_str(element, hub);
        }
        arguments
    };
    for row in TABLE {
        let (other, none) = (
            call(&mut of_hub, row, about("office")).await,
            call(&mut of_hub, row, Pack::new()).await,
        );
        match row.right {
            Right::Server => assert_eq!((other, none), (52, 52), "{}", row.name),
            Right::Hub => assert_eq!((other, none), (52, 38), "{}", row.name),
            Right::Any => assert!(none != 52 && none != 38, "{}: {none}", row.name),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_alone_says_so() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let setting = admin.call::<GetFarmSetting>(&Nothing {}).await.unwrap();
    assert_eq!(
        (setting.server_type, setting.weight),
        (ServerType::Standalone, 100)
    );
    admin.call::<SetFarmSetting>(&setting).await.unwrap();
    let controller = FarmSetting {
        server_type: ServerType::FarmController,
        ..setting
    };
    assert_eq!(refusal(admin.call::<SetFarmSetting>(&controller).await), 33);
    let no_controller = ErrorCode::NotFarmController.code();
    assert_eq!(
        refusal(admin.call::<EnumFarmMember>(&Nothing {}).await),
        no_controller
    );
    assert_eq!(
        refusal(admin.call::<GetFarmInfo>(&FarmMemberRequest { id: 1 }).await),
        no_controller
    );
    let no_member = ErrorCode::NotFarmMember.code();
    assert_eq!(
        refusal(admin.call::<GetFarmConnectionStatus>(&Nothing {}).await),
        no_member
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_comes_back_as_from_the_stock_server() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let sent = Values {
        int: 5,
        str: "abc".to_owned(),
        ..Values::default()
    };
    let back = admin.call::<Test>(&sent).await.unwrap();
    assert_eq!(
        back,
        Values {
            int: 5,
            str: "5".to_owned(),
            ..Values::default()
        }
    );
}
