//! Examples of commands, made of their rows: a value for each parameter that is asked for, and that passes its check.

use crate::{
    command::Command,
    params::{Param, unless_none},
};

/// What stands for a name, by the beginning of the command.
const NAMES: &[(&str, &str)] = &[
    ("Account", "work"),
    ("AdminOption", "max_users"),
    ("Cascade", "branch"),
    ("Config", "vpn_server.config"),
    ("Connection", "CID-7"),
    ("Dnat", "web"),
    ("ExtOption", "NoIpTable"),
    ("GroupUnjoin", "anna"),
    ("Group", "staff"),
    ("Hub", "office"),
    ("LogFile", "security_log/office/sec_20261123.log"),
    ("Nic", "vpn"),
    ("Policy", "MaxUpload"),
    ("Router", "core"),
    ("ServerCipher", "TLS_AES_256_GCM_SHA384"),
    ("Session", "SID-ANNA-7"),
    ("User", "anna"),
];

/// What stands for the other parameters, by their names; the first that passes the check.
const VALUES: &[(&str, &[&str])] = &[
    ("file", &["site.toml"]),
    ("cert", &["server.crt"]),
    ("key", &["server.key"]),
    ("id", &["1"]),
    ("port", &["5555"]),
    ("ports", &["1194,500"]),
    ("hubname", &["office"]),
    ("ip", &["192.168.30.50"]),
    ("max_session", &["100"]),
    ("allow|deny", &["deny"]),
    ("pass|discard", &["discard"]),
    ("security|packet", &["packet"]),
    ("1|2|3", &["3"]),
    ("server_name:port", &["radius.example.org:1812"]),
    ("CN", &["vpn.example.org"]),
    ("C", &["JP"]),
    ("DATA", &["yes"]),
    ("DELAY", &["0"]),
    ("DESTPORT", &["25"]),
    ("DEVICE", &["eth1"]),
    ("DOMAIN", &["office.example.org"]),
    ("DPORT", &["80"]),
    ("END", &["192.168.30.200"]),
    ("EXPIRE", &["7200"]),
    ("EXPIRES", &["2030/01/31 19:30:00", "365"]),
    ("GROUP", &["staff"]),
    ("GW", &["192.168.30.1"]),
    ("DNS", &["192.168.30.1"]),
    ("HOST", &["log.example.org:514"]),
    ("HUB", &["office"]),
    ("INTERVAL", &["30"]),
    ("IP", &["192.168.30.1", "203.0.113.0/24", "2001:db8::/32"]),
    ("JITTER", &["0"]),
    ("LOADCERT", &["anna.crt"]),
    ("LOADKEY", &["anna.key"]),
    ("LOG", &["yes"]),
    ("LOSS", &["0"]),
    ("MAC", &["5E-11-22-33-44-55"]),
    ("MASK", &["255.255.255.0"]),
    ("MAXTCP", &["8"]),
    ("MTU", &["1500"]),
    ("NAME", &["MaxUpload", "name"]),
    ("NEW", &["branch2"]),
    ("NEXTHOP", &["192.168.30.254"]),
    ("NETWORK", &["10.0.0.0/8", "10.0.0.0/255.0.0.0"]),
    ("METRIC", &["1"]),
    ("NICNAME", &["vpn"]),
    ("PRIORITY", &["100"]),
    ("PROTO", &["tcp"]),
    ("PROTOCOL", &["tcp"]),
    ("REALNAME", &["Anna Sander"]),
    ("RETRY_INTERVAL", &["1000"]),
    ("SAVE", &["header"]),
    ("SAVECERT", &["saved.crt"]),
    ("SAVEKEY", &["saved.key"]),
    ("SAVEPATH", &["copy.log"]),
    ("SERVER", &["vpn.example.org:443"]),
    ("SRCIP", &["192.168.30.0/24", "2001:db8::/32"]),
    ("DESTIP", &["0.0.0.0/0", "::/0"]),
    ("START", &["192.168.30.10"]),
    ("SWITCH", &["day"]),
    ("TCPTIMEOUT", &["1800"]),
    ("TO", &["10.0.1.26:80"]),
    ("TTL", &["0"]),
    ("TYPE", &["standard", "tcpconn"]),
    ("UDPTIMEOUT", &["60"]),
    ("USER", &["anna"]),
    ("USERNAME", &["anna"]),
    ("VALUE", &["1"]),
];

/// What a command needs though nobody is asked for it, because another parameter would do as well.
const ONE_OF: &[(&str, &str)] = &[("DhcpReserveAdd", "USER")];

/// A line that the command takes. Passwords are left out, to be asked for.
#[must_use]
pub fn of(command: &Command) -> String {
    let mut words = vec![command.name.to_owned()];
    for param in command.params.iter().filter(|param| param.secret.is_none()) {
        let needed = ONE_OF.contains(&(command.name, param.name));
        let wanted = param.prompt.is_some() || param.positional || needed;
        if let Some(value) = value(command, param).filter(|_| wanted) {
            words.push(if param.positional {
                value.to_owned()
            } else {
                format!("/{}:{value}", param.name)
            });
        }
    }
    crate::line::join(&words)
}

/// What stands for a parameter: its own value, nothing if it may be nothing, or anything that passes.
fn value(command: &Command, param: &Param) -> Option<&'static str> {
    let passes = |value: &&&str| (param.check)(unless_none(value)).is_ok();
    if ["name", "path"].contains(&param.name) {
        let own = NAMES.iter().find(|(start, _)| command.name.starts_with(start));
        let other = if param.name == "path" {
            "authority.crt"
        } else {
            "office"
        };
        return Some(own.map_or(other, |(_, name)| *name));
    }
    let own = VALUES.iter().find(|(name, _)| *name == param.name);
    let own = own.map_or(&[][..], |(_, values)| values);
    let others = [
        "none",
        "1",
        "yes",
        "192.168.30.1",
        "vpn.example.org:443",
        "10.0.0.0/8",
        "192.168.30.1/24",
        "2001:db8::/32",
        "5E-11-22-33-44-55",
        "2030/01/31 19:30:00",
        "tcp",
        "up",
        "0A0B0C",
    ];
    let any = own.iter().chain(&others).find(passes).copied();
    // Of a file that has to be there, only the name is shown.
    any.or_else(|| own.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        console::testing,
        params::{Given, Secret},
    };

    #[test]
    fn every_example_is_taken_by_its_command() {
        let mut wrong = Vec::new();
        for command in crate::completion::commands() {
            let line = of(command);
            let words = crate::line::words(&line);
            assert_eq!(words[0], command.name);
            let given = Given::parse(command.name, command.params, &words[1..])
                .unwrap_or_else(|failure| panic!("{line}: {failure}"));
            // Passwords are typed twice, and a secret that is known once: it is a key, of zeros here. A file that is not
            // there is asked for again until the input ends.
            let known = command
                .params
                .iter()
                .any(|param| param.secret == Some(Secret::Known));
            let key = format!("{}=", "A".repeat(43));
            let typed = if known { key.as_str() } else { "x" };
            let (mut console, screen) = testing::console(&format!("{typed}\n").repeat(8));
            let completed = given.complete(command.params, &mut console);
            let said = screen.text();
            if completed.is_err() && !said.contains("There is no file") {
                wrong.push(format!("{line}: {said}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
