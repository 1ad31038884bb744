//! What sealing costs, beside the store alone: in time, in memory, and in flushes. It is measured beside a running
//! `renderkeep up --data DIR` of the same build: `cargo bench --locked --bench store -- DIR`.
#![expect(clippy::disallowed_types, reason = "calls the server as other programs do")]
#![expect(clippy::disallowed_methods, reason = "the bare server beside it is a process of its own")]

use std::{
    fs,
    io::{BufRead, BufReader, Cursor, Write, stdout},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, body::SizedStream, error::ErrorBadGateway, web};
use anyhow::Context;
use bytes::Bytes;
use futures::{StreamExt, future::try_join_all, stream};
use image::{ImageFormat, RgbImage};
use renderkeep::{
    accounts::{self, model::NewToken},
    app::lifecycle,
    base::{access::Scope, ctx::Ctx, error::FieldFault, ids::ObjectId},
    config::{self, Sources},
    organisation,
    platform::{
        Platform,
        storage::{ByteStream, ObjectStore, minio::Minio, stream_of},
    },
    supervisor::Kept,
};
use uuid::Uuid;

/// What is sent at a time, as a connection would.
const PIECE: usize = 64 * 1024;
const REST: Duration = Duration::from_millis(50);
const GIB: u64 = 1 << 30;
/// How long the processors are kept busy with one thing.
const SPELL: Duration = Duration::from_secs(4);
/// The word for the process that passes on what the store has, and does nothing else.
const BARE: &str = "bare";

struct House {
    platform: Platform,
    ctx: Ctx,
    owner: Uuid,
    /// The same store with the same flush, without sealing.
    direct: Minio,
    /// And without the flush.
    unflushed: Minio,
    url: String,
    token: String,
    http: reqwest::Client,
    bare: Bare,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let directory = arguments.first().context("Name the directory of a running `renderkeep up`.")?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    if arguments.get(1).is_some_and(|word| word == BARE) {
        return pass(Path::new(directory));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let house = House::open(Path::new(directory)).await?;
        // First, because the mark only rises.
        memory(&house).await?;
        for (name, side, at_once, times) in [("1 MB", 590, 1, 40), ("1 MB", 590, 16, 15), ("64 MB", 4600, 1, 25)] {
            compare(&house, name, noise(side)?, at_once, times).await?;
        }
        processors(&house, noise(590)?).await?;
        flushes(&house).await
    })
}

impl House {
    async fn open(directory: &Path) -> anyhow::Result<Self> {
        let kept = Kept::read(directory)?;
        let config = config::load(&kept.flags(Sources::default())?)?;
        let direct = Minio::new(&config.storage, config.storage.directory.clone())?;
        let unflushed = Minio::new(&config.storage, None)?;
        let url = format!("http://127.0.0.1:{}", kept.ports.http);
        let platform = lifecycle::open_beside(config).await?;
        let ctx = Ctx::system("bench", platform.clock.clone());
        let owner = organisation::ops::first_owner(&platform).await?.context("there is no owner")?;
        let wrong = |fault: FieldFault| anyhow::Error::msg(fault.message);
        let new = NewToken {
            name: "bench".parse().map_err(wrong)?,
            scopes: vec![Scope::Read, Scope::Write],
            expires_at: None,
        };
        let made = accounts::ops::create_token(&ctx, &platform, &owner.mail.parse().map_err(wrong)?, new).await?;
        let http = reqwest::Client::new();
        let bare = Bare::start(directory)?;
        Ok(Self { owner: owner.id.uuid(), platform, ctx, direct, unflushed, url, token: made.token, http, bare })
    }

    async fn put(&self, bytes: ByteStream, length: u64) -> anyhow::Result<ObjectId> {
        let app = &self.platform;
        Ok(app.storage.put(&app.db, &app.clock, self.owner, bytes, Some(length)).await?.id)
    }

    async fn get(&self, id: ObjectId) -> anyhow::Result<u64> {
        drain(self.platform.storage.get(&self.platform.db, id, None).await?.stream).await
    }

    async fn upload(&self, bytes: Bytes) -> anyhow::Result<String> {
        let request = self.http.post(format!("{}/api/v1/assets", self.url)).bearer_auth(&self.token);
        let answer = request.header("content-type", "image/png").body(bytes).send().await?.error_for_status()?;
        let asset: serde_json::Value = answer.json().await?;
        Ok(asset.get("id").and_then(|id| id.as_str()).context("no id")?.to_owned())
    }

    async fn content(&self, asset: &str) -> anyhow::Result<u64> {
        let request = self.http.get(format!("{}/api/v1/assets/{asset}/content", self.url));
        self.read(request.bearer_auth(&self.token)).await
    }

    async fn bare(&self, id: ObjectId, length: u64) -> anyhow::Result<u64> {
        self.read(self.http.get(format!("{}/{id}/{length}", self.bare.url))).await
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> anyhow::Result<u64> {
        let (mut answer, mut bytes) = (request.send().await?.error_for_status()?, 0);
        while let Some(part) = answer.chunk().await? {
            bytes += part.len() as u64;
        }
        Ok(bytes)
    }

    async fn delete(&self, asset: &str) -> anyhow::Result<()> {
        for query in ["", "?forever=true"] {
            let request = self.http.delete(format!("{}/api/v1/assets/{asset}{query}", self.url));
            request.bearer_auth(&self.token).send().await?.error_for_status()?;
        }
        Ok(())
    }
}

/// A server with the same framework, the same client of the store and as many workers. It asks nobody, opens nothing and
/// passes the bytes on: what any server between the store and a person costs on this machine.
struct Bare {
    process: Child,
    url: String,
}

impl Bare {
    fn start(directory: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg(directory).arg(BARE).stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut url)?;
        Ok(Self { process, url: url.trim().to_owned() })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pass(directory: &Path) -> anyhow::Result<()> {
    let config = config::load(&Kept::read(directory)?.flags(Sources::default())?)?;
    let store = Minio::new(&config.storage, None)?;
    let workers = config.server.workers.max(1);
    actix_web::rt::System::new().block_on(async move {
        let app =
            move || App::new().app_data(web::ThinData(store.clone())).route("/{id}/{length}", web::get().to(passed_on));
        let server = HttpServer::new(app).workers(workers).tcp_nodelay(true).bind("127.0.0.1:0")?;
        let address = server.addrs().first().copied().context("no address")?;
        writeln!(stdout(), "http://{address}")?;
        Ok(server.run().await?)
    })
}

async fn passed_on(store: web::ThinData<Minio>, asked: web::Path<(String, u64)>) -> actix_web::Result<HttpResponse> {
    let (id, length) = asked.into_inner();
    let stream = store.get(id.parse().map_err(ErrorBadGateway)?, None).await.map_err(ErrorBadGateway)?;
    Ok(HttpResponse::Ok().body(SizedStream::new(length, stream)))
}

async fn drain(mut stream: ByteStream) -> anyhow::Result<u64> {
    let mut bytes = 0;
    while let Some(part) = stream.next().await.transpose()? {
        bytes += part.len() as u64;
    }
    Ok(bytes)
}

fn pieces(bytes: &Bytes) -> ByteStream {
    let bytes = bytes.clone();
    let starts = (0..bytes.len()).step_by(PIECE);
    Box::pin(stream::iter(starts.map(move |at| Ok(bytes.slice(at..(at + PIECE).min(bytes.len()))))))
}

/// A picture that no compression makes smaller.
fn noise(side: u32) -> anyhow::Result<Bytes> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let pixels = RgbImage::from_fn(side, side, |_, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [r, g, b, ..] = state.to_le_bytes();
        image::Rgb([r, g, b])
    });
    let mut file = Cursor::new(Vec::new());
    pixels.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner().into())
}

/// Everything once in each round, so that whatever else the machine does meets all of it, and each after a rest, so that
/// none pays for what the one before left to be done.
async fn compare(house: &House, name: &str, bytes: Bytes, at_once: usize, times: usize) -> anyhow::Result<()> {
    let length = bytes.len() as u64;
    let each = 0..at_once;
    let mut taken: [Vec<Duration>; 7] = Default::default();
    for _ in 0..times {
        let ids: Vec<_> = each.clone().map(|_| ObjectId::new(&house.ctx.clock)).collect();
        let puts = ids.iter().map(|id| house.direct.put(*id, pieces(&bytes), Some(length)));
        let direct_put = timed(try_join_all(puts)).await?.1;
        let gets = ids.iter().map(|id| async { drain(house.direct.get(*id, None).await?).await });
        let direct_get = timed(try_join_all(gets)).await?.1;
        let bare_get = timed(try_join_all(ids.iter().map(|id| house.bare(*id, length)))).await?.1;
        try_join_all(ids.iter().map(|id| house.direct.delete(*id))).await?;

        let puts = each.clone().map(|_| house.put(pieces(&bytes), length));
        let (sealed, sealed_put) = timed(try_join_all(puts)).await?;
        let sealed_get = timed(try_join_all(sealed.iter().map(|id| house.get(*id)))).await?.1;
        house.platform.storage.discard(&house.platform.db, &sealed).await;

        let uploads = each.clone().map(|_| house.upload(bytes.clone()));
        let (assets, route_put) = timed(try_join_all(uploads)).await?;
        let route_get = timed(try_join_all(assets.iter().map(|asset| house.content(asset)))).await?.1;
        try_join_all(assets.iter().map(|asset| house.delete(asset))).await?;

        let all = [direct_put, sealed_put, route_put, direct_get, sealed_get, bare_get, route_get];
        taken.iter_mut().zip(all).for_each(|(times, one)| times.push(one));
    }
    let [direct_put, sealed_put, route_put, direct_get, sealed_get, bare_get, route_get] = taken.map(median);
    writeln!(
        stdout(),
        "\n| {name} ({length} bytes), {at_once} at once | time | MB a second | beside the store alone |"
    )?;
    writeln!(stdout(), "| --- | --- | --- | --- |")?;
    for (what, time, alone) in [
        ("put, the store alone", direct_put, direct_put),
        ("put, sealed", sealed_put, direct_put),
        ("`POST /assets`, decoded and made small too", route_put, direct_put),
        ("get, the store alone", direct_get, direct_get),
        ("get, opened", sealed_get, direct_get),
        ("get, through a bare server that opens nothing", bare_get, direct_get),
        ("`GET /assets/{id}/content`", route_get, direct_get),
        ("`GET /assets/{id}/content`, beside the bare server", route_get, bare_get),
    ] {
        let share = alone.as_secs_f64() / time.as_secs_f64();
        let speed = (length * at_once as u64) as f64 / 1e6 / time.as_secs_f64();
        writeln!(stdout(), "| {what} | {:.1?} | {speed:.0} | {share:.2} |", time)?;
    }
    Ok(())
}

async fn timed<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<(T, Duration), E> {
    tokio::time::sleep(REST).await;
    let since = Instant::now();
    let done = work.await?;
    Ok((done, since.elapsed()))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The highest mark of this process before and after 5 GiB went through it.
async fn memory(house: &House) -> anyhow::Result<()> {
    // Buffers and connections that every process has once.
    let warm = house.put(endless(GIB / 16), GIB / 16).await?;
    house.get(warm).await?;
    let before = high_mark()?;
    let length = 5 * GIB;
    let (big, put) = timed(house.put(endless(length), length)).await?;
    let after_put = high_mark()?;
    let (read, get) = timed(house.get(big)).await?;
    anyhow::ensure!(read == length, "{read} bytes came back");
    let after_get = high_mark()?;
    house.platform.storage.discard(&house.platform.db, &[warm, big]).await;
    let speed = |time: Duration| length as f64 / 1e6 / time.as_secs_f64();
    writeln!(
        stdout(),
        "5 GiB through one process: VmHWM {:.1} MiB before, {:.1} after the put ({:.0} MB/s), {:.1} after the get ({:.0} MB/s)",
        before,
        after_put,
        speed(put),
        after_get,
        speed(get)
    )?;
    Ok(())
}

fn endless(length: u64) -> ByteStream {
    let piece = Bytes::from((0..PIECE).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>());
    let pieces = length / PIECE as u64;
    Box::pin(stream::iter((0..pieces).map(move |_| Ok(piece.clone()))))
}

/// MiB.
fn high_mark() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}

/// How long the processors of this machine are busy for one object, all programs together, with sixteen at once. When
/// they have no rest, which is so here, nothing can be faster than that allows, however it is arranged.
async fn processors(house: &House, bytes: Bytes) -> anyhow::Result<()> {
    let length = bytes.len() as u64;
    let direct = ObjectId::new(&house.ctx.clock);
    house.direct.put(direct, pieces(&bytes), Some(length)).await?;
    let sealed = house.put(pieces(&bytes), length).await?;
    let asset = house.upload(bytes).await?;
    writeln!(
        stdout(),
        "\n| 1 MB, 16 at once | a second | processors, for each | their share | beside the store alone |"
    )?;
    writeln!(stdout(), "| --- | --- | --- | --- | --- |")?;
    let alone = busy(async || drain(house.direct.get(direct, None).await?).await).await?;
    for (what, (each, share, speed)) in [
        ("get, the store alone", alone),
        ("get, opened", busy(async || house.get(sealed).await).await?),
        ("get, through a bare server that opens nothing", busy(async || house.bare(direct, length).await).await?),
        ("`GET /assets/{id}/content`", busy(async || house.content(&asset).await).await?),
    ] {
        let beside = alone.0 / each;
        writeln!(stdout(), "| {what} | {speed:.0} | {:.2} ms | {:.0} % | {beside:.2} |", each * 1e3, share * 100.0)?;
    }
    house.direct.delete(direct).await?;
    house.platform.storage.discard(&house.platform.db, &[sealed]).await;
    house.delete(&asset).await
}

/// Seconds of processors for each, their busy share, and how many a second.
async fn busy(get: impl AsyncFn() -> anyhow::Result<u64>) -> anyhow::Result<(f64, f64, f64)> {
    tokio::time::sleep(REST).await;
    let (since, (busy, all)) = (Instant::now(), ticks()?);
    let sixteen = (0..16).map(|_| async {
        let mut done = 0.0;
        while since.elapsed() < SPELL {
            get().await?;
            done += 1.0;
        }
        anyhow::Ok(done)
    });
    let done: f64 = try_join_all(sixteen).await?.into_iter().sum();
    let (took, (busy_now, all_now)) = (since.elapsed().as_secs_f64(), ticks()?);
    let share = (busy_now - busy) / (all_now - all);
    let processors = std::thread::available_parallelism()?.get() as f64;
    Ok((share * processors * took / done, share, done / took))
}

/// Of all processors since the machine started: busy ticks, and all. See proc_stat(5).
fn ticks() -> anyhow::Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no line of all processors")?;
    let ticks = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    // The fourth is idle time, the fifth waits for the disk, and the last two are counted in the first.
    let all: f64 = ticks.iter().take(8).sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}

/// Puts with and without the flush, alone and sixteen at a time.
async fn flushes(house: &House) -> anyhow::Result<()> {
    let bytes = noise(590)?;
    for at_once in [1, 16] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            for (store, times) in [(&house.direct, &mut with), (&house.unflushed, &mut without)] {
                let ids: Vec<_> = (0..at_once).map(|_| ObjectId::new(&house.ctx.clock)).collect();
                let puts = ids.iter().map(|id| store.put(*id, stream_of(bytes.clone()), None));
                times.push(timed(try_join_all(puts)).await?.1);
                for id in ids {
                    store.delete(id).await?;
                }
            }
        }
        let (with, without) = (median(with).as_secs_f64() * 1000.0, median(without).as_secs_f64() * 1000.0);
        writeln!(
            stdout(),
            "{at_once} puts of 1 MB at once: {with:.2} ms with syncfs, {without:.2} ms without: {:.2} times",
            with / without
        )?;
    }
    Ok(())
}
