drop table sign_in_failures, api_tokens, sessions, people;
