-- Owned by engine/case: cases of every type, their items, and what happened to them.
-- Persons are entity texts (User::"alice"). What is stored stays when they go: it is evidence.

-- details: the type's own, as a JSON object. ended: NULL as long as a step can be taken.
CREATE TABLE case_case (
    id TEXT NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    at_deadline TEXT NOT NULL,
    details TEXT NOT NULL,
    created BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    ended BIGINT
);
CREATE INDEX case_case_deadline ON case_case (type, ended, deadline);

-- Numbered from 1 within the case. decided: 1 when no step can be taken any more.
CREATE TABLE case_item (
    case_id TEXT NOT NULL REFERENCES case_case (id),
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    object TEXT NOT NULL,
    assignee TEXT NOT NULL,
    state TEXT NOT NULL,
    details TEXT NOT NULL,
    decided BIGINT NOT NULL CHECK (decided IN (0, 1)),
    PRIMARY KEY (case_id, number)
);
CREATE INDEX case_item_decided ON case_item (case_id, decided);
CREATE INDEX case_item_subject ON case_item (decided, subject);
CREATE INDEX case_item_object ON case_item (decided, object);

-- Only ever added to. item: 0 for the case itself. request_id: that of the records in the audit log.
CREATE TABLE case_history (
    case_id TEXT NOT NULL REFERENCES case_case (id),
    sequence BIGINT NOT NULL,
    item BIGINT NOT NULL,
    step TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    time BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    PRIMARY KEY (case_id, sequence)
);
CREATE INDEX case_history_item ON case_history (case_id, item, sequence);
