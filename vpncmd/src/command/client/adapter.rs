//! Virtual network adapters.

use protocol::{
    error::ErrorCode,
    rpc::{
        Nothing,
        client::{
            adapter::{AdapterAddress, AdapterName},
            method::{
                CreateVLan, DeleteVLan, DisableVLan, EnableVLan, EnumVLan, GetVLan, SetVLan, UpgradeVLan,
            },
        },
    },
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const NAME: Param = Param::word("name", "The adapter.")
    .ask("Virtual Network Adapter Name: ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "NicCreate",
        title: "Make a virtual network adapter",
        help: "Makes a device that frames of accounts come out of. On Linux it is a TAP device named vpn_NAME; on \
               Windows the name must be VPN, VPN2 and so on up to VPN127.",
        params: &[NAME],
        scope: Scope::Client,
        run: |shell, arguments| call::<CreateVLan>(shell, arguments),
    },
    Command {
        name: "NicDelete",
        title: "Delete a virtual network adapter",
        help: "Deletes an adapter; accounts that use it cannot connect then.",
        params: &[NAME],
        scope: Scope::Client,
        run: |shell, arguments| call::<DeleteVLan>(shell, arguments),
    },
    Command {
        name: "NicUpgrade",
        title: "Renew the driver of a virtual network adapter",
        help: "For services on Windows.",
        params: &[NAME],
        scope: Scope::Client,
        run: |shell, arguments| call::<UpgradeVLan>(shell, arguments),
    },
    Command {
        name: "NicGetSetting",
        title: "Show a virtual network adapter",
        help: "Shows state, address and driver of an adapter. Stock services on Linux do not know them; NicList shows \
               what they know.",
        params: &[NAME],
        scope: Scope::Client,
        run: get,
    },
    Command {
        name: "NicSetSetting",
        title: "Set the MAC address of a virtual network adapter",
        help: "The adapter is made anew with the address.",
        params: &[
            NAME,
            Param::named("MAC", "The address, such as 5E-11-22-33-44-55.")
                .ask("MAC Address to Set: ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: set,
    },
    Command {
        name: "NicEnable",
        title: "Enable a virtual network adapter",
        help: "Ends what NicDisable has begun.",
        params: &[NAME],
        scope: Scope::Client,
        run: |shell, arguments| call::<EnableVLan>(shell, arguments),
    },
    Command {
        name: "NicDisable",
        title: "Disable a virtual network adapter",
        help: "Accounts that use the adapter cannot connect until NicEnable.",
        params: &[NAME],
        scope: Scope::Client,
        run: |shell, arguments| call::<DisableVLan>(shell, arguments),
    },
    Command {
        name: "NicList",
        title: "List the virtual network adapters",
        help: "Lists the adapters with their state and address.",
        params: &[],
        scope: Scope::Client,
        run: list,
    },
];

fn named(arguments: &Arguments) -> AdapterName {
    AdapterName {
        device_name: arguments.text("name").to_owned(),
    }
}

/// Calls a method that takes an adapter and gives nothing.
fn call<M>(shell: &mut Shell, arguments: &Arguments) -> Outcome
where
    M: protocol::rpc::client::method::Method<Request = AdapterName, Response = Nothing>,
{
    shell.call_client::<M>(&named(arguments))?;
    Ok(())
}

/// The word of the stock tool, which is another one here than elsewhere.
fn status(enabled: bool) -> &'static str {
    if enabled { "Enabled" } else { "Disabled" }
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let adapter = shell.call_client::<GetVLan>(&named(arguments))?;
    if shell.json(&adapter) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Virtual Network Adapter Name", adapter.device_name)
        .item("Status", status(adapter.enabled))
        .item("MAC Address", adapter.mac_address)
        .item("Version", adapter.version)
        .item("Driver File Name", adapter.file_name)
        .item("GUID", adapter.guid);
    shell.console.table(&table);
    Ok(())
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let address = text::parse_mac(arguments.text("MAC")).ok_or(ErrorCode::InvalidParameter)?;
    shell.call_client::<SetVLan>(&AdapterAddress {
        device_name: arguments.text("name").to_owned(),
        mac_address: text::hex(&address),
    })?;
    Ok(())
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call_client::<EnumVLan>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Virtual Network Adapter Name", "Status", "MAC Address", "Version"]);
    for adapter in list.adapters {
        let status = status(adapter.enabled).to_owned();
        table.row([adapter.device_name, status, adapter.mac_address, adapter.version]);
    }
    shell.console.blocks(&table);
    Ok(())
}
