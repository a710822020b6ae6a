//! `vpnclient nc`: standard input and output at a host behind the tunnel of a running client.

use tokio::io::{AsyncWriteExt, BufReader, copy, stdin, stdout};

use super::{Folder, Request};
use crate::failure::Failure;
use crate::rootless::Destination;

/// Connects to `to` through the client called `via`, or the only one, until the other side has finished.
pub async fn nc(folder: &Folder, via: Option<&str>, to: Destination) -> Result<(), Failure> {
    let mut stream = BufReader::new(folder.call(via).await?);
    let broken = |e: std::io::Error| Failure::Refused(format!("{to}: {e}"));
    Request::Connect(to.clone())
        .ask(&mut stream)
        .await
        .map_err(broken)?;
    let (mut from, mut into) = tokio::io::split(stream);
    let there = tokio::spawn(async move {
        // A connection that the other side has closed is no failure of ours.
        let _ = copy(&mut stdin(), &mut into).await;
        let _ = into.shutdown().await;
    });
    let back = async {
        let mut out = stdout();
        copy(&mut from, &mut out).await?;
        out.flush().await
    };
    let done = back.await.map_err(broken);
    there.abort();
    done
}
