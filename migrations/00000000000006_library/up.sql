-- Assets: uploads and renders, and the small pictures that stand for them.

create table assets (
    id uuid primary key,
    workspace_id uuid not null,
    person_id uuid not null,
    kind text not null check (kind in ('upload', 'render', 'mask')),
    object_id uuid not null unique references objects (id),
    media_type text not null check (media_type in ('image/png', 'image/jpeg', 'image/webp', 'image/gif')),
    bytes bigint not null check (bytes > 0),
    width integer not null check (width > 0),
    height integer not null check (height > 0),
    sha256 bytea not null check (octet_length(sha256) = 32),
    -- Sealed with the person's key, like name and labels.
    thumbhash bytea not null,
    name bytea not null check (octet_length(name) <= 512),
    -- Blind index over what the asset can be found by: its name, and the prompt that it was made from.
    words bigint[] not null,
    generation_id uuid,
    labels bytea,
    rating integer check (rating between 1 and 5),
    created_at timestamptz not null,
    trashed_at timestamptz
);
create index assets_live on assets (workspace_id, person_id, id desc) where trashed_at is null;
create index assets_trash on assets (workspace_id, person_id, id desc) where trashed_at is not null;
create index assets_purge on assets (trashed_at) where trashed_at is not null;
create index assets_words on assets using gin (words);
create index assets_generation on assets (generation_id) where generation_id is not null;

create table asset_thumbnails (
    asset_id uuid not null references assets (id) on delete cascade,
    size integer not null check (size in (320, 1440)),
    media_type text not null check (media_type in ('image/jpeg', 'image/webp')),
    object_id uuid not null unique references objects (id),
    bytes bigint not null check (bytes > 0),
    width integer not null,
    height integer not null,
    primary key (asset_id, size, media_type)
);
