//! The demo painter: a picture from words and a seed, without a model, a network or a state.
//!
//! It owns the way from a request to bytes, band by band, with a preview after each step. What is
//! painted is up to the scenes: each one is a colour for every point, so that any size, any part
//! and any sharpness come from the same code, and the same request always gives the same picture.

mod choice;
mod numbers;
mod outdoors;
mod reference;
mod soft;
mod still;

use std::ops::ControlFlow;

use choice::Choice;
use image::{
    Rgb, RgbImage,
    imageops::{FilterType, resize},
};
use numbers::{V3, WHITE, hash, hypot, smooth};
use reference::Guide;

/// Steps of every painting.
pub const STEPS: u32 = 8;

/// Long side of a preview, in pixels.
const PREVIEW: u32 = 160;

/// How many pixels of that side are known after each step.
const SHARPNESS: [u32; STEPS as usize] = [6, 9, 15, 24, 38, 60, 96, PREVIEW];

/// What to paint.
pub struct Painting<'a> {
    /// Words that choose motif, light and palette.
    pub prompt: &'a str,
    /// Chooses everything that the words leave open.
    pub seed: u32,
    /// In pixels, at least one.
    pub width: u32,
    /// In pixels, at least one.
    pub height: u32,
    /// A photo of the same size, RGB8, whose colours and light the picture takes over.
    pub photo: Option<&'a [u8]>,
    /// How much of the photo shows, from 0 to 1.
    pub strength: f32,
    /// Alpha per pixel of the places to repaint: 255 repaints, 0 keeps the photo. Only with a photo.
    pub mask: Option<&'a [u8]>,
    /// Smooths fine texture too, which takes four times as long.
    pub fine: bool,
}

/// Shape of a picture; one unit of length is its height.
#[derive(Clone, Copy)]
struct Frame {
    aspect: f32,
    pixel: f32,
}

impl Frame {
    /// How much of a pixel lies inside an edge that is `depth` away.
    fn edge(self, depth: f32) -> f32 {
        (depth / self.pixel + 0.5).clamp(0.0, 1.0)
    }

    /// Octaves of a texture with so many of them in a large picture: a small one cannot show the finest.
    fn octaves(self, most: f32) -> f32 {
        (most - (self.pixel * 900.0).log2().max(0.0)).max(1.0)
    }
}

/// A colour, in linear RGB, for every point; x runs from 0 to the aspect, y from 0 downwards to 1.
type Scene = Box<dyn Fn(f32, f32) -> V3>;

/// The scene of a motif, and the strength of its grain.
fn scene(choice: &Choice, frame: Frame) -> (Scene, f32) {
    match choice.motif {
        "silk" => (soft::silk(choice, frame), 0.008),
        "gradient" => (soft::gradient(choice, frame), 0.045),
        "still" => (still::scene(choice, frame), 0.014),
        _ => (outdoors::scene(choice, frame), 0.014),
    }
}

/// Places within a pixel where a scene is asked.
const MIDDLE: &[(f32, f32)] = &[(0.5, 0.5)];
const FINE: &[(f32, f32)] = &[(0.375, 0.125), (0.875, 0.375), (0.625, 0.875), (0.125, 0.625)];

/// A picture, ready to be painted pixel by pixel.
struct Easel<'a> {
    painting: &'a Painting<'a>,
    frame: Frame,
    scene: Scene,
    grain: f32,
    guide: Option<Guide<'a>>,
}

impl<'a> Easel<'a> {
    fn new(painting: &'a Painting<'a>) -> Self {
        let (width, height) = (painting.width as f32, painting.height as f32);
        let frame = Frame { aspect: width / height, pixel: 1.0 / height };
        let guide = Guide::new(painting);
        let mut choice = Choice::read(painting.prompt, painting.seed);
        if let Some(guide) = &guide {
            choice.recolour(guide.palette, guide.strength);
        }
        let (scene, grain) = scene(&choice, frame);
        Self { painting, frame, scene, grain, guide }
    }

    fn pixel(&self, column: u32, row: u32) -> [u8; 3] {
        let Painting { width, seed, fine, .. } = *self.painting;
        let (x, y, at) = (column as f32, row as f32, (row * width + column) as usize);
        let (Frame { aspect, pixel }, places) = (self.frame, if fine { FINE } else { MIDDLE });
        let samples = places.iter().map(|p| (self.scene)((x + p.0) * pixel, (y + p.1) * pixel));
        let c = samples.fold(V3::default(), |sum, c| sum + c) * (1.0 / places.len() as f32);
        let c = self.guide.as_ref().map_or(c, |guide| guide.over(c, at));
        // Corners are a little darker.
        let radius = hypot(x * pixel - aspect / 2.0, y * pixel - 0.5) / hypot(aspect / 2.0, 0.5);
        let tone = (c * (1.0 - 0.16 * radius.powi(4))).map(tone);
        let [a, b] = [seed, seed ^ 0x55].map(|seed| hash(column as i32, row as i32, seed));
        let new = tone + WHITE * ((a + b - 1.0) * self.grain * (1.25 - tone.y));
        let new = [new.x, new.y, new.z].map(|v| (v * 255.0 + 0.5) as u8);
        self.guide.as_ref().map_or(new, |guide| guide.masked(new, at))
    }

    /// The whole picture, small, as far as so many pixels of its long side tell.
    fn preview(&self, known: u32) -> RgbImage {
        let (all, tall) = (self.painting.width, self.painting.height);
        let sides = |long: u32| [all, tall].map(|side| (side * long / all.max(tall).max(PREVIEW)).max(1));
        let ([w, h], [width, height]) = (sides(known), sides(PREVIEW));
        let middle = |i: u32, of: u32, all: u32| (2 * i + 1) * all / (2 * of);
        let pixel = |i, j| Rgb(self.pixel(middle(i, w, all), middle(j, h, tall)));
        resize(&RgbImage::from_fn(w, h, pixel), width, height, FilterType::Triangle)
    }
}

/// A soft shoulder, sRGB, and a little contrast.
fn tone(u: f32) -> f32 {
    let u = if u < 0.7 { u } else { (0.7 + 0.3 * ((u - 0.7) / 0.3 * 0.9).tanh() / 0.9).min(1.0) };
    // sRGB to within a level, without a power.
    let (a, b, c) = (u.sqrt(), u.sqrt().sqrt(), u.sqrt().sqrt().sqrt());
    let s = 0.662_002_7 * a + 0.684_122_1 * b - 0.323_583_6 * c - 0.022_541_147 * u;
    s + 0.10 * (smooth(0.0, 1.0, s) - s)
}

/// Paints band by band. After each step, numbered from 1, `watch` gets the whole picture, small, and sharper from step to
/// step; when it breaks, painting stops at once.
///
/// Returns RGB8, width times height times three bytes, or nothing when stopped. A photo or a mask
/// whose bytes do not match its size is left out.
pub fn paint(painting: &Painting<'_>, watch: &mut dyn FnMut(u32, &RgbImage) -> ControlFlow<()>) -> Option<Vec<u8>> {
    let easel = Easel::new(painting);
    let mut out = Vec::with_capacity(painting.width as usize * painting.height as usize * 3);
    for (number, known) in (1..).zip(SHARPNESS) {
        for row in painting.height * (number - 1) / STEPS..painting.height * number / STEPS {
            (0..painting.width).for_each(|column| out.extend(easel.pixel(column, row)));
        }
        if watch(number, &easel.preview(known)).is_break() {
            return None;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests;
