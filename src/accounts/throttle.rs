//! How long somebody who did not know the password has to wait.
//!
//! Counted are failures of the last hour. An account tried from one network has five free failures, then pauses that
//! double from five seconds to a quarter of an hour: the owner, who signs in from elsewhere, does not feel them. A
//! network has a hundred failures over all accounts. An account has a hundred over all networks, which does not concern
//! a network that it was signed in from before.

use chrono::{DateTime, Duration, Utc};

use super::store::failures::Recent;

pub const WINDOW: Duration = Duration::hours(1);
/// As many rows as the largest limit needs.
pub const MOST_COUNTED: i64 = 100;

const FREE: usize = 5;
const FIRST_PAUSE: u32 = 5;
const LONGEST_PAUSE: u32 = 15 * 60;
const PER_NETWORK: usize = 100;
const PER_ACCOUNT: usize = 100;

/// Seconds until the next try is looked at; none: now.
pub fn pause(recent: &Recent, known_network: bool, now: DateTime<Utc>) -> Option<u32> {
    let account = if known_network { None } else { until_room(&recent.account, PER_ACCOUNT) };
    let until = [until_next(&recent.pair), until_room(&recent.network, PER_NETWORK), account];
    let latest = until.into_iter().flatten().max().filter(|until| *until > now)?;
    // Rounded up, so that whoever waits as long as told is let through.
    u32::try_from((latest - now).num_milliseconds()).ok().map(|left| left.div_ceil(1000).max(1))
}

fn until_next(failures: &[DateTime<Utc>]) -> Option<DateTime<Utc>> {
    let over = u32::try_from(failures.len().checked_sub(FREE)?).ok()?;
    let seconds = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(over)).min(LONGEST_PAUSE);
    failures.first().map(|newest| *newest + Duration::seconds(i64::from(seconds)))
}

fn until_room(failures: &[DateTime<Utc>], limit: usize) -> Option<DateTime<Utc>> {
    failures.get(limit.checked_sub(1)?).map(|oldest_that_counts| *oldest_that_counts + WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;

    fn times(count: usize) -> Vec<DateTime<Utc>> {
        vec![Clock::fixed().now(); count]
    }

    fn pair(count: usize) -> Recent {
        Recent { pair: times(count), ..Recent::default() }
    }

    #[test]
    fn five_failures_are_free_and_then_the_pauses_double() {
        let now = Clock::fixed().now();
        let pauses: Vec<_> = (4..=14).map(|count| pause(&pair(count), false, now)).collect();
        assert_eq!(pauses[0], None);
        assert_eq!(pauses[1..5], [Some(5), Some(10), Some(20), Some(40)]);
        assert_eq!(pauses[10], Some(900));
        assert_eq!(pause(&pair(100), true, now), Some(900));
    }

    #[test]
    fn the_pause_ends_when_it_said() {
        let later = |seconds| Clock::fixed().now() + Duration::milliseconds(seconds);
        assert_eq!(pause(&pair(5), false, later(4_001)), Some(1));
        assert_eq!(pause(&pair(5), false, later(5_000)), None);
    }

    #[test]
    fn networks_and_accounts_have_a_limit_of_their_own() {
        let now = Clock::fixed().now();
        let network = |count| Recent { network: times(count), ..Recent::default() };
        assert_eq!(pause(&network(99), true, now), None);
        assert_eq!(pause(&network(100), true, now), Some(3600));
        let account = Recent { account: times(100), ..Recent::default() };
        assert_eq!(pause(&account, false, now), Some(3600));
        assert_eq!(pause(&account, true, now), None, "the owner's own network stays open");
    }
}
