use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::caller::Caller;

/// A disk that is full after so many bytes, until it is given more.
#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

impl Disk {
    fn of(room: usize) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), room))))
    }

    fn grow(&self) {
        self.0.lock().unwrap().1 = usize::MAX;
    }

    fn lines(&self) -> Vec<Value> {
        let disk = self.0.lock().unwrap();
        let text = String::from_utf8(disk.0.clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (held, room) = &mut *self.0.lock().unwrap();
        let fits = bytes.len().min(room.saturating_sub(held.len()));
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        held.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says that it is written to, and then takes nothing until its sender is dropped.
struct Stalled(Sender<()>, Receiver<()>, Disk);

impl Stalled {
    /// With who hears of the first write, and who ends the stall.
    fn before(disk: Disk) -> (Self, Receiver<()>, Sender<()>) {
        let ((writing, written_to), (flows, stall)) = (channel(), channel());
        (Self(writing, stall, disk), written_to, flows)
    }
}

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(());
        let _ = self.1.recv();
        self.2.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn entry(id: usize) -> Entry {
    Entry::begin(id.to_string(), "SearchEvents", None)
}

/// Lets the owner work until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_is_one_line_once_it_has_ended() {
    let disk = Disk::of(usize::MAX);
    let log = AuditLog::over(Target::over(disk.clone()), 8);
    let record = log.begin(entry(1)).unwrap();
    record.note(|entry| {
        entry.caller = Some(Arc::new(Caller::in_process()));
        entry.asked = Some(Asked::of(json!({"identities": [{"user_name": "alice"}]})));
        entry.accounts = Some(Accounts::of(["111122223333".parse().unwrap()]));
        entry.ended.status = Some("OK");
        entry.events = 3;
    });
    assert_eq!(log.counts().written, 0);
    drop(record);
    drop(log.begin(entry(2)).unwrap());
    log.finish(Duration::from_mins(1)).await;
    let lines = disk.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0]["caller"],
        json!({"name": "in-process", "authentication": "in_process"})
    );
    assert_eq!(lines[0]["asked"]["identities"][0]["user_name"], "alice");
    assert_eq!(
        lines[0]["accounts"],
        json!({"count": 1, "ids": ["111122223333"]})
    );
    assert_eq!(
        lines[0]["ended"],
        json!({"status": "OK", "cancelled": false})
    );
    assert_eq!(
        lines[1]["ended"],
        json!({"status": "CANCELLED", "cancelled": true})
    );
    assert!(log.begin(entry(3)).is_err(), "the log is closed");
}

#[tokio::test]
async fn no_request_begins_without_a_place_for_its_line() {
    let disk = Disk::of(usize::MAX);
    let log = AuditLog::over(Target::over(disk.clone()), 2);
    let running: Vec<_> = (0..2).map(|id| log.begin(entry(id)).unwrap()).collect();
    assert_eq!(log.begin(entry(2)).unwrap_err(), Unwritable);
    drop(running);
    log.finish(Duration::from_mins(1)).await;
    let lines = disk.lines();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().any(|line| line["requests_refused"] == 1));
}

#[tokio::test]
async fn while_the_disk_is_full_requests_are_refused_and_no_line_is_lost_torn_or_double() {
    let disk = Disk::of(100);
    let log = AuditLog::over(Target::over(disk.clone()), 64);
    let running = log.begin(entry(1)).unwrap();
    drop(log.begin(entry(0)).unwrap());
    until(|| log.counts().failing).await;
    assert!(log.begin(entry(9)).is_err());
    assert!(log.begin(entry(9)).is_err());
    drop(running);
    disk.grow();
    // Tries again at once.
    log.reopen();
    until(|| !log.counts().failing).await;
    drop(log.begin(entry(2)).unwrap());
    log.finish(Duration::from_mins(1)).await;
    let lines = disk.lines();
    let ids: Vec<_> = lines
        .iter()
        .filter_map(|line| line["request_id"].as_str())
        .collect();
    assert_eq!(ids, ["0", "1", "2"]);
    let refused: u64 = lines
        .iter()
        .filter_map(|line| line["requests_refused"].as_u64())
        .sum();
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn a_log_without_a_place_is_one_that_cannot_be_written_until_there_is_one() {
    let log = AuditLog::over(Target::over(Disk::of(usize::MAX)), 2);
    let changed = |found| log.log.as_ref().unwrap().change(found);
    let mut running: Vec<_> = (0..2).map(|id| log.begin(entry(id)).unwrap()).collect();
    assert!(log.counts().failing);
    assert!(log.begin(entry(2)).is_err());
    let full = Err(Trouble::Full);
    assert_eq!(changed(full), None, "that was told with the first");
    drop(running.pop());
    until(|| !log.counts().failing).await;
    assert_eq!(changed(Ok(())), Some(Change::Serving));
    assert_eq!(changed(Ok(())), None);
    assert_eq!(changed(full), Some(Change::Refusing(Trouble::Full)));
    drop(running);
    log.finish(Duration::from_mins(1)).await;
    assert!(!log.counts().failing, "a log that has ended is well");
}

#[tokio::test]
async fn while_a_write_does_not_return_requests_are_refused_and_no_line_is_lost() {
    let disk = Disk::of(usize::MAX);
    let (stalled, written_to, flows) = Stalled::before(disk.clone());
    let log = AuditLog::over(Target::over(stalled), 64);
    drop(log.begin(entry(0)).unwrap());
    until(|| written_to.try_recv().is_ok()).await;
    // It may only be slow.
    let soon = Instant::now();
    assert!(!log.counts_at(soon).failing);
    drop(log.begin_at(entry(1), soon).unwrap());
    let later = soon + STUCK;
    assert!(log.counts_at(later).failing);
    assert!(log.begin_at(entry(9), later).is_err());
    drop(flows);
    // Two lines, and what was refused between them.
    until(|| log.counts().written == 3).await;
    assert!(!log.counts_at(later).failing);
    drop(log.begin_at(entry(2), later).unwrap());
    log.finish(Duration::from_mins(1)).await;
    let lines = disk.lines();
    let ids: Vec<_> = lines
        .iter()
        .filter_map(|line| line["request_id"].as_str())
        .collect();
    assert_eq!(ids, ["0", "1", "2"]);
    assert!(lines.iter().any(|line| line["requests_refused"] == 1));
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_write_that_does_not_return() {
    let (stalled, written_to, flows) = Stalled::before(Disk::of(usize::MAX));
    let log = AuditLog::over(Target::over(stalled), 64);
    let running = log.begin(entry(0)).unwrap();
    drop(log.begin(entry(1)).unwrap());
    until(|| written_to.try_recv().is_ok()).await;
    assert_eq!(log.finish(Duration::ZERO).await, 1, "one was cut off");
    drop((running, flows));
}

#[tokio::test]
async fn an_end_that_was_given_up_can_be_had_again() {
    let disk = Disk::of(usize::MAX);
    let (stalled, written_to, flows) = Stalled::before(disk.clone());
    let log = AuditLog::over(Target::over(stalled), 64);
    let running = log.begin(entry(0)).unwrap();
    drop(log.begin(entry(1)).unwrap());
    until(|| written_to.try_recv().is_ok()).await;
    assert!(log.finish(Duration::from_mins(1)).now_or_never().is_none());
    drop(flows);
    assert_eq!(log.finish(Duration::from_mins(1)).await, 1);
    assert_eq!(disk.lines().len(), 2);
    drop(running);
}

#[tokio::test]
async fn a_request_that_still_runs_at_the_end_is_recorded_as_cut_off() {
    let disk = Disk::of(usize::MAX);
    let log = AuditLog::over(Target::over(disk.clone()), 8);
    let record = log.begin(entry(1)).unwrap();
    log.finish(Duration::from_mins(1)).await;
    drop(record);
    let lines = disk.lines();
    assert_eq!(lines.len(), 1);
    let ended = json!({"status": "CANCELLED", "reason": "CUT_OFF", "cancelled": true});
    assert_eq!(lines[0]["ended"], ended);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
    let dir = tempfile::TempDir::new().unwrap();
    let (path, old) = (
        dir.path().join("audit.jsonl"),
        dir.path().join("audit.jsonl.1"),
    );
    let log = AuditLog::open(&AuditTarget::File(path.clone())).unwrap();
    drop(log.begin(entry(1)).unwrap());
    until(|| log.counts().written == 1).await;
    std::fs::rename(&path, &old).unwrap();
    log.reopen();
    until(|| path.exists()).await;
    drop(log.begin(entry(2)).unwrap());
    log.finish(Duration::from_mins(1)).await;
    let ids = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let ids = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        ids.map(|line| line["request_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&old), ["1"]);
    assert_eq!(ids(&path), ["2"]);
}

#[test]
fn what_was_asked_is_cut_to_what_a_line_may_hold() {
    let accounts: Vec<String> = (0..100_000).map(|id| format!("{id:012}")).collect();
    let request = json!({"account_ids": accounts, "name": "x".repeat(100_000)});
    let asked = serde_json::to_value(Asked::of(request)).unwrap();
    assert_eq!(asked["account_ids"][50], "… and 99950 more");
    assert!(asked.to_string().len() < 2_000);
}
