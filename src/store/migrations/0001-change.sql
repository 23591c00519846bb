-- Owned by store/change.c: the change sequence that SQL and snapshot share.

CREATE TABLE store_identity (
    id TEXT NOT NULL PRIMARY KEY
);

CREATE TABLE change_counter (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    last BIGINT NOT NULL
);
INSERT INTO change_counter (only_row, last) VALUES (1, 0);

CREATE TABLE change_log (
    sequence BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL
);
