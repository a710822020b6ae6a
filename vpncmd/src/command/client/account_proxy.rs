//! The way of an account to its server: direct or through a proxy, and what an HTTP proxy is told.

use protocol::{
    error::ErrorCode,
    rpc::{Secret, cascade::ProxyType},
};

use super::{ACCOUNT, account};
use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
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

/// The lines of a header, without those that say nothing.
fn lines(header: &str) -> impl Iterator<Item = &str> {
    header.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Whether a line gives the value of this name.
fn is_named(line: &str, name: &str) -> bool {
    let (known, _) = line.split_once(':').unwrap_or((line, ""));
    known.trim().eq_ignore_ascii_case(name.trim())
}

fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line, "\r\n"]).collect()
}

fn add_header(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let (name, data) = (arguments.text("NAME"), arguments.text("DATA"));
    // A line break in a value would be a line of its own.
    if name.contains(['\r', '\n', ':']) || data.contains(['\r', '\n']) {
        return Err(ErrorCode::InvalidParameter.into());
    }
    let mut account = account::read(shell, arguments)?;
    let header = &account.option.custom_http_header;
    if lines(header).any(|line| is_named(line, name)) {
        return Err(ErrorCode::ObjectExists.into());
    }
    let line = format!("{}: {}", name.trim(), data.trim());
    account.option.custom_http_header = joined(lines(header).chain([line.as_str()]));
    account::write(shell, account).map(drop)
}

fn delete_header(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let name = arguments.text("NAME");
    account::change(shell, arguments, |account| {
        let header = &mut account.option.custom_http_header;
        *header = joined(lines(header).filter(|line| !is_named(line, name)));
    })
    .map(drop)
}

fn list_headers(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let account = account::read(shell, arguments)?;
    let header = account.option.custom_http_header;
    if shell.console.style.json {
        let lines: Vec<&str> = lines(&header).collect();
        shell
            .console
            .json(&serde_json::json!({ "CustomHttpHeader": lines }));
        return Ok(());
    }
    let mut table = Table::new(&["Item"]);
    for line in lines(&header) {
        table.row([line]);
    }
    shell.console.table(&table);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_a_header_goes_and_the_others_stay() {
        let header = "X-A: 1\r\nX-B: 2\r\n\r\n";
        let kept = joined(lines(header).filter(|line| !is_named(line, "x-a")));
        assert_eq!(kept, "X-B: 2\r\n");
        assert!(!is_named("X-AB: 1", "X-A"));
    }
}
