//! Reads and writes that the kernel cuts short, or a signal interrupts, are gone on with.
//!
//! Any call may move fewer bytes than asked, for no reason that concerns the caller (a signal, a quota, a
//! network file system), or none and be interrupted. Neither is a failure. A read that brings nothing is the
//! end of the file; a write that takes nothing is an error, since it would take nothing again.

use std::io;

/// Calls again while a signal interrupts it.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Fills `buf`, of which `filled` bytes are there already, by calls of `read(buffer, offset)`. Gives how
/// much is filled: less than all only at the end of the file.
pub(super) fn read_full(
    offset: u64,
    buf: &mut [u8],
    mut filled: usize,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    while filled < buf.len() {
        let count = uninterrupted(|| read(&mut buf[filled..], offset + filled as u64))?;
        if count == 0 {
            break;
        }
        filled += count;
    }
    Ok(filled)
}

/// Writes all of `data` by calls of `write(bytes, offset)`.
pub(super) fn write_full(
    offset: u64,
    data: &[u8],
    mut write: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        let count = uninterrupted(|| write(&data[done..], offset + done as u64))?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        done += count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each call does in turn; when they run out, all that is asked.
    #[derive(Debug, Clone, Copy)]
    enum Call {
        Interrupted,
        AtMost(usize),
        Fails,
    }

    use Call::{AtMost, Fails, Interrupted};

    /// How many bytes of `asked` the next call moves.
    fn next(calls: &mut impl Iterator<Item = Call>, asked: usize) -> io::Result<usize> {
        match calls.next() {
            Some(Interrupted) => Err(io::ErrorKind::Interrupted.into()),
            Some(Fails) => Err(io::ErrorKind::StorageFull.into()),
            Some(AtMost(most)) => Ok(asked.min(most)),
            None => Ok(asked),
        }
    }

    const FILE: &[u8; 20] = b"0123456789abcdefghij";

    fn read(calls: &[Call], offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut calls = calls.iter().copied();
        let mut buf = vec![b'?'; len];
        let filled = read_full(offset, &mut buf, 0, |buf, at| {
            let rest = &FILE[FILE.len().min(at as usize)..];
            let count = next(&mut calls, buf.len().min(rest.len()))?;
            buf[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })?;
        assert!(buf[filled..].iter().all(|byte| *byte == b'?'));
        buf.truncate(filled);
        Ok(buf)
    }

    #[test]
    fn short_and_interrupted_reads_are_gone_on_with() {
        let schedules: [&[Call]; 5] = [
            &[],
            &[AtMost(1)],
            &[Interrupted, Interrupted, AtMost(2), Interrupted, AtMost(1)],
            &[AtMost(7), Interrupted],
            &[AtMost(1); 20],
        ];
        for calls in schedules {
            for (offset, len) in [(0, 20), (3, 9), (19, 1), (20, 1), (15, 30), (99, 4), (5, 0)] {
                let from = FILE.len().min(offset);
                let expected = &FILE[from..FILE.len().min(from + len)];
                let found = read(calls, offset as u64, len).unwrap();
                assert_eq!(found, expected, "{calls:?}: {len} bytes at {offset}");
            }
        }
        let failed = read(&[AtMost(2), Interrupted, Fails], 0, 9).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn short_and_interrupted_writes_are_gone_on_with() {
        let write = |calls: &[Call]| {
            let mut calls = calls.iter().copied();
            let mut file = vec![b'.'; 30];
            let outcome = write_full(5, FILE, |data, at| {
                let count = next(&mut calls, data.len())?;
                file[at as usize..at as usize + count].copy_from_slice(&data[..count]);
                Ok(count)
            });
            outcome.map(|()| file)
        };
        let whole = [b".....".as_slice(), FILE, b"....."].concat();
        for calls in [
            &[][..],
            &[AtMost(1)],
            &[Interrupted, AtMost(3), Interrupted, Interrupted, AtMost(10)],
            &[AtMost(19), Interrupted, AtMost(1)],
            &[AtMost(1); 20],
        ] {
            assert_eq!(write(calls).unwrap(), whole, "{calls:?}");
        }
        let failed = write(&[AtMost(2), Fails]).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        // Nothing taken, again and again: not an endless loop.
        let stuck = write(&[AtMost(4), AtMost(0)]).unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::WriteZero);
    }
}
