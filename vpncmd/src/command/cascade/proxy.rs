//! The way of a cascade connection to its server: direct or through a proxy, and what an HTTP proxy is told.

use protocol::rpc::{Secret, cascade::ProxyType};

use super::{CASCADE, change, read, write};
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
        name: "CascadeProxyNone",
        title: "Have a cascade connect without a proxy",
        help: "The server is connected to directly.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.proxy_type = ProxyType::Direct),
    },
    Command {
        name: "CascadeProxyHttp",
        title: "Have a cascade connect through an HTTP proxy",
        help: "The proxy must let CONNECT through to the server's port.",
        params: &[CASCADE, PROXY, USERNAME, PASSWORD],
        scope: Scope::Hub,
        run: |shell, arguments| set_proxy(shell, arguments, ProxyType::Http),
    },
    Command {
        name: "CascadeProxySocks",
        title: "Have a cascade connect through a SOCKS4 proxy",
        help: "SOCKS4 knows user names and no passwords.",
        params: &[CASCADE, PROXY, USERNAME, PASSWORD],
        scope: Scope::Hub,
        run: |shell, arguments| set_proxy(shell, arguments, ProxyType::Socks4),
    },
    Command {
        name: "CascadeProxySocks5",
        title: "Have a cascade connect through a SOCKS5 proxy",
        help: "The user name and the password may be empty.",
        params: &[CASCADE, PROXY, USERNAME, PASSWORD],
        scope: Scope::Hub,
        run: |shell, arguments| set_proxy(shell, arguments, ProxyType::Socks5),
    },
    Command {
        name: "CascadeHttpHeaderAdd",
        title: "Tell the HTTP proxy of a cascade something more",
        help: "Adds a line to the header of the request that the proxy gets.",
        params: &[
            CASCADE,
            HEADER,
            Param::named("DATA", "The value, which stands behind the colon.")
                .ask("Value data (part after the colon): "),
        ],
        scope: Scope::Hub,
        run: add_header,
    },
    Command {
        name: "CascadeHttpHeaderDelete",
        title: "Tell the HTTP proxy of a cascade something less",
        help: "Takes the line with this name out of the header again. The other lines stay.",
        params: &[CASCADE, HEADER],
        scope: Scope::Hub,
        run: delete_header,
    },
    Command {
        name: "CascadeHttpHeaderGet",
        title: "List what the HTTP proxy of a cascade is told",
        help: "Lists the lines that are added to the header of the request.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| {
            let link = read(shell, arguments)?;
            http_header::list(shell, &link.custom_http_header);
            Ok(())
        },
    },
];

fn set_proxy(shell: &mut Shell, arguments: &Arguments, kind: ProxyType) -> Outcome {
    // The check has read it once already.
    let (host, port) = text::parse_host(arguments.text("SERVER"), 0).unwrap_or_default();
    change(shell, arguments, |link| {
        link.proxy_type = kind;
        (link.proxy_name, link.proxy_port) = (host, u32::from(port));
        arguments.text("USERNAME").clone_into(&mut link.proxy_username);
        link.proxy_password = Secret::new(arguments.text("PASSWORD").to_owned());
    })
}

fn add_header(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut link = read(shell, arguments)?;
    link.custom_http_header = http_header::add(
        &link.custom_http_header,
        arguments.text("NAME"),
        arguments.text("DATA"),
    )?;
    write(shell, &link)
}

fn delete_header(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |link| {
        link.custom_http_header = http_header::without(&link.custom_http_header, arguments.text("NAME"));
    })
}
