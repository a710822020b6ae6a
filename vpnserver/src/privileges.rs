//! Least privilege: what this process will never need, it gives up before it listens.

use caps::{CapSet, Capability};

/// What devices, NAT rules and low ports need; the rest of root's powers goes.
const NEEDED: [Capability; 3] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_BIND_SERVICE,
];

/// Gives up every capability but those for the network, for this process and all that it will start. Must be called
/// before there is a second thread.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn drop_needless() -> anyhow::Result<()> {
    // A server that may read the folder of an unprivileged user only because it is root has been refused already
    // (the folder must be its own), so nothing here needs CAP_DAC_OVERRIDE.
    for capability in caps::all() {
        if NEEDED.contains(&capability) {
            continue;
        }
        // The bounding set is closed to those who may not change it; they have nothing to lose there.
        let _ = caps::drop(None, CapSet::Bounding, capability);
        caps::drop(None, CapSet::Inheritable, capability)?;
        caps::drop(None, CapSet::Effective, capability)?;
        caps::drop(None, CapSet::Permitted, capability)?;
    }
    nix::sys::prctl::set_no_new_privs()?;
    Ok(())
}
