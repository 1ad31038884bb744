//! The JSON API of the console.

pub mod audit;

use crate::web::route::Route;

pub fn routes() -> Vec<Route> {
    audit::routes()
}
