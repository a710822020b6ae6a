//! A server's state as a file that `Apply` reads. Passwords are not in it: servers keep them, or should.

use std::fmt::Write as _;

use protocol::rpc::{group::Group, user::User};

use crate::{
    calendar::Calendar,
    command::certificate,
    declare::{
        model::{Observed, ObservedHub},
        rule,
        value::{Key, Object, Value},
    },
};
use protocol::policy::TABLE;

/// The file.
#[must_use]
pub fn document(observed: &Observed) -> String {
    let mut out = String::from(
        "# The state of a server, for vpncmd HOST apply. Passwords are left out: those that exist stay as they are,\n\
         # and a user who is new on a server needs one, as in password = { file = \"NAME\" }.\n",
    );
    if !observed.listeners.is_empty() {
        let ports: Vec<String> = observed
            .listeners
            .iter()
            .filter(|row| row.enabled)
            .map(|row| row.port.to_string())
            .collect();
        let _ = writeln!(out, "\nlisteners = [{}]", ports.join(", "));
    }
    for bridge in &observed.bridges {
        let _ = write!(
            out,
            "\n[[bridges]]\nhub = {}\ndevice = {}\ntap = {}\n",
            quoted(&bridge.hub_name),
            quoted(&bridge.device_name),
            bridge.tap_mode
        );
        if let Some(address) = &bridge.host_address {
            let _ = writeln!(out, "ip = {}", quoted(address));
        }
    }
    for host in &observed.dnat {
        let _ = writeln!(out, "\n[dnat.{}]", key(&host.name));
        object(&mut out, host);
    }
    for observed in &observed.hubs {
        hub(&mut out, observed);
    }
    out
}

fn hub(out: &mut String, hub: &ObservedHub) {
    let name = format!("hubs.{}", key(&hub.settings.hub_name));
    let _ = writeln!(out, "\n[{name}]");
    object(out, &hub.settings);
    let _ = writeln!(out, "message = {}", quoted(&hub.message));
    for (table, options) in [("options", &hub.options), ("admin-options", &hub.admin_options)] {
        if options.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n[{name}.{table}]");
        for option in options {
            let _ = writeln!(out, "{} = {}", key(&option.name), option.value);
        }
    }
    if !hub.radius.radius_server_name.is_empty() {
        let _ = writeln!(out, "\n[{name}.radius]");
        object(out, &hub.radius);
    }
    let _ = writeln!(out, "\n[{name}.secure-nat]");
    object(out, &hub.secure_nat);
    if let Some(ipv6) = &hub.ipv6 {
        let _ = writeln!(out, "\n[{name}.ipv6]");
        object(out, ipv6);
    }
    for group in &hub.groups {
        let _ = writeln!(out, "\n[{name}.groups.{}]", key(&group.name));
        object::<Group>(out, group);
    }
    for user in &hub.users {
        let _ = writeln!(out, "\n[{name}.users.{}]", key(&user.name));
        object::<User>(out, user);
    }
    for source in &hub.sources {
        let _ = writeln!(out, "\n[[{name}.sources]]");
        object(out, source);
    }
    for access in &hub.access {
        let _ = writeln!(out, "\n[[{name}.access]]");
        object(out, &rule::meant(access));
    }
}

/// The keys of an object that say something.
fn object<T: Object>(out: &mut String, object: &T) {
    for field in T::FIELDS {
        if let Some(value) = toml(&field.get(object)) {
            let _ = writeln!(out, "{} = {value}", field.key);
        }
    }
    if object.policy().is_none() {
        return;
    }
    let policies = TABLE.iter().filter_map(|row| {
        let value = toml(&Key::<T>::Policy(row).get(object))?;
        Some(format!("{} = {value}", row.name))
    });
    let _ = writeln!(out, "policy = {{ {} }}", policies.collect::<Vec<_>>().join(", "));
}

/// A value as TOML; `None` for nothing.
fn toml(value: &Value) -> Option<String> {
    Some(match value {
        Value::Flag(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) if text.is_empty() => return None,
        Value::Text(text) => quoted(text),
        Value::List(list) => {
            let list: Vec<String> = list.iter().map(|text| quoted(text)).collect();
            format!("[{}]", list.join(", "))
        }
        Value::Ports(0, 0) | Value::Nothing => return None,
        Value::Ports(first, last) if first == last => first.to_string(),
        Value::Ports(first, last) => format!("\"{first}-{last}\""),
        Value::Time(time) => Calendar::toml(*time)?,
        Value::Certificate(der) if der.is_empty() => return None,
        Value::Certificate(der) => format!("'''\n{}'''", certificate::pem("CERTIFICATE", der)),
    })
}

/// A bare key where TOML allows one, else a quoted one.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
