//! Local time as log files and their names have it (policies §6).

use jiff::ZonedDateTime;

/// When a log continues in a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Never.
    Never,
    /// Every second.
    Second,
    /// Every minute.
    Minute,
    /// Every hour.
    Hour,
    /// Every day.
    Day,
    /// Every month.
    Month,
}

impl Switch {
    /// The switch of a number on the wire; days for others.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Never,
            1 => Self::Second,
            2 => Self::Minute,
            3 => Self::Hour,
            5 => Self::Month,
            _ => Self::Day,
        }
    }

    /// What stands in the name of the file that a line of this time goes to.
    #[must_use]
    pub fn stamp(self, at: &ZonedDateTime) -> String {
        let format = match self {
            Self::Never => return String::new(),
            Self::Second => "_%Y%m%d_%H%M%S",
            Self::Minute => "_%Y%m%d_%H%M",
            Self::Hour => "_%Y%m%d_%H",
            Self::Day => "_%Y%m%d",
            Self::Month => "_%Y%m",
        };
        at.strftime(format).to_string()
    }
}

/// `2026-11-23 13:01:08.155`.
pub(crate) fn date_and_time(at: &ZonedDateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_as_often_as_was_asked_for() {
        let at: ZonedDateTime = "2026-11-23T13:01:08.155[UTC]".parse().unwrap();
        let stamps: Vec<_> = (0..=5).map(|code| Switch::from_code(code).stamp(&at)).collect();
        let expected = [
            "",
            "_20261123_130108",
            "_20261123_1301",
            "_20261123_13",
            "_20261123",
            "_202611",
        ];
        assert_eq!(stamps, expected);
        assert_eq!(date_and_time(&at), "2026-11-23 13:01:08.155");
    }
}
