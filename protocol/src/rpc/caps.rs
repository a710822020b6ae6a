//! What a server can do, as clients ask before they offer a function (admin RPC §3).

use serde_json::{Map, Value};

use super::field::{Field, Group};
use super::manual::Member;
use super::message::message;
use super::{MessageError, RpcMessage, Subject};
use crate::pack::Pack;

message! {
    /// One ability or limit.
    pub struct Cap {
        /// `b_...` for abilities, `i_...` for limits; `b_suppport_push_route` and its like are spelt so.
        name: str "CapsName",
        /// 4,294,967,295 for a limit that is none.
        value: u32 "CapsValue",
        description: unistr "CapsDescrption",
    }
}

/// All abilities and limits. They travel twice: as arrays, and each as a number `caps_NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// In the server's order.
    pub caps: Vec<Cap>,
}

/// Stands before the names of the single numbers.
const PREFIX: &str = "caps_";

impl Caps {
    /// The limit, or 1 and 0 for an ability; `None` when the server does not know it.
    pub fn value(&self, name: &str) -> Option<u32> {
        self.caps
            .iter()
            .find(|cap| cap.name.eq_ignore_ascii_case(name))
            .map(|cap| cap.value)
    }

    /// Whether the server has the ability.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value != 0)
    }
}

impl RpcMessage for Caps {
    fn put_rows(rows: &[&Self], prefix: &str, pack: &mut Pack) {
        let tables: Vec<_> = rows.iter().map(|row| &row.caps).collect();
        Group::<Cap>::put(&tables, prefix, "CapsList", pack);
        for cap in tables.into_iter().flatten() {
            pack.set_int(&format!("{prefix}{PREFIX}{}", cap.name), cap.value);
        }
    }

    fn read_rows(pack: &Pack, prefix: &str, rows: usize) -> Result<Vec<Self>, MessageError> {
        let tables = Group::<Cap>::get(pack, prefix, "CapsList", rows)?;
        Ok(tables
            .into_iter()
            .map(|caps| Self {
                caps: if caps.is_empty() { single(pack) } else { caps },
            })
            .collect())
    }

    fn rows(pack: &Pack, prefix: &str) -> usize {
        Group::<Cap>::rows(pack, prefix, "CapsList")
    }

    fn put_members(&self, prefix: &str, object: &mut Map<String, Value>) {
        Group::<Cap>::put_json(&self.caps, prefix, "CapsList", object);
        for cap in &self.caps {
            object.insert(
                format!("{prefix}{PREFIX}{}_u32", cap.name),
                Value::from(cap.value),
            );
        }
    }

    fn from_members(object: &Map<String, Value>, prefix: &str) -> Result<Self, MessageError> {
        Ok(Self {
            caps: Group::<Cap>::get_json(object, prefix, "CapsList")?,
        })
    }

    fn note_subject(&self, _subject: &mut Subject) {}

    fn describe(prefix: &str, members: &mut Vec<Member>) {
        Group::<Cap>::describe(
            prefix,
            "CapsList",
            "Each is there once more, as `caps_NAME_u32`.",
            members,
        );
    }
}

/// The numbers alone, as servers older than the arrays send them.
fn single(pack: &Pack) -> Vec<Cap> {
    let names = pack.elements().filter_map(|(name, ..)| name.strip_prefix(PREFIX));
    let cap = |name: &str| Cap {
        name: name.to_owned(),
        value: pack.int_or_0(&format!("{PREFIX}{name}")),
        ..Cap::default()
    };
    names.map(cap).collect()
}
