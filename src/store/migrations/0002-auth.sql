-- Owned by room/auth/control: who there is, what they belong to, what they may do, their API keys.
-- Times are nanoseconds UTC. Names are unique whatever their case, so that no two look alike.

-- Users, service accounts and groups. kind: 'user', 'service', 'group'.
CREATE TABLE auth_entity (
    kind TEXT NOT NULL CHECK (kind IN ('user', 'service', 'group')),
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    email TEXT,
    description TEXT,
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE UNIQUE INDEX auth_entity_lower ON auth_entity (kind, lower(name));

-- Who is directly in which group; groups may be in groups, never in a circle.
CREATE TABLE auth_member (
    group_kind TEXT NOT NULL CHECK (group_kind = 'group'),
    group_name TEXT NOT NULL,
    member_kind TEXT NOT NULL,
    member_name TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (group_name, member_kind, member_name),
    FOREIGN KEY (group_kind, group_name) REFERENCES auth_entity (kind, name) ON DELETE CASCADE,
    FOREIGN KEY (member_kind, member_name) REFERENCES auth_entity (kind, name) ON DELETE CASCADE
);
CREATE INDEX auth_member_member ON auth_member (member_kind, member_name, group_name);
CREATE INDEX auth_member_group ON auth_member (group_kind, group_name);

-- source: 'builtin', 'api' or 'yaml' (dvara.yaml owns it; the API may not change it).
CREATE TABLE auth_role (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT,
    source TEXT NOT NULL CHECK (source IN ('builtin', 'api', 'yaml')),
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX auth_role_lower ON auth_role (lower(name));

CREATE TABLE auth_role_permission (
    role TEXT NOT NULL REFERENCES auth_role (name) ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (role, permission)
);

-- A role has all permissions of its parents; never in a circle.
CREATE TABLE auth_role_parent (
    role TEXT NOT NULL REFERENCES auth_role (name) ON DELETE CASCADE,
    parent TEXT NOT NULL REFERENCES auth_role (name) ON DELETE CASCADE,
    PRIMARY KEY (role, parent)
);
CREATE INDEX auth_role_parent_parent ON auth_role_parent (parent);

CREATE TABLE auth_assignment (
    role TEXT NOT NULL REFERENCES auth_role (name) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (role, kind, name),
    FOREIGN KEY (kind, name) REFERENCES auth_entity (kind, name) ON DELETE CASCADE
);
CREATE INDEX auth_assignment_entity ON auth_assignment (kind, name, role);

-- secret and previous: HMAC-SHA-256 of the whole key under the pepper. scopes: permissions with a
-- space between them, '' for all that the owner has. A revoked key stays as a record.
CREATE TABLE auth_api_key (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'service')),
    owner TEXT NOT NULL,
    name TEXT,
    secret BLOB NOT NULL,
    previous BLOB,
    previous_expires BIGINT,
    scopes TEXT NOT NULL,
    created BIGINT NOT NULL,
    rotated BIGINT,
    expires BIGINT,
    revoked BIGINT,
    last_used BIGINT,
    FOREIGN KEY (kind, owner) REFERENCES auth_entity (kind, name) ON DELETE CASCADE
);
CREATE INDEX auth_api_key_owner ON auth_api_key (kind, owner);

-- What happens only once: 'first-admin'.
CREATE TABLE auth_setup (
    step TEXT NOT NULL PRIMARY KEY,
    done BIGINT NOT NULL
);
