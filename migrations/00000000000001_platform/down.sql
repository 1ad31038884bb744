drop table objects, idempotency_keys, egress_calls, egress_destinations, audit_entries, schedule, jobs, owner_keys, organisation_keys;
