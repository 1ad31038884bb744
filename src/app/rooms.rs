//! The only list of rooms: one line each for routes, data, and what runs in the background.

use crate::{
    accounts,
    base::data_map::Table,
    console, inference, ledger, library, organisation, platform,
    platform::{
        db::questions::{Question, Sealed},
        jobs::{Job, Reconciler},
    },
    studio,
    web::route::Route,
};

/// Every route of the server.
pub fn routes() -> Vec<Route> {
    [
        super::health::routes(),
        super::me::routes(),
        super::desk::routes(),
        accounts::http::routes(),
        accounts::pages::routes(),
        organisation::http::routes(),
        organisation::pages::routes(),
        ledger::http::routes(),
        ledger::pages::routes(),
        inference::http::routes(),
        library::http::routes(),
        library::pages::routes(),
        studio::http::routes(),
        studio::compat::routes(),
        studio::pages::routes(),
        console::http::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every column of the database.
pub fn data_map() -> Vec<&'static Table> {
    [
        platform::audit::DATA_MAP,
        platform::egress::DATA_MAP,
        platform::idempotency::DATA_MAP,
        platform::jobs::DATA_MAP,
        platform::keyring::DATA_MAP,
        platform::storage::DATA_MAP,
        accounts::DATA_MAP,
        organisation::DATA_MAP,
        ledger::DATA_MAP,
        inference::DATA_MAP,
        library::DATA_MAP,
        studio::DATA_MAP,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What must hold of the tables, in the order in which the answers are told.
pub fn questions() -> [&'static [Question]; 6] {
    [
        ledger::QUESTIONS,
        studio::checks::QUESTIONS,
        platform::jobs::QUESTIONS,
        platform::storage::checks::QUESTIONS,
        platform::egress::QUESTIONS,
        platform::audit::QUESTIONS,
    ]
}

/// Whatever somebody's key seals.
pub fn sealed() -> [&'static [Sealed]; 5] {
    [
        accounts::SEALED,
        organisation::SEALED,
        library::checks::SEALED,
        studio::checks::SEALED,
        platform::storage::checks::SEALED,
    ]
}

/// Work that is enqueued in the transaction of an act.
pub fn jobs() -> Vec<Box<dyn Job>> {
    Vec::new()
}

/// Work that repeats, so that the world matches the tables.
pub fn reconcilers() -> Vec<Reconciler> {
    [
        accounts::jobs::reconcilers(),
        platform::audit::attest::reconcilers(),
        platform::idempotency::reconcilers(),
        platform::keyring::jobs::reconcilers(),
        inference::jobs::reconcilers(),
        library::jobs::reconcilers(),
        studio::jobs::reconcilers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
