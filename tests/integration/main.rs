//! Tests of the rooms and of the program on a real Postgres, in one binary.
#![cfg(test)]

mod access;
mod accounts;
mod audit;
mod cli;
mod config;
mod doubles;
mod egress;
mod faults;
mod health;
mod inference;
mod jobs;
mod keyring;
mod ledger;
mod library;
mod migrations;
mod moving;
mod openapi;
mod organisation;
mod pictures;
mod providers;
mod storage;
mod studio;
mod supervisor;
mod support;
mod telemetry;
mod tls;
mod weight;
