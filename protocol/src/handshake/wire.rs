//! What both sides share: the targets, and the padding of every PACK.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use zeroize::Zeroizing;

use crate::pack::Pack;

/// Where the signature goes.
pub(super) const SIGNATURE_TARGET: &str = "/vpnsvc/connect.cgi";
/// Where PACKs go.
pub(super) const PACK_TARGET: &str = "/vpnsvc/vpn.cgi";

/// Random bytes that hide the length of a message from whoever watches the encrypted stream (protocol §2.5).
const PADDING: &str = "pencore";
/// Most of these bytes.
const PADDING_BYTES: usize = 999;

/// Both sides know the challenge, and nobody outside TLS does.
pub(super) fn padding_rng(random: &[u8; 20]) -> StdRng {
    let mut seed = [0; 32];
    seed[..random.len()].copy_from_slice(random);
    StdRng::from_seed(seed)
}

/// A PACK as stock peers send it: sorted, padding last.
pub(super) fn encode(pack: &Pack, rng: &mut StdRng) -> Zeroizing<Vec<u8>> {
    let mut padding = vec![0; rng.random_range(0..=PADDING_BYTES)];
    rng.fill_bytes(&mut padding);
    let mut pack = pack.clone();
    pack.remove(PADDING).sort();
    pack.set_data(PADDING, &padding);
    Zeroizing::new(pack.encode())
}
