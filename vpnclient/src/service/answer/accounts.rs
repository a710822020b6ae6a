//! Methods for accounts and their connections.

use std::collections::HashSet;

use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::client::account::{Account, AccountList, AccountName, AccountRename, AccountRow};
use protocol::rpc::session::LinkState;
use zeroize::Zeroizing;

use super::{Reply, Service, World, is_port, room};
use crate::service::account;
use crate::service::book::{Book, Entry, check_account_name};

impl<W: World> Service<W> {
    pub(super) fn create_account(&mut self, request: Account) -> Reply<Nothing> {
        check_account(&request)?;
        let (now, key) = (self.world.now(), self.world.random());
        self.change(|book| {
            if book.account(&request.account_name).is_some() {
                return Err(ErrorCode::AccountExists);
            }
            room(book.accounts.len())?;
            let mut account = tidy(request);
            // Two accounts with one key could not be told apart.
            let taken: HashSet<_> = book
                .accounts
                .iter()
                .map(|entry| entry.account.shortcut_key)
                .collect();
            if account.shortcut_key == [0; 20] || taken.contains(&account.shortcut_key) {
                account.shortcut_key = key;
            }
            account.created = Some(now);
            account.updated = Some(now);
            account.last_connected = None;
            book.accounts.push(Entry {
                account,
                ..Entry::default()
            });
            book.settle_adapters();
            Ok(Nothing {})
        })
    }

    pub(super) fn accounts(&mut self, _: Nothing) -> Reply<AccountList> {
        let row = |entry: &Entry| {
            let (account, option) = (&entry.account, &entry.account.option);
            let state = self.world.state(&entry.key());
            AccountRow {
                account_name: account.account_name.clone(),
                user_name: account.auth.username.clone(),
                server_name: option.hostname.clone(),
                port: option.port,
                hub_name: option.hub_name.clone(),
                device_name: option.device_name.clone(),
                proxy_type: option.proxy_type,
                proxy_name: option.proxy_name.clone(),
                startup: account.startup,
                active: state.is_some(),
                connected: state.is_some_and(|state| state.connected),
                created: account.created.unwrap_or_default(),
                updated: account.updated.unwrap_or_default(),
                last_connected: account.last_connected.unwrap_or_default(),
            }
        };
        let mut accounts: Vec<_> = self.book.accounts.iter().map(row).collect();
        // As stock services have them.
        accounts.sort_by_cached_key(|row| row.account_name.to_lowercase());
        Ok(AccountList { accounts })
    }

    pub(super) fn delete_account(&mut self, request: AccountName) -> Reply<Nothing> {
        let key = self.resting(&request.account_name)?;
        self.change(|book| {
            book.accounts.retain(|entry| entry.key() != key);
            Ok(Nothing {})
        })
    }

    pub(super) fn set_startup(&mut self, request: AccountName) -> Reply<Nothing> {
        self.startup(&request.account_name, true)
    }

    pub(super) fn remove_startup(&mut self, request: AccountName) -> Reply<Nothing> {
        self.startup(&request.account_name, false)
    }

    fn startup(&mut self, name: &str, startup: bool) -> Reply<Nothing> {
        let now = self.world.now();
        self.change(|book| {
            let account = &mut book.account_mut(name)?.account;
            account.startup = startup;
            account.updated = Some(now);
            Ok(Nothing {})
        })
    }

    pub(super) fn set_account(&mut self, request: Account) -> Reply<Nothing> {
        check_account(&request)?;
        let now = self.world.now();
        self.change(|book| {
            let entry = book.account_mut(&request.account_name)?;
            let before = &entry.account;
            let mut account = tidy(request);
            account.account_name.clone_from(&before.account_name);
            account.created = before.created;
            account.last_connected = before.last_connected;
            account.updated = Some(now);
            if account.shortcut_key == [0; 20] {
                account.shortcut_key = before.shortcut_key;
            }
            // Who was accepted was accepted as this server.
            let server = |account: &Account| (account.option.hostname.clone(), account.option.port);
            if server(before) != server(&account) {
                entry.pin = None;
            }
            entry.account = account;
            Ok(Nothing {})
        })
    }

    pub(super) fn account(&mut self, request: AccountName) -> Reply<Account> {
        let entry = self.book.account(&request.account_name);
        Ok(entry.ok_or(ErrorCode::AccountNotFound)?.account.clone())
    }

    pub(super) fn rename_account(&mut self, request: AccountRename) -> Reply<Nothing> {
        let key = self.resting(&request.old_name)?;
        check_account_name(&request.new_name)?;
        let now = self.world.now();
        let new_key = request.new_name.to_lowercase();
        let rename = |book: &mut Book| {
            if new_key != key && book.account(&new_key).is_some() {
                return Err(ErrorCode::AccountExists);
            }
            let account = &mut book.account_mut(&key)?.account;
            account.account_name = request.new_name;
            account.updated = Some(now);
            Ok(Nothing {})
        };
        self.change_with(rename, |world| world.renamed(&key, &new_key))
    }

    /// The key of an account that is there and not connected.
    fn resting(&self, name: &str) -> Reply<String> {
        let key = self.book.account(name).ok_or(ErrorCode::AccountNotFound)?.key();
        if self.is_active(&key) {
            return Err(ErrorCode::AccountActive);
        }
        Ok(key)
    }

    pub(super) fn connect(&mut self, request: AccountName) -> Reply<Nothing> {
        self.up(&request.account_name, None).map(|()| Nothing {})
    }

    /// Begins to connect an account, by this password where it keeps none.
    ///
    /// # Errors
    /// There is none, it is connected already, or its adapter cannot be used.
    pub fn up(&mut self, name: &str, password: Option<Zeroizing<String>>) -> Result<(), ErrorCode> {
        self.resting(name)?;
        let entry = self.book.account(name).ok_or(ErrorCode::AccountNotFound)?;
        if account::wants_device(entry) {
            let adapter = &entry.account.option.device_name;
            let found = self.book.adapter(adapter).ok_or(ErrorCode::AdapterNotFound)?;
            if self.user_of(adapter).is_some() {
                return Err(ErrorCode::AdapterUsed);
            }
            if !found.enabled {
                return Err(ErrorCode::AdapterDisabled);
            }
        }
        let entry = entry.clone();
        self.world.connect(&self.book, &entry, password)?;
        self.world.changed(&self.book);
        Ok(())
    }

    pub(super) fn disconnect(&mut self, request: AccountName) -> Reply<Nothing> {
        let entry = self.book.account(&request.account_name);
        let key = entry.ok_or(ErrorCode::AccountNotFound)?.key();
        if !self.world.disconnect(&key) {
            return Err(ErrorCode::AccountInactive);
        }
        self.world.changed(&self.book);
        Ok(Nothing {})
    }

    /// Of an account that is not connected the answer is empty (client RPC §2).
    pub(super) fn status(&mut self, request: AccountName) -> Reply<LinkState> {
        let entry = self.book.account(&request.account_name);
        let key = entry.ok_or(ErrorCode::AccountNotFound)?.key();
        Ok(self.world.state(&key).unwrap_or_default())
    }
}

fn check_account(account: &Account) -> Reply<()> {
    check_account_name(&account.account_name)?;
    let option = &account.option;
    if option.hostname.is_empty() || option.hub_name.is_empty() || !is_port(option.port) {
        return Err(ErrorCode::InvalidParameter);
    }
    Ok(())
}

/// An account as it is kept: what is empty is absent, numbers are in their range.
fn tidy(mut account: Account) -> Account {
    fn filled(data: Option<Vec<u8>>) -> Option<Vec<u8>> {
        data.filter(|data| !data.is_empty())
    }
    account.server_cert = filled(account.server_cert.take());
    account.auth.client_x = filled(account.auth.client_x.take());
    let option = &mut account.option;
    option.max_connection = option.max_connection.clamp(1, 32);
    account
}
