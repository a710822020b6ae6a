//! The administration tool: the stock command language over the administration protocol.
//!
//! A start-up line goes through [`dialect`] (the stock switches become ours) into [`options`]; [`connect`] finds the
//! server and is let in, [`service`] does the same with a client service; [`shell`] runs lines. What a line can say is
//! the table in [`command`]: one row per command, from which [`matching`], [`params`], [`help`], [`example`],
//! [`completion`] and [`manual`] follow. [`table`], [`text`] and [`calendar`] print.
//! [`declare`] brings a server to the state that a file declares.

pub mod calendar;
pub mod check;
pub mod command;
pub mod completer;
pub mod completion;
pub mod connect;
pub mod console;
pub mod declare;
pub mod dialect;
pub mod example;
pub mod failure;
pub mod help;
pub mod history;
pub mod line;
pub mod manual;
pub mod matching;
pub mod md4;
pub mod menu;
pub mod names;
pub mod network;
pub mod options;
pub mod params;
pub mod service;
pub mod shell;
pub mod speed_test;
pub mod start;
pub mod table;
pub mod terminal;
pub mod text;
