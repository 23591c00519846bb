-- Owned by room/auth/control: entities of other systems that decisions ask about.

-- uid: Cedar's canonical text of type and id. attrs and tags: records in Cedar's JSON.
CREATE TABLE auth_external (
    uid TEXT NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    attrs TEXT NOT NULL,
    tags TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX auth_external_type ON auth_external (type, id);

-- Direct parents; they need not be registered themselves.
CREATE TABLE auth_external_parent (
    uid TEXT NOT NULL REFERENCES auth_external (uid) ON DELETE CASCADE,
    parent TEXT NOT NULL,
    PRIMARY KEY (uid, parent)
);
