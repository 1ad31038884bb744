-- One organisation per server, its workspaces, and who may do what in them.

create table organisations (
    id uuid primary key,
    singleton boolean not null default true unique check (singleton),
    name text not null check (octet_length(name) between 1 and 255),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz not null
);

create table workspaces (
    id uuid primary key,
    organisation_id uuid not null references organisations (id),
    name text not null check (octet_length(name) between 1 and 255),
    created_at timestamptz not null
);

create table organisation_members (
    organisation_id uuid not null references organisations (id),
    person_id uuid not null references people (id) on delete cascade,
    role text not null check (role in ('owner', 'member')),
    created_at timestamptz not null,
    primary key (organisation_id, person_id, role)
);
create index organisation_members_person on organisation_members (person_id);

create table workspace_members (
    workspace_id uuid not null references workspaces (id),
    person_id uuid not null references people (id) on delete cascade,
    role text not null check (role in ('manager', 'editor', 'viewer')),
    created_at timestamptz not null,
    primary key (workspace_id, person_id)
);
create index workspace_members_person on workspace_members (person_id);
