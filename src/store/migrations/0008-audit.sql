-- Owned by room/audit/control: saved searches, alerts on searches, and how far their evaluation is.

CREATE TABLE audit_search (
    name TEXT NOT NULL PRIMARY KEY,
    query TEXT NOT NULL,
    description TEXT,
    owner TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

-- by_fields, notify: names with commas between. over_ms, cooldown_ms: milliseconds. first: the index of
-- the first event that it looks at.
CREATE TABLE audit_alert (
    name TEXT NOT NULL PRIMARY KEY,
    query TEXT NOT NULL,
    threshold TEXT NOT NULL,
    over_ms BIGINT NOT NULL,
    by_fields TEXT NOT NULL,
    severity BIGINT NOT NULL,
    notify TEXT NOT NULL,
    cooldown_ms BIGINT NOT NULL,
    description TEXT,
    enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    first BIGINT NOT NULL,
    owner TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

-- What was counted: of one group in one slice of time. amount: thousandths. evidence: a JSON array.
CREATE TABLE audit_alert_bucket (
    alert TEXT NOT NULL REFERENCES audit_alert (name),
    group_values TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (alert, group_values, bucket)
);

-- Groups over the threshold. told: 0 while the cooldown keeps them quiet. fired: the end of the window
-- that was told last (ms); resolved: 1 when under the threshold again, kept for the cooldown.
CREATE TABLE audit_alert_group (
    alert TEXT NOT NULL REFERENCES audit_alert (name),
    group_values TEXT NOT NULL,
    uid TEXT NOT NULL,
    fired BIGINT NOT NULL,
    resolved BIGINT NOT NULL CHECK (resolved IN (0, 1)),
    amount BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    PRIMARY KEY (alert, group_values)
);

-- One row: the next event to look at, and the latest time that events had (ms).
CREATE TABLE audit_alert_place (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    next BIGINT NOT NULL,
    watermark BIGINT NOT NULL
);

-- Events that are decided and may not be in the log yet. started: of the process that decided.
CREATE TABLE audit_alert_outbox (
    uid TEXT NOT NULL,
    code TEXT NOT NULL,
    record TEXT NOT NULL,
    started BIGINT NOT NULL,
    PRIMARY KEY (uid, code)
);
