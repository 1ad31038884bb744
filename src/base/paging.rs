//! Lists: how many, from where, and where the next page begins.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The most rows of one page.
pub const MOST: u32 = 200;
/// What a caller gets who does not say.
pub const USUAL: u32 = 50;

/// Newest first, at most `limit`, older than `before`.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    pub limit: u32,
    pub before: Option<Uuid>,
}

impl PageRequest {
    pub fn first(limit: u32) -> Self {
        Self { limit, before: None }
    }

    /// One more than asked for, to learn whether there is a next page.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// One page of a list. `next` is the id of its last row when more rows follow.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Uuid>,
}

impl<T> Page<T> {
    /// From the rows that `PageRequest::fetch` brought.
    pub fn from_fetched(mut rows: Vec<T>, request: &PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(id) } else { None };
        Self { items: rows, next }
    }

    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// A page as the API writes it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Opaque; belongs to this query. Null on the last page.
    pub next_cursor: Option<String>,
}
