-- Owned by room/data/control/disposal: what a second person lets go, and rows of tables.

-- The request that the run was approved by; '': none was wanted.
ALTER TABLE data_disposal ADD COLUMN approval TEXT NOT NULL DEFAULT '';

-- id: that of the case (type data_disposal), which has the answers and the history. source, rule: to which it
-- was confined, or ''. approvals: how many it wants. expires: in ns
-- from the last yes; before that and after its end 0. state "approved" with expires in the past is over.
-- used: all that it lists has been in a run.
CREATE TABLE data_disposal_request (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    rule TEXT NOT NULL,
    requester TEXT NOT NULL,
    reason TEXT NOT NULL,
    approvals BIGINT NOT NULL,
    items BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'used', 'rejected', 'cancelled', 'lapsed')),
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);

CREATE INDEX data_disposal_request_state ON data_disposal_request (state, requester);

-- What it is about, as it was when it was asked for, until that is over. terms: its rule then, as JSON. run: in which it was; each is in one at most, '' before.
CREATE TABLE data_disposal_request_item (
    request TEXT NOT NULL,
    n BIGINT NOT NULL,
    asset TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    stamp TEXT NOT NULL,
    terms TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (request, n)
);

CREATE INDEX data_disposal_request_asset ON data_disposal_request_item (asset);

-- Of a table: the column that tells a row's age, and the time before which rows go, in ns; '' and 0: a file. row_count:
-- that go or went; undated: that have no age and stay. xact: of the database, by which it can be asked whether it was
-- committed; '' before that is about to be.
ALTER TABLE data_disposal_item ADD COLUMN date_column TEXT NOT NULL DEFAULT '';
ALTER TABLE data_disposal_item ADD COLUMN before BIGINT NOT NULL DEFAULT 0;
ALTER TABLE data_disposal_item ADD COLUMN row_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE data_disposal_item ADD COLUMN undated BIGINT NOT NULL DEFAULT 0;
ALTER TABLE data_disposal_item ADD COLUMN xact TEXT NOT NULL DEFAULT '';

-- That the run destroyed in tables.
ALTER TABLE data_disposal ADD COLUMN row_count BIGINT NOT NULL DEFAULT 0;

-- Of a table: the time before which rows go, as it was when it was asked for; 0: a file.
ALTER TABLE data_disposal_request_item ADD COLUMN before BIGINT NOT NULL DEFAULT 0;
