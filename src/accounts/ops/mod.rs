//! Use cases of accounts: signing in and out, passwords, tokens, people.

mod passwords;
mod people;
mod proof;
mod sessions;
mod sign_in;
mod tokens;

pub use passwords::change_password;
pub use people::{
    OneTime, active_of, add, counts, deactivate, end_sessions_of, find, give_one_time_password, list, named,
    one_time_password, reactivate, rename, sessions_of, store_one_time, tokens_of,
};
pub use proof::{lost, session, tidy, token};
pub use sessions::{end_other_sessions, end_session, own_sessions, sign_out};
pub use sign_in::sign_in;
pub use tokens::{create_token, make_token, own_tokens, revoke_token};
