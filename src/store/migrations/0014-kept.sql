-- Owned by room/data/control/disposal: entries of vaults and closed cases that go when their time is over.

-- The part of a run (data_disposal) that is of a vault, until it ends. forget: 1: of single people, whatever
-- their age. cutoff: what was made after it stays; 0: forget. state: planned; ready: the new file is about
-- to take the old one's place; then what became of it. oldest, newest: of what goes; 0: not known. Times in ns.
CREATE TABLE data_disposal_vault (
    run TEXT NOT NULL PRIMARY KEY,
    vault TEXT NOT NULL,
    forget BIGINT NOT NULL CHECK (forget IN (0, 1)),
    cutoff BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('planned', 'ready', 'destroyed', 'kept', 'not_done', 'unknown')),
    entries BIGINT NOT NULL,
    remaining BIGINT NOT NULL,
    oldest BIGINT NOT NULL,
    newest BIGINT NOT NULL,
    checked BIGINT NOT NULL CHECK (checked IN (0, 1)),
    why TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- The cases of a run until it ends. closed: when, in ns.
CREATE TABLE data_disposal_case (
    run TEXT NOT NULL,
    n BIGINT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    rule TEXT NOT NULL,
    closed BIGINT NOT NULL,
    PRIMARY KEY (run, n)
);
