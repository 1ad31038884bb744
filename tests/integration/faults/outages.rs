//! Parts that are killed, hang, or are full, under a server that runs: what is asked meanwhile is done or refused as
//! unavailable, what was told to be done is done, and everything goes on by itself.

use std::{
    fs,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{png, wish};
use crate::{
    access::browser::form as form_of,
    studio::crash::{House, stop},
    support::{
        app::{Client, Reply},
        up::{Place, Up},
    },
};

/// Longer than a refusal may take: the longest that anything of ours is waited for, and a little.
const PROMPT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(90);

/// It was done, or it says that something is away and when to try again.
fn honest(what: &str, reply: &Reply) -> bool {
    if reply.status < 300 {
        return true;
    }
    assert_eq!((reply.status, reply.code().as_str()), (503, "service.unavailable"), "{what}: {:?}", reply.body);
    assert_eq!(reply.headers["content-type"], "application/problem+json", "{what}");
    let after: u32 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{what}: {after}");
    false
}

/// What one looks at: work that is asked for, a picture that is brought, a page that is read, somebody who comes in.
struct Caller<'a> {
    owner: &'a Client,
    password: String,
    asked: Vec<String>,
    brought: Vec<String>,
    number: usize,
}

impl<'a> Caller<'a> {
    fn new(owner: &'a Client, ready: &Value) -> Self {
        let password = ready["owner"]["one_time_password"].as_str().unwrap().to_owned();
        Self { owner, password, asked: Vec::new(), brought: Vec::new(), number: 0 }
    }

    async fn send(&self, what: &str, request: reqwest::RequestBuilder) -> Reply {
        let begun = Instant::now();
        let reply = tokio::time::timeout(PROMPT, self.owner.send(request)).await;
        let reply = reply.unwrap_or_else(|_| panic!("{what} had no answer within {PROMPT:?}"));
        assert!(begun.elapsed() < PROMPT, "{what}");
        reply
    }

    async fn ask(&mut self) -> bool {
        self.number += 1;
        let key = format!("ask-{}", self.number);
        let request = self.owner.request("POST", "/api/v1/generations").header("Idempotency-Key", key);
        let reply = self.send("asking", request.json(&wish("painter"))).await;
        let done = honest("asking", &reply);
        if done {
            self.asked.push(reply.json()["id"].as_str().unwrap().to_owned());
        }
        done
    }

    async fn bring(&mut self) -> bool {
        let part = reqwest::multipart::Part::bytes(png()).file_name("lake.png");
        let form = reqwest::multipart::Form::new().part("file", part);
        let reply = self.send("bringing", self.owner.request("POST", "/api/v1/assets").multipart(form)).await;
        let done = honest("bringing", &reply);
        if done {
            self.brought.push(reply.json()["id"].as_str().unwrap().to_owned());
        }
        done
    }

    async fn read(&self) -> bool {
        honest("reading", &self.send("reading", self.owner.request("GET", "/api/v1/generations")).await)
    }

    /// With the right password: it must never seem to be wrong.
    async fn sign_in(&self) -> bool {
        let form = [("mail", "owner@example.org"), ("password", self.password.as_str()), ("next", "")];
        let nobody = Client { token: None, ..self.owner.clone() };
        let request = nobody.request("POST", "/sign-in").header("sec-fetch-site", "same-origin");
        let reply = self.send("signing in", form_of(request, &form)).await;
        assert!([200, 503].contains(&reply.status), "signing in: {} {:?}", reply.status, reply.body);
        assert!(reply.status == 200 || reply.headers.contains_key("retry-after"), "signing in");
        reply.status == 200
    }

    /// Asks everything again and again until all of it is done.
    async fn until_all_is_well(&mut self, what: &str) {
        let since = Instant::now();
        loop {
            let well = self.ask().await & self.bring().await & self.read().await & self.sign_in().await;
            if well {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{what}: it did not come back");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What was told to be done is there.
    async fn everything_is_there(&self) {
        for id in &self.asked {
            let done = self.owner.wait(id).await;
            assert_eq!(done["state"], "succeeded", "{done}");
        }
        for id in &self.brought {
            assert_eq!(self.owner.get(&format!("/api/v1/assets/{id}/content")).await.body, png(), "{id}");
        }
    }
}

fn pid(ready: &Value, part: &str) -> Pid {
    Pid::from_raw(ready["pids"][part].as_i64().unwrap().try_into().unwrap())
}

/// A process and those that it started.
fn family(pid: Pid) -> Vec<Pid> {
    let parent = |process: i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit(") ").next()?.split(' ').nth(1)?.parse::<i32>().ok()
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|process| parent(*process) == Some(pid.as_raw())).map(Pid::from_raw).chain([pid]).collect()
}

fn signal_all(processes: &[Pid], signal: Signal) {
    for process in processes {
        // One of them may have ended.
        let _ = kill(*process, signal);
    }
}

async fn started(house: &House) -> (Up, Value) {
    let mut up = house.start("");
    let ready = house.place.ready(&mut up, |_| true);
    // The client has a moment to see that the connections of the last run are gone.
    tokio::time::sleep(Duration::from_millis(100)).await;
    (up, ready)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_or_hangs_comes_back() {
    let house = House::new("[inference]\ndemo_faults = true\n").await;
    let (mut up, mut ready) = started(&house).await;
    let mut client = Caller::new(&house.owner, &ready);
    client.until_all_is_well("at first").await;

    for round in 0..2 {
        for part in ["postgres", "minio"] {
            let dead = pid(&ready, part);
            kill(dead, Signal::SIGKILL).unwrap();
            client.until_all_is_well(&format!("{part} was killed, round {round}")).await;
            ready = house.place.ready(&mut up, |ready| {
                ![0, dead.as_raw()].contains(&ready["pids"][part].as_i64().unwrap_or(0).try_into().unwrap())
            });
        }
    }

    // Made while the database hangs, for longer than its lease.
    let slow = house.owner.post("/api/v1/generations", &wish("slow")).await.json();
    let slow = slow["id"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let hung = family(pid(&ready, "postgres"));
    assert!(hung.len() > 3, "{hung:?}");
    signal_all(&hung, Signal::SIGSTOP);
    let answers = [client.ask().await, client.bring().await, client.read().await, client.sign_in().await];
    assert_eq!(answers, [false; 4], "nothing was done while the database hung");
    signal_all(&hung, Signal::SIGCONT);
    client.until_all_is_well("the database hung").await;
    let made = house.owner.wait(&slow).await;
    assert_eq!((&made["state"], &made["attempts"]), (&"succeeded".into(), &1.into()), "sent once: {made}");

    let url = format!(
        "postgres://renderkeep@{}/renderkeep",
        house.place.path().join("run").to_string_lossy().replace('/', "%2F")
    );
    let mut taken = Vec::new();
    while let Ok((taker, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
        tokio::spawn(connection);
        let others = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'renderkeep_app'";
        if taken.is_empty() {
            taker.batch_execute("set application_name = 'first'").await.unwrap();
        }
        let _ = taker.batch_execute(others).await;
        taken.push(taker);
    }
    assert!(taken.len() > 50, "only {} connections were to be had", taken.len());
    let answers = [client.ask().await, client.bring().await, client.read().await, client.sign_in().await];
    assert_eq!(answers, [false; 4], "nothing was done without a connection");
    drop(taken);
    client.until_all_is_well("the database had no connection left").await;

    client.everything_is_there().await;
    house.check().await;
    stop(up);
}

/// Mounted for this thread and what it starts, so that nothing is left mounted, whatever happens.
#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).expect("a small disk is mounted: run this as root");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("nobody else sees it");
        let place = Place::new();
        fs::create_dir(place.path()).unwrap();
        let size = Some("size=420m,mode=0700");
        mount(Some("tmpfs"), &place.path(), Some("tmpfs"), MsFlags::empty(), size).expect("a small disk");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(full_disk(place));
    });
    thread.join().unwrap();
}

async fn full_disk(place: Place) {
    let house = House::at(place, "").await;
    let (up, ready) = started(&house).await;
    let mut client = Caller::new(&house.owner, &ready);
    client.until_all_is_well("at first").await;

    let filler = house.place.path().join("filler");
    let mut refused = 0;
    let since = Instant::now();
    while refused < 8 {
        fill(&filler);
        let answers = [client.ask().await, client.bring().await];
        client.sign_in().await;
        client.read().await;
        refused += answers.iter().filter(|done| !**done).count();
        assert!(since.elapsed() < PATIENCE, "the disk is not full");
    }
    fs::remove_file(&filler).unwrap();
    client.until_all_is_well("the disk was full").await;
    client.everything_is_there().await;
    house.check().await;
    stop(up);
}

/// Until there is nothing left.
fn fill(file: &std::path::Path) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    let block = vec![7u8; 1 << 16];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..512]).is_ok() {}
}
