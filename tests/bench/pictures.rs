//! What a small picture weighs and costs in each format, and what a decoder of its own costs a picture. The figures stand
//! in docs/performance.md, measured with `cargo bench --locked --bench pictures -- PICTURE...`.

use std::{
    fs,
    io::{Cursor, Write, stdout},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use futures::stream;
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, RgbImage,
    codecs::{jpeg::JpegEncoder, webp::WebPEncoder},
};
use renderkeep::{
    config::Sandbox,
    platform::pictures::{PictureError, Pictures, Setup},
};

/// Repetitions of what takes milliseconds.
const TIMES: usize = 25;

type Encode = fn(&RgbImage) -> anyhow::Result<Vec<u8>>;

const FORMATS: [(&str, Encode); 8] = [
    ("JPEG, quality 82", |pixels| jpeg(pixels, 82)),
    ("JPEG, quality 90", |pixels| jpeg(pixels, 90)),
    ("WebP, lossless", lossless),
    ("WebP, quality 80, effort 0", |pixels| lossy(pixels, 80.0, 0)),
    ("WebP, quality 80, effort 2", |pixels| lossy(pixels, 80.0, 2)),
    ("WebP, quality 80, effort 4", |pixels| lossy(pixels, 80.0, 4)),
    ("WebP, quality 88, effort 2", |pixels| lossy(pixels, 88.0, 2)),
    ("WebP, quality 88, effort 4", |pixels| lossy(pixels, 88.0, 4)),
];

fn main() -> anyhow::Result<()> {
    let files: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    anyhow::ensure!(!files.is_empty(), "Name pictures: cargo bench --locked --bench pictures -- PICTURE...");
    let pictures: Vec<DynamicImage> = files.iter().map(image::open).collect::<Result<_, _>>()?;
    for side in [320, 1440] {
        writeln!(stdout(), "{side} pixels, mean of {} pictures", pictures.len())?;
        for (name, encode) in FORMATS {
            measure(name, encode, side, &pictures)?;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(decoders(&files))
}

fn jpeg(pixels: &RgbImage, quality: u8) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, quality);
    encoder.write_image(pixels, pixels.width(), pixels.height(), ExtendedColorType::Rgb8)?;
    Ok(file)
}

fn lossless(pixels: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut file);
    encoder.write_image(pixels, pixels.width(), pixels.height(), ExtendedColorType::Rgb8)?;
    Ok(file)
}

fn lossy(pixels: &RgbImage, quality: f32, effort: i32) -> anyhow::Result<Vec<u8>> {
    let mut config = webp::WebPConfig::new().map_err(|()| anyhow!("no configuration"))?;
    (config.quality, config.method) = (quality, effort);
    let encoder = webp::Encoder::from_rgb(pixels, pixels.width(), pixels.height());
    Ok(encoder.encode_advanced(&config).map_err(|error| anyhow!("{error:?}"))?.to_vec())
}

fn measure(name: &str, encode: Encode, side: u32, pictures: &[DynamicImage]) -> anyhow::Result<()> {
    let (mut bytes, mut time, mut likeness) = (0, Duration::ZERO, 0.0);
    for picture in pictures {
        let small =
            if picture.width().max(picture.height()) > side { picture.thumbnail(side, side) } else { picture.clone() };
        let small = small.to_rgb8();
        let file = encode(&small)?;
        bytes += file.len();
        time += median(|| encode(&small).map(drop), 5)?;
        let again = image::ImageReader::new(Cursor::new(file)).with_guessed_format()?.decode()?;
        likeness += likeness_of(&small, &again.to_rgb8());
    }
    let count = u32::try_from(pictures.len())?;
    let (weight, milliseconds) = (bytes as f64 / f64::from(count) / 1000.0, ms(time / count));
    let likeness = likeness / f64::from(count);
    writeln!(stdout(), "  {name:<28} {weight:7.1} kB {milliseconds:7.1} ms {likeness:6.1} dB")?;
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Peak signal to noise: more is nearer.
fn likeness_of(one: &RgbImage, other: &RgbImage) -> f64 {
    let pairs = one.as_raw().iter().zip(other.as_raw());
    let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    let mean = sum / one.as_raw().len().max(1) as f64;
    // Equal pictures have no noise at all; 99 stands for that.
    if mean > 0.0 { (10.0 * (255.0 * 255.0 / mean).log10()).min(99.0) } else { 99.0 }
}

fn median(mut work: impl FnMut() -> anyhow::Result<()>, times: usize) -> anyhow::Result<Duration> {
    let mut all = Vec::new();
    for _ in 0..times {
        let since = Instant::now();
        work()?;
        all.push(since.elapsed());
    }
    all.sort();
    all.get(all.len() / 2).copied().context("nothing was measured")
}

/// From outside, as the server uses them.
async fn decoders(files: &[String]) -> anyhow::Result<()> {
    let setup = || Setup {
        program: env!("CARGO_BIN_EXE_renderkeep").into(),
        ..Setup::new(&Sandbox { allow_missing: Vec::new() })
    };
    let mut starts = Vec::new();
    for _ in 0..TIMES {
        let fresh = Pictures::new(setup());
        let since = Instant::now();
        fresh.check().await?;
        starts.push(since.elapsed());
    }
    starts.sort();
    let start = starts.get(TIMES / 2).copied().unwrap_or_default();
    writeln!(stdout(), "a decoder, from nothing to confined: {:.1} ms", ms(start))?;
    let pictures = Pictures::new(setup());
    for file in files {
        let bytes = Bytes::from(fs::read(file)?);
        let mut times = Vec::new();
        for _ in 0..TIMES {
            // The spare one is there, as between two people's uploads.
            tokio::time::sleep(Duration::from_millis(30)).await;
            let since = Instant::now();
            pictures.examine(bytes.len() as u64, stream::iter([Ok::<_, PictureError>(bytes.clone())])).await?;
            times.push(since.elapsed());
        }
        times.sort();
        let name = file.rsplit('/').next().unwrap_or(file);
        let time = times.get(TIMES / 2).copied().unwrap_or_default();
        writeln!(stdout(), "{name}, {} bytes, both small pictures and the thumbhash: {:.1} ms", bytes.len(), ms(time))?;
    }
    Ok(())
}
