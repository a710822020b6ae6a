//! What this process may do: descriptors for all its connections, and of root's powers only those that it will need.

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Open descriptors that the server would have: every TCP connection of a session is one.
const DESCRIPTORS: u64 = 1 << 20;

/// What devices, NAT rules and low ports need; the rest of root's powers goes.
const NEEDED: [Capability; 3] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_BIND_SERVICE,
];

/// Raises the limit of open descriptors as far as this process may: the usual 1,024 are as many sessions. Must be called before
/// [`drop_needless`], because root alone may go beyond the hard limit.
pub fn allow_many_descriptors() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let beyond = setrlimit(
        Resource::RLIMIT_NOFILE,
        DESCRIPTORS.max(soft),
        DESCRIPTORS.max(hard),
    );
    if beyond.is_err() {
        // Where even this is refused the server works with what there is; `accept` rests when it is used up.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS).max(soft), hard);
    }
}

/// Keeps the memory of this process to itself: no core dump of it is written, and nobody without special rights reads it
/// (prctl(2), `PR_SET_DUMPABLE`). Keys are in it, and from what stands there for passwords that were right, passwords could be
/// guessed (docs/adr/0009-passwords-that-were-right.md). Programs that it starts are not concerned.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn keep_memory_private() -> anyhow::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// How many descriptors flows of one protocol may take of one SecureNAT in user mode, so that sessions have some left.
#[must_use]
pub fn descriptors_for_nat() -> u32 {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(DESCRIPTORS, |(soft, _)| soft);
    u32::try_from(soft / 4).unwrap_or(u32::MAX)
}

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
        for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
            // A service manager may have taken everything away already, and with it the call that does.
            if caps::has_cap(None, set, capability)? {
                caps::drop(None, set, capability)?;
            }
        }
    }
    nix::sys::prctl::set_no_new_privs()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_leaves_no_memory_behind() {
        keep_memory_private().unwrap();
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    }
}
