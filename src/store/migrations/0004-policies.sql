-- Owned by room/auth/control: policies as they were given, and every version of the set.

-- Each text once, however many versions hold it. digest: SHA-256 in hexadecimal.
CREATE TABLE auth_policy_text (
    digest TEXT NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
);

-- The set in force is the one with the highest version. origin: the version that a rollback restored.
CREATE TABLE auth_policy_version (
    version BIGINT NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL,
    author TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('apply', 'delete', 'rollback')),
    note TEXT,
    origin BIGINT,
    digest TEXT NOT NULL
);

-- What a version holds: named texts. since: the version that brought this text under this name.
CREATE TABLE auth_policy_item (
    version BIGINT NOT NULL REFERENCES auth_policy_version (version) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES auth_policy_text (digest),
    since BIGINT NOT NULL,
    PRIMARY KEY (version, name)
);
CREATE INDEX auth_policy_item_digest ON auth_policy_item (digest);

-- Roles that end by themselves, and those that were taken in an emergency.
ALTER TABLE auth_assignment ADD COLUMN expires BIGINT;
ALTER TABLE auth_assignment ADD COLUMN reason TEXT;
ALTER TABLE auth_assignment ADD COLUMN break_glass BIGINT NOT NULL DEFAULT 0;
CREATE INDEX auth_assignment_expires ON auth_assignment (expires);
