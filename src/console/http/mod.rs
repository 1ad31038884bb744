//! The JSON API of the console.

pub mod audit;
pub mod egress;

use crate::web::route::Route;

pub fn routes() -> Vec<Route> {
    [audit::routes(), egress::routes()].into_iter().flatten().collect()
}
