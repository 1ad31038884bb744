drop table cap_windows, caps, ledger_postings, ledger_transactions, holds, ledger_accounts;
