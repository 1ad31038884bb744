drop table recent_requests, generation_events, event_streams, generation_progress, generation_outputs, attempts, generation_references, generations;
