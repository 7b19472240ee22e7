//! One `io_uring` per thread: several reads, or a write and its sync, in one call.
//!
//! What is submitted points into the caller's buffers, so no call returns before the kernel has answered
//! everything it was given. Where the kernel has no `io_uring`, [`with_ring`] says so and the caller does
//! without.
//!
//! Measured: research/storage.md 2.1 ([Jens19] for the interface).
#![expect(unsafe_code, reason = "the kernel is given pointers into the caller's buffers")]

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use crate::ReadRequest;

/// Reads in flight at once.
pub(super) const ENTRIES: u32 = 64;

/// Tries to wait before the process gives up: see [`Ring::finish`].
const MAX_WAITS: u32 = 1000;

pub(super) struct Ring {
    ring: IoUring,
}

enum Slot {
    Untried,
    Ready(Ring),
    Missing,
}

thread_local! {
    static RING: RefCell<Slot> = const { RefCell::new(Slot::Untried) };
}

/// Runs `work` with the ring of this thread; `None` if the kernel has none to give.
pub(super) fn with_ring<T>(work: impl FnOnce(&mut Ring) -> T) -> Option<T> {
    RING.with(|slot| {
        let mut slot = slot.borrow_mut();
        if let Slot::Untried = *slot {
            *slot = IoUring::new(ENTRIES).map_or(Slot::Missing, |ring| Slot::Ready(Ring { ring }));
        }
        match &mut *slot {
            Slot::Ready(ring) => Some(work(ring)),
            Slot::Untried | Slot::Missing => None,
        }
    })
}

impl Ring {
    /// Does up to [`ENTRIES`] reads. Each may be short; `read` says how long it was.
    ///
    /// # Errors
    /// The first error that a read met.
    pub(super) fn read(
        &mut self,
        file: &impl AsRawFd,
        requests: &mut [ReadRequest<'_>],
    ) -> io::Result<()> {
        assert!(requests.len() <= ENTRIES as usize, "more reads than the ring has entries");
        for (index, request) in requests.iter_mut().enumerate() {
            let len = u32::try_from(request.buf.len()).unwrap_or(u32::MAX);
            let read =
                opcode::Read::new(types::Fd(file.as_raw_fd()), request.buf.as_mut_ptr(), len);
            self.push(&read.offset(request.offset).build().user_data(index as u64));
        }
        let mut first_error = None;
        self.finish(requests.len(), |index, result| match result {
            Ok(read) => requests[index].read = read,
            Err(error) => {
                first_error.get_or_insert(error);
            }
        });
        first_error.map_or(Ok(()), Err)
    }

    /// Writes `data` and syncs it, the sync only after a whole write. Gives the result of each; that of the
    /// sync is `ECANCELED` if the write failed or was short.
    pub(super) fn write_sync(
        &mut self,
        file: &impl AsRawFd,
        offset: u64,
        data: &[u8],
    ) -> (io::Result<usize>, io::Result<usize>) {
        let file = types::Fd(file.as_raw_fd());
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let write = opcode::Write::new(file, data.as_ptr(), len).offset(offset);
        self.push(&write.build().flags(squeue::Flags::IO_LINK).user_data(0));
        let sync = opcode::Fsync::new(file).flags(types::FsyncFlags::DATASYNC);
        self.push(&sync.build().user_data(1));
        let mut results = [Ok(0), Ok(0)];
        self.finish(2, |index, result| results[index] = result);
        results.into()
    }

    /// Puts an entry into the queue, which has room: nothing is left in it between calls.
    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the entry points into a buffer that the caller of this module borrows for the whole call,
        // and `finish` does not return before the kernel has answered the entry.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.expect("the queue is empty between calls and as long as a call needs");
    }

    /// Submits what was pushed and takes all answers: the index of each, and what came of it.
    fn finish(&mut self, count: usize, mut answer: impl FnMut(usize, io::Result<usize>)) {
        let mut missing = count;
        let mut waits = 0;
        while missing > 0 {
            if self.ring.submit_and_wait(missing).is_err() {
                // Interrupted, or no memory for the moment. The buffers must not be given back before the
                // kernel is done with them, so there is no way out but to wait, or to end.
                waits += 1;
                if waits > MAX_WAITS {
                    std::process::abort();
                }
            }
            for done in self.ring.completion() {
                missing -= 1;
                answer(done.user_data() as usize, outcome(&done));
            }
        }
    }
}

fn outcome(done: &cqueue::Entry) -> io::Result<usize> {
    usize::try_from(done.result()).map_err(|_| io::Error::from_raw_os_error(-done.result()))
}
