-- Who a person is and how they prove it.

create table people (
    id uuid primary key,
    -- Sealed with the person's key, like the name.
    mail bytea not null check (octet_length(mail) <= 512),
    -- Keyed, of the address in lower case: nobody has the same twice, and a person is found by theirs.
    mail_hash bytea not null unique check (octet_length(mail_hash) = 32),
    name bytea not null check (octet_length(name) <= 512),
    -- Blind index over mail and name.
    words bigint[] not null,
    password_hash text not null,
    -- True while the password is the one-time password that an administrator or the first start handed out.
    must_change_password boolean not null default true,
    -- When the one-time password opens nothing any more.
    one_time_until timestamptz check (one_time_until is null or must_change_password),
    password_changed_at timestamptz not null,
    deactivated_at timestamptz,
    created_at timestamptz not null
);
create index people_words on people using gin (words);

create table sessions (
    id uuid primary key,
    person_id uuid not null references people (id) on delete cascade,
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    network text not null,
    user_agent text not null check (octet_length(user_agent) <= 512),
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create index sessions_person on sessions (person_id, id desc);

create table api_tokens (
    id uuid primary key,
    person_id uuid not null references people (id) on delete cascade,
    -- Sealed with the person's key.
    name bytea not null check (octet_length(name) <= 512),
    scopes text[] not null check (cardinality(scopes) > 0),
    -- The last characters, to tell two tokens apart on the page.
    hint text not null check (octet_length(hint) <= 8),
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index api_tokens_person on api_tokens (person_id, id desc);

-- Failed sign-ins, to slow down guessing per account and per network. Keyed hashes: no mail, no address.
create table sign_in_failures (
    id uuid primary key,
    account_hash bytea not null,
    network_hash bytea not null,
    at timestamptz not null
);
create index sign_in_failures_account on sign_in_failures (account_hash, at);
create index sign_in_failures_network on sign_in_failures (network_hash, at);
create index sign_in_failures_age on sign_in_failures (at);
