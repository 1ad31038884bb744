-- Money. Integer micro-units of the organisation's currency; postings are append-only and sum to zero.

create table ledger_accounts (
    id uuid primary key,
    kind text not null check (kind in ('person', 'provider')),
    subject_id uuid not null,
    created_at timestamptz not null,
    unique (kind, subject_id)
);

-- The most that a piece of work can cost, set aside before it is sent; posted or voided once.
create table holds (
    id uuid primary key,
    generation_id uuid not null unique,
    organisation_id uuid not null,
    workspace_id uuid not null,
    person_id uuid not null,
    provider_id uuid not null,
    price_card_id uuid,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    amount_micros bigint not null check (amount_micros >= 0),
    state text not null default 'pending' check (state in ('pending', 'posted', 'voided')),
    actual_micros bigint check (actual_micros >= 0),
    -- A hold belongs to the day and month it was made in, whenever it is settled.
    made_on date not null,
    created_at timestamptz not null,
    resolved_at timestamptz,
    check ((state = 'posted') = (actual_micros is not null)),
    check ((state = 'pending') = (resolved_at is null))
);
create index holds_open on holds (created_at) where state = 'pending';
create index holds_person on holds (person_id, id desc);

create table ledger_transactions (
    id uuid primary key,
    hold_id uuid not null references holds (id),
    kind text not null check (kind in ('charge', 'overage', 'refund')),
    currency text not null,
    created_at timestamptz not null,
    unique (hold_id, kind)
);

create table ledger_postings (
    transaction_id uuid not null references ledger_transactions (id),
    account_id uuid not null references ledger_accounts (id),
    amount_micros bigint not null check (amount_micros <> 0),
    primary key (transaction_id, account_id)
);
create index ledger_postings_account on ledger_postings (account_id);

create table caps (
    id uuid primary key,
    scope text not null check (scope in ('organisation', 'workspace', 'person')),
    -- Null: the default of every person without a cap of their own for that period.
    subject_id uuid,
    period text not null check (period in ('day', 'month', 'total')),
    limit_micros bigint not null check (limit_micros >= 0),
    currency text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check (subject_id is not null or scope = 'person')
);
create unique index caps_one_each on caps (scope, coalesce(subject_id, '00000000-0000-0000-0000-000000000000'), period);

-- Running sums per subject and period. The period is part of the key: nothing ever resets a counter.
create table cap_windows (
    scope text not null check (scope in ('organisation', 'workspace', 'person')),
    subject_id uuid not null,
    period text not null check (period in ('day', 'month', 'total')),
    starts_on date not null,
    held_micros bigint not null default 0 check (held_micros >= 0),
    spent_micros bigint not null default 0 check (spent_micros >= 0),
    primary key (scope, subject_id, period, starts_on)
);
