drop table price_cards, models, providers;
