//! The methods of the client service (client RPC §3): one call, one answer. No sockets, no files, no clock: what the service has to
//! do with them is its [`World`].

// The table hands each request over: some handlers keep it, and all are called alike.
#![allow(clippy::needless_pass_by_value)]

mod accounts;
mod adapters;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::cascade::ProxyType;
use protocol::rpc::client::account::AccountName;
use protocol::rpc::client::authority::{Authority, AuthorityKey, AuthorityList, Issuer, NewAuthority};
use protocol::rpc::client::method::{self, Method};
use protocol::rpc::client::refusal;
use protocol::rpc::client::service::{
    CommonProxy, ManagerSetting, NewPassword, PasswordSetting, ServiceConfig, ServiceVersion,
};
use protocol::rpc::client::smart_card::{CardDevice, CardDeviceList, CardObjectList};
use protocol::rpc::session::LinkState;
use protocol::rpc::{Nothing, RpcMessage, Secret, Timestamp};
use protocol::{BUILD, VERSION, password};
use transport::tls::Fingerprint;
use zeroize::Zeroizing;

use super::book::{Book, Entry, MOST, authority_key};
use super::certificate;

/// Linux, among the numbers of systems (admin RPC §4).
const OS_LINUX: u32 = 3100;
/// Pauses between the packets that keep a line alive, in seconds.
const KEEP_INTERVAL: std::ops::RangeInclusive<u32> = 5..=600;

/// What is around the service.
pub trait World {
    /// Makes `book` what is kept. When this returns, it is.
    ///
    /// # Errors
    /// The disk refuses.
    fn keep(&mut self, book: &Book) -> Result<(), ErrorCode>;

    /// What there is has changed: whoever watches wants to know.
    fn changed(&mut self, book: &Book);

    /// Begins to connect an account that is not active, by this password where it keeps none.
    ///
    /// # Errors
    /// What it says cannot be a connection.
    fn connect(
        &mut self,
        book: &Book,
        entry: &Entry,
        password: Option<Zeroizing<String>>,
    ) -> Result<(), ErrorCode>;

    /// An account has another key; what is known of its connections stays.
    fn renamed(&mut self, from: &str, to: &str);

    /// Ends the connection of an account, or the tries to make one, or what one that failed has left on; `false` when there is
    /// nothing of that.
    fn disconnect(&mut self, key: &str) -> bool;

    /// How the connection of an account stands; `None` when nobody asked for one.
    fn state(&self, key: &str) -> Option<LinkState>;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Random bytes.
    fn random(&mut self) -> [u8; 20];
}

/// The service: what it knows, and what is around it.
pub struct Service<W> {
    book: Book,
    world: W,
}

type Reply<T> = Result<T, ErrorCode>;

/// Finds the method by its name, ignoring case, and has it answered.
macro_rules! dispatch {
    ($service:ident, $name:ident, $request:ident; $($method:ident => $handler:ident),+ $(,)?) => {
        $(
            if $name.eq_ignore_ascii_case(<method::$method as Method>::NAME) {
                let request = <method::$method as Method>::Request::from_pack($request);
                let answer = request.map_err(ErrorCode::from).and_then(|request| $service.$handler(request));
                return match answer {
                    Ok(answer) => <<method::$method as Method>::Response as RpcMessage>::to_pack(&answer),
                    Err(code) => refusal(code),
                };
            }
        )+
    };
}

impl<W: World> Service<W> {
    /// A service that knows this.
    pub fn new(book: Book, world: W) -> Self {
        Self { book, world }
    }

    /// What it knows.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What is around it.
    pub fn world(&self) -> &W {
        &self.world
    }

    /// The same, to be used.
    pub fn world_mut(&mut self) -> &mut W {
        &mut self.world
    }

    /// Answers a call.
    pub fn answer(&mut self, name: &str, request: &Pack) -> Pack {
        dispatch! { self, name, request;
            GetClientVersion => version,
            GetCmSetting => manager,
            SetCmSetting => set_manager,
            SetPassword => set_password,
            GetPasswordSetting => password,
            SetClientConfig => set_config,
            GetClientConfig => config,
            GetCommonProxySetting => proxy,
            SetCommonProxySetting => set_proxy,
            EnumCa => authorities,
            AddCa => add_authority,
            DeleteCa => delete_authority,
            GetCa => authority,
            GetIssuer => issuer,
            EnumSecure => card_devices,
            UseSecure => use_card_device,
            GetUseSecure => card_device,
            EnumObjectInSecure => card_objects,
            CreateVLan => create_adapter,
            UpgradeVLan => upgrade_adapter,
            GetVLan => adapter,
            SetVLan => set_adapter,
            EnumVLan => adapters,
            DeleteVLan => delete_adapter,
            EnableVLan => enable_adapter,
            DisableVLan => disable_adapter,
            CreateAccount => create_account,
            EnumAccount => accounts,
            DeleteAccount => delete_account,
            SetStartupAccount => set_startup,
            RemoveStartupAccount => remove_startup,
            SetAccount => set_account,
            GetAccount => account,
            RenameAccount => rename_account,
            Connect => connect,
            Disconnect => disconnect,
            GetAccountStatus => status,
        }
        // Of a method that nobody knows the number stands in the other element (client RPC §1).
        let mut pack = Pack::new();
        pack.set_int("error", ErrorCode::NotSupported.code());
        pack
    }

    /// Connects the accounts that are to connect at the start.
    pub fn start(&mut self) {
        let wanted = self.book.accounts.iter().filter(|entry| entry.account.startup);
        let names: Vec<_> = wanted.map(|entry| entry.account.account_name.clone()).collect();
        for name in names {
            if let Err(code) = self.up(&name, None) {
                tracing::warn!(account = name, "cannot connect at the start: {code}");
            }
        }
    }

    /// Connects the account with this key, or disconnects it.
    ///
    /// # Errors
    /// There is none, or it is so already.
    pub fn shortcut(&mut self, key: &[u8; 20], connect: bool) -> Result<(), ErrorCode> {
        use subtle::ConstantTimeEq;
        let found = |entry: &&Entry| bool::from(entry.account.shortcut_key.ct_eq(key)) && *key != [0; 20];
        let entry = self.book.accounts.iter().find(found);
        let name = entry
            .ok_or(ErrorCode::AccountNotFound)?
            .account
            .account_name
            .clone();
        if connect {
            self.up(&name, None)
        } else {
            self.disconnect(AccountName { account_name: name }).map(drop)
        }
    }

    /// Changes what is kept: all of it, or nothing.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Book) -> Reply<T>) -> Reply<T> {
        self.change_with(change, |_| {})
    }

    /// The same; `then` tells the world of a change that was kept, before it hears of all there is.
    fn change_with<T>(
        &mut self,
        change: impl FnOnce(&mut Book) -> Reply<T>,
        then: impl FnOnce(&mut W),
    ) -> Reply<T> {
        let mut next = self.book.clone();
        let done = change(&mut next)?;
        if next != self.book {
            self.world.keep(&next)?;
            self.book = next;
            then(&mut self.world);
            self.world.changed(&self.book);
        }
        Ok(done)
    }

    fn is_active(&self, key: &str) -> bool {
        self.world.state(key).is_some()
    }

    // The service itself.

    fn version(&mut self, _: Nothing) -> Reply<ServiceVersion> {
        Ok(ServiceVersion {
            product_name: "Hubward VPN Client".to_owned(),
            version: version(),
            build_info: format!("Hubward {}", env!("CARGO_PKG_VERSION")),
            version_number: VERSION,
            build: BUILD,
            process_id: std::process::id(),
            os_type: OS_LINUX,
            ..ServiceVersion::default()
        })
    }

    fn manager(&mut self, _: Nothing) -> Reply<ManagerSetting> {
        Ok(self.book.manager.clone())
    }

    fn set_manager(&mut self, request: ManagerSetting) -> Reply<Nothing> {
        self.change(|book| {
            book.manager = request;
            Ok(Nothing {})
        })
    }

    fn set_password(&mut self, request: NewPassword) -> Reply<Nothing> {
        self.change(|book| {
            book.password = Secret::new(*password::admin_hash(request.password.as_bytes()).as_bytes());
            book.password_remote_only = request.remote_only;
            Ok(Nothing {})
        })
    }

    fn password(&mut self, _: Nothing) -> Reply<PasswordSetting> {
        Ok(PasswordSetting {
            present: self.book.has_password(),
            remote_only: self.book.password_remote_only,
        })
    }

    fn set_config(&mut self, mut request: ServiceConfig) -> Reply<Nothing> {
        if request.keep.enabled && (request.keep.host.is_empty() || !is_port(request.keep.port)) {
            return Err(ErrorCode::InvalidParameter);
        }
        let interval = request.keep.interval;
        request.keep.interval = interval.clamp(*KEEP_INTERVAL.start(), *KEEP_INTERVAL.end());
        self.change(|book| {
            book.config = request;
            Ok(Nothing {})
        })
    }

    fn config(&mut self, _: Nothing) -> Reply<ServiceConfig> {
        Ok(self.book.config.clone())
    }

    fn proxy(&mut self, _: Nothing) -> Reply<CommonProxy> {
        Ok(CommonProxy::default())
    }

    /// Accounts have proxies of their own. A setting that does nothing would have somebody believe that it does.
    fn set_proxy(&mut self, request: CommonProxy) -> Reply<CommonProxy> {
        if request.proxy_type == ProxyType::Direct {
            return Ok(CommonProxy::default());
        }
        tracing::warn!(
            "a proxy for all accounts was refused: each has its own (AccountProxyHttp, AccountProxySocks, AccountProxySocks5)"
        );
        Err(ErrorCode::NotSupported)
    }

    // Authorities.

    fn authorities(&mut self, _: Nothing) -> Reply<AuthorityList> {
        let rows = self
            .book
            .authorities
            .iter()
            .filter_map(|der| certificate::row(der));
        Ok(AuthorityList {
            authorities: rows.collect(),
        })
    }

    fn add_authority(&mut self, request: NewAuthority) -> Reply<Nothing> {
        if !certificate::is_certificate(&request.certificate) {
            return Err(ErrorCode::InvalidParameter);
        }
        self.change(|book| {
            if !book.authorities.contains(&request.certificate) {
                room(book.authorities.len())?;
                book.authorities.push(request.certificate);
            }
            Ok(Nothing {})
        })
    }

    fn delete_authority(&mut self, request: AuthorityKey) -> Reply<Nothing> {
        self.change(|book| {
            let before = book.authorities.len();
            book.authorities.retain(|der| authority_key(der) != request.key);
            if book.authorities.len() == before {
                return Err(ErrorCode::ObjectNotFound);
            }
            Ok(Nothing {})
        })
    }

    fn authority(&mut self, request: AuthorityKey) -> Reply<Authority> {
        let found = self
            .book
            .authorities
            .iter()
            .find(|der| authority_key(der) == request.key);
        Ok(Authority {
            key: request.key,
            certificate: found.ok_or(ErrorCode::ObjectNotFound)?.clone(),
        })
    }

    fn issuer(&mut self, request: Issuer) -> Reply<Issuer> {
        let certificate = request.certificate.ok_or(ErrorCode::InvalidParameter)?;
        let issuer = self
            .book
            .authorities
            .iter()
            .find(|authority| certificate::is_issued_by(&certificate, authority))
            .ok_or(ErrorCode::ObjectNotFound)?;
        Ok(Issuer {
            issuer: Some(issuer.clone()),
            certificate: Some(certificate),
        })
    }

    // Smart cards, for which there are no drivers here.

    fn card_devices(&mut self, _: Nothing) -> Reply<CardDeviceList> {
        Ok(CardDeviceList::default())
    }

    fn use_card_device(&mut self, request: CardDevice) -> Reply<Nothing> {
        self.change(|book| {
            book.card_device = request.device_id;
            Ok(Nothing {})
        })
    }

    fn card_device(&mut self, _: Nothing) -> Reply<CardDevice> {
        Ok(CardDevice {
            device_id: self.book.card_device,
        })
    }

    fn card_objects(&mut self, _: CardObjectList) -> Reply<CardObjectList> {
        Err(if self.book.card_device == 0 {
            ErrorCode::SmartCardNotChosen
        } else {
            ErrorCode::SmartCardOpenFailed
        })
    }

    // What only our own programs ask for.

    /// An account's own options.
    ///
    /// # Errors
    /// There is no such account.
    pub fn options(&self, name: &str) -> Result<&[String], ErrorCode> {
        Ok(&self.book.account(name).ok_or(ErrorCode::AccountNotFound)?.options)
    }

    /// Gives an account options of its own, which were checked.
    ///
    /// # Errors
    /// There is no such account.
    pub fn set_options(&mut self, name: &str, options: Vec<String>) -> Result<(), ErrorCode> {
        self.change(|book| {
            book.account_mut(name)?.options = options;
            Ok(())
        })
    }

    /// Accepts a certificate of an account's server from now on.
    ///
    /// # Errors
    /// There is no such account.
    pub fn accept(&mut self, name: &str, pin: Fingerprint) -> Result<(), ErrorCode> {
        self.change(|book| {
            book.account_mut(name)?.pin = Some(pin);
            Ok(())
        })
    }

    /// A session of the account stands: notes when, and forgets the password where the server says so.
    pub fn connected(&mut self, key: &str, forget_password: bool) {
        let now = self.world.now();
        let noted = self.change(|book| {
            let account = &mut book.account_mut(key)?.account;
            account.last_connected = Some(now);
            if forget_password {
                account.auth.plain_password = None;
                account.auth.hashed_password = None;
            }
            Ok(())
        });
        if let Err(code) = noted {
            tracing::warn!(account = key, "the time of the connection cannot be kept: {code}");
        }
    }

    /// A connection has come further, or ended.
    pub fn moved(&mut self) {
        self.world.changed(&self.book);
    }
}

fn room(there: usize) -> Reply<()> {
    (there < MOST).then_some(()).ok_or(ErrorCode::TooManyItems)
}

fn is_port(number: u32) -> bool {
    (1..=u32::from(u16::MAX)).contains(&number)
}

/// The version as stock tools show it.
fn version() -> String {
    let (major, minor) = (VERSION / 100, VERSION % 100);
    format!("Version {major}.{minor:02} Build {BUILD}   (English)")
}
