-- What a DHCP server needs to know again after a restart. Nothing ever used the table of the first version.
DROP TABLE lease;

CREATE TABLE lease (
    hub       BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    ip        TEXT NOT NULL,
    client    BLOB NOT NULL, -- its identifier, or one made from its hardware address
    mac       BLOB NOT NULL,
    user      TEXT,          -- whose session it was behind
    host_name TEXT NOT NULL,
    since     INTEGER NOT NULL,
    until     INTEGER NOT NULL, -- one that has ended is remembered
    PRIMARY KEY (hub, ip)
) STRICT;

-- The user by name: external users have no row.
CREATE TABLE dhcp_reservation (
    hub  BLOB NOT NULL REFERENCES hub (id) ON DELETE CASCADE,
    ip   TEXT NOT NULL,
    mac  BLOB,
    user TEXT COLLATE NOCASE,
    PRIMARY KEY (hub, ip),
    UNIQUE (hub, mac),
    UNIQUE (hub, user),
    CHECK ((mac IS NULL) <> (user IS NULL))
) STRICT;
