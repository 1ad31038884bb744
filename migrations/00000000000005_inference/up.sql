-- Who computes, with which models, at which price.

create table providers (
    id uuid primary key,
    -- The first part of its models' ids: `demo` in `demo/painter`.
    slug text not null check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    kind text not null check (kind in ('demo', 'openai')),
    title text not null check (octet_length(title) between 1 and 255),
    base_url text,
    -- Sealed; written once, never shown.
    api_key bytea,
    destination_id uuid references egress_destinations (id),
    -- Set by the configuration file: the page shows it and does not change it.
    managed boolean not null default false,
    enabled boolean not null default true,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- A removed provider keeps its row, because what it made names it; its key is gone.
    removed_at timestamptz,
    check ((kind = 'demo') = (base_url is null)),
    check (removed_at is null or api_key is null)
);
create unique index providers_slug on providers (slug) where removed_at is null;

create table models (
    -- The catalog id, for example `demo/painter`.
    id text primary key check (octet_length(id) between 3 and 255),
    provider_id uuid not null references providers (id),
    upstream_name text not null,
    title text not null check (octet_length(title) between 1 and 255),
    tasks text[] not null check (cardinality(tasks) > 0),
    sizes text[] not null check (cardinality(sizes) > 0),
    max_count integer not null check (max_count between 1 and 16),
    max_references integer not null check (max_references between 0 and 16),
    seeds boolean not null,
    parameters jsonb not null,
    aliases text[] not null default '{}',
    -- How its server differs from others that speak the same protocol; see inference::model::Upstream.
    upstream jsonb not null default '{}',
    position integer not null default 0,
    enabled boolean not null default true,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    removed_at timestamptz
);
create index models_provider on models (provider_id);

-- Dated prices; a change is a new row, so that a hold can name what it was made under.
create table price_cards (
    id uuid primary key,
    model_id text not null references models (id),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    -- Components that are added; see inference::price.
    components jsonb not null,
    -- What they count with where a request leaves a parameter out.
    defaults jsonb not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    created_by uuid,
    check (valid_to is null or valid_to >= valid_from)
);
create unique index price_cards_current on price_cards (model_id) where valid_to is null;
