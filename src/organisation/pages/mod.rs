//! People: what the page shows, and the acts that it offers.
//!
//! The page itself is put together in `app::desk`, because it also says what people have spent.

mod acts;
pub mod views;

use crate::web::route::{Route, post};

pub fn routes() -> Vec<Route> {
    vec![
        post("/admin/people/{id}/deactivate", acts::deactivate),
        post("/admin/people/{id}/reactivate", acts::reactivate),
        post("/admin/people/{id}/end-sessions", acts::end_sessions),
    ]
}
