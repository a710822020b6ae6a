//! One line of the audit log.

use std::time::SystemTime;

use protocol::error::ErrorCode;
use protocol::rpc::Timestamp;
use serde_json::{Map, Value};

/// Texts that others chose are cut after so many characters, so that a line has a length it cannot exceed.
const TEXT_CHARS: usize = 128;
/// No line is longer: six texts, each character escaped in six bytes at worst.
pub(super) const LINE_BYTES: u64 = 6 * 6 * TEXT_CHARS as u64 + 512;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number; later lines have higher ones.
    pub id: u64,
    /// When it was written.
    pub time: Timestamp,
    /// What it says.
    pub doing: Doing,
}

/// What somebody did or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doing {
    /// Who.
    pub who: Who,
    /// The address, or `local`.
    pub from: String,
    /// `local`, `rpc`, `json`, or `vpn` for what users do over the VPN protocol.
    pub transport: &'static str,
    /// The method, or `Login`.
    pub method: String,
    /// The hub it was about.
    pub hub: Option<String>,
    /// The object it was about.
    pub name: Option<String>,
    /// What came of it.
    pub result: Result<(), ErrorCode>,
    /// Lines of this kind that were left out before this one, because there were too many.
    pub left_out: u64,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The server's administrator.
    Server,
    /// The administrator of this hub.
    Hub(String),
    /// A user, for themselves.
    User(String),
    /// A program of ours on this machine, by its name.
    Tool(String),
    /// Somebody who was not let in.
    Stranger,
}

impl Who {
    /// The kind, and the name where the kind does not say it all.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Server => ("server", ""),
            Self::Hub(hub) => ("hub", hub),
            Self::User(user) => ("user", user),
            Self::Tool(tool) => ("tool", tool),
            Self::Stranger => ("stranger", ""),
        }
    }

    fn of(kind: &str, name: String) -> Self {
        match kind {
            "server" => Self::Server,
            "hub" => Self::Hub(name),
            "user" => Self::User(name),
            "tool" => Self::Tool(name),
            _ => Self::Stranger,
        }
    }
}

const TRANSPORTS: [&str; 4] = ["local", "rpc", "json", "vpn"];

impl Entry {
    pub(super) fn now(id: u64, doing: Doing) -> Self {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            id,
            time: Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            doing,
        }
    }

    /// The line with its end, as JSON in a fixed order.
    pub(super) fn to_line(&self) -> String {
        let doing = &self.doing;
        let (who, name_of_who) = doing.who.parts();
        let mut line = format!(
            "{{\"id\":{},\"time\":{},\"who\":{}",
            self.id,
            text(&self.time.to_json_text()),
            text(who)
        );
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                line += &format!(",\"{name}\":{}", text(value));
            }
        };
        add("as", name_of_who);
        add("from", &doing.from);
        add("transport", doing.transport);
        add("method", &doing.method);
        add("hub", doing.hub.as_deref().unwrap_or_default());
        add("name", doing.name.as_deref().unwrap_or_default());
        let result = doing.result.map_or_else(ErrorCode::code, |()| 0);
        line += &format!(",\"result\":{result}");
        if doing.left_out > 0 {
            line += &format!(",\"left_out\":{}", doing.left_out);
        }
        line + "}\n"
    }

    /// Reads a line; nothing where it is none, as after a crash.
    pub(super) fn from_line(line: &[u8]) -> Option<Self> {
        let object: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let owned = |name: &str| text(name).unwrap_or_default().to_owned();
        let transport = TRANSPORTS
            .into_iter()
            .find(|known| text("transport") == Some(known));
        Some(Self {
            id: number("id")?,
            time: Timestamp::from_json_text(text("time")?)?,
            doing: Doing {
                who: Who::of(text("who")?, owned("as")),
                from: owned("from"),
                transport: transport.unwrap_or_default(),
                method: owned("method"),
                hub: text("hub").map(str::to_owned),
                name: text("name").map(str::to_owned),
                result: match u32::try_from(number("result")?).ok()? {
                    0 => Ok(()),
                    code => Err(ErrorCode::from_code(code)),
                },
                left_out: number("left_out").unwrap_or_default(),
            },
        })
    }
}

fn text(text: &str) -> String {
    Value::from(text.chars().take(TEXT_CHARS).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            id: 17,
            time: Timestamp(1_900_000_000_123),
            doing: Doing {
                who: Who::Hub("lab".to_owned()),
                from: "203.0.113.9:4711".to_owned(),
                transport: "json",
                method: "CreateUser".to_owned(),
                hub: Some("lab".to_owned()),
                name: Some(name.to_owned()),
                result: Err(ErrorCode::UserExists),
                left_out: 0,
            },
        }
    }

    #[test]
    fn a_line_is_json_and_reads_back() {
        let line = entry("an\"n\n").to_line();
        assert_eq!(
            line,
            "{\"id\":17,\"time\":\"2030-03-17T17:46:40.123Z\",\"who\":\"hub\",\"as\":\"lab\",\"from\":\"203.0.113.9:4711\",\
             \"transport\":\"json\",\"method\":\"CreateUser\",\"hub\":\"lab\",\"name\":\"an\\\"n\\n\",\"result\":66}\n"
        );
        assert_eq!(
            Entry::from_line(line.trim_end().as_bytes()),
            Some(entry("an\"n\n"))
        );
        assert_eq!(Entry::from_line(&line.as_bytes()[..20]), None);
    }

    #[test]
    fn no_text_makes_a_line_longer_than_its_room() {
        let long = "\u{1}".repeat(10_000);
        let mut worst = entry(&long);
        worst.doing.who = Who::Hub(long.clone());
        worst.doing.from.clone_from(&long);
        worst.doing.method.clone_from(&long);
        worst.doing.hub = Some(long);
        (worst.id, worst.doing.left_out) = (u64::MAX, u64::MAX);
        assert!(
            worst.to_line().len() as u64 <= LINE_BYTES,
            "{}",
            worst.to_line().len()
        );
    }
}
