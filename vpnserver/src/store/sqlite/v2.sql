-- What administrators shape beside hubs and users.

ALTER TABLE server ADD COLUMN tls_key BLOB; -- sealed; the chain it belongs to is in server_certificate
ALTER TABLE server ADD COLUMN tls_cipher TEXT;
ALTER TABLE server ADD COLUMN keep_enabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE server ADD COLUMN keep_host TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN keep_port INTEGER NOT NULL DEFAULT 0;
ALTER TABLE server ADD COLUMN keep_protocol INTEGER NOT NULL DEFAULT 1;
ALTER TABLE server ADD COLUMN keep_interval INTEGER NOT NULL DEFAULT 50;
ALTER TABLE server ADD COLUMN syslog_level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE server ADD COLUMN syslog_host TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN syslog_port INTEGER NOT NULL DEFAULT 0;

CREATE TABLE server_certificate (
    place INTEGER PRIMARY KEY, -- 0 for the server's own
    der   BLOB NOT NULL
) STRICT;

CREATE TABLE cascade (
    number  INTEGER PRIMARY KEY AUTOINCREMENT, -- lists are in the order of making
    id      BLOB NOT NULL UNIQUE,
    hub     BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    folded  TEXT NOT NULL, -- the name in lower case: it may be in any language, so NOCASE will not do
    name    TEXT NOT NULL,
    online  INTEGER NOT NULL,
    host    TEXT NOT NULL,
    port    INTEGER NOT NULL,
    udp_port INTEGER NOT NULL,
    remote_hub TEXT NOT NULL,
    username TEXT NOT NULL,
    auth    INTEGER NOT NULL, -- the wire's number
    secret  BLOB,             -- sealed: hash, password or key, as `auth` says
    certificate BLOB,
    proxy   INTEGER NOT NULL,
    proxy_host TEXT NOT NULL,
    proxy_port INTEGER NOT NULL,
    proxy_username TEXT NOT NULL,
    proxy_password BLOB,      -- sealed
    proxy_headers TEXT NOT NULL,
    max_connections INTEGER NOT NULL,
    additional_interval INTEGER NOT NULL,
    connection_life INTEGER NOT NULL,
    encrypt INTEGER NOT NULL,
    compress INTEGER NOT NULL,
    half_duplex INTEGER NOT NULL,
    no_qos  INTEGER NOT NULL,
    no_udp_acceleration INTEGER NOT NULL,
    check_certificate INTEGER NOT NULL,
    server_certificate BLOB,
    policy  TEXT NOT NULL,
    UNIQUE (hub, folded)
) STRICT;

CREATE TABLE layer3_switch (
    name   TEXT PRIMARY KEY COLLATE NOCASE,
    active INTEGER NOT NULL
) STRICT;

-- The hub by name: an interface may wait for a hub that does not exist yet.
CREATE TABLE layer3_interface (
    switch  TEXT NOT NULL COLLATE NOCASE REFERENCES layer3_switch (name) ON DELETE CASCADE,
    hub     TEXT NOT NULL COLLATE NOCASE,
    address TEXT NOT NULL,
    mask    TEXT NOT NULL,
    PRIMARY KEY (switch, hub)
) STRICT;

CREATE TABLE layer3_route (
    switch  TEXT NOT NULL COLLATE NOCASE REFERENCES layer3_switch (name) ON DELETE CASCADE,
    network TEXT NOT NULL,
    mask    TEXT NOT NULL,
    gateway TEXT NOT NULL,
    metric  INTEGER NOT NULL,
    PRIMARY KEY (switch, network, mask, gateway, metric)
) STRICT;

-- What a hub's administrator may not do, and how much the hub may hold; only what is not 0.
CREATE TABLE hub_admin_option (
    hub   BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    name  TEXT NOT NULL COLLATE NOCASE,
    value INTEGER NOT NULL,
    PRIMARY KEY (hub, name)
) STRICT;

CREATE TABLE hub_radius (
    hub            BLOB PRIMARY KEY REFERENCES hub (id) ON DELETE CASCADE,
    servers        TEXT NOT NULL, -- as given, several separated by , or ;
    port           INTEGER NOT NULL,
    secret         BLOB,          -- sealed
    retry_interval INTEGER NOT NULL
) STRICT;

CREATE TABLE source_rule (
    hub      BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    deny     INTEGER NOT NULL,
    address  TEXT NOT NULL,
    mask     TEXT,
    PRIMARY KEY (hub, position)
) STRICT;

CREATE TABLE authority (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hub    BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    key    INTEGER NOT NULL,
    der    BLOB NOT NULL,
    UNIQUE (hub, key)
) STRICT;

CREATE TABLE revocation (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    hub          BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    key          INTEGER NOT NULL,
    serial       BLOB,
    common_name  TEXT,
    organization TEXT,
    unit         TEXT,
    country      TEXT,
    state        TEXT,
    locality     TEXT,
    md5          BLOB,
    sha1         BLOB,
    UNIQUE (hub, key)
) STRICT;

CREATE TABLE access_rule (
    hub                    BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    position               INTEGER NOT NULL, -- may have gaps until a rule is added
    key                    INTEGER NOT NULL,
    note                   TEXT NOT NULL,
    active                 INTEGER NOT NULL,
    priority               INTEGER NOT NULL,
    discard                INTEGER NOT NULL,
    ipv6                   INTEGER NOT NULL, -- which kind the four addresses are
    source                 TEXT NOT NULL,
    source_mask            TEXT NOT NULL,
    destination            TEXT NOT NULL,
    destination_mask       TEXT NOT NULL,
    protocol               INTEGER NOT NULL,
    source_port_start      INTEGER NOT NULL,
    source_port_end        INTEGER NOT NULL,
    destination_port_start INTEGER NOT NULL,
    destination_port_end   INTEGER NOT NULL,
    source_user            TEXT NOT NULL,
    destination_user       TEXT NOT NULL,
    source_mac             BLOB, -- NULL where it does not count
    source_mac_mask        BLOB,
    destination_mac        BLOB,
    destination_mac_mask   BLOB,
    established            INTEGER, -- NULL where the state of TCP does not count
    delay                  INTEGER NOT NULL,
    jitter                 INTEGER NOT NULL,
    loss                   INTEGER NOT NULL,
    redirect_url           TEXT NOT NULL,
    PRIMARY KEY (hub, key)
) STRICT;
