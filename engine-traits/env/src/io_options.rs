//! How the operating system is asked for bytes.

/// Ways to the disk, to be compared; the bytes are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IoOptions {
    /// How immutable tables are read.
    pub read_path: ReadPath,
    /// How the log is written.
    pub log_writer: LogWriter,
}

/// How files of kind [`crate::FileKind::Table`] that were opened for reading are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadPath {
    /// One `pread` a read.
    #[default]
    Pread,
    /// The file is mapped, reads copy. No call for a page that is in memory; but a read that fails, or a
    /// file that somebody else cuts short, kills the process (SIGBUS) where `pread` gives an error.
    Mmap,
    /// Several reads at once go to the kernel in one call, through `io_uring`; single ones as `pread`.
    IoUring,
}

/// How files of kind [`crate::FileKind::Log`] are written and synced at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogWriter {
    /// `pwrite`, then `fdatasync`.
    #[default]
    Plain,
    /// `pwritev2` with `RWF_DSYNC`: one call.
    Dsync,
    /// A write and an `fdatasync` linked behind it, in one call through `io_uring`.
    IoUring,
}

impl ReadPath {
    /// The names in the configuration.
    pub const NAMES: &[&str] = &["pread", "mmap", "io_uring"];

    /// The value of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pread, Self::Mmap, Self::IoUring].into_iter().find(|path| path.name() == name)
    }

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pread => "pread",
            Self::Mmap => "mmap",
            Self::IoUring => "io_uring",
        }
    }
}

impl LogWriter {
    /// The names in the configuration.
    pub const NAMES: &[&str] = &["plain", "dsync", "io_uring"];

    /// The value of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::Dsync, Self::IoUring].into_iter().find(|writer| writer.name() == name)
    }

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Dsync => "dsync",
            Self::IoUring => "io_uring",
        }
    }
}
