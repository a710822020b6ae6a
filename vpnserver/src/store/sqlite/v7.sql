-- IPv6 of SecureNAT. A hub without a row has the defaults.
CREATE TABLE secure_nat_ipv6 (
    hub          BLOB PRIMARY KEY REFERENCES hub (id) ON DELETE CASCADE,
    enabled      INTEGER NOT NULL,
    prefix       TEXT NOT NULL,
    name_servers TEXT NOT NULL, -- as NameServers writes them
    preferred    INTEGER NOT NULL,
    valid        INTEGER NOT NULL
) STRICT;
