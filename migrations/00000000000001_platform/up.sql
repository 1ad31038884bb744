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
    -- What changed, without personal content: ids, whole numbers, names of fields.
    details jsonb not null default '{}',
    request_id text not null,
    -- What may say something about a person. The digest knows only its salted hash, so it can go and the chain stays.
    reason text,
    network text,
    note_salt bytea,
    note_digest bytea check (octet_length(note_digest) = 32),
    -- SHA-256 of everything above but the note; docs/audit.md has the encoding.
    digest bytea not null check (octet_length(digest) = 32),
    check ((actor_kind = 'person') = (actor_id is not null)),
    check ((note_salt is null) = (reason is null and network is null)),
    check (note_salt is null or note_digest is not null)
);
create index audit_entries_newest on audit_entries (id desc);
create index audit_entries_actor on audit_entries (actor_id, id desc);
comment on table audit_entries is 'application: select, insert';

-- The order of the entries and the chain over them. Written by the trigger alone.
create table audit_chain (
    seq bigint primary key check (seq > 0),
    entry_id uuid not null unique,
    hash bytea not null check (octet_length(hash) = 32)
);
comment on table audit_chain is 'application: select';

-- What this server signs checkpoints with; the secret half is sealed.
create table audit_signing_keys (
    server_id uuid primary key,
    public_key bytea not null check (octet_length(public_key) = 32),
    sealed_key bytea not null,
    created_at timestamptz not null
);
create unique index audit_signing_keys_only_one on audit_signing_keys ((true));
comment on table audit_signing_keys is 'application: select, insert';

-- Checkpoints that were written to where the database cannot reach.
create table audit_checkpoints (
    seq bigint primary key check (seq > 0),
    hash bytea not null check (octet_length(hash) = 32),
    at timestamptz not null,
    signature bytea not null check (octet_length(signature) = 64)
);
comment on table audit_checkpoints is 'application: select, insert';

-- At commit, so that the lock which makes the order is held while the transaction ends and no longer; nothing is locked
-- after it, so it is part of no deadlock. With its owner's rights: the application itself cannot write into the chain.
create function audit_chain_append() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
declare
    last audit_chain%rowtype;
    place bigint;
begin
    perform pg_advisory_xact_lock(418565841012);
    select * into last from audit_chain order by seq desc limit 1;
    place := coalesce(last.seq, 0) + 1;
    insert into audit_chain (seq, entry_id, hash)
        values (place, new.id, sha256(coalesce(last.hash, decode(repeat('00', 32), 'hex')) || int8send(place) || new.digest));
    return null;
end $$;

create constraint trigger audit_chain_append after insert on audit_entries
    deferrable initially deferred for each row execute function audit_chain_append();

-- The application has no right to any of this. These stop the owner's own mistakes too.
create function audit_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only: % of % is refused', lower(tg_op), tg_table_name
        using errcode = 'restrict_violation';
end $$;

create trigger audit_entries_stay before delete on audit_entries
    for each row execute function audit_append_only();
create trigger audit_entries_keep_all_but_the_note before update on audit_entries
    for each row when (new.note_salt is not null or new.note_digest is distinct from old.note_digest
        or (new.id, new.at, new.actor_kind, new.actor_id, new.action, new.object_kind, new.object_id, new.outcome, new.details, new.request_id, new.digest)
            is distinct from (old.id, old.at, old.actor_kind, old.actor_id, old.action, old.object_kind, old.object_id, old.outcome, old.details, old.request_id, old.digest))
    execute function audit_append_only();
create trigger audit_chain_append_only before update or delete on audit_chain
    for each row execute function audit_append_only();
create trigger audit_signing_keys_append_only before update or delete on audit_signing_keys
    for each row execute function audit_append_only();
create trigger audit_checkpoints_append_only before update or delete on audit_checkpoints
    for each row execute function audit_append_only();
create trigger audit_entries_not_emptied before truncate on audit_entries
    for each statement execute function audit_append_only();
create trigger audit_chain_not_emptied before truncate on audit_chain
    for each statement execute function audit_append_only();
create trigger audit_signing_keys_not_emptied before truncate on audit_signing_keys
    for each statement execute function audit_append_only();
create trigger audit_checkpoints_not_emptied before truncate on audit_checkpoints
    for each statement execute function audit_append_only();

-- The one thing that goes: what entries by or about a person say beside ids. Their note's hash stays as a stub.
create function audit_erase_notes(person uuid) returns bigint language sql security definer set search_path = public, pg_temp as $$
    with erased as (
        update audit_entries set reason = null, network = null, note_salt = null
        where note_salt is not null and (actor_id = person or (object_kind = 'person' and object_id = person))
        returning 1)
    select count(*) from erased
$$;
revoke execute on function audit_erase_notes(uuid) from public;

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

-- Where objects lie: a row for each store that ever held any.
create table stores (
    id integer primary key check (id > 0),
    -- minio or versitygw for those that `up` brings, otherwise address and bucket. Null before the first start.
    name text unique,
    -- Address and credentials, sealed with the organisation's key, so that every server reaches every store.
    settings bytea,
    -- Where new objects go.
    current boolean not null,
    -- May hold objects: false once it was emptied.
    in_use boolean not null,
    check (in_use or not current),
    check ((name is null) = (settings is null))
);
create unique index stores_current on stores (current) where current;
insert into stores (id, current, in_use) values (1, true, true);

-- Every object in the store has a row before it has bytes, so that nothing there is ever unknown here.
create table objects (
    id uuid primary key,
    state text not null default 'pending' check (state in ('pending', 'stored')),
    -- Whose key opens it and who may lose it with their account.
    owner_id uuid not null,
    -- Its own key, sealed.
    sealed_key bytea not null,
    -- Where its bytes lie.
    store_id integer not null references stores (id),
    -- Where a copy of them lies, whole or in part: they are deleted there too.
    copy_store_id integer references stores (id) check (copy_store_id <> store_id),
    -- Until then the copy belongs to whoever writes or deletes it, and the object is not swept.
    copying_until timestamptz,
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
create index objects_copies on objects (copy_store_id, id) where copy_store_id is not null;
