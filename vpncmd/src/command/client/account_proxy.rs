//! The way of an account to its server: direct or through a proxy, and what an HTTP proxy is told.

use protocol::rpc::{Secret, cascade::ProxyType};

use super::{ACCOUNT, account};
use crate::{
    check,
    command::{Command, Scope, http_header},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    text,
};

const PROXY: Param = Param::named("SERVER", "The proxy and its port, HOST:PORT.")
    .ask("Proxy Server Host Name and Port Number: ")
    .check(check::host_and_port);
const USERNAME: Param = Param::named("USERNAME", "The user, for proxies that ask.");
const PASSWORD: Param = Param {
    prompt: None,
    ..Param::named("PASSWORD", "The password, for proxies that ask.").secret()
};
const HEADER: Param = Param::named("NAME", "The name of the value, which stands before the colon.")
    .ask("Value name (part before the colon): ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccountProxyNone",
        title: "Have an account connect without a proxy",
        help: "The server is connected to directly.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| {
            account::change(shell, arguments, |account| {
                account.option.proxy_type = ProxyType::Direct;
            })
            .map(drop)
        },
    },
    Command {
        name: "AccountProxyHttp",
        title: "Have an account connect through an HTTP proxy",
        help: "The proxy must let CONNECT through to the server's port.",
        params: &[ACCOUNT, PROXY, USERNAME, PASSWORD],
        scope: Scope::Client,
        run: |shell, arguments| set_proxy(shell, arguments, ProxyType::Http),
    },
    Command {
        name: "AccountProxySocks",
        title: "Have an account connect through a SOCKS4 proxy",
        help: "SOCKS4 knows user names and no passwords.",
        params: &[ACCOUNT, PROXY, USERNAME, PASSWORD],
        scope: Scope::Client,
        run: |shell, arguments| set_proxy(shell, arguments, ProxyType::Socks4),
    },
    Command {
        name: "AccountProxySocks5",
        title: "Have an account connect through a SOCKS5 proxy",
        help: "The user name and the password may be empty.",
        params: &[
            ACCOUNT,
            PROXY,
            USERNAME.ask("User name for the proxy: "),
            Param {
                prompt: Some("Password: "),
                ..PASSWORD
            },
        ],
        scope: Scope::Client,
        run: |shell, arguments| set_proxy(shell, arguments, ProxyType::Socks5),
    },
    Command {
        name: "AccountHttpHeaderAdd",
        title: "Tell the HTTP proxy of an account something more",
        help: "Adds a line to the header of the request that the proxy gets.",
        params: &[
            ACCOUNT,
            HEADER,
            Param::named("DATA", "The value, which stands behind the colon.")
                .ask("Value data (part after the colon): "),
        ],
        scope: Scope::Client,
        run: add_header,
    },
    Command {
        name: "AccountHttpHeaderDelete",
        title: "Tell the HTTP proxy of an account something less",
        help: "Takes the line with this name out of the header again. The other lines stay.",
        params: &[ACCOUNT, HEADER],
        scope: Scope::Client,
        run: delete_header,
    },
    Command {
        name: "AccountHttpHeaderGet",
        title: "List what the HTTP proxy of an account is told",
        help: "Lists the lines that are added to the header of the request.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: list_headers,
    },
];

fn set_proxy(shell: &mut Shell, arguments: &Arguments, kind: ProxyType) -> Outcome {
    // The check has read it once already.
    let (host, port) = text::parse_host(arguments.text("SERVER"), 0).unwrap_or_default();
    account::change(shell, arguments, |account| {
        let option = &mut account.option;
        option.proxy_type = kind;
        (option.proxy_name, option.proxy_port) = (host, u32::from(port));
        arguments.text("USERNAME").clone_into(&mut option.proxy_username);
        option.proxy_password = Secret::new(arguments.text("PASSWORD").to_owned());
    })
    .map(drop)
}

fn add_header(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut account = account::read(shell, arguments)?;
    account.option.custom_http_header = http_header::add(
        &account.option.custom_http_header,
        arguments.text("NAME"),
        arguments.text("DATA"),
    )?;
    account::write(shell, account).map(drop)
}

fn delete_header(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    account::change(shell, arguments, |account| {
        let header = &mut account.option.custom_http_header;
        *header = http_header::without(header, arguments.text("NAME"));
    })
    .map(drop)
}

fn list_headers(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let account = account::read(shell, arguments)?;
    http_header::list(shell, &account.option.custom_http_header);
    Ok(())
}
