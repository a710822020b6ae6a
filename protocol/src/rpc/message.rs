use serde_json::{Map, Value};

use crate::error::ErrorCode;
use crate::pack::Pack;
use crate::rpc::Subject;
use crate::rpc::manual::Member;

/// A message of the administration protocol, or a part of one: a struct with two encodings, PACK and JSON.
///
/// `message!` writes the required methods. They work on tables, because a list travels as
/// parallel arrays; the provided ones are what everybody else calls.
pub trait RpcMessage: Clone + Default + Send + Sync + 'static {
    /// Writes the rows of a table, each field as one element with a value per row. `prefix` stands before every
    /// name.
    fn put_rows(rows: &[&Self], prefix: &str, pack: &mut Pack);

    /// Reads the first `rows` rows of a table; what a row lacks reads as zero, empty or none.
    fn read_rows(pack: &Pack, prefix: &str, rows: usize) -> Result<Vec<Self>, MessageError>;

    /// How many rows a table has: as many as its longest column.
    fn rows(pack: &Pack, prefix: &str) -> usize;

    /// Adds the fields to a JSON object.
    fn put_members(&self, prefix: &str, object: &mut Map<String, Value>);

    /// Reads the fields from a JSON object.
    fn from_members(object: &Map<String, Value>, prefix: &str) -> Result<Self, MessageError>;

    /// Notes what the message is about, by its marked fields.
    fn note_subject(&self, subject: &mut Subject);

    /// Adds what there is to say about the fields.
    fn describe(prefix: &str, members: &mut Vec<Member>);

    /// What the message is about.
    fn subject(&self) -> Subject {
        let mut subject = Subject::default();
        self.note_subject(&mut subject);
        subject
    }

    /// The message as a PACK, in the order of stock peers.
    fn to_pack(&self) -> Pack {
        let mut pack = Pack::new();
        Self::put_rows(&[self], "", &mut pack);
        pack.sort();
        pack
    }

    /// Reads a PACK. What is absent reads as zero, empty or none; what the message does not know is ignored.
    fn from_pack(pack: &Pack) -> Result<Self, MessageError> {
        Ok(Self::read_rows(pack, "", 1)?.pop().unwrap_or_default())
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
    /// A list of this name is longer than any there is.
    #[error("the list {0} is too long")]
    TooManyRows(String),
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
///   byte-swapped); or `code T`, a number with names (see `codes!`);
/// * `hub KIND`, `key KIND`: one value that names what the message is about, its hub or the object itself ([`Subject`]);
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
            $( $(#[doc = $doc:literal])* $field:ident : $($shape:ident)+ $name:literal ),* $(,)?
        }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $message {
            $(
                #[doc = concat!("`", $name, "` (", stringify!($($shape)+), ").")]
                $(#[doc = ""] #[doc = $doc])*
                pub $field: $crate::rpc::message::field!(Value, $($shape)+),
            )*
        }

        impl Default for $message {
            fn default() -> Self {
                Self { $( $field: $crate::rpc::message::field!(absent, $($shape)+)(), )* }
            }
        }

        // A message without fields uses none of the arguments.
        #[allow(unused_variables)]
        impl $crate::rpc::RpcMessage for $message {
            fn put_rows(rows: &[&Self], prefix: &str, pack: &mut $crate::pack::Pack) {
                $( {
                    let column = $crate::rpc::message::column(rows, |row| &row.$field);
                    $crate::rpc::message::field!(put, $($shape)+)(&column, prefix, $name, pack);
                } )*
            }

            fn read_rows(
                pack: &$crate::pack::Pack,
                prefix: &str,
                rows: usize,
            ) -> Result<Vec<Self>, $crate::rpc::MessageError> {
                $( let mut $field = $crate::rpc::message::field!(get, $($shape)+)(pack, prefix, $name, rows)?.into_iter(); )*
                let row = |_| Self { $(
                    $field: $field.next().unwrap_or_else($crate::rpc::message::field!(absent, $($shape)+)),
                )* };
                Ok((0..rows).map(row).collect())
            }

            fn rows(pack: &$crate::pack::Pack, prefix: &str) -> usize {
                0 $( .max($crate::rpc::message::field!(rows, $($shape)+)(pack, prefix, $name)) )*
            }

            fn put_members(&self, prefix: &str, object: &mut serde_json::Map<String, serde_json::Value>) {
                $( $crate::rpc::message::field!(put_json, $($shape)+)(&self.$field, prefix, $name, object); )*
            }

            fn from_members(
                object: &serde_json::Map<String, serde_json::Value>,
                prefix: &str,
            ) -> Result<Self, $crate::rpc::MessageError> {
                Ok(Self { $(
                    $field: $crate::rpc::message::field!(get_json, $($shape)+)(object, prefix, $name)?,
                )* })
            }

            fn note_subject(&self, subject: &mut $crate::rpc::Subject) {
                $( $crate::rpc::message::field!(note_subject, $($shape)+)(&self.$field, subject); )*
            }

            fn describe(prefix: &str, members: &mut Vec<$crate::rpc::manual::Member>) {
                $( $crate::rpc::message::field!(describe, $($shape)+)(prefix, $name, concat!($($doc),*), members); )*
            }
        }
    )+ };
}

/// An item of the [`Field`](super::field::Field) behind the words of a shape.
macro_rules! field {
    ($item:ident, $($shape:ident)+) => {
        <$crate::rpc::message::shape!($($shape)+) as $crate::rpc::field::Field>::$item
    };
}

/// The type with the [`Field`](super::field::Field) behind the words of a shape.
macro_rules! shape {
    (optional $($kind:ident)+) => { $crate::rpc::field::Optional<$crate::rpc::message::kind!($($kind)+)> };
    (list $($kind:ident)+) => { $crate::rpc::field::List<$crate::rpc::message::kind!($($kind)+)> };
    (hub $($kind:ident)+) => {
        $crate::rpc::field::One<$crate::rpc::message::kind!($($kind)+), $crate::rpc::field::MarksHub>
    };
    (key $($kind:ident)+) => {
        $crate::rpc::field::One<$crate::rpc::message::kind!($($kind)+), $crate::rpc::field::MarksKey>
    };
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

/// One field of every row. There are a thousand fields: what they share is compiled for a message and a kind of value, not for
/// each.
#[inline(never)]
pub(super) fn column<'a, T, V>(rows: &[&'a T], field: fn(&T) -> &V) -> Vec<&'a V> {
    rows.iter().map(|row| field(row)).collect()
}

pub(super) use {codes, field, kind, message, shape};

#[cfg(test)]
#[allow(unreachable_pub)] // messages are always public
mod tests {
    use serde_json::json;

    use super::super::RpcMessage;
    use super::*;

    codes! {
        /// A colour.
        pub enum Colour {
            Red = 0,
            Blue = 7,
        }
    }

    message! {
        /// A ball.
        pub struct Ball {
            colour: code Colour "Colour",
            owner: optional str "Owner",
            port: swapped "Port",
        }

        /// A box of balls.
        pub struct Crate {
            label: unistr "Label",
            sizes: list u32 "Sizes",
            lid: flat Ball "Lid.",
            balls: counted Ball "BallList",
        }
    }

    fn ball(colour: Colour, owner: Option<&str>) -> Ball {
        Ball {
            colour,
            owner: owner.map(str::to_owned),
            port: 443,
        }
    }

    fn filled() -> Crate {
        Crate {
            label: "für Gäste".to_owned(),
            sizes: vec![3, 5],
            lid: ball(Colour::Other(2), None),
            balls: vec![ball(Colour::Red, Some("ann")), ball(Colour::Blue, Some(""))],
        }
    }

    #[test]
    fn a_group_is_parallel_arrays_in_a_pack() {
        let pack = filled().to_pack();
        assert_eq!(pack.ints("Sizes"), [3, 5]);
        assert_eq!(pack.int("Lid.Colour"), Some(2));
        assert_eq!(pack.int("NumItem"), Some(2));
        assert_eq!(pack.ints("Colour"), [0, 7]);
        assert_eq!(pack.strs("Owner"), ["ann", ""]);
        assert_eq!(pack.ints("Port"), [0xbb01_0000, 0xbb01_0000]);
        assert_eq!(Crate::from_pack(&pack), Ok(filled()));
    }

    #[test]
    fn a_group_is_an_array_of_objects_in_json() {
        let json = json!({
            "Label_utf": "für Gäste",
            "Sizes_u32": [3, 5],
            "Lid.Colour_u32": 2,
            "Lid.Port_u32": 0xbb01_0000u32,
            "NumItem_u32": 2,
            "BallList": [
                { "Colour_u32": 0, "Owner_str": "ann", "Port_u32": 0xbb01_0000u32 },
                { "Colour_u32": 7, "Owner_str": "", "Port_u32": 0xbb01_0000u32 },
            ],
        });
        assert_eq!(filled().to_json(), json);
        assert_eq!(Crate::from_json(&json), Ok(filled()));
    }

    message! {
        /// A ball in a hub.
        pub struct BallOf {
            hub_name: hub str "HubName",
            ball: flat Kept "",
        }

        /// A ball with a number.
        pub struct Kept {
            number: key u32 "Number",
            colour: code Colour "Colour",
        }
    }

    #[test]
    fn marked_fields_name_the_subject_also_from_within() {
        let mut ball = BallOf {
            hub_name: "lab".to_owned(),
            ball: Kept {
                number: 7,
                colour: Colour::Blue,
            },
        };
        assert_eq!(
            ball.subject(),
            Subject {
                hub: Some("lab".to_owned()),
                name: Some("7".to_owned())
            }
        );
        ball.hub_name.clear();
        assert_eq!(ball.subject().hub, None);
        assert_eq!(filled().subject(), Subject::default());
    }

    #[test]
    fn a_definition_describes_its_fields() {
        let mut members = Vec::new();
        Crate::describe("", &mut members);
        let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "Label_utf",
                "Sizes_u32",
                "Lid.Colour_u32",
                "Lid.Owner_str",
                "Lid.Port_u32",
                "BallList"
            ]
        );
        assert!(matches!(&members[5].form, crate::rpc::manual::Form::Rows(row) if row.len() == 3));
    }

    #[test]
    fn an_optional_column_is_there_for_all_rows_or_for_none() {
        let mut mixed = filled();
        mixed.balls[0].owner = None;
        assert_eq!(mixed.to_pack().strs("Owner"), ["", ""]);
        mixed.balls[1].owner = None;
        assert!(!mixed.to_pack().contains("Owner"));
    }

    #[test]
    fn rows_are_as_many_as_the_longest_column_has() {
        let mut pack = filled().to_pack();
        pack.set_ints("Colour", &[7, 7, 7]);
        let balls = Crate::from_pack(&pack).unwrap().balls;
        assert_eq!(
            balls[2],
            Ball {
                colour: Colour::Blue,
                ..Ball::default()
            }
        );
    }

    #[test]
    fn endless_lists_are_refused() {
        let mut pack = Pack::new();
        pack.set_ints("Colour", &vec![7; 200_000]);
        assert_eq!(
            Crate::from_pack(&pack),
            Err(MessageError::TooManyRows("BallList".to_owned()))
        );
    }

    #[test]
    fn json_of_the_wrong_kind_is_named() {
        let error = |json| Crate::from_json(&json).unwrap_err();
        assert_eq!(
            error(json!({ "Sizes_u32": [1, "x"] })),
            MessageError::Member("Sizes_u32".to_owned())
        );
        assert_eq!(
            error(json!({ "BallList": 3 })),
            MessageError::Member("BallList".to_owned())
        );
        assert_eq!(error(json!({ "BallList": [3] })), MessageError::NotAnObject);
    }
}
