//! Puts everything together: the list of rooms, who is asking, the routing table, start and stop.

pub mod desk;
pub mod frame;
pub mod health;
pub mod inspection;
pub mod lifecycle;
pub mod me;
pub mod rooms;
pub mod routes;
pub mod server;
pub mod session;
pub mod tls;
