//! Pages that are made of several rooms: a picture with how it was made, people with what they spent, the audit log with
//! names, the overview.
//!
//! Each room says what it knows; only up here are they put together.

mod audit;
mod overview;
mod people;
mod picture;
mod words;

use crate::web::route::{Route, get, post};

pub fn routes() -> Vec<Route> {
    vec![
        get("/library/{id}", picture::asset_page),
        get("/admin", overview::overview_page),
        get("/admin/people", people::people_page),
        post("/admin/people", people::add_person),
        post("/admin/people/{id}/one-time-password", people::give_one_time_password),
        get("/admin/audit", audit::audit_page),
    ]
}

/// A page's address with other parameters: what is empty is left out.
fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
