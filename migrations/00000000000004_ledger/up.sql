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
create index holds_made_on on holds (made_on, id desc);

-- One charge for a settled hold, and beside it one for what the provider billed above the hold.
create table ledger_transactions (
    id uuid primary key,
    hold_id uuid not null references holds (id),
    kind text not null check (kind in ('charge', 'overage')),
    currency text not null,
    created_at timestamptz not null,
    unique (hold_id, kind)
);
comment on table ledger_transactions is 'application: select, insert';

create table ledger_postings (
    transaction_id uuid not null references ledger_transactions (id),
    account_id uuid not null references ledger_accounts (id),
    amount_micros bigint not null check (amount_micros <> 0),
    primary key (transaction_id, account_id)
);
create index ledger_postings_account on ledger_postings (account_id);
comment on table ledger_postings is 'application: select, insert';

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
    -- Room that an owner added to this one window.
    refilled_micros bigint not null default 0 check (refilled_micros >= 0),
    primary key (scope, subject_id, period, starts_on)
);

-- When a window was first used to a mark of its limit, spent and set aside together; anew for another limit.
create table cap_warnings (
    scope text not null,
    subject_id uuid not null,
    period text not null,
    starts_on date not null,
    percent integer not null check (percent in (50, 80, 100)),
    limit_micros bigint not null,
    at timestamptz not null,
    primary key (scope, subject_id, period, starts_on, percent, limit_micros),
    foreign key (scope, subject_id, period, starts_on) references cap_windows
);

-- The server checks caps before it writes. These make sure of it whatever writes.

create function ledger_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only: % of % is refused', lower(tg_op), tg_table_name
        using errcode = 'restrict_violation';
end $$;

create trigger ledger_transactions_append_only before update or delete on ledger_transactions
    for each row execute function ledger_append_only();
create trigger ledger_postings_append_only before update or delete on ledger_postings
    for each row execute function ledger_append_only();
create trigger ledger_transactions_not_emptied before truncate on ledger_transactions
    for each statement execute function ledger_append_only();
create trigger ledger_postings_not_emptied before truncate on ledger_postings
    for each statement execute function ledger_append_only();

-- At commit, because the postings of a transaction come one after the other.
create function ledger_transaction_balances() returns trigger language plpgsql as $$
declare
    rest numeric;
begin
    select sum(amount_micros) into rest from ledger_postings where transaction_id = new.transaction_id;
    if rest <> 0 then
        raise exception 'the postings of transaction % sum to %, not to zero', new.transaction_id, rest
            using errcode = 'check_violation', constraint = 'ledger_transaction_balances';
    end if;
    return null;
end $$;

create constraint trigger ledger_transaction_balances after insert on ledger_postings
    deferrable initially deferred for each row execute function ledger_transaction_balances();

-- What was posted or voided stays so; only the tie to a person may go.
create function hold_resolves_once() returns trigger language plpgsql as $$
begin
    if (new.amount_micros, new.currency, new.made_on, new.generation_id)
            is distinct from (old.amount_micros, old.currency, old.made_on, old.generation_id)
        or (old.state <> 'pending' and (new.state, new.actual_micros) is distinct from (old.state, old.actual_micros)) then
        raise exception 'hold % is %, and what it set aside does not change', old.id, old.state
            using errcode = 'check_violation', constraint = 'hold_resolves_once';
    end if;
    return new;
end $$;

create trigger hold_resolves_once before update on holds
    for each row execute function hold_resolves_once();

-- Setting more aside than a cap leaves is refused. Settling is not: what was billed is posted, whatever it does to a cap.
create function cap_window_within_cap() returns trigger language plpgsql as $$
declare
    most bigint;
begin
    select limit_micros into most from caps
        where scope = new.scope and period = new.period
            and (subject_id = new.subject_id or (subject_id is null and new.scope = 'person'))
        order by subject_id nulls last limit 1;
    if most is not null and new.held_micros::numeric + new.spent_micros > most::numeric + new.refilled_micros then
        raise exception 'the cap of % % for this % is %, which leaves no room', new.scope, new.subject_id, new.period, most
            using errcode = 'check_violation', constraint = 'cap_window_within_cap';
    end if;
    return new;
end $$;

create trigger cap_window_within_cap_at_first before insert on cap_windows
    for each row when (new.held_micros > 0) execute function cap_window_within_cap();
create trigger cap_window_within_cap before update on cap_windows
    for each row when (new.held_micros > old.held_micros) execute function cap_window_within_cap();
