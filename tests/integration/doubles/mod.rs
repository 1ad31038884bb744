//! Other parties, played by programs of our own.

pub mod openai;
