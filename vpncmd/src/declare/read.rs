//! From a TOML file to a declaration. Every mistake is told with its line; none is guessed around.

use std::{
    collections::HashSet,
    fs,
    ops::Range,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use protocol::{
    policy::TABLE,
    rpc::{
        access::SourceRule, bridge::LocalBridge, dnat::Dnat, hub::HubSettings, option::HubOption, user::User,
    },
};
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};
use zeroize::Zeroizing;

use crate::{
    calendar::Calendar,
    command::certificate,
    declare::{
        model::{At, Declaration, DeclaredHub, DeclaredUser, Named, Password, folded},
        rule,
        value::{Access, Declared, Key, Object, Setting, Value},
    },
    failure::{Failure, Outcome},
    matching, network,
};

/// Something that cannot be as the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub text: String,
}

/// All mistakes as one failure: `FILE:LINE: what is wrong`.
#[must_use]
pub fn failure(path: &Path, mistakes: &[Mistake]) -> Failure {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("{}:{}: {}.", path.display(), mistake.line, mistake.text))
        .collect();
    Failure::Invalid(format!("{}\nNothing has been changed.", lines.join("\n")))
}

/// Reads a declaration from a file.
///
/// # Errors
/// The file cannot be read, or holds mistakes.
pub fn file(path: &Path, calendar: &Calendar) -> Outcome<Declaration> {
    let wrong = |error: std::io::Error| Failure::Local(format!("Cannot read {}: {error}.", path.display()));
    let text = Zeroizing::new(fs::read_to_string(path).map_err(wrong)?);
    let mode = fs::metadata(path).map_err(wrong)?.permissions().mode();
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let private = mode & 0o077 == 0;
    declaration(&text, &folder, private, calendar).map_err(|mistakes| failure(path, &mistakes))
}

/// Reads a declaration from a text. Names of files in it are relative to `folder`; passwords may stand in it when it
/// is `private`.
///
/// # Errors
/// Its mistakes.
pub fn declaration(
    text: &str,
    folder: &Path,
    private: bool,
    calendar: &Calendar,
) -> Result<Declaration, Vec<Mistake>> {
    let mut reader = Reader {
        lines: text.match_indices('\n').map(|(at, _)| at).collect(),
        folder: folder.to_path_buf(),
        private,
        calendar: calendar.clone(),
        mistakes: Vec::new(),
    };
    let declaration = match DeTable::parse(text) {
        Ok(table) => reader.declaration(table.get_ref()),
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            reader.mistake(
                &at,
                format!("not TOML: {}", error.message().trim_end_matches('.')),
            );
            Declaration::default()
        }
    };
    if reader.mistakes.is_empty() {
        return Ok(declaration);
    }
    reader.mistakes.sort_by_key(|mistake| mistake.line);
    Err(reader.mistakes)
}

type Item<'a> = Spanned<DeValue<'a>>;

/// The entries of a table as the file has them.
fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t Spanned<DeString<'a>>, &'t Item<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

struct Reader {
    /// Where lines end.
    lines: Vec<usize>,
    folder: PathBuf,
    private: bool,
    calendar: Calendar,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn line(&self, at: &Range<usize>) -> usize {
        1 + self.lines.partition_point(|end| *end < at.start)
    }

    fn mistake(&mut self, at: &Range<usize>, text: String) {
        let line = self.line(at);
        self.mistakes.push(Mistake { line, text });
    }

    fn wants(&mut self, item: &Item<'_>, key: &str, wanted: &str) {
        self.mistake(&item.span(), format!("{key} is {wanted}"));
    }

    fn declaration(&mut self, table: &DeTable<'_>) -> Declaration {
        self.known(table, "", &["exclusive", "listeners", "bridges", "dnat", "hubs"]);
        Declaration {
            exclusive: self.flag(table, "exclusive"),
            listeners: table.get("listeners").map(|item| self.listeners(item)),
            bridges: table.get("bridges").map(|item| self.bridges(item)),
            dnat: table.get("dnat").map(|item| {
                let rules = self.named(item, "dnat", &[]);
                let mut rules: Vec<Named<Dnat>> = rules.into_iter().map(|(named, _)| named).collect();
                for rule in &mut rules {
                    self.required(&rule.object, &rule.name, &["protocol", "port", "to"]);
                }
                rules
            }),
            hubs: table.get("hubs").map(|item| self.hubs(item)),
        }
    }

    /// Every key of a table must be one of these.
    fn known(&mut self, table: &DeTable<'_>, at: &str, keys: &[&str]) {
        for (key, _) in table
            .iter()
            .filter(|(key, _)| !keys.contains(&key.get_ref().as_ref()))
        {
            let place = if at.is_empty() {
                "here".to_owned()
            } else {
                format!("in {at}")
            };
            let name = key.get_ref();
            let hint = match matching::nearest(name, keys) {
                Some(near) => format!("; did you mean \"{near}\"?"),
                None => format!("; there are {}", keys.join(", ")),
            };
            self.mistake(&key.span(), format!("unknown key \"{name}\" {place}{hint}"));
        }
    }

    fn table<'t, 'a>(&mut self, item: &'t Item<'a>, at: &str) -> Option<&'t DeTable<'a>> {
        let table = item.get_ref().as_table();
        if table.is_none() {
            self.wants(item, at, "a table");
        }
        table
    }

    fn flag(&mut self, table: &DeTable<'_>, key: &str) -> bool {
        match table.get(key) {
            None => false,
            Some(item) => item.get_ref().as_bool().unwrap_or_else(|| {
                self.wants(item, key, "true or false");
                false
            }),
        }
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let item = table.get(key)?;
        let text = item.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wants(item, key, "a text in quotes");
        }
        text
    }

    fn items<'t, 'a>(&mut self, item: &'t Item<'a>, key: &str) -> &'t [Item<'a>] {
        match item.get_ref().as_array() {
            Some(array) => array,
            None => {
                self.wants(item, key, "a list");
                &[]
            }
        }
    }

    fn number(item: &Item<'_>) -> Option<u32> {
        let integer = item.get_ref().as_integer()?;
        u32::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn listeners(&mut self, item: &Item<'_>) -> Vec<At<u32>> {
        let mut ports = Vec::new();
        for item in self.items(item, "listeners") {
            match Self::number(item).filter(|port| (1..=65_535).contains(port)) {
                Some(port) if ports.iter().any(|At { item, .. }| *item == port) => {
                    self.mistake(&item.span(), format!("port {port} is declared twice"));
                }
                Some(port) => ports.push(At {
                    item: port,
                    line: self.line(&item.span()),
                }),
                None => self.wants(item, "listeners", "a list of ports from 1 to 65535"),
            }
        }
        ports
    }

    fn bridges(&mut self, item: &Item<'_>) -> Vec<At<LocalBridge>> {
        let mut bridges = Vec::new();
        for item in self.items(item, "bridges") {
            let Some(table) = self.table(item, "bridges") else {
                continue;
            };
            self.known(table, "bridges", &["hub", "device", "tap", "ip"]);
            let (hub, device) = (self.text(table, "hub"), self.text(table, "device"));
            let tap_mode = self.flag(table, "tap");
            let host_address = self.text(table, "ip");
            if host_address
                .as_deref()
                .is_some_and(|text| !tap_mode || !network::is_host_address(text))
            {
                self.mistake(
                    &item.span(),
                    "ip is the server's address on a TAP device (tap = true), such as \"192.168.30.1/24\""
                        .to_owned(),
                );
            }
            match (hub, device) {
                (Some(hub_name), Some(device_name)) => bridges.push(At {
                    item: LocalBridge {
                        device_name,
                        hub_name,
                        tap_mode,
                        host_address,
                        advice: None,
                    },
                    line: self.line(&item.span()),
                }),
                _ => self.mistake(&item.span(), "a bridge needs a hub and a device".to_owned()),
            }
        }
        bridges
    }

    /// A table of tables: what each name stands for. `extra` are keys of which the caller takes care.
    fn named<'t, 'a, T: Object>(
        &mut self,
        item: &'t Item<'a>,
        at: &str,
        extra: &[&str],
    ) -> Vec<(Named<T>, &'t DeTable<'a>)> {
        let mut all: Vec<(Named<T>, &DeTable<'_>)> = Vec::new();
        let mut names = HashSet::new();
        let Some(table) = self.table(item, at) else {
            return all;
        };
        for (key, item) in in_order(table) {
            let name = key.get_ref().to_string();
            if !names.insert(folded(&name)) {
                self.mistake(&key.span(), format!("{name} is declared twice in {at}"));
            }
            let place = format!("{at}.{name}");
            let Some(table) = self.table(item, &place) else {
                continue;
            };
            let object = Declared {
                line: self.line(&key.span()),
                ..self.object(table, &place, extra)
            };
            all.push((Named { name, object }, table));
        }
        all
    }

    /// The keys of one object, in the order of its table.
    fn object<T: Object>(&mut self, table: &DeTable<'_>, at: &str, extra: &[&str]) -> Declared<T> {
        let mut keys: Vec<&str> = T::FIELDS.iter().map(|field| field.key).collect();
        let mut scratch = T::default();
        if scratch.policy_mut().is_some() {
            keys.push("policy");
        }
        keys.extend(extra);
        self.known(table, at, &keys);
        let mut declared = Declared::default();
        for field in T::FIELDS {
            let Some(item) = table.get(field.key) else {
                continue;
            };
            if let Some(value) = self.value(item, &field.access, field.key, field.wants()) {
                self.setting(&mut declared, &mut scratch, Key::Field(field), value, item);
            }
        }
        if let Some(item) = table.get("policy").filter(|_| scratch.policy_mut().is_some()) {
            self.policy(item, &mut declared, &mut scratch);
        }
        declared
    }

    /// Keeps a setting if an object takes it.
    fn setting<T: Object>(
        &mut self,
        declared: &mut Declared<T>,
        scratch: &mut T,
        key: Key<T>,
        value: Value,
        item: &Item<'_>,
    ) {
        match key.set(scratch, &value) {
            Ok(()) => declared.settings.push(Setting {
                key,
                value,
                line: self.line(&item.span()),
            }),
            Err(wanted) => self.wants(item, &key.name(), &wanted),
        }
    }

    fn policy<T: Object>(&mut self, item: &Item<'_>, declared: &mut Declared<T>, scratch: &mut T) {
        if item.get_ref().as_str() == Some("none") {
            return self.setting(declared, scratch, Key::NoPolicy, Value::Nothing, item);
        }
        let Some(table) = item.get_ref().as_table() else {
            return self.wants(item, "policy", "a table of policies, or \"none\"");
        };
        let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        self.known(table, "policy", &names);
        for row in TABLE {
            let Some(item) = table.get(row.name) else { continue };
            let value = match item.get_ref() {
                DeValue::Boolean(flag) => Some(Value::Flag(*flag)),
                _ => Self::number(item).map(Value::Number),
            };
            let key = Key::Policy(row);
            match value {
                Some(value) => self.setting(declared, scratch, key, value, item),
                None => self.wants(
                    item,
                    &key.name(),
                    "true, false or a number; PolicyList shows which",
                ),
            }
        }
    }

    fn value<T>(&mut self, item: &Item<'_>, access: &Access<T>, key: &str, wanted: &str) -> Option<Value> {
        let value = item.get_ref();
        let read = match access {
            Access::Flag(..) => value.as_bool().map(Value::Flag),
            Access::Number(..) => Self::number(item).map(Value::Number),
            Access::Text(..) => value.as_str().map(|text| Value::Text(text.to_owned())),
            Access::List(..) => value
                .as_array()
                .and_then(|array| {
                    let texts = array
                        .iter()
                        .map(|item| item.get_ref().as_str().map(str::to_owned));
                    texts.collect::<Option<Vec<_>>>()
                })
                .map(Value::List),
            Access::Ports(..) => Self::ports(item),
            Access::Time(..) => self.time(item),
            Access::Certificate(..) => return self.certificate(item, key, wanted),
        };
        if read.is_none() {
            self.wants(item, key, wanted);
        }
        read
    }

    fn ports(item: &Item<'_>) -> Option<Value> {
        let port = |text: &str| {
            text.trim()
                .parse::<u16>()
                .ok()
                .filter(|port| *port != 0)
                .map(u32::from)
        };
        if item.get_ref().is_integer() {
            let port = Self::number(item).filter(|port| *port <= 65_535)?;
            return Some(Value::Ports(port, port));
        }
        let (first, last) = item.get_ref().as_str()?.split_once('-')?;
        let (first, last) = (port(first)?, port(last)?);
        (first <= last).then_some(Value::Ports(first, last))
    }

    /// A date and time with its zone, or in this machine's.
    fn time(&self, item: &Item<'_>) -> Option<Value> {
        use protocol::rpc::Timestamp;
        if item.get_ref().as_str() == Some("never") {
            return Some(Value::Time(Timestamp::NONE));
        }
        let text = item.get_ref().as_datetime()?.to_string();
        let time = self.calendar.parse_toml(&text)?;
        Some(Value::Time(time))
    }

    fn certificate(&mut self, item: &Item<'_>, key: &str, wanted: &str) -> Option<Value> {
        let Some(text) = item.get_ref().as_str() else {
            self.wants(item, key, wanted);
            return None;
        };
        let read = if text.trim_start().starts_with("-----BEGIN") {
            certificate::from_pem(text.as_bytes())
                .ok_or_else(|| Failure::Invalid(format!("{key} holds no certificate.")))
        } else {
            certificate::load(&self.folder.join(text).to_string_lossy())
        };
        match read {
            Ok(der) => Some(Value::Certificate(der)),
            Err(failure) => {
                let text = failure.to_string();
                self.mistake(&item.span(), text.trim_end_matches('.').to_owned());
                None
            }
        }
    }

    fn required<T: Object>(&mut self, object: &Declared<T>, name: &str, keys: &[&str]) {
        for key in keys.iter().filter(|key| object.setting(key).is_none()) {
            self.mistakes.push(Mistake {
                line: object.line,
                text: format!("{name} needs \"{key}\""),
            });
        }
    }

    fn hubs(&mut self, item: &Item<'_>) -> Vec<DeclaredHub> {
        const PARTS: &[&str] = &[
            "exclusive",
            "password",
            "message",
            "options",
            "admin-options",
            "groups",
            "users",
            "access",
            "sources",
            "radius",
            "secure-nat",
            "ipv6",
        ];
        let hubs = self.named::<HubSettings>(item, "hubs", PARTS);
        hubs.into_iter()
            .map(|(named, table)| self.hub(named, table))
            .collect()
    }

    fn hub(&mut self, named: Named<HubSettings>, table: &DeTable<'_>) -> DeclaredHub {
        let Named { name, object } = named;
        let at = |part: &str| format!("hubs.{name}.{part}");
        DeclaredHub {
            exclusive: self.flag(table, "exclusive"),
            object,
            password: table.get("password").and_then(|item| self.password(item)),
            message: self.text(table, "message"),
            options: self.options(table, "options"),
            admin_options: self.options(table, "admin-options"),
            groups: table.get("groups").map(|item| {
                let groups = self.named(item, &at("groups"), &[]);
                groups.into_iter().map(|(named, _)| named).collect()
            }),
            users: table.get("users").map(|item| self.users(item, &at("users"))),
            access: table
                .get("access")
                .map(|item| self.rules(item, &at("access"), &rule::blank(), &["action", "priority"])),
            sources: table.get("sources").map(|item| {
                self.rules(
                    item,
                    &at("sources"),
                    &SourceRule::default(),
                    &["action", "priority", "from"],
                )
            }),
            radius: table.get("radius").and_then(|item| {
                let table = self.table(item, &at("radius"))?;
                Some(self.object(table, &at("radius"), &["secret"]))
            }),
            radius_secret: table
                .get("radius")
                .and_then(|item| item.get_ref().as_table()?.get("secret"))
                .and_then(|item| self.password(item)),
            secure_nat: table.get("secure-nat").and_then(|item| {
                let table = self.table(item, &at("secure-nat"))?;
                Some(self.object(table, &at("secure-nat"), &[]))
            }),
            ipv6: table.get("ipv6").and_then(|item| {
                let table = self.table(item, &at("ipv6"))?;
                Some(self.object(table, &at("ipv6"), &[]))
            }),
            name,
        }
    }

    fn options(&mut self, table: &DeTable<'_>, key: &str) -> Vec<At<HubOption>> {
        let mut options = Vec::new();
        let Some(table) = table.get(key).and_then(|item| self.table(item, key)) else {
            return options;
        };
        for (name, item) in in_order(table) {
            let value = match item.get_ref() {
                DeValue::Boolean(flag) => Some(u32::from(*flag)),
                _ => Self::number(item),
            };
            match value {
                Some(value) => options.push(At {
                    item: HubOption {
                        name: name.get_ref().to_string(),
                        value,
                        ..HubOption::default()
                    },
                    line: self.line(&name.span()),
                }),
                None => self.wants(item, name.get_ref(), "a number, true or false"),
            }
        }
        options
    }

    fn users(&mut self, item: &Item<'_>, at: &str) -> Vec<DeclaredUser> {
        let users = self.named::<User>(item, at, &["password"]);
        let mut all = Vec::new();
        for (Named { name, mut object }, table) in users {
            let password = table.get("password").and_then(|item| self.password(item));
            self.proof(&name, &mut object, password.as_ref());
            all.push(DeclaredUser {
                name,
                object,
                password,
            });
        }
        all
    }

    /// A password or a certificate says how a user logs in; what says something else is a mistake.
    fn proof(&mut self, name: &str, object: &mut Declared<User>, password: Option<&Password>) {
        let line_of = |object: &Declared<User>, key: &str| object.setting(key).map(|setting| setting.line);
        let implied = [
            ("password", password.map(|password| password.line)),
            ("certificate", line_of(object, "certificate")),
        ];
        for (way, line) in implied {
            let Some(line) = line else { continue };
            if object.setting("auth").is_none() {
                let Some(field) = User::FIELDS.iter().find(|field| field.key == "auth") else {
                    continue;
                };
                let setting = Setting {
                    key: Key::Field(field),
                    value: Value::Text(way.to_owned()),
                    line,
                };
                object.settings.insert(0, setting);
            }
        }
        let way = object.setting("auth").map(|setting| setting.value.to_string());
        for (key, line, ways) in [
            (
                "password",
                password.map(|password| password.line),
                &["password"][..],
            ),
            ("certificate", line_of(object, "certificate"), &["certificate"]),
            ("common-name", line_of(object, "common-name"), &["signed"]),
            ("serial", line_of(object, "serial"), &["signed"]),
            ("alias", line_of(object, "alias"), &["radius", "nt-domain"]),
        ] {
            let fits = way.as_deref().is_some_and(|way| ways.contains(&way));
            if let Some(line) = line.filter(|_| !fits) {
                let ways = ways.join("\" or \"");
                let text = format!("{key} of user {name} goes with auth = \"{ways}\"");
                self.mistakes.push(Mistake { line, text });
            }
        }
    }

    /// `{ file = "..." }`, `{ env = "..." }`, or the password itself in a file that nobody else can read.
    fn password(&mut self, item: &Item<'_>) -> Option<Password> {
        let line = self.line(&item.span());
        let text = if let Some(text) = item.get_ref().as_str() {
            if !self.private {
                let text = "a password stands here, and others can read this file: chmod 600, \
                            or { file = \"...\" }, or { env = \"...\" }";
                self.mistake(&item.span(), text.to_owned());
                return None;
            }
            Zeroizing::new(text.to_owned())
        } else if let Some(table) = item.get_ref().as_table() {
            self.known(table, "password", &["file", "env"]);
            match (self.text(table, "file"), self.text(table, "env")) {
                (Some(name), None) => self.password_file(item, &name)?,
                (None, Some(name)) => match std::env::var(&name) {
                    Ok(text) => Zeroizing::new(text),
                    Err(_) => {
                        self.mistake(&item.span(), format!("the environment has no variable {name}"));
                        return None;
                    }
                },
                _ => {
                    self.wants(item, "password", "{ file = \"...\" } or { env = \"...\" }");
                    return None;
                }
            }
        } else {
            self.wants(
                item,
                "password",
                "a text, { file = \"...\" } or { env = \"...\" }",
            );
            return None;
        };
        Some(At { item: text, line })
    }

    /// The first line of a file.
    fn password_file(&mut self, item: &Item<'_>, name: &str) -> Option<Zeroizing<String>> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
            }
            Err(error) => {
                self.mistake(&item.span(), format!("cannot read {}: {error}", path.display()));
                None
            }
        }
    }

    /// A list of rules, each with what is required.
    fn rules<T: Object>(&mut self, item: &Item<'_>, at: &str, blank: &T, required: &[&str]) -> Vec<T> {
        let mut rules = Vec::new();
        for item in self.items(item, at) {
            let Some(table) = self.table(item, at) else {
                continue;
            };
            let declared = Declared {
                line: self.line(&item.span()),
                ..self.object::<T>(table, at, &[])
            };
            self.required(&declared, at, required);
            rules.extend(declared.applied_to(blank));
        }
        rules
    }
}
