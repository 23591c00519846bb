-- Owned by engine/case: what went at that time while more items were about it than one change
-- decides. Empty subject or object: any. A row goes when the last of its items is decided.
CREATE TABLE case_gone (
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    object TEXT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (type, subject, object)
);
