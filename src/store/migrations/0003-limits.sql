-- Owned by room/api/control: limits of one subject by name. subject: "group/research", as its counters
-- are named; place: what a limit stands in for ("requests/60000000000", "tokens/day", "concurrent").
-- kind, unit and period are numbers of engine/limit. A limit whose number is 0 lifts that of its kind.
CREATE TABLE api_limit (
    subject TEXT NOT NULL,
    place TEXT NOT NULL,
    kind BIGINT NOT NULL CHECK (kind IN (0, 1, 2)),
    unit BIGINT NOT NULL CHECK (unit IN (0, 1, 2)),
    period BIGINT NOT NULL CHECK (period IN (0, 1)),
    count BIGINT NOT NULL,
    period_ns BIGINT NOT NULL,
    burst BIGINT NOT NULL,
    maximum BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (subject, place)
);

-- When the file of counters was made that was seen last: another one has forgotten everything.
CREATE TABLE api_counters (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    created BIGINT NOT NULL
);
