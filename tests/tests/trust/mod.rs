//! Whom our client believes, how its user proves who they are, its way through proxies, and how it tells refusals apart.

mod certificates;
mod meeting;
mod proofs;
mod proxies;
mod refusals;
mod room;
