//! The table of the client service's methods: what each takes and gives (client RPC §3).

use super::account::{Account, AccountList, AccountName, AccountRename};
use super::adapter::{Adapter, AdapterAddress, AdapterList, AdapterName};
use super::authority::{Authority, AuthorityKey, AuthorityList, Issuer, NewAuthority};
use super::service::{
    CommonProxy, ManagerSetting, NewPassword, PasswordSetting, ServiceConfig, ServiceVersion,
};
use super::smart_card::{CardDevice, CardDeviceList, CardObjectList};
use crate::rpc::method::Codec;
use crate::rpc::session::LinkState;
use crate::rpc::{Nothing, RpcMessage};

/// A method of the client service. Whoever is let in may call all of them.
pub trait Method {
    /// Its name on the wire; compared ignoring case.
    const NAME: &'static str;
    /// What it takes.
    type Request: RpcMessage;
    /// What it gives.
    type Response: RpcMessage;
}

/// One row of [`TABLE`], for those who learn the method's name only at run time.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// [`Method::NAME`].
    pub name: &'static str,
    /// The encodings of [`Method::Request`].
    pub request: Codec,
    /// The encodings of [`Method::Response`].
    pub response: Codec,
}

/// The row of a method, by its name ignoring case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// Defines the methods: `Name(Request) -> Response;`.
macro_rules! methods {
    ($( $(#[$doc:meta])* $method:ident ( $request:ident ) -> $response:ident ; )+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $method {}

            impl Method for $method {
                const NAME: &'static str = stringify!($method);
                type Request = $request;
                type Response = $response;
            }
        )+

        /// Every method, in the order of this file.
        pub const TABLE: &[Row] = &[ $( Row {
            name: $method::NAME,
            request: Codec::of::<$request>(),
            response: Codec::of::<$response>(),
        } ),+ ];
    };
}

methods! {
    /// Product and version; what managers ask first.
    GetClientVersion(Nothing) -> ServiceVersion;
    /// How much a graphical manager shows.
    GetCmSetting(Nothing) -> ManagerSetting;
    /// Changes how much a graphical manager shows.
    SetCmSetting(ManagerSetting) -> Nothing;
    /// Changes the service's password.
    SetPassword(NewPassword) -> Nothing;
    /// Whether the service has a password.
    GetPasswordSetting(Nothing) -> PasswordSetting;
    /// Changes what the service does by itself.
    SetClientConfig(ServiceConfig) -> Nothing;
    /// What the service does by itself.
    GetClientConfig(Nothing) -> ServiceConfig;
    /// The system's proxy.
    GetCommonProxySetting(Nothing) -> CommonProxy;
    /// Changes the system's proxy.
    SetCommonProxySetting(CommonProxy) -> CommonProxy;

    /// All trusted authorities.
    EnumCa(Nothing) -> AuthorityList;
    /// Trusts an authority.
    AddCa(NewAuthority) -> Nothing;
    /// Trusts an authority no longer.
    DeleteCa(AuthorityKey) -> Nothing;
    /// A trusted authority.
    GetCa(AuthorityKey) -> Authority;
    /// Who has issued a certificate.
    GetIssuer(Issuer) -> Issuer;

    /// All drivers of smart cards.
    EnumSecure(Nothing) -> CardDeviceList;
    /// Chooses a driver.
    UseSecure(CardDevice) -> Nothing;
    /// The chosen driver.
    GetUseSecure(Nothing) -> CardDevice;
    /// What is on the card.
    EnumObjectInSecure(CardObjectList) -> CardObjectList;

    /// Makes an adapter.
    CreateVLan(AdapterName) -> Nothing;
    /// Renews an adapter's driver.
    UpgradeVLan(AdapterName) -> Nothing;
    /// What is known of an adapter.
    GetVLan(AdapterName) -> Adapter;
    /// Changes an adapter's address.
    SetVLan(AdapterAddress) -> Nothing;
    /// All adapters.
    EnumVLan(Nothing) -> AdapterList;
    /// Deletes an adapter.
    DeleteVLan(AdapterName) -> Nothing;
    /// Enables an adapter.
    EnableVLan(AdapterName) -> Nothing;
    /// Disables an adapter.
    DisableVLan(AdapterName) -> Nothing;

    /// Makes an account.
    CreateAccount(Account) -> Nothing;
    /// All accounts.
    EnumAccount(Nothing) -> AccountList;
    /// Deletes an account.
    DeleteAccount(AccountName) -> Nothing;
    /// Has an account connect when the service starts.
    SetStartupAccount(AccountName) -> Nothing;
    /// Has an account wait to be connected.
    RemoveStartupAccount(AccountName) -> Nothing;
    /// Changes an account.
    SetAccount(Account) -> Nothing;
    /// An account.
    GetAccount(AccountName) -> Account;
    /// Gives an account another name.
    RenameAccount(AccountRename) -> Nothing;
    /// Begins to connect an account.
    Connect(AccountName) -> Nothing;
    /// Disconnects an account.
    Disconnect(AccountName) -> Nothing;
    /// How far an account's connection has come.
    GetAccountStatus(AccountName) -> LinkState;
}
