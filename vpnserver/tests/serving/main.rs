//! A real server on the loopback interface, and what its clients, administrators and strangers may expect of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access_list;
mod administration;
mod audit;
mod binary;
mod bridge;
mod cascade;
mod certificate;
mod connection;
mod ending;
mod frame;
mod json;
mod keep_alive;
mod layer3;
mod lease;
mod listener;
mod login;
mod logs;
mod methods;
mod peer;
mod published;
mod restart;
mod restriction;
mod rights;
mod securenat;
mod session;
mod settings;
mod site;
mod source_rule;
mod standing;
mod stranger;
mod tables;
mod trust;
mod usage;
mod user;
mod web;
