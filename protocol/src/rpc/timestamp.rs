use std::fmt;
use std::time::{Duration, SystemTime};

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use ::time::macros::{datetime, format_description};

/// A point in time: milliseconds since 1970-01-01 UTC, 0 for "none". A PACK has it nine hours less, see
/// [`Timestamp::to_wire`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// What the stock formatter prints for "none", and for everything before it (admin RPC §5).
const EARLIEST: OffsetDateTime = datetime!(1970-01-01 09:00 UTC);
/// The last moment that four digits of a year can say.
const LATEST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999 UTC);

/// Stock software counts time from nine o'clock of the first day of 1970, UTC: midnight in Japan, nine hours late.
/// A server whose clock stands at 12:56:38 sends the number of 03:56:38 (captured as `CurrentTime`), and its JSON,
/// which is true UTC, has 09:00 for zero.
const WIRE_SHIFT: u64 = 9 * 3600 * 1000;

impl Timestamp {
    /// The number in a PACK.
    pub fn to_wire(self) -> u64 {
        if self.is_none() {
            0
        } else {
            self.0.wrapping_sub(WIRE_SHIFT)
        }
    }

    /// The time of a number in a PACK.
    pub fn from_wire(number: u64) -> Self {
        Self(if number == 0 {
            0
        } else {
            number.wrapping_add(WIRE_SHIFT)
        })
    }

    /// No point in time: never logged in, never expires.
    pub const NONE: Self = Self(0);

    /// True for "none".
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The moment on the calendar; `None` for "none" and for years past 9999.
    pub fn to_utc(self) -> Option<OffsetDateTime> {
        if self.is_none() {
            return None;
        }
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok()
    }

    /// The form of the JSON members that end in `_dt`: `2030-01-02T03:04:05.678Z`. "None" prints as the stock
    /// server prints it, nine hours into 1970.
    pub fn to_json_text(self) -> String {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let moment = match self.to_utc() {
            None if self.is_none() => EARLIEST,
            None => LATEST,
            Some(moment) => moment.clamp(EARLIEST, LATEST),
        };
        moment.format(format).unwrap_or_default()
    }

    /// Reads what [`Timestamp::to_json_text`] writes, and other ISO 8601 moments; without an offset UTC is meant.
    /// Whatever is not later than the stock "none" is "none".
    pub fn from_json_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Self::NONE);
        }
        let moment = OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339))
            .ok()?;
        Some(if moment <= EARLIEST {
            Self::NONE
        } else {
            Self::from(moment)
        })
    }
}

impl From<OffsetDateTime> for Timestamp {
    /// Moments before 1970 become "none".
    fn from(moment: OffsetDateTime) -> Self {
        Self(u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Moments before 1970 become "none".
    fn from(moment: SystemTime) -> Self {
        let since = moment
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            f.write_str("none")
        } else {
            f.write_str(&self.to_json_text())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_text_is_the_stock_form() {
        assert_eq!(
            Timestamp(1_893_553_445_678).to_json_text(),
            "2030-01-02T03:04:05.678Z"
        );
        assert_eq!(Timestamp::NONE.to_json_text(), "1970-01-01T09:00:00.000Z");
        assert_eq!(Timestamp(u64::MAX).to_json_text(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_pack_counts_from_nine_in_the_morning() {
        // Captured: ExpireTime of a user whose JSON has 2031-01-02T03:04:05.678Z.
        let moment = Timestamp::from_wire(1_925_057_045_678);
        assert_eq!(moment.to_json_text(), "2031-01-02T03:04:05.678Z");
        assert_eq!(moment.to_wire(), 1_925_057_045_678);
        assert_eq!(Timestamp::NONE.to_wire(), 0);
        assert_eq!(Timestamp::from_wire(0), Timestamp::NONE);
    }

    #[test]
    fn several_forms_of_the_same_moment_are_read() {
        let moment = Some(Timestamp(1_893_553_445_678));
        assert_eq!(Timestamp::from_json_text("2030-01-02T03:04:05.678Z"), moment);
        assert_eq!(Timestamp::from_json_text("2030-01-02T03:04:05.678"), moment);
        assert_eq!(Timestamp::from_json_text("2030-01-02T12:04:05.678+09:00"), moment);
        assert_eq!(
            Timestamp::from_json_text("1970-01-01T09:00:00.000Z"),
            Some(Timestamp::NONE)
        );
        assert_eq!(Timestamp::from_json_text(""), Some(Timestamp::NONE));
        assert_eq!(Timestamp::from_json_text("tomorrow"), None);
    }
}
