//! The values that keys have, and the tables of keys.

use std::fmt;

use protocol::{
    policy::{self, Policy, Row},
    rpc::Timestamp,
};

use crate::{calendar::Calendar, command::certificate};

/// What a key is set to, in a file or on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u32),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// The first and the last port; both 0 for all.
    Ports(u32, u32),
    /// A time, or never.
    Time(Timestamp),
    /// A certificate in DER; empty for none.
    Certificate(Vec<u8>),
    /// There is nothing: a policy that an object does not have.
    Nothing,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Flag(value) => f.write_str(if *value { "yes" } else { "no" }),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) if text.is_empty() => f.write_str("(none)"),
            Value::Text(text) => f.write_str(&crate::text::printable(text).replace('\t', " ")),
            Value::List(list) if list.is_empty() => f.write_str("(none)"),
            Value::List(list) => f.write_str(&crate::text::printable(&list.join(", "))),
            Value::Ports(0, 0) => f.write_str("(all)"),
            Value::Ports(first, last) if first == last => write!(f, "{first}"),
            Value::Ports(first, last) => write!(f, "{first}-{last}"),
            Value::Time(time) if time.is_none() => f.write_str("(never)"),
            Value::Time(time) => f.write_str(&Calendar::local().short(*time)),
            Value::Certificate(der) if der.is_empty() => f.write_str("(none)"),
            Value::Certificate(der) => f.write_str(&certificate::describe(der)),
            Value::Nothing => f.write_str("(default)"),
        }
    }
}

/// How a key is got from an object and set in it. What sets may refuse: with what is wanted.
pub enum Access<T: 'static> {
    /// Yes or no.
    Flag(fn(&T) -> bool, fn(&mut T, bool)),
    /// A number within a range.
    Number(fn(&T) -> u32, fn(&mut T, u32), (u32, u32)),
    /// A text.
    Text(fn(&T) -> String, fn(&mut T, &str) -> Result<(), String>),
    /// Several texts.
    List(fn(&T) -> Vec<String>, fn(&mut T, &[String]) -> Result<(), String>),
    /// A port, or a range of them.
    Ports(fn(&T) -> (u32, u32), fn(&mut T, (u32, u32))),
    /// A time.
    Time(fn(&T) -> Timestamp, fn(&mut T, Timestamp)),
    /// A certificate.
    Certificate(fn(&T) -> Vec<u8>, fn(&mut T, Vec<u8>)),
}

/// One key of an object.
pub struct Field<T: 'static> {
    /// How it is written.
    pub key: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// How it is got and set.
    pub access: Access<T>,
}

impl<T> Field<T> {
    /// What an object has.
    #[must_use]
    pub fn get(&self, object: &T) -> Value {
        match self.access {
            Access::Flag(get, _) => Value::Flag(get(object)),
            Access::Number(get, ..) => Value::Number(get(object)),
            Access::Text(get, _) => Value::Text(get(object)),
            Access::List(get, _) => Value::List(get(object)),
            Access::Ports(get, _) => {
                let (first, last) = get(object);
                Value::Ports(first, last)
            }
            Access::Time(get, _) => Value::Time(get(object)),
            Access::Certificate(get, _) => Value::Certificate(get(object)),
        }
    }

    /// Sets it.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn set(&self, object: &mut T, value: &Value) -> Result<(), String> {
        match (&self.access, value) {
            (Access::Flag(_, set), Value::Flag(value)) => set(object, *value),
            (Access::Number(_, set, (low, high)), Value::Number(number)) => {
                if !(low..=high).contains(&number) {
                    return Err(if *high == u32::MAX {
                        format!("a number from {low} on")
                    } else {
                        format!("a number from {low} to {high}")
                    });
                }
                set(object, *number);
            }
            (Access::Text(_, set), Value::Text(text)) => return set(object, text),
            (Access::List(_, set), Value::List(list)) => return set(object, list),
            (Access::Ports(_, set), Value::Ports(first, last)) => set(object, (*first, *last)),
            (Access::Time(_, set), Value::Time(time)) => set(object, *time),
            (Access::Certificate(_, set), Value::Certificate(der)) => set(object, der.clone()),
            _ => return Err(self.wants().to_owned()),
        }
        Ok(())
    }

    /// What kind of value it takes, for people.
    #[must_use]
    pub fn wants(&self) -> &'static str {
        match self.access {
            Access::Flag(..) => "true or false",
            Access::Number(..) => "a number",
            Access::Text(..) => "a text in quotes",
            Access::List(..) => "a list of texts, as in [\"a\", \"b\"]",
            Access::Ports(..) => "a port, or two as in \"8000-8010\"",
            Access::Time(..) => "a date and time, as in 2030-01-31T19:30:00, or \"never\"",
            Access::Certificate(..) => "the name of a file, or a certificate in PEM format",
        }
    }
}

/// A row whose value is a field of the message as it is.
macro_rules! plain {
    ($key:literal, $about:literal, Text $field:ident) => {
        Field {
            key: $key,
            about: $about,
            access: Access::Text(
                |object| object.$field.clone(),
                |object, text| {
                    text.clone_into(&mut object.$field);
                    Ok(())
                },
            ),
        }
    };
    ($key:literal, $about:literal, Flag $field:ident) => {
        Field {
            key: $key,
            about: $about,
            access: Access::Flag(|object| object.$field, |object, on| object.$field = on),
        }
    };
    ($key:literal, $about:literal, Number $field:ident, $range:expr) => {
        Field {
            key: $key,
            about: $about,
            access: Access::Number(
                |object| object.$field,
                |object, number| object.$field = number,
                $range,
            ),
        }
    };
}
pub(super) use plain;

/// What can be declared key by key.
pub trait Object: Clone + Default + 'static {
    /// Its keys, in the order in which they are set.
    const FIELDS: &'static [Field<Self>];

    /// Its policy, if it can have one.
    fn policy(&self) -> Option<&Policy> {
        None
    }

    /// The place of its policy, if it can have one.
    fn policy_mut(&mut self) -> Option<&mut Option<Policy>> {
        None
    }
}

/// One key of an object, or one of its policies.
pub enum Key<T: 'static> {
    /// A row of the object's table.
    Field(&'static Field<T>),
    /// A row of the table of policies.
    Policy(&'static Row),
    /// That it has no policy.
    NoPolicy,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T: Object> Key<T> {
    /// How it is written.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Key::Field(field) => field.key.to_owned(),
            Key::Policy(row) => format!("policy.{}", row.name),
            Key::NoPolicy => "policy".to_owned(),
        }
    }

    /// What an object has.
    #[must_use]
    pub fn get(&self, object: &T) -> Value {
        match self {
            Key::Field(field) => field.get(object),
            Key::Policy(row) => object
                .policy()
                .map_or(Value::Nothing, |policy| of_policy(row, row.get(policy))),
            Key::NoPolicy if object.policy().is_some() => Value::Text("its own".to_owned()),
            Key::NoPolicy => Value::Nothing,
        }
    }

    /// Sets it. Who had no policy gets the default one first.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn set(&self, object: &mut T, value: &Value) -> Result<(), String> {
        match self {
            Key::Field(field) => field.set(object, value),
            Key::Policy(row) => {
                let number = to_policy(row, value)?;
                if let Some(policy) = object.policy_mut() {
                    row.set(policy.get_or_insert_with(Policy::default), number);
                }
                Ok(())
            }
            Key::NoPolicy => {
                if let Some(policy) = object.policy_mut() {
                    *policy = None;
                }
                Ok(())
            }
        }
    }
}

fn of_policy(row: &Row, value: u32) -> Value {
    match row.kind {
        policy::Kind::Flag => Value::Flag(value != 0),
        policy::Kind::Number { .. } => Value::Number(value),
    }
}

fn to_policy(row: &Row, value: &Value) -> Result<u32, String> {
    match (row.kind, value) {
        (policy::Kind::Flag, Value::Flag(value)) => Ok(u32::from(*value)),
        (policy::Kind::Flag, _) => Err("true or false".to_owned()),
        (
            policy::Kind::Number {
                min, max, optional, ..
            },
            Value::Number(number),
        ) => row.check(*number).map_err(|_| {
            let none = if optional { ", or 0 for none" } else { "" };
            format!("a number from {min} to {max}{none}")
        }),
        (policy::Kind::Number { .. }, _) => Err("a number".to_owned()),
    }
}

/// A key and what it shall be.
#[derive(Clone)]
pub struct Setting<T: 'static> {
    /// The key.
    pub key: Key<T>,
    /// Its value.
    pub value: Value,
    /// The line of the file that says so.
    pub line: usize,
}

/// What one object shall be. Keys that are not named stay as they are.
#[derive(Clone)]
pub struct Declared<T: 'static> {
    /// The keys, in the order in which they are set.
    pub settings: Vec<Setting<T>>,
    /// The line of the file that names it.
    pub line: usize,
}

impl<T> Default for Declared<T> {
    fn default() -> Self {
        Declared {
            settings: Vec::new(),
            line: 0,
        }
    }
}

impl<T: Object> fmt::Debug for Declared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self
            .settings
            .iter()
            .map(|setting| (setting.key.name(), &setting.value));
        f.debug_map().entries(named).finish()
    }
}

/// One key that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Its name.
    pub key: String,
    /// What it was; `None` for something new.
    pub old: Option<String>,
    /// What it will be.
    pub new: String,
}

impl<T: Object> Declared<T> {
    /// The object with every key as declared.
    ///
    /// # Errors
    /// A value does not fit the object: the setting's line and what is wanted.
    pub fn applied_to(&self, object: &T) -> Result<T, (usize, String)> {
        let mut object = object.clone();
        for setting in &self.settings {
            setting
                .key
                .set(&mut object, &setting.value)
                .map_err(|wanted| (setting.line, format!("{} is {wanted}", setting.key.name())))?;
        }
        Ok(object)
    }

    /// The setting of a key.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Setting<T>> {
        self.settings.iter().find(|setting| setting.key.name() == key)
    }

    /// The keys that are named and differ between the two.
    #[must_use]
    pub fn details(&self, old: &T, new: &T) -> Vec<Detail> {
        let changed = |setting: &&Setting<T>| setting.key.get(old) != setting.key.get(new);
        let detail = |setting: &Setting<T>| Detail {
            key: setting.key.name(),
            old: Some(setting.key.get(old).to_string()),
            new: setting.key.get(new).to_string(),
        };
        self.settings.iter().filter(changed).map(detail).collect()
    }

    /// What is named of something new.
    #[must_use]
    pub fn described(&self, new: &T) -> Vec<Detail> {
        let detail = |setting: &Setting<T>| Detail {
            key: setting.key.name(),
            old: None,
            new: setting.key.get(new).to_string(),
        };
        self.settings.iter().map(detail).collect()
    }
}
