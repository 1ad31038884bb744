//! What must hold of the books at every instant.

use crate::platform::db::questions::Question;

/// What a hold's person was charged, and what of that is overage.
macro_rules! paid {
    ($wrong:literal) => {
        concat!(
            "select hold.id from holds hold
             cross join lateral (select count(act.id) as entries,
                 coalesce(sum(posting.amount_micros), 0) as charged,
                 coalesce(sum(posting.amount_micros) filter (where act.kind = 'overage'), 0) as overage
                 from ledger_transactions act
                 left join (ledger_postings posting join ledger_accounts account
                     on account.id = posting.account_id and account.kind = 'person')
                     on posting.transaction_id = act.id
                 where act.hold_id = hold.id) paid
             where ",
            $wrong
        )
    };
}

pub const QUESTIONS: &[Question] = &[
    Question::never(
        "ledger.uneven",
        "txn",
        "Transactions whose postings do not sum to zero",
        "select transaction_id as id from ledger_postings group by transaction_id having sum(amount_micros) <> 0",
    ),
    Question::never(
        "ledger.empty_transaction",
        "txn",
        "Transactions without postings",
        "select act.id from ledger_transactions act
         where not exists (select 1 from ledger_postings where transaction_id = act.id)",
    ),
    Question::never(
        "ledger.charged_unposted",
        "hld",
        "Holds that were charged and are not posted",
        paid!("hold.state <> 'posted' and paid.entries > 0"),
    ),
    Question::never(
        "ledger.charge_differs",
        "hld",
        "Posted holds whose charge is not what they say",
        paid!("hold.state = 'posted' and paid.charged <> hold.actual_micros"),
    ),
    Question::never(
        "ledger.overage_differs",
        "hld",
        "Posted holds whose overage is not what was billed above them",
        paid!("hold.state = 'posted' and paid.overage <> greatest(0, hold.actual_micros - hold.amount_micros)"),
    ),
    Question::never(
        "ledger.refund_above_charge",
        "hld",
        "Holds that gave back more than was charged",
        paid!("paid.charged < 0"),
    ),
    Question::never(
        "ledger.currency_differs",
        "txn",
        "Transactions in another currency than their hold",
        "select act.id from ledger_transactions act join holds hold on hold.id = act.hold_id
         where act.currency <> hold.currency",
    ),
    Question::never(
        "ledger.window_negative",
        "",
        "Windows of caps that count less than nothing",
        "select subject_id as id from cap_windows where held_micros < 0 or spent_micros < 0",
    ),
];
