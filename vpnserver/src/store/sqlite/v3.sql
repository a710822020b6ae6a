-- What the members of a group have used while they were members; as in usage.
CREATE TABLE group_usage (
    member_group BLOB PRIMARY KEY REFERENCES member_group (id) ON DELETE CASCADE,
    received_unicast_packets   INTEGER NOT NULL DEFAULT 0,
    received_unicast_bytes     INTEGER NOT NULL DEFAULT 0,
    received_broadcast_packets INTEGER NOT NULL DEFAULT 0,
    received_broadcast_bytes   INTEGER NOT NULL DEFAULT 0,
    sent_unicast_packets       INTEGER NOT NULL DEFAULT 0,
    sent_unicast_bytes         INTEGER NOT NULL DEFAULT 0,
    sent_broadcast_packets     INTEGER NOT NULL DEFAULT 0,
    sent_broadcast_bytes       INTEGER NOT NULL DEFAULT 0
) STRICT;
