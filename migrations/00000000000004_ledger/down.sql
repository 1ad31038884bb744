drop table cap_warnings, cap_windows, caps, ledger_postings, ledger_transactions, holds, ledger_accounts;
drop function cap_window_within_cap, hold_resolves_once, ledger_transaction_balances, ledger_append_only;
