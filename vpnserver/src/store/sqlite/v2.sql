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
