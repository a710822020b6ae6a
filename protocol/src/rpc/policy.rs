//! Session policies inside messages: the elements `policy:NAME` of [`crate::policy`].

use serde_json::{Map, Value};

use super::field::{Field, One};
use super::kind::{Bool, Kind, U32};
use super::manual::{Form, Member};
use super::{MessageError, RpcMessage, Subject};
use crate::pack::Pack;
use crate::policy::{Kind as PolicyKind, Policy, Row, TABLE};

/// Stands before the name of every policy.
const PREFIX: &str = "policy:";
/// Says that the fields of version 3 are meant.
const VERSION_3: &str = "Ver3";

/// A policy stands in a message at most once, never in a row, and brings its own prefix.
impl RpcMessage for Policy {
    fn put_rows(rows: &[&Self], _prefix: &str, pack: &mut Pack) {
        if let Some(policy) = rows.first() {
            policy.write(pack);
        }
    }

    fn read_rows(pack: &Pack, _prefix: &str, rows: usize) -> Result<Vec<Self>, MessageError> {
        Ok(vec![Self::read(pack); rows])
    }

    fn rows(pack: &Pack, _prefix: &str) -> usize {
        TABLE
            .iter()
            .map(|row| pack.count(&format!("{PREFIX}{}", row.name)))
            .max()
            .unwrap_or(0)
    }

    fn put_members(&self, _prefix: &str, object: &mut Map<String, Value>) {
        for row in TABLE {
            let value = row.get(self);
            match row.kind {
                PolicyKind::Flag => One::<Bool>::put_json(&(value != 0), PREFIX, row.name, object),
                PolicyKind::Number { .. } => One::<U32>::put_json(&value, PREFIX, row.name, object),
            }
        }
        One::<Bool>::put_json(&true, PREFIX, VERSION_3, object);
    }

    /// What is absent keeps its default, so that a script may name only what it wants to change. (The stock server
    /// reads 0, which means no access and no timeout.)
    fn from_members(object: &Map<String, Value>, _prefix: &str) -> Result<Self, MessageError> {
        let mut policy = Self::default();
        for row in TABLE {
            if let Some(value) = member(object, row)? {
                row.set(&mut policy, value);
            }
        }
        Ok(policy)
    }

    fn note_subject(&self, _subject: &mut Subject) {}

    fn describe(_prefix: &str, members: &mut Vec<Member>) {
        for row in TABLE {
            let suffix = match row.kind {
                PolicyKind::Flag => Bool::SUFFIX,
                PolicyKind::Number { .. } => U32::SUFFIX,
            };
            members.push(Member {
                name: [PREFIX, row.name, suffix].concat(),
                form: Form::Optional,
                note: "",
            });
        }
    }
}

fn member(object: &Map<String, Value>, row: &Row) -> Result<Option<u32>, MessageError> {
    fn read<K: Kind>(object: &Map<String, Value>, name: &str) -> Result<Option<K::Value>, MessageError> {
        super::field::Optional::<K>::get_json(object, PREFIX, name)
    }
    match row.kind {
        PolicyKind::Flag => Ok(read::<Bool>(object, row.name)?.map(u32::from)),
        PolicyKind::Number { .. } => read::<U32>(object, row.name),
    }
}

/// A policy that is there only when the element, a flag, says so; both are left out when there is none
/// (admin RPC §2).
pub enum UsedPolicy {}

impl Field for UsedPolicy {
    type Value = Option<Policy>;

    fn absent() -> Self::Value {
        None
    }

    fn put(rows: &[&Self::Value], prefix: &str, name: &str, pack: &mut Pack) {
        if let Some(Some(policy)) = rows.first() {
            One::<Bool>::put(&[&true], prefix, name, pack);
            policy.write(pack);
        }
    }

    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<Self::Value>, MessageError> {
        let used = One::<Bool>::get(pack, prefix, name, rows)?;
        Ok(used
            .into_iter()
            .map(|used| used.then(|| Policy::read(pack)))
            .collect())
    }

    fn rows(pack: &Pack, prefix: &str, name: &str) -> usize {
        One::<Bool>::rows(pack, prefix, name)
    }

    fn put_json(value: &Self::Value, prefix: &str, name: &str, object: &mut Map<String, Value>) {
        if let Some(policy) = value {
            One::<Bool>::put_json(&true, prefix, name, object);
            policy.put_members(prefix, object);
        }
    }

    fn get_json(object: &Map<String, Value>, prefix: &str, name: &str) -> Result<Self::Value, MessageError> {
        let used = One::<Bool>::get_json(object, prefix, name)?;
        used.then(|| Policy::from_members(object, prefix)).transpose()
    }
    fn describe(prefix: &str, name: &str, note: &'static str, members: &mut Vec<Member>) {
        One::<Bool>::describe(prefix, name, note, members);
        Policy::describe(prefix, members);
    }
}
