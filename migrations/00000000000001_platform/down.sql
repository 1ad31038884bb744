drop table objects, stores, idempotency_keys, egress_calls, egress_destinations, audit_checkpoints, audit_signing_keys, audit_chain, audit_entries, schedule, jobs, owner_keys, organisation_keys;
drop function audit_chain_append, audit_append_only, audit_erase_notes;
