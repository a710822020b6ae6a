//! Methods for adapters.

use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::client::adapter::{
    Adapter as AdapterState, AdapterAddress, AdapterList, AdapterName, AdapterRow,
};

use super::{Reply, Service, World, room, version};
use crate::service::account;
use crate::service::book::{Adapter, Entry, check_adapter_name};

impl<W: World> Service<W> {
    pub(super) fn create_adapter(&mut self, request: AdapterName) -> Reply<Nothing> {
        check_adapter_name(&request.device_name)?;
        let random = self.world.random();
        self.change(|book| {
            if book.adapter(&request.device_name).is_some() {
                return Err(ErrorCode::AdapterExists);
            }
            room(book.adapters.len())?;
            let mut mac = [0x5e, 0, 0, 0, 0, 0];
            mac[1..].copy_from_slice(&random[..5]);
            book.adapters.push(Adapter {
                name: request.device_name,
                mac,
                enabled: true,
            });
            book.settle_adapters();
            Ok(Nothing {})
        })
    }

    /// There is no driver to renew.
    pub(super) fn upgrade_adapter(&mut self, _: AdapterName) -> Reply<Nothing> {
        Ok(Nothing {})
    }

    /// As stock services on Linux answer.
    pub(super) fn adapter(&mut self, _: AdapterName) -> Reply<AdapterState> {
        Err(ErrorCode::NotSupported)
    }

    pub(super) fn set_adapter(&mut self, request: AdapterAddress) -> Reply<Nothing> {
        // Neither nobody's nor a group's.
        let mac = netdev::mac::parse(&request.mac_address)
            .filter(|mac| *mac != [0; 6] && mac[0] & 1 == 0)
            .ok_or(ErrorCode::InvalidParameter)?;
        self.change(|book| {
            book.adapter_mut(&request.device_name)?.mac = mac;
            Ok(Nothing {})
        })
    }

    pub(super) fn adapters(&mut self, _: Nothing) -> Reply<AdapterList> {
        let row = |adapter: &Adapter| AdapterRow {
            device_name: adapter.name.clone(),
            enabled: adapter.enabled,
            mac_address: adapter.mac.iter().map(|byte| format!("{byte:02X}")).collect(),
            version: version(),
        };
        Ok(AdapterList {
            adapters: self.book.adapters.iter().map(row).collect(),
        })
    }

    pub(super) fn delete_adapter(&mut self, request: AdapterName) -> Reply<Nothing> {
        self.free(&request)?;
        self.change(|book| {
            book.adapter_mut(&request.device_name)?;
            book.adapters
                .retain(|adapter| !adapter.name.eq_ignore_ascii_case(&request.device_name));
            book.settle_adapters();
            Ok(Nothing {})
        })
    }

    pub(super) fn enable_adapter(&mut self, request: AdapterName) -> Reply<Nothing> {
        self.change(|book| {
            book.adapter_mut(&request.device_name)?.enabled = true;
            Ok(Nothing {})
        })
    }

    pub(super) fn disable_adapter(&mut self, request: AdapterName) -> Reply<Nothing> {
        self.free(&request)?;
        self.change(|book| {
            book.adapter_mut(&request.device_name)?.enabled = false;
            Ok(Nothing {})
        })
    }

    /// An adapter that an account uses at this moment stays as it is.
    fn free(&self, adapter: &AdapterName) -> Reply<()> {
        match self.user_of(&adapter.device_name) {
            Some(_) => Err(ErrorCode::AdapterInUse),
            None => Ok(()),
        }
    }

    /// The active account that uses an adapter.
    pub(super) fn user_of(&self, adapter: &str) -> Option<&Entry> {
        self.book.accounts.iter().find(|entry| {
            entry.account.option.device_name.eq_ignore_ascii_case(adapter)
                && account::wants_device(entry)
                && self.is_active(&entry.key())
        })
    }
}
