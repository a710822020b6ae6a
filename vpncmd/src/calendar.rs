//! Times as the stock tool prints and reads them: local time.

use std::time::{Duration, SystemTime};

use jiff::{civil::DateTime, tz::TimeZone};
use protocol::rpc::Timestamp;

/// The time zone in which times are printed and read.
#[derive(Clone, Debug)]
pub struct Calendar(TimeZone);

impl Calendar {
    /// The zone of this machine (`TZ`, else /etc/localtime).
    #[must_use]
    pub fn local() -> Calendar {
        Calendar(TimeZone::system())
    }

    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Calendar {
        Calendar(TimeZone::UTC)
    }

    /// `2026-11-23 12:55:47`, the form of list views.
    #[must_use]
    pub fn short(&self, time: Timestamp) -> String {
        self.print(time, "%Y-%m-%d %H:%M:%S")
    }

    /// `2026-11-23 (Mon) 12:55:47`, the form of detail views.
    #[must_use]
    pub fn long(&self, time: Timestamp) -> String {
        self.print(time, "%Y-%m-%d (%a) %H:%M:%S")
    }

    /// `2026-11-23 (Mon)`, the form of expiry dates.
    #[must_use]
    pub fn date(&self, time: Timestamp) -> String {
        self.print(time, "%Y-%m-%d (%a)")
    }

    /// `2026-11-23 12:56:38.221`, the form of clocks.
    #[must_use]
    pub fn precise(&self, time: Timestamp) -> String {
        self.print(time, "%Y-%m-%d %H:%M:%S.%3f")
    }

    /// [`Calendar::short`], or `absent` when there is no time.
    #[must_use]
    pub fn short_or(&self, time: Timestamp, absent: &str) -> String {
        if time.is_none() {
            absent.to_owned()
        } else {
            self.short(time)
        }
    }

    /// [`Calendar::long`], or `absent` when there is no time.
    #[must_use]
    pub fn long_or(&self, time: Timestamp, absent: &str) -> String {
        if time.is_none() {
            absent.to_owned()
        } else {
            self.long(time)
        }
    }

    /// Reads a local date and time: exactly six numbers, separators free. `None` when it is not one.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<Timestamp> {
        let numbers: Vec<&str> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|s| !s.is_empty())
            .collect();
        let [year, month, day, hour, minute, second] = numbers[..] else {
            return None;
        };
        let small = |digits: &str| digits.parse::<i8>().ok();
        let time = DateTime::new(
            year.parse().ok()?,
            small(month)?,
            small(day)?,
            small(hour)?,
            small(minute)?,
            small(second)?,
            0,
        );
        let moment = self.0.to_timestamp(time.ok()?).ok()?;
        let since = Duration::from_millis(u64::try_from(moment.as_millisecond()).ok()?);
        Some(Timestamp::from(SystemTime::UNIX_EPOCH + since))
    }

    /// Reads a date and time as TOML writes it (RFC 3339): with a zone, or in this one. `None` when it is not one.
    #[must_use]
    pub fn parse_toml(&self, text: &str) -> Option<Timestamp> {
        let moment = match text.parse::<jiff::Timestamp>() {
            Ok(moment) => moment,
            Err(_) => self.0.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
        };
        let since = Duration::from_millis(u64::try_from(moment.as_millisecond()).ok()?);
        Some(Timestamp::from(SystemTime::UNIX_EPOCH + since))
    }

    /// A time as TOML writes it, in UTC; `None` when it is none.
    #[must_use]
    pub fn toml(time: Timestamp) -> Option<String> {
        let utc = time.to_utc().filter(|_| !time.is_none())?;
        let moment = jiff::Timestamp::from_nanosecond(utc.unix_timestamp_nanos()).ok()?;
        Some(moment.to_string())
    }

    fn print(&self, time: Timestamp, format: &str) -> String {
        let moment = time
            .to_utc()
            .and_then(|utc| jiff::Timestamp::from_nanosecond(utc.unix_timestamp_nanos()).ok());
        // A peer may send any 64-bit number; one that is no date is shown as it came.
        moment.map_or_else(
            || time.0.to_string(),
            |at| self.0.to_datetime(at).strftime(format).to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_in_the_three_stock_forms() {
        let calendar = Calendar::utc();
        // As a stock server sent it and the stock tool printed it.
        let time = Timestamp::from_wire(1_795_406_198_221);
        assert_eq!(calendar.short(time), "2026-11-23 12:56:38");
        assert_eq!(calendar.long(time), "2026-11-23 (Mon) 12:56:38");
        assert_eq!(calendar.precise(time), "2026-11-23 12:56:38.221");
        assert_eq!(calendar.long_or(Timestamp::NONE, "(None)"), "(None)");
        assert_eq!(calendar.short(Timestamp(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn six_numbers_with_any_separators_are_a_time() {
        let calendar = Calendar::utc();
        // As the stock tool sent it for this text.
        assert_eq!(
            calendar.parse("2030/01/02 03:04:05"),
            Some(Timestamp::from_wire(1_893_521_045_000))
        );
        assert_eq!(
            calendar.parse("2030-1-2,3.4.5"),
            Some(Timestamp::from_wire(1_893_521_045_000))
        );
        for wrong in [
            "2030/01/02",
            "2030/13/02 03:04:05",
            "garbage",
            "1 2 3 4 5 6 7",
            "2030/02/30 00:00:00",
        ] {
            assert_eq!(calendar.parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_zone_with_summer_time_is_read_and_printed_alike() {
        let calendar = Calendar(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        let summer = calendar.parse("2026/07/01 12:00:00").unwrap();
        assert_eq!(Calendar::utc().short(summer), "2026-07-01 10:00:00");
        assert_eq!(calendar.short(summer), "2026-07-01 12:00:00");
    }
}
