//! Bounding what killed nodes leak: a run of many seeds goes on in a fresh process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use driftdb_env::{Env, FileKind, OpenHow};

/// Beyond this a run goes on in a fresh process.
const MOST_RESIDENT_BYTES: u64 = 1 << 30;

/// Whether this process has grown too large. Never where the system does not tell.
pub(crate) fn is_large() -> bool {
    resident_bytes().is_some_and(|bytes| bytes > MOST_RESIDENT_BYTES)
}

/// `/proc/self/statm`: sizes in pages; the second is what is resident.
fn resident_bytes() -> Option<u64> {
    const PAGE_BYTES: u64 = 4096;
    let env = Env::os();
    let path = "/proc/self/statm".as_ref();
    let file = env.disk().open(path, OpenHow::Read, FileKind::Temp).ok()?;
    let mut text = [0; 128];
    let count = file.read_at(0, &mut text).ok()?;
    let text = std::str::from_utf8(&text[..count]).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// Becomes a fresh process of this program with other arguments after those that come before
/// `args`. Returns only if that fails: why.
pub(crate) fn start_afresh(args: &[String], instead: &[String]) -> String {
    let all: Vec<OsString> = std::env::args_os().collect();
    let kept = all.len().saturating_sub(args.len()).max(1);
    match std::env::current_exe() {
        Ok(program) => {
            let mut command = Command::new(program);
            command.args(&all[1..kept]).args(instead).exec().to_string()
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_how_large_we_are() {
        let bytes = resident_bytes().expect("Linux tells");
        assert!(bytes > 100_000 && bytes < 1 << 40, "{bytes}");
    }
}
