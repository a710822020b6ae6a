//! The session policy of a user, group or cascade: one table from which encoding, decoding, parsing and printing
//! follow (protocol §5.2).

mod table;

pub use table::{Policy, TABLE};

use crate::pack::Pack;

/// Element that says that the fields of version 3 are present.
const VERSION_3: &str = "policy:Ver3";

/// One policy: a row of [`TABLE`].
#[derive(Debug)]
pub struct Row {
    /// Position in lists, and the number stock administration tools use.
    pub id: usize,
    /// Name on the wire (after `policy:`), in configuration files and on command lines.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its value where nobody set one.
    pub default: u32,
    /// Whether the policy of a cascade connection has it too.
    pub cascade: bool,
    /// One line for people.
    pub about: &'static str,
    get: fn(&Policy) -> u32,
    set: fn(&mut Policy, u32),
}

/// The values a policy takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// A number from `min` to `max`; 0 means unlimited or off where `optional`.
    Number {
        /// Smallest value other than the 0 of an optional policy.
        min: u32,
        /// Largest value.
        max: u32,
        /// Whether 0 is allowed.
        optional: bool,
        /// What it counts, for people.
        unit: Unit,
    },
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Bits per second.
    BitsPerSecond,
}

/// A text or number that is not a value of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No row of this name.
    #[error("there is no policy named {0}; PolicyList shows them all")]
    UnknownName(String),
    /// Not a yes or no.
    #[error("{name} is yes or no, not {value}")]
    NotFlag {
        /// The policy.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// Not a number in the policy's range.
    #[error("{name} is a number from {min} to {max}{}, not {value}", if *.optional { ", or 0 for none" } else { "" })]
    NotInRange {
        /// The policy.
        name: &'static str,
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
        /// Whether 0 is a value too.
        optional: bool,
        /// What was given.
        value: String,
    },
}

impl Row {
    /// The row of a name, in any case of letters.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
    }

    /// Version 3 of the protocol's policies added the rows from 22 on.
    #[must_use]
    pub fn version_3(&self) -> bool {
        self.id >= 22
    }

    /// The value in a policy; a flag is 0 or 1.
    #[must_use]
    pub fn get(&self, policy: &Policy) -> u32 {
        (self.get)(policy)
    }

    /// Sets the value in a policy as it comes, without checking its range.
    pub fn set(&self, policy: &mut Policy, value: u32) {
        (self.set)(policy, value);
    }

    /// Reads what a person typed: `yes`, `no` and the like for a flag, decimal digits for a number.
    ///
    /// # Errors
    /// [`PolicyError`] for anything else and for a number out of range.
    pub fn parse(&self, text: &str) -> Result<u32, PolicyError> {
        let value = text.trim();
        match self.kind {
            Kind::Flag => parse_flag(value)
                .map(u32::from)
                .ok_or_else(|| PolicyError::NotFlag {
                    name: self.name,
                    value: value.to_owned(),
                }),
            Kind::Number { .. } => value
                .parse()
                .map_err(|_| self.out_of_range(value.to_owned()))
                .and_then(|number| self.check(number)),
        }
    }

    /// Returns the value if the policy may have it.
    ///
    /// # Errors
    /// [`PolicyError::NotInRange`]; a flag takes every number.
    pub fn check(&self, value: u32) -> Result<u32, PolicyError> {
        match self.kind {
            Kind::Number {
                min, max, optional, ..
            } if !((min..=max).contains(&value) || optional && value == 0) => {
                Err(self.out_of_range(value.to_string()))
            }
            _ => Ok(value),
        }
    }

    /// A value as people read it: `Yes`, `20 seconds`, `-` for none.
    #[must_use]
    pub fn format(&self, value: u32) -> String {
        match self.kind {
            Kind::Flag => if value == 0 { "No" } else { "Yes" }.to_owned(),
            Kind::Number { optional: true, .. } if value == 0 => "-".to_owned(),
            Kind::Number {
                unit: Unit::Count, ..
            } => value.to_string(),
            Kind::Number {
                unit: Unit::Seconds, ..
            } => format!("{value} seconds"),
            Kind::Number {
                unit: Unit::BitsPerSecond,
                ..
            } => format!("{value} bps"),
        }
    }

    fn out_of_range(&self, value: String) -> PolicyError {
        let (min, max, optional) = match self.kind {
            Kind::Number {
                min, max, optional, ..
            } => (min, max, optional),
            Kind::Flag => (0, 1, false),
        };
        PolicyError::NotInRange {
            name: self.name,
            min,
            max,
            optional,
            value,
        }
    }
}

/// Stock tools take yes and no in many spellings; the first letter or a number decides.
fn parse_flag(text: &str) -> Option<bool> {
    const YES: [&str; 5] = ["yes", "y", "true", "t", "on"];
    const NO: [&str; 5] = ["no", "n", "false", "f", "off"];
    if let Ok(number) = text.parse::<u32>() {
        return Some(number != 0);
    }
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(&YES) {
        Some(true)
    } else {
        is(&NO).then_some(false)
    }
}

impl Policy {
    /// Adds every `policy:` element and the mark of version 3.
    pub fn write(&self, pack: &mut Pack) {
        for row in TABLE {
            pack.set_int(&format!("policy:{}", row.name), row.get(self));
        }
        pack.set_int(VERSION_3, 1);
    }

    /// Reads the `policy:` elements. An absent one is 0, as stock peers read it; rows of version 3 count only with
    /// their mark.
    #[must_use]
    pub fn read(pack: &Pack) -> Self {
        let mut policy = Self::default();
        let version_3 = pack.bool(VERSION_3);
        for row in TABLE {
            let value = if row.version_3() && !version_3 {
                0
            } else {
                pack.int_or_0(&format!("policy:{}", row.name))
            };
            row.set(&mut policy, value);
        }
        policy
    }

    /// Sets one policy from what a person typed.
    ///
    /// # Errors
    /// [`PolicyError`] when the name or value is wrong; nothing is changed then.
    pub fn set_text(&mut self, name: &str, value: &str) -> Result<(), PolicyError> {
        let row = Row::find(name).ok_or_else(|| PolicyError::UnknownName(name.to_owned()))?;
        row.set(self, row.parse(value)?);
        Ok(())
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// The first [`PolicyError::NotInRange`].
    pub fn check(&self) -> Result<(), PolicyError> {
        TABLE
            .iter()
            .try_for_each(|row| row.check(row.get(self)).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, PolicyError, Row, TABLE};
    use crate::pack::Pack;

    #[test]
    fn ids_are_positions() {
        for (position, row) in TABLE.iter().enumerate() {
            assert_eq!(row.id, position, "{}", row.name);
        }
        assert_eq!(TABLE.len(), 38);
        assert_eq!(TABLE.iter().filter(|row| row.cascade).count(), 25);
    }

    #[test]
    fn every_row_survives_the_wire_alone() {
        for row in TABLE {
            let mut policy = Policy::default();
            row.set(&mut policy, 1 - row.default.min(1));
            let mut pack = Pack::new();
            policy.write(&mut pack);
            assert_eq!(Policy::read(&pack), policy, "{}", row.name);
            assert_eq!(pack.len(), TABLE.len() + 1);
        }
    }

    #[test]
    fn version_3_needs_its_mark() {
        let mut pack = Pack::new();
        Policy {
            check_mac: true,
            check_ip_v6: true,
            ..Policy::default()
        }
        .write(&mut pack);
        pack.remove("policy:Ver3");
        let policy = Policy::read(&pack);
        assert!(policy.check_mac);
        assert!(!policy.check_ip_v6);
    }

    #[test]
    fn what_is_printed_can_be_typed() {
        for (name, typed, shown) in [
            ("Access", "no", "No"),
            ("dhcpfilter", "Yes", "Yes"),
            ("TimeOut", "30", "30 seconds"),
            ("MaxUpload", "1000000", "1000000 bps"),
            ("MaxMac", "0", "-"),
            ("VLanId", "4095", "4095"),
        ] {
            let mut policy = Policy::default();
            policy.set_text(name, typed).unwrap();
            let row = Row::find(name).unwrap();
            assert_eq!(row.format(row.get(&policy)), shown);
        }
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (name, value) in [
            ("MaxConnection", "33"),
            ("MaxConnection", "0"),
            ("TimeOut", "4"),
            ("VLanId", "4096"),
        ] {
            let error = Policy::default().set_text(name, value).unwrap_err();
            assert!(matches!(error, PolicyError::NotInRange { .. }), "{error}");
        }
        assert_eq!(
            Policy::default().set_text("VLanId", "x").unwrap_err().to_string(),
            "VLanId is a number from 1 to 4095, or 0 for none, not x"
        );
        assert!(matches!(
            Policy::default().set_text("Nonsense", "1"),
            Err(PolicyError::UnknownName(_))
        ));
        assert!(matches!(
            Policy::default().set_text("Access", "maybe"),
            Err(PolicyError::NotFlag { .. })
        ));
    }

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Policy::default().check(), Ok(()));
        assert!(Policy::default().access);
        assert_eq!(Policy::default().timeout, 20);
    }
}
