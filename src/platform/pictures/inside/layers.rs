//! What confines the decoder: limits of the process, Landlock, seccomp. Each is enough to keep a file shut; together they
//! stay enough when one of them has a hole.
//!
//! The decoder says what holds it, and the server decides whether that is enough. Debug builds can leave a layer out by
//! name, so that tests prove what each of them stops.

use std::{collections::BTreeMap, error::Error, fs, io, str::FromStr};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use nix::{
    libc,
    sys::resource::{Resource, setrlimit},
    unistd,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::super::wire::Held;

/// The newest interface of Landlock whose rights are all named here; an older kernel holds those that it knows.
const KNOWN: ABI = ABI::V6;

/// A layer by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Limits,
    Landlock,
    Seccomp,
}

impl Layer {
    pub const ALL: [Self; 3] = [Self::Limits, Self::Landlock, Self::Seccomp];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }
}

impl FromStr for Layer {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|layer| layer.as_str() == text);
        known.ok_or_else(|| format!("there is no layer {text}"))
    }
}

/// What one picture may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of the processor.
    pub seconds: u64,
}

/// Gives up everything, before the first byte of a picture is read.
pub fn confine(limits: Limits, off: &[Layer]) -> io::Result<Held> {
    let wanted = |layer| !off.contains(&layer);
    close_all_but_the_pipes()?;
    // In this order: the next layer needs what the last one takes away.
    let landlock = if wanted(Layer::Landlock) { landlocked().unwrap_or(0) } else { 0 };
    if wanted(Layer::Limits) {
        limited(limits)?;
    }
    let seccomp = wanted(Layer::Seccomp) && filtered().is_ok();
    Ok(Held { landlock, seccomp, limits: wanted(Layer::Limits) })
}

/// Whatever the server's own parent left open must not end here. Standard error too: there is nothing to say.
fn close_all_but_the_pipes() -> io::Result<()> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?.flatten().filter_map(number).collect();
    for fd in open.into_iter().filter(|fd| *fd > 1) {
        // The directory itself is among them, and closed already.
        let _ = unistd::close(fd);
    }
    Ok(())
}

fn limited(limits: Limits) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_AS, limits.memory, limits.memory)?;
    // The first one ends it with a signal that names the reason, the second in any case.
    setrlimit(Resource::RLIMIT_CPU, limits.seconds, limits.seconds + 1)?;
    for none in [Resource::RLIMIT_NOFILE, Resource::RLIMIT_NPROC, Resource::RLIMIT_FSIZE, Resource::RLIMIT_CORE] {
        setrlimit(none, 0, 0)?;
    }
    Ok(())
}

/// No file, no TCP, no signal to others: nothing is allowed. Returns the version of the interface that holds it.
fn landlocked() -> Result<u8, Box<dyn Error>> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi as u8,
        _ => 0,
    })
}

/// From here on any other system call ends the process.
fn filtered() -> Result<(), Box<dyn Error>> {
    let own = u64::try_from(unistd::getpid().as_raw())?;
    let plain = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = plain.into_iter().map(|call| (call, Vec::new())).collect();
    let executable = u64::try_from(libc::PROT_EXEC)?;
    rules.insert(libc::SYS_read, vec![only(0, Is::Eq, 0)?]);
    // 2 is closed; what the runtime says before it aborts goes nowhere, and the signal tells the reason.
    rules.insert(libc::SYS_write, vec![only(0, Is::Le, 2)?]);
    rules.insert(libc::SYS_mmap, vec![only(2, Is::MaskedEq(executable), 0)?]);
    rules.insert(libc::SYS_mprotect, vec![only(2, Is::MaskedEq(executable), 0)?]);
    // Only to itself: so the end of memory shows as SIGABRT.
    rules.insert(libc::SYS_tgkill, vec![only(0, Is::Eq, own)?]);
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}

fn only(argument: u8, is: Is, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, Length::Dword, is, value)?])
}
