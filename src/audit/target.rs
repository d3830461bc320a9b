//! Where the lines go, with the bytes that are not there yet.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::AuditTarget;

/// A file or standard stream. All that it does may block.
pub(super) struct Target {
    /// Written without a buffer, so that what was written is known to the byte.
    out: Box<dyn Write + Send>,
    /// What to open anew; `None` for a standard stream.
    path: Option<PathBuf>,
    /// Lines that are not written whole yet.
    pending: Vec<u8>,
    /// So many bytes of them are.
    written: usize,
}

impl Target {
    pub fn open(target: &AuditTarget) -> io::Result<Self> {
        Ok(match target {
            AuditTarget::File(path) => Self {
                path: Some(path.clone()),
                ..Self::over(append_to(path)?)
            },
            AuditTarget::Stderr => Self::over(io::stderr()),
            AuditTarget::Stdout => {
                let stdout = io::stdout().as_fd().try_clone_to_owned()?;
                Self::over(File::from(stdout))
            }
        })
    }

    pub(super) fn over(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            path: None,
            pending: Vec::new(),
            written: 0,
        }
    }

    /// Opens the file of the same path anew. A line of which the old one has only the begin goes to
    /// the new one whole.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.out = Box::new(append_to(path)?);
            let before = self.pending[..self.written].iter();
            let whole = before.copied().rposition(|byte| byte == b'\n');
            self.written = whole.map_or(0, |end| end + 1);
        }
        Ok(())
    }

    /// Takes lines to be written after those that are pending.
    pub fn take(&mut self, lines: Vec<String>) {
        for line in lines {
            self.pending.extend_from_slice(line.as_bytes());
        }
    }

    /// Appends what is pending. After a failure the next call goes on at the byte where this one
    /// broke off: a disk that was full leaves no torn line behind, and none twice.
    pub fn write(&mut self) -> io::Result<()> {
        while self.written < self.pending.len() {
            match self.out.write(&self.pending[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.clear();
        self.written = 0;
        Ok(())
    }

    /// What was never written.
    pub fn unwritten(&self) -> &[u8] {
        &self.pending[self.written..]
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)
}

/// Whether the file could be appended to or made.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map(drop),
    }
    // Of another name: a service that starts meanwhile keeps its file.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".check-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&name)?;
    std::fs::remove_file(&name)
}
