-- Owned by room/data/control: the inventory of files and tables that scans saw, how they are labelled,
-- and what changed from scan to scan.

-- Times are in ns; finished: 0 while it runs. complete: it saw all that is there. caller: who ran it.
CREATE TABLE data_scan (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    caller TEXT NOT NULL,
    started BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    complete BIGINT NOT NULL CHECK (complete IN (0, 1)),
    first BIGINT NOT NULL CHECK (first IN (0, 1)),
    assets BIGINT NOT NULL
);

CREATE INDEX data_scan_source ON data_scan (source);

-- sensitivity, own_sensitivity: 0 public, 1 internal, 2 confidential, 3 restricted. categories, labels and
-- those with own_: words with commas between. What begins with own_ a person set; it wins. details: JSON,
-- why the scan says so. gone: when a scan missed it first, or 0.
CREATE TABLE data_asset (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    size BIGINT NOT NULL,
    rows_read BIGINT NOT NULL,
    found BIGINT NOT NULL,
    sensitivity BIGINT NOT NULL,
    confidence BIGINT NOT NULL,
    categories TEXT NOT NULL,
    labels TEXT NOT NULL,
    details TEXT NOT NULL,
    problem TEXT NOT NULL,
    own_sensitivity BIGINT,
    own_categories TEXT,
    own_labels TEXT,
    owner TEXT,
    came_from TEXT,
    goes_to TEXT,
    note TEXT,
    set_by TEXT,
    set_at BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    scan TEXT NOT NULL,
    gone BIGINT NOT NULL,
    UNIQUE (source, name)
);

-- change: new, gone, back, changed. before, after: "restricted personal,payment".
CREATE TABLE data_drift (
    id TEXT NOT NULL PRIMARY KEY,
    scan TEXT NOT NULL,
    asset TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    change TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    seen BIGINT NOT NULL
);

CREATE INDEX data_drift_scan ON data_drift (scan);
