drop table generation_events, event_streams, generation_previews, generation_outputs, attempts, generation_references, generations;
