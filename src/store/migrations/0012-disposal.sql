-- Owned by room/data/control/disposal: what goes when its time is over, and the certificates of it.

-- modified: of the file, when a scan read it; 0: not known. stamp: by which the same file is known again
-- (engine/scan/scan.h); '': it is not.
ALTER TABLE data_asset ADD COLUMN modified BIGINT NOT NULL DEFAULT 0;
ALTER TABLE data_asset ADD COLUMN stamp TEXT NOT NULL DEFAULT '';

-- A run, and later its certificate: document and sha256 are written once and never changed. state: running;
-- closing: the document is there, the log does not know of it yet. rules: those that were in force, as
-- JSON. request: the id of the request whose event names the certificate. Times in ns, finished 0 before.
CREATE TABLE data_disposal (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    caller TEXT NOT NULL,
    rules TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'closing', 'finished')),
    started BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    finished_by TEXT NOT NULL,
    items BIGINT NOT NULL,
    destroyed BIGINT NOT NULL,
    document TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    request TEXT NOT NULL
);

-- Of a source one run is under way.
CREATE UNIQUE INDEX data_disposal_open ON data_disposal (source) WHERE state <> 'finished';

-- The files of a run until it ends. state: planned; ready: it is about to be removed; then what became of it.
CREATE TABLE data_disposal_item (
    run TEXT NOT NULL,
    n BIGINT NOT NULL,
    asset TEXT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    stamp TEXT NOT NULL,
    rule TEXT NOT NULL,
    sensitivity BIGINT NOT NULL,
    categories TEXT NOT NULL,
    labels TEXT NOT NULL,
    state TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    why TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (run, n)
);

-- The same file under the name of another source.
CREATE INDEX data_asset_stamp ON data_asset (stamp) WHERE stamp <> '';
