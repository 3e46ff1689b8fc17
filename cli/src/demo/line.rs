//! The lines between the regions: how long they are, and who is cut off.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Hint, Hints, Outcome, Page};
use store_object::FolderHints;
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};

/// All lines.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The region that is cut off.
    cut_off: watch::Sender<Option<usize>>,
}

impl Lines {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { cut_off: watch::Sender::new(None) })
    }

    /// Cuts one region off from all others.
    pub(crate) fn cut(&self, region: usize) {
        self.cut_off.send_replace(Some(region));
    }

    /// Every region reaches every other one again.
    pub(crate) fn heal(&self) {
        self.cut_off.send_replace(None);
    }

    /// The region that is cut off.
    pub(crate) fn cut_off(&self) -> Option<usize> {
        *self.cut_off.borrow()
    }
}

/// The line from one region to another.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) lines: Arc<Lines>,
    pub(crate) ends: [usize; 2],
    /// How long a request and its answer are under way.
    pub(crate) distance: Duration,
}

impl Line {
    fn is_cut(&self) -> bool {
        self.lines.cut_off().is_some_and(|region| self.ends.contains(&region))
    }

    /// Asks over the line. What is asked or answered while it is cut does not arrive.
    async fn over<T>(&self, answer: Answer<'_, Result<T, BucketError>>) -> Result<T, BucketError> {
        let cut = || BucketError::new(Outcome::Unavailable, "the line between the regions is cut");
        if self.is_cut() {
            return Err(cut());
        }
        sleep(self.distance).await;
        let answer = answer.await;
        if self.is_cut() { Err(cut()) } else { answer }
    }
}

/// Another region's bucket, at the end of a line. It is there to be read.
#[derive(Debug)]
pub(crate) struct FarBucket {
    pub(crate) line: Line,
    pub(crate) bucket: Arc<dyn Bucket>,
}

impl FarBucket {
    fn refuse<'a, T: Send + 'a>() -> Answer<'a, Result<T, BucketError>> {
        Box::pin(async { Err(BucketError::new(Outcome::Refused, "nobody writes in another region's bucket")) })
    }
}

impl Bucket for FarBucket {
    fn create<'a>(&'a self, _: &'a str, _: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Self::refuse()
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(self.line.over(self.bucket.get(key)))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(self.line.over(self.bucket.get_range(key, start, length)))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(self.line.over(self.bucket.list(prefix, after, limit)))
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(self.line.over(self.bucket.folders(prefix)))
    }

    fn delete<'a>(&'a self, _: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Self::refuse()
    }
}

/// What tells over a line that something has appeared at its other end: where the bucket is a directory the file system does,
/// and a line that heals says itself that one should look.
#[derive(Debug)]
pub(crate) struct FarHints {
    line: Line,
    folder: Option<FolderHints>,
    healed: Mutex<watch::Receiver<Option<usize>>>,
}

impl FarHints {
    pub(crate) fn new(line: Line, folder: Option<FolderHints>) -> Self {
        let healed = Mutex::new(line.lines.cut_off.subscribe());
        Self { line, folder, healed }
    }

    async fn of_folder(&self) -> Hint {
        match &self.folder {
            Some(folder) => folder.next().await,
            None => std::future::pending().await,
        }
    }

    async fn of_line(&self) {
        if self.healed.lock().await.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Hints for FarHints {
    fn next(&self) -> Answer<'_, Hint> {
        Box::pin(async move {
            loop {
                let hint = tokio::select! {
                    hint = self.of_folder() => hint,
                    () = self.of_line() => Hint { key: None, receipt: 0 },
                };
                if !self.line.is_cut() {
                    return hint;
                }
            }
        })
    }

    fn done(&self, _: Hint) -> Answer<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use store_object::MemoryBucket;

    use super::*;

    #[tokio::test]
    async fn a_region_that_is_cut_off_is_out_of_reach_both_ways_and_the_others_are_not() {
        let lines = Lines::new();
        let far = |ends| {
            let line = Line { lines: lines.clone(), ends, distance: Duration::ZERO };
            FarBucket { line, bucket: Arc::new(MemoryBucket::new()) }
        };
        let between = [far([0, 1]), far([1, 0]), far([0, 2]), far([2, 0])];
        lines.cut(1);
        for (number, bucket) in between.iter().enumerate() {
            let reached = bucket.get("a").await;
            assert_eq!(reached.map_err(|error| error.outcome).ok(), (number >= 2).then_some(None));
        }
        lines.heal();
        for bucket in &between {
            assert_eq!(bucket.get("a").await.ok(), Some(None));
            assert_eq!(bucket.delete("a").await.map_err(|error| error.outcome), Err(Outcome::Refused));
        }
    }

    #[tokio::test]
    async fn a_line_that_heals_says_look() {
        let lines = Lines::new();
        let line = Line { lines: lines.clone(), ends: [0, 1], distance: Duration::ZERO };
        let hints = FarHints::new(line, None);
        lines.cut(0);
        let early = tokio::time::timeout(Duration::from_millis(20), hints.next()).await;
        assert!(early.is_err(), "{early:?}");
        lines.heal();
        assert_eq!(hints.next().await.key, None);
    }
}
