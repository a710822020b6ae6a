//! Kernel settings (`/proc/sys`), named as `sysctl` names them: `net.ipv4.conf.tap0.send_redirects`.

use std::path::PathBuf;

use crate::{Error, Result};

/// The value of a setting, without its line end.
pub fn read(key: &str) -> Result<String> {
    let path = path(key)?;
    let text = std::fs::read_to_string(path).map_err(|e| Error::from_io(format!("reading {key}"), e))?;
    Ok(text.trim_end().to_owned())
}

/// Sets a setting. It holds until someone sets it again or its device vanishes.
pub fn write(key: &str, value: &str) -> Result<()> {
    let path = path(key)?;
    std::fs::write(path, value).map_err(|e| match e.raw_os_error() {
        // A container's /proc/sys is mounted read-only.
        Some(nix::libc::EROFS) => Error::Privilege {
            what: format!("setting {key}={value}"),
        },
        _ => Error::from_io(format!("setting {key}={value}"), e),
    })
}

/// Sets a setting and returns the value it had, or `None` when it had that value already.
pub fn swap(key: &str, value: &str) -> Result<Option<String>> {
    let before = read(key)?;
    if before == value {
        return Ok(None);
    }
    write(key, value)?;
    Ok(Some(before))
}

/// As `sysctl` does: dots separate, and a slash inside a part stands for a dot (device names may have dots).
fn path(key: &str) -> Result<PathBuf> {
    let mut path = PathBuf::from("/proc/sys");
    for part in key.split('.') {
        if part.is_empty() || part == "/" || part == "//" {
            return Err(Error::BadName {
                name: key.escape_debug().to_string(),
            });
        }
        path.push(part.replace('/', "."));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_separate_and_slashes_stand_for_dots() {
        let path = path("net.ipv4.conf.eth0/100.send_redirects").unwrap();
        assert_eq!(
            path,
            PathBuf::from("/proc/sys/net/ipv4/conf/eth0.100/send_redirects")
        );
    }

    #[test]
    fn a_key_cannot_climb_out_of_proc_sys() {
        assert!(path("net..ipv4").is_err());
        assert!(path("net.//.//.etc").is_err());
        assert!(path("").is_err());
    }

    #[test]
    fn reading_a_setting_gives_its_value_without_the_line_end() {
        assert_eq!(read("kernel.ostype").unwrap(), "Linux");
    }

    #[test]
    fn an_unknown_setting_is_an_error_that_names_it() {
        let error = read("net.no_such_setting").unwrap_err();
        assert!(error.to_string().contains("net.no_such_setting"), "{error}");
    }
}
