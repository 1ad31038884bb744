-- Generations: what people make, step by step.

create table generations (
    id uuid primary key,
    workspace_id uuid not null,
    person_id uuid not null,
    model_id text not null,
    provider_id uuid not null,
    provider text not null,
    -- Sealed with the person's key, like parameters and error_message.
    prompt bytea not null,
    -- Blind index over the prompt.
    words bigint[] not null,
    size text not null,
    count integer not null check (count between 1 and 16),
    seed bigint check (seed between 0 and 4294967295),
    parameters bytea not null,
    state text not null default 'queued'
        check (state in ('queued', 'submitting', 'running', 'storing', 'succeeded', 'failed', 'cancelled', 'expired', 'unknown')),
    price_card_id uuid not null,
    held_micros bigint not null check (held_micros >= 0),
    actual_micros bigint check (actual_micros >= 0),
    overage_micros bigint check (overage_micros >= 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    error_code text,
    error_message bytea,
    error_retryable boolean,
    attempts integer not null default 0 check (attempts >= 0),
    retry_of uuid references generations (id),
    cancel_requested_at timestamptz,
    -- A second submission of lost work is allowed: the provider neither bills nor remembers the first.
    resubmittable boolean not null,
    lease_owner uuid,
    lease_until timestamptz,
    not_before timestamptz not null,
    created_at timestamptz not null,
    started_at timestamptz,
    ended_at timestamptz,
    check ((state in ('succeeded', 'failed', 'cancelled', 'expired')) = (ended_at is not null)),
    check ((error_code is null) = (error_message is null)),
    -- What has ended is settled, and only what has ended is.
    check ((ended_at is null) = (actual_micros is null))
);
create index generations_person on generations (person_id, id desc);
create index generations_words on generations using gin (words);
create index generations_open on generations (not_before, id) where ended_at is null;
create unique index generations_retry on generations (retry_of, id) where retry_of is not null;

create table generation_references (
    generation_id uuid not null references generations (id) on delete cascade,
    position integer not null,
    asset_id uuid not null,
    role text not null check (role in ('reference', 'garment', 'scene', 'mask')),
    strength double precision check (strength between 0 and 1),
    primary key (generation_id, position)
);
create index generation_references_asset on generation_references (asset_id);

-- One submission of a generation to a provider: a row before it is an act.
create table attempts (
    id uuid primary key,
    generation_id uuid not null references generations (id) on delete cascade,
    number integer not null check (number > 0),
    state text not null check (state in ('submitting', 'running', 'answered', 'failed', 'cancelled', 'unknown')),
    provider_request_id text,
    billed_micros bigint check (billed_micros >= 0),
    created_at timestamptz not null,
    ended_at timestamptz,
    unique (generation_id, number)
);

-- What came back, in order; `asset_id` follows when it is a library entry.
create table generation_outputs (
    generation_id uuid not null references generations (id) on delete cascade,
    position integer not null,
    object_id uuid references objects (id),
    asset_id uuid,
    seed bigint,
    primary key (generation_id, position)
);
create index generation_outputs_object on generation_outputs (object_id);

-- How far a running generation is. Apart from the generation, because it changes many times a second.
create table generation_progress (
    generation_id uuid primary key references generations (id) on delete cascade,
    step text not null,
    fraction double precision check (fraction between 0 and 1),
    preview_version integer not null default 0,
    -- Sealed with the person's key.
    preview bytea check (octet_length(preview) <= 263168)
);

-- State changes of one person's generations, numbered without gaps per person, kept for a day.
create table event_streams (
    person_id uuid primary key,
    last_number bigint not null
);

create table generation_events (
    person_id uuid not null,
    number bigint not null,
    generation_id uuid not null references generations (id) on delete cascade,
    -- The changing part of the generation at that moment, without prompt or pictures; sealed with the person's key.
    snapshot bytea not null,
    at timestamptz not null,
    primary key (person_id, number)
);
create index generation_events_age on generation_events (at);
create index generation_events_generation on generation_events (generation_id);

-- Requests of clients that send them again by themselves and name no key: the same body of the same caller, for a while.
create table recent_requests (
    credential_id uuid not null,
    body_hash bytea not null check (octet_length(body_hash) = 32),
    person_id uuid not null,
    generation_id uuid not null references generations (id) on delete cascade,
    at timestamptz not null,
    primary key (credential_id, body_hash)
);
create index recent_requests_age on recent_requests (at);
create index recent_requests_generation on recent_requests (generation_id);
