-- What the platform itself keeps: background work, the audit log, what left the house, kept answers, stored objects.

-- Keys, each sealed by the one above it; see src/platform/keyring.
create table organisation_keys (
    singleton boolean primary key default true check (singleton),
    -- Which root key opens it.
    root_key_id text not null check (root_key_id ~ '^[0-9a-f]{16}$'),
    sealed_key bytea not null,
    created_at timestamptz not null,
    sealed_at timestamptz not null
);

create table owner_keys (
    owner_id uuid primary key,
    kind text not null check (kind in ('person', 'workspace', 'guest')),
    -- Which epoch key opens it. That one is in no backup of this database.
    epoch integer not null check (epoch > 0),
    sealed_key bytea not null,
    created_at timestamptz not null
);
create index owner_keys_epoch on owner_keys (epoch);

create table jobs (
    id uuid primary key,
    queue text not null,
    -- At most one job of a queue with the same key waits or runs at a time.
    dedupe_key text,
    payload jsonb not null,
    state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed')),
    run_at timestamptz not null,
    attempts integer not null default 0 check (attempts >= 0),
    lease_owner uuid,
    lease_until timestamptz,
    last_error text,
    request_id text not null,
    created_at timestamptz not null,
    ended_at timestamptz,
    check ((state = 'running') = (lease_until is not null)),
    check ((state in ('done', 'failed')) = (ended_at is not null))
);
create unique index jobs_dedupe on jobs (queue, dedupe_key) where state in ('queued', 'running') and dedupe_key is not null;
create index jobs_waiting on jobs (queue, run_at) where state = 'queued';
create index jobs_leases on jobs (lease_until) where state = 'running';
create index jobs_ended on jobs (ended_at) where ended_at is not null;

-- One row per reconciler: when it last ran anywhere, and which server runs it now.
create table schedule (
    name text primary key,
    last_started_at timestamptz not null,
    last_ended_at timestamptz,
    last_error text,
    lease_owner uuid,
    lease_until timestamptz,
    check ((lease_owner is null) = (lease_until is null))
);

create table audit_entries (
    id uuid primary key,
    at timestamptz not null,
    actor_kind text not null check (actor_kind in ('person', 'system', 'nobody')),
    actor_id uuid,
    action text not null,
    object_kind text,
    object_id uuid,
    outcome text not null check (outcome in ('done', 'refused', 'failed')),
    reason text,
    -- What changed, without personal content: ids, numbers, names of fields.
    details jsonb not null default '{}',
    request_id text not null,
    check ((actor_kind = 'person') = (actor_id is not null))
);
create index audit_entries_newest on audit_entries (id desc);
create index audit_entries_actor on audit_entries (actor_id, id desc);

-- Where this server may connect to. A destination is allowed by somebody, for a purpose, for stated kinds of data.
create table egress_destinations (
    id uuid primary key,
    purpose text not null check (purpose in ('inference')),
    scheme text not null check (scheme in ('http', 'https')),
    host text not null,
    port integer not null check (port between 1 and 65535),
    categories text[] not null,
    -- Private and loopback addresses are only reached where somebody said that this one is local.
    local boolean not null default false,
    allowed_by uuid,
    allowed_at timestamptz not null,
    disabled_at timestamptz,
    unique (purpose, scheme, host, port)
);

create table egress_calls (
    id uuid primary key,
    at timestamptz not null,
    destination_id uuid not null references egress_destinations (id),
    purpose text not null check (purpose in ('generation', 'test')),
    person_id uuid,
    generation_id uuid,
    categories text[] not null,
    bytes_out bigint not null default 0 check (bytes_out >= 0),
    bytes_in bigint not null default 0 check (bytes_in >= 0),
    -- Of the answer; null without one.
    status integer,
    outcome text not null default 'open'
        check (outcome in ('open', 'answered', 'refused', 'failed', 'timed_out', 'cancelled', 'lost')),
    -- Why it did not end with an answer, in a few fixed words.
    reason text,
    duration_ms bigint check (duration_ms >= 0),
    -- The call ends by then; a row still open later belongs to a server that died.
    deadline timestamptz not null,
    check ((outcome = 'open') = (duration_ms is null) or outcome = 'lost')
);
create index egress_calls_newest on egress_calls (id desc);
create index egress_calls_at on egress_calls (at);
create index egress_calls_destination on egress_calls (destination_id, id desc);
create index egress_calls_open on egress_calls (deadline) where outcome = 'open';

-- First answers to requests with an Idempotency-Key. Sealed: an answer may hold a prompt or a token.
create table idempotency_keys (
    person_id uuid not null,
    route text not null,
    key_hash bytea not null,
    body_hash bytea not null,
    status integer not null,
    answer bytea not null,
    created_at timestamptz not null,
    primary key (person_id, route, key_hash)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- Every object in the store has a row before it has bytes, so that nothing there is ever unknown here.
create table objects (
    id uuid primary key,
    state text not null default 'pending' check (state in ('pending', 'stored')),
    -- Whose key opens it and who may lose it with their account.
    owner_id uuid not null,
    -- Its own key, sealed.
    sealed_key bytea not null,
    -- Before it was sealed.
    bytes bigint check (bytes >= 0),
    sha256 bytea check (octet_length(sha256) = 32),
    created_at timestamptz not null,
    -- Null once a room has claimed the object; until then, and again when it is given up, it is swept after this time.
    keep_until timestamptz,
    check (state <> 'stored' or (bytes is not null and sha256 is not null)),
    check (state = 'stored' or keep_until is not null)
);
create index objects_sweep on objects (keep_until) where keep_until is not null;
