//! Background tasks that outlive their own panics.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;

/// Between a panic and the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs `work` to its end. If it panics, that is logged and it begins anew after a pause: what it owns
/// must be right at every await. Dropping the future ends it.
pub async fn supervised<F: Future<Output = ()>>(name: &str, mut work: impl FnMut() -> F) {
    while AssertUnwindSafe(work()).catch_unwind().await.is_err() {
        tracing::error!("{name} panicked, which is a defect of the service: it begins anew");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_begins_anew() {
        let mut runs = 0;
        supervised("a test", || {
            runs += 1;
            let first = runs == 1;
            async move { assert!(!first, "on purpose") }
        })
        .await;
        assert_eq!(runs, 2);
    }
}
