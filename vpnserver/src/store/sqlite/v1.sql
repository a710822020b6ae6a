-- Names compare ignoring case; they are ASCII, so NOCASE is exact. Times are milliseconds since 1970 UTC.

CREATE TABLE server (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    id             BLOB NOT NULL,
    name           TEXT NOT NULL,
    key_check      BLOB NOT NULL, -- sealed: proves that secret.key belongs to this store
    admin_password BLOB           -- sealed
) STRICT;

CREATE TABLE listener (
    port    INTEGER PRIMARY KEY CHECK (port BETWEEN 1 AND 65535),
    enabled INTEGER NOT NULL
) STRICT;

CREATE TABLE hub (
    id           BLOB PRIMARY KEY,
    name         TEXT NOT NULL COLLATE NOCASE UNIQUE,
    kind         INTEGER NOT NULL,
    online       INTEGER NOT NULL,
    password     BLOB, -- sealed
    max_sessions INTEGER NOT NULL,
    no_enum      INTEGER NOT NULL,
    message      TEXT NOT NULL,
    created      INTEGER NOT NULL,
    log_security        INTEGER NOT NULL,
    log_security_switch INTEGER NOT NULL,
    log_packet          INTEGER NOT NULL,
    log_packet_switch   INTEGER NOT NULL,
    log_classes         BLOB NOT NULL -- one byte per packet class
) STRICT;

CREATE TABLE hub_option (
    hub   BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    name  TEXT NOT NULL COLLATE NOCASE,
    value INTEGER NOT NULL,
    PRIMARY KEY (hub, name)
) STRICT;

CREATE TABLE secure_nat (
    hub         BLOB PRIMARY KEY REFERENCES hub (id) ON DELETE CASCADE,
    enabled     INTEGER NOT NULL,
    mac         BLOB NOT NULL,
    ip          TEXT NOT NULL,
    mask        TEXT NOT NULL,
    nat         INTEGER NOT NULL,
    mtu         INTEGER NOT NULL,
    tcp_timeout INTEGER NOT NULL,
    udp_timeout INTEGER NOT NULL,
    dhcp        INTEGER NOT NULL,
    lease_start TEXT NOT NULL,
    lease_end   TEXT NOT NULL,
    lease_mask  TEXT NOT NULL,
    lease_time  INTEGER NOT NULL,
    gateway     TEXT NOT NULL,
    dns         TEXT NOT NULL,
    dns2        TEXT NOT NULL,
    domain      TEXT NOT NULL,
    save_log    INTEGER NOT NULL,
    routes      TEXT NOT NULL
) STRICT;

CREATE TABLE member_group (
    id        BLOB PRIMARY KEY,
    hub       BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    name      TEXT NOT NULL COLLATE NOCASE,
    real_name TEXT NOT NULL,
    note      TEXT NOT NULL,
    policy    TEXT, -- JSON object, policy name to number
    UNIQUE (hub, name)
) STRICT;

CREATE TABLE user (
    id           BLOB PRIMARY KEY,
    hub          BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    name         TEXT NOT NULL COLLATE NOCASE,
    real_name    TEXT NOT NULL,
    note         TEXT NOT NULL,
    member_group BLOB REFERENCES member_group (id) ON DELETE SET NULL,
    auth         INTEGER NOT NULL, -- the wire's number; says which of the next six count
    password     TEXT,             -- PHC string
    standard     BLOB,             -- sealed; only while the hub's AllowStandardPassword is on
    certificate  BLOB,
    common_name  TEXT,
    serial       BLOB,
    remote_name  TEXT,
    policy       TEXT,             -- as in member_group
    expires      INTEGER,
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    UNIQUE (hub, name)
) STRICT;

CREATE INDEX user_by_group ON user (member_group);

-- Counters change often and are no settings: kept apart, and not in the feed.
CREATE TABLE usage (
    user       BLOB PRIMARY KEY REFERENCES user (id) ON DELETE CASCADE,
    logins     INTEGER NOT NULL DEFAULT 0,
    last_login INTEGER,
    received_unicast_packets   INTEGER NOT NULL DEFAULT 0,
    received_unicast_bytes     INTEGER NOT NULL DEFAULT 0,
    received_broadcast_packets INTEGER NOT NULL DEFAULT 0,
    received_broadcast_bytes   INTEGER NOT NULL DEFAULT 0,
    sent_unicast_packets       INTEGER NOT NULL DEFAULT 0,
    sent_unicast_bytes         INTEGER NOT NULL DEFAULT 0,
    sent_broadcast_packets     INTEGER NOT NULL DEFAULT 0,
    sent_broadcast_bytes       INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The hub by name: a bridge may wait for a hub that does not exist yet.
CREATE TABLE local_bridge (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hub    TEXT NOT NULL COLLATE NOCASE,
    device TEXT NOT NULL,
    tap    BLOB, -- hardware address of the TAP; NULL for an existing interface
    UNIQUE (hub, device)
) STRICT;

CREATE TABLE dnat_rule (
    name     TEXT PRIMARY KEY COLLATE NOCASE,
    protocol TEXT NOT NULL,
    ports    TEXT NOT NULL,
    target   TEXT NOT NULL,
    source   TEXT NOT NULL,
    dest     TEXT NOT NULL
) STRICT;

CREATE TABLE lease (
    hub      BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    mac      BLOB NOT NULL,
    ip       TEXT NOT NULL,
    hostname TEXT NOT NULL,
    expires  INTEGER NOT NULL,
    PRIMARY KEY (hub, mac)
) STRICT;

CREATE TABLE change (
    revision INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused, also after pruning
    at       INTEGER NOT NULL,
    noun     TEXT NOT NULL,
    action   TEXT NOT NULL,
    hub      TEXT NOT NULL,
    name     TEXT NOT NULL
) STRICT;
