//! Decoders as the server has them: several at once, each for one picture, ended when they do not end.

use std::{fs, os::unix::fs::symlink, pin::Pin, time::Instant};

use futures::{Stream, StreamExt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use renderkeep::platform::storage::StorageError;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;

/// Decoders that can be told from those of other tests, by the name of their program.
struct Own {
    pictures: Pictures,
    program: PathBuf,
    _dir: TempDir,
}

impl Own {
    fn new(change: impl FnOnce(&mut Setup)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("renderkeep");
        symlink(env!("CARGO_BIN_EXE_renderkeep"), &program).unwrap();
        let mut setup = Setup { program: program.clone(), ..setup() };
        change(&mut setup);
        Self { pictures: Pictures::new(setup), program, _dir: dir }
    }

    fn pids(&self) -> Vec<i32> {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let own = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(self.program.as_os_str().as_encoded_bytes())
        };
        numbers.filter(own).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&[i32]) -> bool) -> Vec<i32> {
        let since = Instant::now();
        loop {
            let pids = self.pids();
            if holds(&pids) {
                return pids;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "{what}: {pids:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A picture that halts after its first half, when a decoder has taken that: whoever waits for `halted` may act then and
/// let it go on.
struct Halting {
    length: u64,
    halted: oneshot::Receiver<oneshot::Sender<()>>,
}

type Source = Pin<Box<dyn Stream<Item = Result<Bytes, PictureError>>>>;

fn halting(bytes: Vec<u8>) -> (Halting, Source) {
    let (tell, halted) = oneshot::channel();
    let length = bytes.len() as u64;
    let bytes = Bytes::from(bytes);
    let (first, second) = (bytes.slice(..bytes.len() / 2), bytes.slice(bytes.len() / 2..));
    let rest = async move {
        let (go, gone) = oneshot::channel();
        let _ = tell.send(go);
        let _ = gone.await;
        Ok(second)
    };
    (Halting { length, halted }, Box::pin(stream::iter([Ok(first)]).chain(stream::once(rest))))
}

#[tokio::test]
async fn ten_at_once_are_ten_pictures() {
    let own = Own::new(|_| {});
    let all = (0..10u32).map(|number| {
        let pictures = own.pictures.clone();
        async move {
            let bytes = encoded(&drawn(300 + number, 200), ImageFormat::Jpeg);
            let bytes = if number % 5 == 4 { bytes[..bytes.len() / 2].to_vec() } else { bytes };
            (number, examine(&pictures, bytes).await)
        }
    });
    for (number, examined) in futures::future::join_all(all).await {
        match examined {
            Ok(picture) => assert_eq!((picture.width, number % 5 == 4), (300 + number, false)),
            Err(error) => assert!(matches!(error, PictureError::Refused(_)) && number % 5 == 4, "{error:?}"),
        }
    }
    own.until("one waits for the next picture", |pids| pids.len() == 1).await;
}

#[tokio::test]
async fn each_picture_has_a_process_of_its_own() {
    let own = Own::new(|_| {});
    own.pictures.check().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let spare = own.until("one waits", |pids| pids.len() == 1).await;
        assert!(!seen.contains(&spare[0]), "a decoder saw two pictures");
        seen.extend(spare);
        works(&own.pictures).await;
        own.until("it has ended", |pids| !pids.contains(seen.last().unwrap())).await;
    }
}

#[tokio::test]
async fn one_that_is_killed_in_the_middle_takes_one_picture_with_it() {
    let own = Own::new(|_| {});
    let (halting, bytes) = halting(encoded(&drawn(200, 100), ImageFormat::Png));
    let killed = async {
        let go = halting.halted.await.unwrap();
        kill(Pid::from_raw(own.pids()[0]), Signal::SIGKILL).unwrap();
        go.send(()).unwrap();
    };
    let (examined, ()) = tokio::join!(own.pictures.examine(halting.length, bytes), killed);
    assert!(matches!(examined, Err(PictureError::Refused(Refusal::Undecodable))), "{examined:?}");
    works(&own.pictures).await;
}

/// The spare one belongs to no picture, so its death is nobody's.
#[tokio::test]
async fn one_that_is_killed_while_it_waits_is_replaced() {
    let own = Own::new(|_| {});
    own.pictures.check().await.unwrap();
    let pids = own.until("one waits", |pids| pids.len() == 1).await;
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    works(&own.pictures).await;
}

#[tokio::test]
async fn one_that_is_silent_is_ended_at_the_deadline() {
    let own = Own::new(|setup| setup.deadline = Duration::from_millis(600));
    let (halting, bytes) = halting(encoded(&drawn(200, 100), ImageFormat::Png));
    let stopped = async {
        let go = halting.halted.await.unwrap();
        let pid = own.pids()[0];
        // It sleeps where it would compute.
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        go.send(()).unwrap();
        pid
    };
    let since = Instant::now();
    let (examined, stopped) = tokio::join!(own.pictures.examine(halting.length, bytes), stopped);
    assert!(matches!(examined, Err(PictureError::Refused(Refusal::Undecodable))), "{examined:?}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    own.until("it is gone", |pids| !pids.contains(&stopped)).await;
    works(&own.pictures).await;
}

/// What becomes of memory that does not suffice: this picture is refused, a smaller one is not.
#[tokio::test]
async fn one_without_memory_takes_one_picture_with_it() {
    let own = Own::new(|setup| setup.memory = 160 << 20);
    let large = encoded(&DynamicImage::new_luma16(9_000, 7_000), ImageFormat::Png);
    assert_eq!(refusal(&own.pictures, large).await, Refusal::Undecodable);
    works(&own.pictures).await;
}

#[tokio::test]
async fn a_source_that_fails_is_told_as_it_failed() {
    #[derive(Debug)]
    enum Either {
        Source(StorageError),
        Picture(PictureError),
    }
    impl From<PictureError> for Either {
        fn from(error: PictureError) -> Self {
            Self::Picture(error)
        }
    }
    let own = Own::new(|_| {});
    let bytes = Bytes::from(encoded(&drawn(20, 10), ImageFormat::Png));
    let failing = [Ok(bytes.slice(..10)), Err(Either::Source(StorageError::TooLarge(1)))];
    let examined = own.pictures.examine(bytes.len() as u64, stream::iter(failing)).await;
    assert!(matches!(examined, Err(Either::Source(StorageError::TooLarge(1)))), "{examined:?}");
    // Shorter and longer than it was said to be.
    for length in [bytes.len() as u64 + 1, bytes.len() as u64 - 1] {
        let other = own.pictures.examine(length, stream::iter([Ok::<_, Either>(bytes.clone())])).await;
        assert!(matches!(other, Err(Either::Picture(PictureError::Refused(Refusal::Undecodable)))), "{other:?}");
    }
    works(&own.pictures).await;
}

#[tokio::test]
async fn who_gives_up_leaves_no_process() {
    let own = Own::new(|_| {});
    let (halting, bytes) = halting(encoded(&drawn(200, 100), ImageFormat::Png));
    tokio::select! {
        examined = own.pictures.examine(halting.length, bytes) => panic!("{examined:?}"),
        go = halting.halted => assert!(go.is_ok()),
    }
    own.until("nothing is left", <[i32]>::is_empty).await;
    works(&own.pictures).await;
    own.until("one waits", |pids| pids.len() == 1).await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_an_outage() {
    let own = Own::new(|setup| setup.program = "/no/such/program".into());
    let png = encoded(&drawn(9, 9), ImageFormat::Png);
    assert!(matches!(examine(&own.pictures, png).await, Err(PictureError::Unavailable(_))));
    assert!(matches!(own.pictures.check().await, Err(PictureError::Unavailable(_))));
}
