//! The methods of the service, called without sockets.

use std::collections::HashMap;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::cascade::{LinkAuthType, ProxyType};
use protocol::rpc::client::account::{Account, AccountName, AccountRename, ConnectionOption};
use protocol::rpc::client::adapter::{AdapterAddress, AdapterName};
use protocol::rpc::client::authority::{AuthorityKey, Issuer, NewAuthority};
use protocol::rpc::client::method::{self, Method, TABLE};
use protocol::rpc::client::refused;
use protocol::rpc::client::service::{CommonProxy, NewPassword, ServiceConfig};
use protocol::rpc::client::smart_card::{CardDevice, CardObjectList};
use protocol::rpc::session::LinkState;
use protocol::rpc::{Nothing, RpcMessage, Secret, Timestamp};
use zeroize::Zeroizing;

use super::answer::{Service, World};
use super::book::{Book, Entry};

/// A world in which everything that is begun is at once connected.
#[derive(Default)]
struct Dream {
    kept: Option<Book>,
    full: bool,
    running: HashMap<String, LinkState>,
    renamed: Option<(String, String)>,
    changes: u32,
    clock: u64,
    number: u8,
}

impl World for Dream {
    fn keep(&mut self, book: &Book) -> Result<(), ErrorCode> {
        if self.full {
            return Err(ErrorCode::Internal);
        }
        self.kept = Some(book.clone());
        Ok(())
    }

    fn changed(&mut self, _: &Book) {
        self.changes += 1;
    }

    fn connect(&mut self, _: &Book, entry: &Entry, _: Option<Zeroizing<String>>) -> Result<(), ErrorCode> {
        let state = LinkState {
            account_name: entry.account.account_name.clone(),
            active: true,
            connected: true,
            ..LinkState::default()
        };
        self.running.insert(entry.key(), state);
        Ok(())
    }

    fn renamed(&mut self, from: &str, to: &str) {
        self.renamed = Some((from.to_owned(), to.to_owned()));
    }

    fn disconnect(&mut self, key: &str) -> bool {
        self.running.remove(key).is_some()
    }

    fn state(&self, key: &str) -> Option<LinkState> {
        self.running.get(key).cloned()
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock)
    }

    fn random(&mut self) -> [u8; 20] {
        self.number += 1;
        [self.number; 20]
    }
}

fn service() -> Service<Dream> {
    let world = Dream {
        clock: 1_700_000_000_000,
        ..Dream::default()
    };
    Service::new(Book::default(), world)
}

/// Calls a method as a manager does.
fn call<M: Method>(service: &mut Service<Dream>, request: &M::Request) -> Result<M::Response, u32> {
    let answer = service.answer(M::NAME, &request.to_pack());
    match refused(&answer) {
        Some(code) => Err(code.code()),
        None => Ok(M::Response::from_pack(&answer).unwrap()),
    }
}

fn adapter(name: &str) -> AdapterName {
    AdapterName {
        device_name: name.into(),
    }
}

fn named(name: &str) -> AccountName {
    AccountName {
        account_name: name.into(),
    }
}

fn account(name: &str, adapter: &str) -> Account {
    Account {
        account_name: name.into(),
        option: ConnectionOption {
            hostname: "vpn.example.org".into(),
            port: 443,
            hub_name: "lab".into(),
            device_name: adapter.into(),
            ..ConnectionOption::usual()
        },
        ..Account::default()
    }
}

/// A service with an adapter for each account.
fn with_accounts(names: &[&str]) -> Service<Dream> {
    let mut service = service();
    for name in names {
        call::<method::CreateVLan>(&mut service, &adapter(name)).unwrap();
        call::<method::CreateAccount>(&mut service, &account(name, name)).unwrap();
    }
    service
}

#[test]
fn every_method_of_the_table_is_known_and_others_are_refused_in_one_element() {
    for row in TABLE {
        let answer = service().answer(row.name, &Pack::new());
        assert_ne!(answer.int("error"), Some(33), "{}", row.name);
    }
    let answer = service().answer("NoSuchMethod", &Pack::new());
    assert_eq!((answer.int("error"), answer.int("error_code")), (Some(33), None));
    let answer = service().answer("getclientversion", &Pack::new());
    assert_eq!(answer.int("ClientVerInt"), Some(501));
}

#[test]
fn a_refusal_has_both_its_elements() {
    let answer = service().answer("GetAccount", &named("nosuch").to_pack());
    assert_eq!(
        (answer.int("error"), answer.int("error_code")),
        (Some(1), Some(36))
    );
}

#[test]
fn an_account_lives_its_life() {
    let mut service = with_accounts(&["office"]);
    let made = call::<method::GetAccount>(&mut service, &named("OFFICE")).unwrap();
    assert_eq!(made.created, Some(Timestamp(1_700_000_000_000)));
    assert_ne!(made.shortcut_key, [0; 20]);
    assert_eq!(
        call::<method::CreateAccount>(&mut service, &account("Office", "office")),
        Err(34)
    );

    service.world_mut().clock += 5000;
    let mut changed = account("office", "office");
    changed.option.max_connection = 8;
    call::<method::SetAccount>(&mut service, &changed).unwrap();
    let read = call::<method::GetAccount>(&mut service, &named("office")).unwrap();
    assert_eq!((read.option.max_connection, read.created), (8, made.created));
    assert_eq!(read.updated, Some(Timestamp(1_700_000_005_000)));
    assert_eq!(read.shortcut_key, made.shortcut_key);

    call::<method::SetStartupAccount>(&mut service, &named("office")).unwrap();
    let list = call::<method::EnumAccount>(&mut service, &Nothing {}).unwrap();
    assert!(list.accounts[0].startup && !list.accounts[0].active);
    call::<method::RemoveStartupAccount>(&mut service, &named("office")).unwrap();

    let rename = |old: &str, new: &str| AccountRename {
        old_name: old.into(),
        new_name: new.into(),
    };
    call::<method::RenameAccount>(&mut service, &rename("office", "Office")).unwrap();
    call::<method::RenameAccount>(&mut service, &rename("office", "work")).unwrap();
    assert_eq!(service.world().renamed, Some(("office".into(), "work".into())));
    assert_eq!(
        call::<method::GetAccount>(&mut service, &named("office")),
        Err(36)
    );
    call::<method::CreateAccount>(&mut service, &account("other", "office")).unwrap();
    assert_eq!(
        call::<method::RenameAccount>(&mut service, &rename("work", "OTHER")),
        Err(34)
    );
    call::<method::DeleteAccount>(&mut service, &named("work")).unwrap();
    assert_eq!(
        call::<method::DeleteAccount>(&mut service, &named("work")),
        Err(36)
    );
    for nonsense in ["", " "] {
        assert_eq!(
            call::<method::CreateAccount>(&mut service, &account(nonsense, "a")),
            Err(38)
        );
    }
}

#[test]
fn what_is_connected_is_not_renamed_deleted_or_connected_again() {
    let mut service = with_accounts(&["office"]);
    assert_eq!(
        call::<method::Disconnect>(&mut service, &named("office")),
        Err(37)
    );
    let idle = call::<method::GetAccountStatus>(&mut service, &named("office")).unwrap();
    assert!(!idle.active, "the answer is empty, and no refusal");
    call::<method::Connect>(&mut service, &named("office")).unwrap();
    let status = call::<method::GetAccountStatus>(&mut service, &named("office")).unwrap();
    assert!(status.active && status.connected && status.account_name == "office");
    assert_eq!(call::<method::Connect>(&mut service, &named("office")), Err(35));
    assert_eq!(
        call::<method::DeleteAccount>(&mut service, &named("office")),
        Err(35)
    );
    let rename = AccountRename {
        old_name: "office".into(),
        new_name: "other".into(),
    };
    assert_eq!(call::<method::RenameAccount>(&mut service, &rename), Err(35));
    let row = &call::<method::EnumAccount>(&mut service, &Nothing {})
        .unwrap()
        .accounts[0];
    assert!(row.active && row.connected);
    call::<method::Disconnect>(&mut service, &named("office")).unwrap();
    assert_eq!(
        call::<method::GetAccountStatus>(&mut service, &named("nosuch")),
        Err(36)
    );
}

#[test]
fn an_adapter_has_one_user_that_keeps_it() {
    let mut service = with_accounts(&["one", "two"]);
    call::<method::CreateAccount>(&mut service, &account("second", "one")).unwrap();
    call::<method::CreateAccount>(&mut service, &account("lost", "one")).unwrap();
    call::<method::SetAccount>(&mut service, &account("lost", "nosuch")).unwrap();
    call::<method::Connect>(&mut service, &named("one")).unwrap();
    assert_eq!(call::<method::Connect>(&mut service, &named("second")), Err(43));
    assert_eq!(call::<method::Connect>(&mut service, &named("lost")), Err(42));
    assert_eq!(
        call::<method::DisableVLan>(&mut service, &adapter("one")),
        Err(41)
    );
    assert_eq!(call::<method::DeleteVLan>(&mut service, &adapter("one")), Err(41));
    call::<method::DisableVLan>(&mut service, &adapter("two")).unwrap();
    assert_eq!(call::<method::Connect>(&mut service, &named("two")), Err(44));
    call::<method::EnableVLan>(&mut service, &adapter("two")).unwrap();
    call::<method::Connect>(&mut service, &named("two")).unwrap();
}

#[test]
fn accounts_are_listed_by_their_names() {
    let mut service = with_accounts(&["b", "a2", "C", "a"]);
    let list = call::<method::EnumAccount>(&mut service, &Nothing {}).unwrap();
    let names: Vec<_> = list
        .accounts
        .iter()
        .map(|row| row.account_name.as_str())
        .collect();
    assert_eq!(names, ["a", "a2", "b", "C"]);
}

#[test]
fn an_account_whose_adapter_is_not_there_gets_the_newest_when_accounts_or_adapters_come_and_go() {
    let mut service = service();
    let device = |service: &Service<Dream>| service.book().accounts[0].account.option.device_name.clone();
    call::<method::CreateAccount>(&mut service, &account("office", "nosuch")).unwrap();
    assert_eq!(device(&service), "nosuch", "there is none to give");
    call::<method::CreateVLan>(&mut service, &adapter("one")).unwrap();
    assert_eq!(device(&service), "one");
    call::<method::CreateVLan>(&mut service, &adapter("two")).unwrap();
    assert_eq!(device(&service), "one");
    call::<method::DeleteVLan>(&mut service, &adapter("one")).unwrap();
    assert_eq!(device(&service), "two");
    call::<method::SetAccount>(&mut service, &account("office", "nosuch")).unwrap();
    assert_eq!(device(&service), "nosuch", "who names one may make it later");
    call::<method::CreateAccount>(&mut service, &account("home", "two")).unwrap();
    assert_eq!(device(&service), "two");
}

#[test]
fn an_account_without_a_device_needs_no_adapter() {
    let mut service = service();
    call::<method::CreateAccount>(&mut service, &account("doors", "none")).unwrap();
    service
        .set_options("doors", vec!["--socks5".into(), "1080".into()])
        .unwrap();
    call::<method::Connect>(&mut service, &named("doors")).unwrap();
}

#[test]
fn adapters_are_made_changed_and_listed() {
    let mut service = service();
    call::<method::CreateVLan>(&mut service, &adapter("vpn1")).unwrap();
    assert_eq!(
        call::<method::CreateVLan>(&mut service, &adapter("VPN1")),
        Err(30)
    );
    assert_eq!(
        call::<method::CreateVLan>(&mut service, &adapter("far too long a name")),
        Err(32)
    );
    let set = |mac: &str| AdapterAddress {
        device_name: "vpn1".into(),
        mac_address: mac.into(),
    };
    call::<method::SetVLan>(&mut service, &set("5E-AA-BB-CC-DD-EE")).unwrap();
    assert_eq!(call::<method::SetVLan>(&mut service, &set("zz")), Err(38));
    assert_eq!(
        call::<method::SetVLan>(&mut service, &set("01005E000001")),
        Err(38)
    );
    let list = call::<method::EnumVLan>(&mut service, &Nothing {}).unwrap();
    assert_eq!(list.adapters[0].mac_address, "5EAABBCCDDEE");
    assert!(list.adapters[0].enabled);
    assert_eq!(call::<method::GetVLan>(&mut service, &adapter("vpn1")), Err(33));
    call::<method::UpgradeVLan>(&mut service, &adapter("vpn1")).unwrap();
    let nosuch = adapter("nosuch");
    assert_eq!(call::<method::EnableVLan>(&mut service, &nosuch), Err(29));
    assert_eq!(call::<method::DeleteVLan>(&mut service, &nosuch), Err(29));
    call::<method::DeleteVLan>(&mut service, &adapter("vpn1")).unwrap();
}

#[test]
fn what_cannot_be_kept_is_not_done() {
    let mut service = with_accounts(&["office"]);
    service.world_mut().full = true;
    assert_eq!(
        call::<method::CreateAccount>(&mut service, &account("more", "office")),
        Err(23)
    );
    assert_eq!(
        call::<method::DeleteAccount>(&mut service, &named("office")),
        Err(23)
    );
    service.world_mut().full = false;
    let list = call::<method::EnumAccount>(&mut service, &Nothing {}).unwrap();
    assert_eq!(list.accounts.len(), 1);
    assert_eq!(service.world().kept.as_ref(), Some(service.book()));
}

#[test]
fn who_watches_hears_of_changes_and_not_of_questions() {
    let mut service = with_accounts(&["office"]);
    let before = service.world().changes;
    call::<method::EnumAccount>(&mut service, &Nothing {}).unwrap();
    call::<method::GetAccount>(&mut service, &named("office")).unwrap();
    assert_eq!(service.world().changes, before);
    call::<method::Connect>(&mut service, &named("office")).unwrap();
    assert!(service.world().changes > before);
}

#[test]
fn the_services_own_settings_are_kept() {
    let mut service = service();
    let password = NewPassword {
        password: Secret::new("sesame".into()),
        remote_only: true,
    };
    call::<method::SetPassword>(&mut service, &password).unwrap();
    let setting = call::<method::GetPasswordSetting>(&mut service, &Nothing {}).unwrap();
    assert!(setting.present && setting.remote_only);
    let mut config = call::<method::GetClientConfig>(&mut service, &Nothing {}).unwrap();
    assert_eq!(
        (config.keep.port, config.keep.enabled, config.allow_remote),
        (80, false, false)
    );
    config.keep.enabled = true;
    config.keep.interval = 1;
    call::<method::SetClientConfig>(&mut service, &config).unwrap();
    let read = call::<method::GetClientConfig>(&mut service, &Nothing {}).unwrap();
    assert_eq!(read.keep.interval, 5);
    let nowhere = ServiceConfig {
        keep: protocol::rpc::keep::Keep {
            enabled: true,
            ..Default::default()
        },
        ..ServiceConfig::default()
    };
    assert_eq!(call::<method::SetClientConfig>(&mut service, &nowhere), Err(38));
}

#[test]
fn a_proxy_for_all_accounts_is_refused_since_each_has_its_own() {
    let mut service = service();
    let proxy = CommonProxy {
        proxy_type: ProxyType::Http,
        host: "proxy.example.org".into(),
        port: 8080,
        ..CommonProxy::default()
    };
    assert_eq!(
        call::<method::SetCommonProxySetting>(&mut service, &proxy),
        Err(33)
    );
    let none = CommonProxy::default();
    call::<method::SetCommonProxySetting>(&mut service, &none).unwrap();
    let read = call::<method::GetCommonProxySetting>(&mut service, &Nothing {});
    assert_eq!(read, Ok(none));
}

#[test]
fn authorities_are_trusted_until_they_are_deleted() {
    use protocol::rpc::client::config::StockConfig;
    let stock = include_bytes!("../../../protocol/tests/data/client/vpn_client.config");
    let certificate = StockConfig::parse(stock).unwrap().authorities.remove(0);
    let mut service = service();
    let add = NewAuthority {
        certificate: certificate.clone(),
    };
    call::<method::AddCa>(&mut service, &add).unwrap();
    call::<method::AddCa>(&mut service, &add).unwrap();
    let list = call::<method::EnumCa>(&mut service, &Nothing {}).unwrap();
    assert_eq!(list.authorities.len(), 1);
    let row = &list.authorities[0];
    assert_eq!(row.subject_name, "ca, o, ou, st, l, JP");
    let key = AuthorityKey { key: row.key };
    assert_eq!(
        call::<method::GetCa>(&mut service, &key).unwrap().certificate,
        certificate
    );
    let issuer = Issuer {
        certificate: Some(certificate.clone()),
        issuer: None,
    };
    let found = call::<method::GetIssuer>(&mut service, &issuer).unwrap();
    assert_eq!(found.issuer, Some(certificate), "it has issued itself");
    call::<method::DeleteCa>(&mut service, &key).unwrap();
    assert_eq!(call::<method::DeleteCa>(&mut service, &key), Err(29));
    assert_eq!(call::<method::GetCa>(&mut service, &key), Err(29));
    let nonsense = NewAuthority {
        certificate: vec![1, 2, 3],
    };
    assert_eq!(call::<method::AddCa>(&mut service, &nonsense), Err(38));
}

#[test]
fn there_are_no_smart_cards() {
    let mut service = service();
    let devices = call::<method::EnumSecure>(&mut service, &Nothing {}).unwrap();
    assert_eq!(devices.devices.len(), 0);
    assert_eq!(
        call::<method::EnumObjectInSecure>(&mut service, &CardObjectList::default()),
        Err(40)
    );
    call::<method::UseSecure>(&mut service, &CardDevice { device_id: 1 }).unwrap();
    let chosen = call::<method::GetUseSecure>(&mut service, &Nothing {}).unwrap();
    assert_eq!(chosen.device_id, 1);
}

#[test]
fn a_shortcut_connects_and_disconnects_its_account() {
    let mut service = with_accounts(&["office"]);
    let key = service.book().accounts[0].account.shortcut_key;
    service.shortcut(&key, true).unwrap();
    assert_eq!(service.shortcut(&key, true), Err(ErrorCode::AccountActive));
    service.shortcut(&key, false).unwrap();
    assert_eq!(service.shortcut(&key, false), Err(ErrorCode::AccountInactive));
    assert_eq!(service.shortcut(&[0; 20], true), Err(ErrorCode::AccountNotFound));
    assert_eq!(service.shortcut(&[9; 20], true), Err(ErrorCode::AccountNotFound));
}

#[test]
fn accounts_that_are_to_connect_at_the_start_do() {
    let mut service = with_accounts(&["one", "two", "three"]);
    for name in ["one", "three"] {
        call::<method::SetStartupAccount>(&mut service, &named(name)).unwrap();
    }
    let mut service = Service::new(service.book().clone(), Dream::default());
    service.start();
    let mut running: Vec<_> = service.world().running.keys().cloned().collect();
    running.sort();
    assert_eq!(running, ["one", "three"]);
}

#[test]
fn a_password_that_the_server_wants_forgotten_is() {
    let mut service = service();
    let mut office = account("office", "office");
    office.auth.auth_type = LinkAuthType::PlainPassword;
    office.auth.plain_password = Some(Secret::new("secret".into()));
    call::<method::CreateAccount>(&mut service, &office).unwrap();
    service.connected("office", false);
    let password = |service: &Service<Dream>| service.book().accounts[0].account.auth.plain_password.clone();
    assert!(password(&service).is_some());
    assert!(service.book().accounts[0].account.last_connected.is_some());
    service.connected("office", true);
    assert_eq!(password(&service), None);
    assert_eq!(service.world().kept.as_ref(), Some(service.book()));
}

#[test]
fn another_server_has_to_be_accepted_anew() {
    let mut service = with_accounts(&["office"]);
    let pin = format!("sha256:{}", "5a".repeat(32)).parse().unwrap();
    service.accept("office", pin).unwrap();
    let mut same = account("office", "office");
    same.option.hub_name = "another hub".into();
    call::<method::SetAccount>(&mut service, &same).unwrap();
    assert_eq!(service.book().accounts[0].pin, Some(pin));
    same.option.hostname = "evil.example.org".into();
    call::<method::SetAccount>(&mut service, &same).unwrap();
    assert_eq!(service.book().accounts[0].pin, None);
}
