//! Former states of a server's settings. Ours; stock servers know no such methods and answer "not supported".

use super::message::message;

message! {
    /// One state in a [`BackupList`].
    pub struct BackupRow {
        /// What names it.
        number: u64 "Number",
        created_time: time "CreatedTime",
        /// Bytes on the disk.
        size: u64 "Size",
        num_hub: u32 "NumHub",
        num_user: u32 "NumUser",
    }

    /// The states that are kept, newest first.
    pub struct BackupList {
        backups: counted BackupRow "BackupList",
    }

    /// The state to put back.
    pub struct BackupKey {
        number: u64 "Number",
    }
}
