//! Accounts: making, listing, showing, renaming, deleting.

use protocol::rpc::{
    Nothing, Secret,
    cascade::{LinkAuthType, ProxyType},
    client::{
        account::{Account, AccountName, AccountRename, AccountRow, ConnectionAuth, ConnectionOption},
        method::{CreateAccount, DeleteAccount, EnumAccount, GetAccount, RenameAccount, SetAccount},
    },
};

use super::ACCOUNT;
use crate::{
    check,
    command::{Command, Scope, certificate},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const SERVER: Param = Param::named("SERVER", "The VPN server and its port, HOST:PORT.")
    .ask("Destination VPN Server Host Name and Port Number: ")
    .check(check::host_and_port);
const HUB: Param = Param::named("HUB", "The Virtual Hub on that server.")
    .ask("Destination Virtual Hub Name: ")
    .check(check::not_empty);
const NIC: Param = Param::named("NICNAME", "The virtual network adapter that the connection uses.")
    .ask("Used Virtual Network Adapter Name: ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccountList",
        title: "List the accounts of the client",
        help: "Lists the connections that the client service knows how to make, and whether they stand.",
        params: &[],
        scope: Scope::Client,
        run: list,
    },
    Command {
        name: "AccountCreate",
        title: "Make an account",
        help: "Makes a connection setting. It begins without a password; AccountPasswordSet or AccountCertSet gives it \
               a proof, AccountConnect connects it.",
        params: &[
            ACCOUNT,
            SERVER,
            HUB,
            Param::named("USERNAME", "The user on that hub.")
                .ask("Connecting User Name: ")
                .check(check::not_empty),
            NIC,
        ],
        scope: Scope::Client,
        run: create,
    },
    Command {
        name: "AccountSet",
        title: "Change where an account connects to",
        help: "Changes server and hub. A connection that stands stays as it is until it is made anew.",
        params: &[ACCOUNT, SERVER, HUB],
        scope: Scope::Client,
        run: set,
    },
    Command {
        name: "AccountGet",
        title: "Show an account",
        help: "Shows how an account connects. Passwords and keys are not shown.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: get,
    },
    Command {
        name: "AccountDelete",
        title: "Delete an account",
        help: "Deletes an account. One that is connected must be disconnected first.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: delete,
    },
    Command {
        name: "AccountRename",
        title: "Give an account another name",
        help: "Renames an account. One that is connected must be disconnected first.",
        params: &[
            Param::word("name", "The account.")
                .ask("Current Name: ")
                .check(check::not_empty),
            Param::named("NEW", "The new name.")
                .ask("New Name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: rename,
    },
    Command {
        name: "AccountNicSet",
        title: "Set the virtual network adapter of an account",
        help: "Sets the adapter that the account's frames come out of.",
        params: &[ACCOUNT, NIC],
        scope: Scope::Client,
        run: set_adapter,
    },
];

/// Which account a command line means.
pub(super) fn named(arguments: &Arguments) -> AccountName {
    AccountName {
        account_name: arguments.text("name").to_owned(),
    }
}

/// The account that a command line means.
pub(super) fn read(shell: &mut Shell, arguments: &Arguments) -> Outcome<Account> {
    shell.call_client::<GetAccount>(&named(arguments))
}

/// Reads an account, changes it and writes it back: the service has no smaller change (client RPC §2).
pub(super) fn change(
    shell: &mut Shell,
    arguments: &Arguments,
    change: impl FnOnce(&mut Account),
) -> Outcome<Account> {
    let mut account = read(shell, arguments)?;
    change(&mut account);
    write(shell, account)
}

/// Writes an account back, without what is the service's own.
pub(super) fn write(shell: &mut Shell, mut account: Account) -> Outcome<Account> {
    account.shortcut_key = [0; 20];
    (account.created, account.updated, account.last_connected) = (None, None, None);
    shell.call_client::<SetAccount>(&account)?;
    Ok(account)
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call_client::<EnumAccount>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "VPN Connection Setting Name",
        "Status",
        "VPN Server Hostname",
        "Virtual Hub",
        "Virtual Network Adapter Name",
    ]);
    for account in &list.accounts {
        let proxy = proxy_type(account.proxy_type);
        table.row([
            account.account_name.clone(),
            status(account).to_owned(),
            format!("{}:{} ({proxy})", account.server_name, account.port),
            account.hub_name.clone(),
            account.device_name.clone(),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn status(account: &AccountRow) -> &'static str {
    match (account.active, account.connected) {
        (false, _) => "Offline",
        (true, false) => "Connecting",
        (true, true) => "Connected",
    }
}

fn proxy_type(kind: ProxyType) -> &'static str {
    match kind {
        ProxyType::Direct => "Direct TCP/IP Connection",
        ProxyType::Http => "Connection via HTTP Proxy",
        ProxyType::Socks4 => "Connection via SOCKS4 Proxy",
        ProxyType::Socks5 => "Connection via SOCKS5 Proxy",
        ProxyType::Other(_) => "Unknown Protocol",
    }
}

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut option = ConnectionOption::usual();
    destination(&mut option, arguments);
    arguments.text("NICNAME").clone_into(&mut option.device_name);
    let auth = ConnectionAuth {
        username: arguments.text("USERNAME").to_owned(),
        ..ConnectionAuth::default()
    };
    shell.call_client::<CreateAccount>(&Account {
        account_name: arguments.text("name").to_owned(),
        option,
        auth,
        ..Account::default()
    })?;
    Ok(())
}

fn destination(option: &mut ConnectionOption, arguments: &Arguments) {
    // The check has read it once already.
    let (host, port) = text::parse_host(arguments.text("SERVER"), 0).unwrap_or_default();
    (option.hostname, option.port) = (host, u32::from(port));
    arguments.text("HUB").clone_into(&mut option.hub_name);
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |account| {
        destination(&mut account.option, arguments);
    })
    .map(drop)
}

fn set_adapter(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let name = arguments.text("NICNAME").to_owned();
    change(shell, arguments, |account| account.option.device_name = name).map(drop)
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call_client::<DeleteAccount>(&named(arguments))?;
    Ok(())
}

fn rename(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call_client::<RenameAccount>(&AccountRename {
        old_name: arguments.text("name").to_owned(),
        new_name: arguments.text("NEW").to_owned(),
    })?;
    Ok(())
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let account = read(shell, arguments)?;
    if shell.json(&without_secrets(account.clone())) {
        return Ok(());
    }
    let mut table = Table::items();
    table.item("VPN Connection Setting Name", account.account_name.as_str());
    show_destination(&mut table, &account.option);
    show_trust(&mut table, &account);
    table.item(
        "Device Name Used for Connection",
        account.option.device_name.as_str(),
    );
    show_auth(&mut table, &account.auth);
    show_option(&mut table, &account.option);
    shell.console.table(&table);
    Ok(())
}

/// What may be printed: nobody needs a password or a key on a screen.
fn without_secrets(mut account: Account) -> Account {
    account.option.proxy_password = Secret::default();
    account.auth.hashed_password = None;
    account.auth.plain_password = None;
    account.auth.client_k = None;
    account.shortcut_key = [0; 20];
    account
}

fn show_destination(table: &mut Table, option: &ConnectionOption) {
    table
        .item("Destination VPN Server Host Name", option.hostname.as_str())
        .item("Destination VPN Server Port Number", option.port.to_string())
        .item(
            "Destination VPN Server Virtual Hub Name",
            option.hub_name.as_str(),
        )
        .item("Proxy Server Type", proxy_type(option.proxy_type));
    if option.proxy_type != ProxyType::Direct {
        table
            .item("Proxy Server Host Name", option.proxy_name.as_str())
            .item("Proxy Server Port Number", option.proxy_port.to_string())
            .item("Proxy Server User Name", option.proxy_username.as_str());
    }
}

fn show_trust(table: &mut Table, account: &Account) {
    table.item(
        "Verify Server Certificate",
        text::enabled(account.check_server_cert),
    );
    if let Some(cert) = &account.server_cert {
        table.item(
            "Registered Server Individual Certificate",
            certificate::describe(cert),
        );
    }
    if account.check_server_cert {
        table.item(
            "Retry on Untrusted Server Certificate",
            text::enabled(account.retry_on_server_cert),
        );
    }
}

fn show_auth(table: &mut Table, auth: &ConnectionAuth) {
    let kind = match auth.auth_type {
        LinkAuthType::Anonymous => "Anonymous Authentication",
        LinkAuthType::Password => "Standard Password Authentication",
        LinkAuthType::PlainPassword => "RADIUS or NT Domain Authentication",
        LinkAuthType::Certificate => "Client Certificate Authentication",
        LinkAuthType::SmartCard => "Smart Card Authentication",
        LinkAuthType::OpensslEngine => "OpenSSL Engine Authentication",
        LinkAuthType::Other(_) => "Unknown Authentication",
    };
    table
        .item("Authentication Type", kind)
        .item("User Name", auth.username.as_str());
    if let Some(cert) = &auth.client_x {
        table.item(
            "Client Certificate for Authentication Use",
            certificate::describe(cert),
        );
    }
}

fn show_option(table: &mut Table, option: &ConnectionOption) {
    let life = match option.connection_disconnect_span {
        0 => "Infinite".to_owned(),
        seconds => seconds.to_string(),
    };
    table
        .item(
            "Number of TCP Connections to Use in VPN Communication",
            option.max_connection.to_string(),
        )
        .item(
            "Interval between Establishing Each TCP Connection",
            option.additional_connection_interval.to_string(),
        )
        .item("Connection Life of Each TCP Connection", life);
    for (name, value) in [
        ("Use Half Duplex Mode", option.half_connection),
        ("Encryption by SSL", option.use_encrypt),
        ("Data Compression", option.use_compress),
        (
            "Connect by Bridge / Router Mode",
            option.require_bridge_routing_mode,
        ),
        ("Connect by Monitoring Mode", option.require_monitor_mode),
        ("No Adjustment for Routing Table", option.no_routing_tracking),
        ("Do not Use QoS Control Function", option.disable_qos),
        ("Disable UDP Acceleration", option.no_udp_acceleration),
    ] {
        table.item(name, text::enabled(value));
    }
}
