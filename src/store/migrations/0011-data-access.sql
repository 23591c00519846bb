-- Owned by room/data/control/access: who asked for which data, and what he was given.

-- id: that of the case (type data_access), which has the approvals and the history. source, name: the
-- asset's, when it was asked for. subject, requester, approver: entity texts (User::"alice"); approver:
-- whose business it is, or '' when nobody is named. actions: words with commas between. lasts: in ns from
-- the last approval; role: of a database, which gets SELECT on the table, or NULL; until: a time instead, or 0. approvals: how many it wanted. began, expires, ended:
-- times in ns, or 0. state "granted" with expires in the past is a grant that has ended.
CREATE TABLE data_access (
    id TEXT NOT NULL PRIMARY KEY,
    asset TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    requester TEXT NOT NULL,
    approver TEXT NOT NULL,
    actions TEXT NOT NULL,
    purpose TEXT NOT NULL,
    role TEXT,
    lasts BIGINT NOT NULL,
    until BIGINT NOT NULL,
    approvals BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'granted', 'rejected', 'cancelled', 'lapsed', 'revoked', 'expired')),
    created BIGINT NOT NULL,
    began BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    ended_by TEXT,
    reason TEXT
);

CREATE INDEX data_access_asset ON data_access (asset, state);
CREATE INDEX data_access_subject ON data_access (subject, state);
CREATE INDEX data_access_source ON data_access (source, name, role);
CREATE INDEX data_access_state ON data_access (state, expires);
