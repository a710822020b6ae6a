//! The shapes a message's fields can have: one value, perhaps a value, a list, a flattened part, a table of rows.
//! One value may also be marked as what names the message's subject.
//!
//! A message is written as a table of one row; the rows of a group are written the same way, as a table of many.
//! So one set of functions serves both.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde_json::{Map, Value};

use super::manual::{Form, Member};
use super::{Kind, MessageError, RpcMessage, Subject};
use crate::pack::Pack;

/// How a field of some shape stands in a PACK and in a JSON object. `prefix` comes from [`Flat`]; `name` is the
/// element's (or group's) name as the message has it.
pub trait Field {
    /// The Rust type of the field.
    type Value: Clone;

    /// What the field holds when the peer said nothing.
    fn absent() -> Self::Value;

    /// Writes the field of all rows.
    fn put(rows: &[&Self::Value], prefix: &str, name: &str, pack: &mut Pack);

    /// Reads the field of the first `rows` rows, whether the PACK has as many or not.
    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<Self::Value>, MessageError>;

    /// How many rows the PACK has of this field.
    fn rows(pack: &Pack, prefix: &str, name: &str) -> usize;

    /// Adds the field to a JSON object.
    fn put_json(value: &Self::Value, prefix: &str, name: &str, object: &mut Map<String, Value>);

    /// Reads the field from a JSON object.
    fn get_json(object: &Map<String, Value>, prefix: &str, name: &str) -> Result<Self::Value, MessageError>;

    /// Notes what the field says about the subject of its message: nothing, unless it is marked.
    fn note_subject(_value: &Self::Value, _subject: &mut Subject) {}

    /// Adds what there is to say about the field.
    fn describe(prefix: &str, name: &str, note: &'static str, members: &mut Vec<Member>);
}

/// What a value is to its message.
pub trait Mark {
    /// Notes it.
    fn note(_text: String, _subject: &mut Subject) {}
}

/// Nothing special.
pub enum Unmarked {}

impl Mark for Unmarked {}

/// The hub that the message is about.
pub enum MarksHub {}

impl Mark for MarksHub {
    fn note(text: String, subject: &mut Subject) {
        subject.hub.get_or_insert(text);
    }
}

/// The name of what the message is about, among its like.
pub enum MarksKey {}

impl Mark for MarksKey {
    fn note(text: String, subject: &mut Subject) {
        subject.name.get_or_insert(text);
    }
}

/// One value.
pub struct One<K, M = Unmarked>(PhantomData<(K, M)>);

impl<K: Kind, M: Mark> Field for One<K, M> {
    type Value = K::Value;

    fn absent() -> K::Value {
        K::absent()
    }

    fn put(rows: &[&K::Value], prefix: &str, name: &str, pack: &mut Pack) {
        K::put(pack, &joined(prefix, name), rows);
    }

    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<Self::Value>, MessageError> {
        let column = Optional::<K>::get(pack, prefix, name, rows)?;
        Ok(column
            .into_iter()
            .map(|value| value.unwrap_or_else(K::absent))
            .collect())
    }

    fn rows(pack: &Pack, prefix: &str, name: &str) -> usize {
        pack.count(&joined(prefix, name))
    }

    fn put_json(value: &K::Value, prefix: &str, name: &str, object: &mut Map<String, Value>) {
        object.insert(member::<K>(prefix, name), K::to_json(value));
    }

    fn get_json(object: &Map<String, Value>, prefix: &str, name: &str) -> Result<K::Value, MessageError> {
        Ok(Optional::<K>::get_json(object, prefix, name)?.unwrap_or_else(K::absent))
    }

    fn note_subject(value: &K::Value, subject: &mut Subject) {
        match K::to_json(value) {
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => M::note(text, subject),
            other => M::note(other.to_string(), subject),
        }
    }

    fn describe(prefix: &str, name: &str, note: &'static str, members: &mut Vec<Member>) {
        members.push(Member {
            name: member::<K>(prefix, name),
            form: Form::One,
            note,
        });
    }
}

/// A value that is left out, rather than sent as zero, when there is none.
pub struct Optional<K>(PhantomData<K>);

impl<K: Kind> Field for Optional<K> {
    type Value = Option<K::Value>;

    fn absent() -> Self::Value {
        None
    }

    fn put(rows: &[&Self::Value], prefix: &str, name: &str, pack: &mut Pack) {
        if rows.iter().all(|value| value.is_none()) {
            return;
        }
        // In a table a column is there for all rows or for none.
        let filler = K::absent();
        let column: Vec<&K::Value> = rows
            .iter()
            .map(|value| value.as_ref().unwrap_or(&filler))
            .collect();
        K::put(pack, &joined(prefix, name), &column);
    }

    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<Self::Value>, MessageError> {
        let mut column = K::get(pack, &joined(prefix, name), rows);
        column.resize(rows, None);
        Ok(column)
    }

    fn rows(pack: &Pack, prefix: &str, name: &str) -> usize {
        One::<K>::rows(pack, prefix, name)
    }

    fn put_json(value: &Self::Value, prefix: &str, name: &str, object: &mut Map<String, Value>) {
        if let Some(value) = value {
            One::<K>::put_json(value, prefix, name, object);
        }
    }

    fn get_json(object: &Map<String, Value>, prefix: &str, name: &str) -> Result<Self::Value, MessageError> {
        let member = member::<K>(prefix, name);
        match object.get(&member) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => K::from_json(value).map(Some).ok_or(MessageError::Member(member)),
        }
    }

    fn describe(prefix: &str, name: &str, note: &'static str, members: &mut Vec<Member>) {
        members.push(Member {
            name: member::<K>(prefix, name),
            form: Form::Optional,
            note,
        });
    }
}

/// Several values of one element that mean the same thing; a plain JSON array. Stands in a message, never in a row.
pub struct List<K>(PhantomData<K>);

impl<K: Kind> Field for List<K> {
    type Value = Vec<K::Value>;

    fn absent() -> Self::Value {
        Vec::new()
    }

    fn put(rows: &[&Self::Value], prefix: &str, name: &str, pack: &mut Pack) {
        let values: Vec<&K::Value> = rows.iter().copied().flatten().collect();
        // An element without values cannot be written: an empty list is no element.
        if !values.is_empty() {
            K::put(pack, &joined(prefix, name), &values);
        }
    }

    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<Self::Value>, MessageError> {
        let values = K::get(pack, &joined(prefix, name), usize::MAX);
        Ok(alone(values.into_iter().flatten().collect(), rows))
    }

    fn rows(pack: &Pack, prefix: &str, name: &str) -> usize {
        usize::from(pack.count(&joined(prefix, name)) > 0)
    }

    fn put_json(value: &Self::Value, prefix: &str, name: &str, object: &mut Map<String, Value>) {
        object.insert(member::<K>(prefix, name), value.iter().map(K::to_json).collect());
    }

    fn get_json(object: &Map<String, Value>, prefix: &str, name: &str) -> Result<Self::Value, MessageError> {
        let member = member::<K>(prefix, name);
        let values = match object.get(&member) {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(values)) => values,
            Some(single) => std::slice::from_ref(single),
        };
        let read: Option<Vec<_>> = values.iter().map(K::from_json).collect();
        read.ok_or(MessageError::Member(member))
    }

    fn describe(prefix: &str, name: &str, note: &'static str, members: &mut Vec<Member>) {
        members.push(Member {
            name: member::<K>(prefix, name),
            form: Form::List,
            note,
        });
    }
}

/// A struct whose fields stand among the message's own; `name` is put before each of theirs.
pub struct Flat<T>(PhantomData<T>);

impl<T: RpcMessage> Field for Flat<T> {
    type Value = T;

    fn absent() -> T {
        T::default()
    }

    fn put(rows: &[&T], prefix: &str, name: &str, pack: &mut Pack) {
        T::put_rows(rows, &joined(prefix, name), pack);
    }

    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<T>, MessageError> {
        T::read_rows(pack, &joined(prefix, name), rows)
    }

    fn rows(pack: &Pack, prefix: &str, name: &str) -> usize {
        T::rows(pack, &joined(prefix, name))
    }

    fn put_json(value: &T, prefix: &str, name: &str, object: &mut Map<String, Value>) {
        value.put_members(&joined(prefix, name), object);
    }

    fn get_json(object: &Map<String, Value>, prefix: &str, name: &str) -> Result<T, MessageError> {
        T::from_members(object, &joined(prefix, name))
    }

    fn note_subject(value: &T, subject: &mut Subject) {
        value.note_subject(subject);
    }

    fn describe(prefix: &str, name: &str, _note: &'static str, members: &mut Vec<Member>) {
        T::describe(&joined(prefix, name), members);
    }
}

/// The longest list there is; the longest of stock servers has 100,000 sessions. Rows are bigger than what they are
/// read from, so the limits of the PACK alone are not enough.
const MAX_ROWS: usize = 131_072;

/// A table: parallel elements in a PACK, an array `name` of objects in JSON. Stands in a message, never in a row.
pub struct Group<T>(PhantomData<T>);

impl<T: RpcMessage> Field for Group<T> {
    type Value = Vec<T>;

    fn absent() -> Self::Value {
        Vec::new()
    }

    fn put(rows: &[&Self::Value], prefix: &str, _name: &str, pack: &mut Pack) {
        let table: Vec<&T> = rows.iter().copied().flatten().collect();
        if !table.is_empty() {
            T::put_rows(&table, prefix, pack);
        }
    }

    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<Self::Value>, MessageError> {
        let count = T::rows(pack, prefix);
        if count > MAX_ROWS {
            return Err(MessageError::TooManyRows(name.to_owned()));
        }
        Ok(alone(T::read_rows(pack, prefix, count)?, rows))
    }

    fn rows(pack: &Pack, prefix: &str, _name: &str) -> usize {
        usize::from(T::rows(pack, prefix) > 0)
    }

    fn put_json(value: &Self::Value, _prefix: &str, name: &str, object: &mut Map<String, Value>) {
        object.insert(name.to_owned(), value.iter().map(T::to_json).collect());
    }

    fn get_json(object: &Map<String, Value>, _prefix: &str, name: &str) -> Result<Self::Value, MessageError> {
        match object.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) if items.len() > MAX_ROWS => {
                Err(MessageError::TooManyRows(name.to_owned()))
            }
            Some(Value::Array(items)) => items.iter().map(T::from_json).collect(),
            Some(_) => Err(MessageError::Member(name.to_owned())),
        }
    }

    fn describe(_prefix: &str, name: &str, note: &'static str, members: &mut Vec<Member>) {
        let mut row = Vec::new();
        T::describe("", &mut row);
        members.push(Member {
            name: name.to_owned(),
            form: Form::Rows(row),
            note,
        });
    }
}

/// A [`Group`] with the number of its rows in an element `NumItem`, which is sent even when it is 0 and believed
/// by nobody who can count the rows.
pub struct Counted<T>(PhantomData<T>);

/// The element that holds the number of rows.
const COUNT: &str = "NumItem";

impl<T: RpcMessage> Field for Counted<T> {
    type Value = Vec<T>;

    fn absent() -> Self::Value {
        Vec::new()
    }

    fn put(rows: &[&Self::Value], prefix: &str, name: &str, pack: &mut Pack) {
        let count: usize = rows.iter().map(|table| table.len()).sum();
        pack.set_int(COUNT, u32::try_from(count).unwrap_or(u32::MAX));
        Group::<T>::put(rows, prefix, name, pack);
    }

    fn get(pack: &Pack, prefix: &str, name: &str, rows: usize) -> Result<Vec<Self::Value>, MessageError> {
        Group::<T>::get(pack, prefix, name, rows)
    }

    fn rows(pack: &Pack, prefix: &str, name: &str) -> usize {
        Group::<T>::rows(pack, prefix, name)
    }

    fn put_json(value: &Self::Value, prefix: &str, name: &str, object: &mut Map<String, Value>) {
        object.insert(format!("{COUNT}_u32"), Value::from(value.len()));
        Group::<T>::put_json(value, prefix, name, object);
    }

    fn get_json(object: &Map<String, Value>, prefix: &str, name: &str) -> Result<Self::Value, MessageError> {
        Group::<T>::get_json(object, prefix, name)
    }

    fn describe(prefix: &str, name: &str, note: &'static str, members: &mut Vec<Member>) {
        Group::<T>::describe(prefix, name, note, members);
    }
}

/// The column of a field that only a message has, which is a table of one row.
fn alone<T: Clone>(value: Vec<T>, rows: usize) -> Vec<Vec<T>> {
    let mut column = vec![value];
    column.resize(rows, Vec::new());
    column
}

fn joined<'a>(prefix: &str, name: &'a str) -> Cow<'a, str> {
    if prefix.is_empty() {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{prefix}{name}"))
    }
}

fn member<K: Kind>(prefix: &str, name: &str) -> String {
    [prefix, name, K::SUFFIX].concat()
}
