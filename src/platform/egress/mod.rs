//! The one way out: every outgoing request has a destination that somebody allowed, and a ledger row before its first byte.

#[derive(Clone)]
pub struct Egress {}
