//! What confines a decoder, each layer by itself: the hidden command is asked for forbidden acts, with the layers on and
//! with layers left out by name.
#![expect(clippy::disallowed_methods, reason = "a test speaks to the process itself")]

use std::{
    io::Read,
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

use nix::libc::{SIGABRT, SIGSYS, SIGXCPU};
use renderkeep::{
    config::SandboxLayer,
    platform::pictures::{
        SUBCOMMAND,
        inside::attempts::{Attempt, Outcome},
        wire::{self, Held, Request, Task},
    },
};

use super::*;

const SPACE: u64 = 1 << 30;

/// How an attempt ended: an outcome that the decoder told, or the signal that killed it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed(String),
    Killed(i32),
}

fn start(without: &[Layer]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renderkeep"));
    command.args([SUBCOMMAND, "--memory", &SPACE.to_string(), "--seconds", "1"]);
    command.args(without.iter().flat_map(|layer| ["--without", layer.as_str()])).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn asked(decoder: &mut Child, attempt: Attempt) -> Held {
    let held = wire::read(decoder.stdout.as_mut().unwrap()).unwrap();
    let request = Request { task: Task::Attempt(attempt), bytes: 0 };
    wire::write(decoder.stdin.as_mut().unwrap(), &request).unwrap();
    held
}

fn ended(mut decoder: Child) -> End {
    let said = wire::read::<Outcome>(decoder.stdout.as_mut().unwrap());
    let status: ExitStatus = decoder.wait().unwrap();
    match (said, status.signal()) {
        (_, Some(signal)) => End::Killed(signal),
        (Ok(Ok(())), None) => End::Done,
        (Ok(Err(error)), None) => End::Failed(error),
        (Err(error), None) => panic!("{error:?} {status}"),
    }
}

fn tried(attempt: Attempt, without: &[Layer]) -> End {
    let mut decoder = start(without);
    asked(&mut decoder, attempt);
    ended(decoder)
}

fn failed(end: End, with: &str) {
    match end {
        End::Failed(error) if error.contains(with) => {}
        other => panic!("{other:?} instead of {with}"),
    }
}

const NONE: [Layer; 3] = Layer::ALL;
const LANDLOCK_ALONE: [Layer; 2] = [Layer::Limits, Layer::Seccomp];
const LIMITS_ALONE: [Layer; 2] = [Layer::Landlock, Layer::Seccomp];

#[test]
fn it_says_what_holds_it() {
    let all = asked(&mut start(&[]), Attempt::Nothing);
    assert!(all.landlock >= 1 && all.seccomp && all.limits, "{all:?}");
    assert_eq!(asked(&mut start(&NONE), Attempt::Nothing), Held { landlock: 0, seccomp: false, limits: false });
    assert_eq!(tried(Attempt::Nothing, &[]), End::Done, "the positive control: what is allowed works");
    assert_eq!(tried(Attempt::Panic, &[]), End::Failed("panicked".to_owned()));
}

#[test]
fn asvs_v15_2_5_no_file_is_opened() {
    assert_eq!(tried(Attempt::OpenFile, &[]), End::Killed(SIGSYS));
    assert_eq!(tried(Attempt::OpenFile, &[Layer::Limits, Layer::Landlock]), End::Killed(SIGSYS));
    failed(tried(Attempt::OpenFile, &LANDLOCK_ALONE), "Permission denied");
    failed(tried(Attempt::OpenFile, &LIMITS_ALONE), "Too many open files");
    assert_eq!(tried(Attempt::OpenFile, &NONE), End::Done);
}

#[test]
fn asvs_v15_2_5_nothing_is_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let attempt = Attempt::Connect(listener.local_addr().unwrap().port());
    assert_eq!(tried(attempt, &[]), End::Killed(SIGSYS));
    assert_eq!(tried(attempt, &[Layer::Limits, Layer::Landlock]), End::Killed(SIGSYS));
    // Landlock knows TCP from its fourth interface on.
    if asked(&mut start(&LANDLOCK_ALONE), Attempt::Nothing).landlock >= 4 {
        failed(tried(attempt, &LANDLOCK_ALONE), "Permission denied");
    }
    failed(tried(attempt, &LIMITS_ALONE), "Too many open files");
    assert_eq!(tried(attempt, &NONE), End::Done);
}

#[test]
fn asvs_v15_2_5_no_process_and_no_thread_is_started() {
    for attempt in [Attempt::StartThread, Attempt::StartProgram, Attempt::BecomeProgram] {
        assert_eq!(tried(attempt, &[]), End::Killed(SIGSYS), "{attempt:?}");
        assert_eq!(tried(attempt, &[Layer::Limits, Layer::Landlock]), End::Killed(SIGSYS), "{attempt:?}");
    }
    failed(tried(Attempt::StartProgram, &LANDLOCK_ALONE), "Permission denied");
    failed(tried(Attempt::BecomeProgram, &LANDLOCK_ALONE), "Permission denied");
    assert_eq!(tried(Attempt::StartThread, &NONE), End::Done);
    assert_eq!(tried(Attempt::StartProgram, &NONE), End::Done);
    // It has become a program that says nothing and ends well.
    let mut decoder = start(&NONE);
    asked(&mut decoder, Attempt::BecomeProgram);
    let mut rest = Vec::new();
    decoder.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
    assert!(decoder.wait().unwrap().success() && rest.is_empty());
}

#[test]
fn nobody_is_signalled() {
    assert_eq!(tried(Attempt::SignalParent, &[]), End::Killed(SIGSYS));
    if asked(&mut start(&LANDLOCK_ALONE), Attempt::Nothing).landlock >= 6 {
        failed(tried(Attempt::SignalParent, &LANDLOCK_ALONE), "not permitted");
    }
    assert_eq!(tried(Attempt::SignalParent, &NONE), End::Done);
}

#[test]
fn asvs_v15_2_5_memory_has_an_end() {
    assert_eq!(tried(Attempt::Allocate(SPACE / 2), &[]), End::Done);
    assert_eq!(tried(Attempt::Allocate(SPACE + SPACE / 4), &[]), End::Killed(SIGABRT));
    assert_eq!(tried(Attempt::Allocate(SPACE + SPACE / 4), &[Layer::Limits]), End::Done);
}

#[test]
fn asvs_v15_2_5_time_has_an_end() {
    assert_eq!(tried(Attempt::Spin, &[]), End::Killed(SIGXCPU));
    let mut decoder = start(&[Layer::Limits]);
    asked(&mut decoder, Attempt::Spin);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        assert_eq!(decoder.try_wait().unwrap(), None, "without limits nothing ends it");
        std::thread::sleep(Duration::from_millis(50));
    }
    decoder.kill().unwrap();
    decoder.wait().unwrap();
}

#[test]
fn it_has_two_pipes_and_no_environment() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renderkeep"));
    command.args([SUBCOMMAND, "--memory", &SPACE.to_string(), "--seconds", "1"]).env_clear();
    // A descriptor that its parent forgot to close.
    let forgotten = std::fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(&forgotten, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let mut decoder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wire::read::<Held>(decoder.stdout.as_mut().unwrap()).unwrap();
    let about = PathBuf::from(format!("/proc/{}", decoder.id()));
    let open = std::fs::read_dir(about.join("fd")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut open: Vec<_> = open.map(|name| name.into_string().unwrap()).collect();
    open.sort();
    assert_eq!(open, ["0", "1"]);
    assert!(std::fs::read(about.join("environ")).unwrap().is_empty());
    let status = std::fs::read_to_string(about.join("status")).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    // The end of the pipe ends it.
    drop(decoder.stdin.take());
    decoder.wait().unwrap();
}

fn lacking(off: &[Layer], allow_missing: &[SandboxLayer]) -> Pictures {
    Pictures::new(Setup { off: off.to_vec(), allow_missing: allow_missing.to_vec(), ..setup() })
}

#[tokio::test]
async fn a_missing_layer_is_refused_unless_it_is_named() {
    let png = encoded(&drawn(9, 9), ImageFormat::Png);
    for (layer, name) in [(Layer::Landlock, SandboxLayer::Landlock), (Layer::Seccomp, SandboxLayer::Seccomp)] {
        let other = [SandboxLayer::Landlock, SandboxLayer::Seccomp].into_iter().filter(|one| *one != name);
        for allowed in [Vec::new(), other.collect()] {
            let pictures = lacking(&[layer], &allowed);
            let refused = pictures.check().await.unwrap_err();
            assert!(matches!(refused, PictureError::NotConfined(missing) if missing == layer), "{refused:?}");
            assert!(refused.to_string().contains(&format!("sandbox.allow_missing = [\"{}\"]", layer.as_str())));
            // Not one picture, either.
            assert!(matches!(examine(&pictures, png.clone()).await, Err(PictureError::NotConfined(_))));
        }
        let pictures = lacking(&[layer], &[name]);
        pictures.check().await.unwrap();
        works(&pictures).await;
    }
    let pictures = lacking(&[Layer::Limits], &[SandboxLayer::Landlock, SandboxLayer::Seccomp]);
    assert!(matches!(pictures.check().await, Err(PictureError::NotConfined(Layer::Limits))));
    pictures_of_this_machine().await;
}

async fn pictures_of_this_machine() {
    let held = pictures().check().await.unwrap();
    assert!(held.landlock >= 1 && held.seccomp && held.limits);
}
