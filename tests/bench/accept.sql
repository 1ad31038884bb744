-- What accepting one generation writes: the statements of `studio::ops::accept` for one request with an Idempotency-Key,
-- in their order, for pgbench. `accept.rs` puts in what stands in braces. Sizes are those of a prompt of 200 characters.
\set person random(1, {people})
begin;
insert into idempotency_keys (person_id, route, key_hash, body_hash, status, answer, created_at)
    values ({person}, 'POST /api/v1/generations', sha256(uuid_send(gen_random_uuid())), sha256('body'), 0, '', now())
    on conflict do nothing returning key_hash \gset
insert into cap_windows (scope, subject_id, period, starts_on)
    select * from unnest({windows}) as wanted (scope, subject_id, period, starts_on) order by 1, 2, 3, 4
    on conflict do nothing;
select held.scope, held.subject_id, held.period, held.starts_on, held.held_micros, held.spent_micros
    from cap_windows held
    join unnest({windows}) as wanted (scope, subject_id, period, starts_on)
        on held.scope = wanted.scope and held.subject_id = wanted.subject_id
        and held.period = wanted.period and held.starts_on = wanted.starts_on
    order by 1, 2, 3, 4 for update of held;
select * from caps where subject_id is null or subject_id = any(array[{organisation}, {workspace}, {person}])
    order by scope, period, id;
update cap_windows held set held_micros = held_micros + wanted.held, spent_micros = spent_micros + wanted.spent
    from unnest({windows}, array_fill(20000::bigint, array[9]), array_fill(0::bigint, array[9]))
        as wanted (scope, subject_id, period, starts_on, held, spent)
    where held.scope = wanted.scope and held.subject_id = wanted.subject_id
        and held.period = wanted.period and held.starts_on = wanted.starts_on;
insert into holds (id, generation_id, organisation_id, workspace_id, person_id, provider_id, price_card_id, currency,
        amount_micros, made_on, created_at)
    values (gen_random_uuid(), gen_random_uuid(), {organisation}, {workspace}, {person}, {organisation}, {organisation}, 'EUR',
        20000, {day}, now())
    returning generation_id \gset
select count(*) from (select from generations where state = 'queued' limit 1000) as queued;
insert into generations (id, workspace_id, person_id, model_id, provider_id, provider, prompt, words, size, count, seed,
        parameters, price_card_id, held_micros, currency, resubmittable, not_before, created_at)
    values (:generation_id::uuid, {workspace}, {person}, 'demo/painter', {organisation}, 'demo',
        decode(repeat('5a', 240), 'hex'), {words}, '512x512', 1, 7,
        decode(repeat('5a', 42), 'hex'), {organisation}, 20000, 'EUR', true, now(), now());
update idempotency_keys set status = 202, answer = decode(repeat('5a', 1000), 'hex')
    where person_id = {person} and route = 'POST /api/v1/generations' and key_hash = :key_hash::bytea;
insert into event_streams (person_id, last_number) values ({person}, 1)
    on conflict (person_id) do update set last_number = event_streams.last_number + excluded.last_number
    returning last_number \gset
insert into generation_events (person_id, number, generation_id, snapshot, at)
    values ({person}, :last_number::bigint, :generation_id::uuid, decode(repeat('5a', 700), 'hex'), now());
select pg_notify('renderkeep', signal)
    from unnest(array['work generations', 'event ' || {person}::text]) as signal;
commit;
