use serde_json::{Map, Value};

use crate::error::ErrorCode;
use crate::pack::Pack;

/// A message of the administration protocol, or a part of one: a struct with two encodings, PACK and JSON.
///
/// [`message!`](super::message) writes the required methods. They work on tables, because a list travels as
/// parallel arrays; the provided ones are what everybody else calls.
pub trait RpcMessage: Clone + Default + Send + Sync + 'static {
    /// Writes the rows of a table, each field as one element with a value per row. `prefix` stands before every
    /// name.
    fn put_rows(rows: &[&Self], prefix: &str, pack: &mut Pack);

    /// Reads one row of a table.
    fn row(pack: &Pack, prefix: &str, row: usize) -> Result<Self, MessageError>;

    /// How many rows a table has: as many as its longest column.
    fn rows(pack: &Pack, prefix: &str) -> usize;

    /// Adds the fields to a JSON object.
    fn put_members(&self, prefix: &str, object: &mut Map<String, Value>);

    /// Reads the fields from a JSON object.
    fn from_members(object: &Map<String, Value>, prefix: &str) -> Result<Self, MessageError>;

    /// The message as a PACK, in the order of stock peers.
    fn to_pack(&self) -> Pack {
        let mut pack = Pack::new();
        Self::put_rows(&[self], "", &mut pack);
        pack.sort();
        pack
    }

    /// Reads a PACK. What is absent reads as zero, empty or none; what the message does not know is ignored.
    fn from_pack(pack: &Pack) -> Result<Self, MessageError> {
        Self::row(pack, "", 0)
    }

    /// The message as a JSON object.
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        self.put_members("", &mut object);
        Value::Object(object)
    }

    /// Reads a JSON object as leniently as the stock server does.
    fn from_json(value: &Value) -> Result<Self, MessageError> {
        Self::from_members(value.as_object().ok_or(MessageError::NotAnObject)?, "")
    }
}

/// Why a message cannot be read. Whoever sent it gets [`ErrorCode::InvalidParameter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A JSON member has a value that cannot be converted to what its suffix says.
    #[error("the JSON member {0} has a value of the wrong kind")]
    Member(String),
    /// The JSON parameters, or a row of a list, are not an object.
    #[error("the JSON value is not an object")]
    NotAnObject,
}

impl From<MessageError> for ErrorCode {
    fn from(_: MessageError) -> Self {
        Self::InvalidParameter
    }
}

/// Defines messages: the struct, its PACK encoding and its JSON encoding from one list of fields.
///
/// ```text
/// message! {
///     /// One listener.
///     pub struct ListenerState {
///         port: u32 "Ports",
///         enabled: bool "Enables",
///     }
/// }
/// ```
///
/// A field is `name: SHAPE "Element"`, where the element's name is the wire's, misspelt where the wire has it so.
/// Every field is public; doc comments are needed only where the element's name does not say it all. `SHAPE` is
/// * a kind: `u32`, `bool`, `u64`, `time`, `str`, `unistr`, `data`, `ip`, `mac`, `id16` and `id20` (16 and 20
///   bytes), `password` and `secret` (like `str` and `data`, but wiped and never printed), `swapped` (a number sent
///   byte-swapped); or `code T`, a number with names (see [`codes!`](super::codes));
/// * `optional KIND`: left out when `None`;
/// * `list KIND`: a `Vec` of values under one name, a plain JSON array;
/// * `flat T`: the fields of another message among our own, its names prefixed with the literal;
/// * `group T`: a `Vec` of rows, in a PACK one array per field of `T`, in JSON an array of objects under the literal;
/// * `counted T`: a group whose length also travels as `NumItem`;
/// * `used_policy`: a policy, present when the element says so.
macro_rules! message {
    ($(
        $(#[$meta:meta])*
        pub struct $message:ident {
            $( $(#[$doc:meta])* $field:ident : $($shape:ident)+ $name:literal ),* $(,)?
        }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $message {
            $(
                #[doc = concat!("`", $name, "` (", stringify!($($shape)+), ").")]
                $(#[doc = ""] #[$doc])*
                pub $field: <$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::Value,
            )*
        }

        impl Default for $message {
            fn default() -> Self {
                Self { $( $field: <$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::absent(), )* }
            }
        }

        // A message without fields uses none of the arguments.
        #[allow(unused_variables)]
        impl $crate::rpc::RpcMessage for $message {
            fn put_rows(rows: &[&Self], prefix: &str, pack: &mut $crate::pack::Pack) {
                $( {
                    let column: Vec<_> = rows.iter().map(|row| &row.$field).collect();
                    <$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::put(&column, prefix, $name, pack);
                } )*
            }

            fn row(
                pack: &$crate::pack::Pack,
                prefix: &str,
                row: usize,
            ) -> Result<Self, $crate::rpc::MessageError> {
                Ok(Self { $(
                    $field: <$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::get(pack, prefix, $name, row)?,
                )* })
            }

            fn rows(pack: &$crate::pack::Pack, prefix: &str) -> usize {
                0 $( .max(<$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::rows(pack, prefix, $name)) )*
            }

            fn put_members(&self, prefix: &str, object: &mut serde_json::Map<String, serde_json::Value>) {
                $( <$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::put_json(&self.$field, prefix, $name, object); )*
            }

            fn from_members(
                object: &serde_json::Map<String, serde_json::Value>,
                prefix: &str,
            ) -> Result<Self, $crate::rpc::MessageError> {
                Ok(Self { $(
                    $field: <$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::get_json(object, prefix, $name)?,
                )* })
            }
        }
    )+ };
}

/// The [`Field`](super::field::Field) behind the words of a shape.
macro_rules! shape {
    (optional $($kind:ident)+) => { $crate::rpc::field::Optional<$crate::rpc::message::kind!($($kind)+)> };
    (list $($kind:ident)+) => { $crate::rpc::field::List<$crate::rpc::message::kind!($($kind)+)> };
    (used_policy) => { $crate::rpc::policy::UsedPolicy };
    (flat $message:ident) => { $crate::rpc::field::Flat<$message> };
    (group $message:ident) => { $crate::rpc::field::Group<$message> };
    (counted $message:ident) => { $crate::rpc::field::Counted<$message> };
    ($($kind:ident)+) => { $crate::rpc::field::One<$crate::rpc::message::kind!($($kind)+)> };
}

/// The [`Kind`](super::kind::Kind) behind a word.
macro_rules! kind {
    (u32) => { $crate::rpc::kind::U32 };
    (swapped) => { $crate::rpc::kind::Swapped };
    (code $codes:ident) => { $crate::rpc::kind::Code<$codes> };
    (bool) => { $crate::rpc::kind::Bool };
    (u64) => { $crate::rpc::kind::U64 };
    (time) => { $crate::rpc::kind::Time };
    (str) => { $crate::rpc::kind::Str };
    (unistr) => { $crate::rpc::kind::Unistr };
    (password) => { $crate::rpc::kind::Password };
    (data) => { $crate::rpc::kind::Data };
    (secret) => { $crate::rpc::kind::SecretData };
    (mac) => { $crate::rpc::kind::Fixed<6> };
    (id16) => { $crate::rpc::kind::Fixed<16> };
    (id20) => { $crate::rpc::kind::Fixed<20> };
    (ip) => { $crate::rpc::kind::Ip };
}

/// Defines numbers with names: an enum with a variant for each, and `Other` for those of other versions.
///
/// ```text
/// codes! {
///     /// What a hub is to a cluster.
///     pub enum HubType { Standalone = 0, Static = 1, Dynamic = 2 }
/// }
/// ```
/// The first is the default.
macro_rules! codes {
    ($(
        $(#[$meta:meta])*
        pub enum $codes:ident { $( $(#[$doc:meta])* $name:ident = $number:literal ),+ $(,)? }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $codes {
            $( #[doc = concat!(stringify!($number), " on the wire.")] $(#[doc = ""] #[$doc])* $name, )+
            /// A number that this version does not know.
            Other(u32),
        }

        impl Default for $codes {
            fn default() -> Self {
                Self::from(0)
            }
        }

        impl From<u32> for $codes {
            fn from(number: u32) -> Self {
                match number {
                    $( $number => Self::$name, )+
                    other => Self::Other(other),
                }
            }
        }

        impl From<$codes> for u32 {
            fn from(code: $codes) -> u32 {
                match code {
                    $( $codes::$name => $number, )+
                    $codes::Other(number) => number,
                }
            }
        }
    )+ };
}

pub(super) use {codes, kind, message, shape};
