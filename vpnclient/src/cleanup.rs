//! `vpnclient cleanup`: takes away what killed clients left.

use std::path::Path;

use netdev::Links;

use crate::failure::Failure;
use crate::network::{RESOLV_CONF, leftovers};

/// Takes it away, or only says what there is; a line for each.
///
/// # Errors
/// When something cannot be looked at or stays.
pub async fn run(dry_run: bool) -> Result<(), Failure> {
    let links = Links::new()?;
    let found = leftovers::find(&links, Path::new(RESOLV_CONF), true).await?;
    if found.is_empty() {
        println!("nothing was left behind");
    }
    let mut stays = Vec::new();
    for leftover in found {
        let what = leftover.to_string();
        if dry_run {
            println!("left behind: {what}");
            continue;
        }
        match leftover.remove(&links).await {
            Ok(()) => println!("removed: {what}"),
            Err(why) => stays.push(format!("{what} stays: {why}")),
        }
    }
    if stays.is_empty() {
        Ok(())
    } else {
        Err(Failure::Local(stays.join("; ")))
    }
}
