//! The demo painter: a picture from words and a seed, without a model, a network or a state.
//!
//! It owns the way from a request to bytes, band by band, with a preview after each step. What is
//! painted is up to the scenes: each one is a colour for every point, so that any size, any part
//! and any sharpness come from the same code, and the same request always gives the same picture.

mod choice;
mod colour;
mod finish;
mod forms;
mod gradient;
mod landscape;
mod numbers;
mod ocean;
mod reference;
mod silk;
mod sky;
mod solid;
mod still;

use std::ops::{ControlFlow, Range};

use choice::{Choice, Motif};
use finish::Finish;
use numbers::V3;
use reference::Guide;

/// Steps of every painting.
pub const STEPS: u32 = 8;

/// Long side of a preview, in pixels.
const PREVIEW: u32 = 192;

/// What to paint.
pub struct Painting<'a> {
    /// Words that choose motif, light and palette.
    pub prompt: &'a str,
    /// Chooses everything that the words leave open.
    pub seed: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// A photo whose colours and light the picture takes over.
    pub reference: Option<Photo<'a>>,
    /// Alpha per pixel of the places to repaint: 255 repaints, 0 keeps the reference. Only with a reference.
    pub mask: Option<&'a [u8]>,
    /// How carefully edges are painted.
    pub detail: Detail,
}

/// A photo in RGB8.
pub struct Photo<'a> {
    /// Width times height times three bytes.
    pub rgb: &'a [u8],
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How much of the photo shows, from 0 to 1.
    pub strength: f32,
}

impl Photo<'_> {
    fn is_whole(&self) -> bool {
        let bytes = self.width as usize * self.height as usize * 3;
        bytes > 0 && bytes == self.rgb.len()
    }
}

/// How carefully edges are painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// One sample for each pixel.
    Draft,
    /// Hard edges are smoothed.
    Standard,
    /// Fine texture is smoothed too.
    Fine,
}

/// What the watcher hears after each step.
pub struct Step<'a> {
    /// From 1.
    pub number: u32,
    /// Always `STEPS`.
    pub of: u32,
    /// The whole picture, small, and sharper from step to step.
    pub preview: Option<Preview<'a>>,
}

/// A small picture in RGB8.
pub struct Preview<'a> {
    /// Width times height times three bytes.
    pub rgb: &'a [u8],
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Size of a picture; one unit of length is its height.
struct Frame {
    width: u32,
    height: u32,
    aspect: f32,
    pixel: f32,
}

impl Frame {
    fn new(width: u32, height: u32) -> Self {
        let (w, h) = (width as f32, height as f32);
        Self { width, height, aspect: w / h, pixel: 1.0 / h }
    }
}

/// A colour, in linear RGB, for every point; x runs from 0 to the aspect, y from 0 downwards to 1.
trait Scene {
    fn colour(&self, x: f32, y: f32) -> V3;
    fn grain(&self) -> f32 {
        0.014
    }
    fn hard_edges(&self) -> bool {
        false
    }
}

fn scene(choice: &Choice, frame: &Frame) -> Box<dyn Scene> {
    match choice.motif {
        Motif::Landscape => Box::new(landscape::Landscape::new(choice, frame)),
        Motif::Ocean => Box::new(ocean::Ocean::new(choice, frame)),
        Motif::Silk => Box::new(silk::Silk::new(choice, frame)),
        Motif::Gradient => Box::new(gradient::Gradient::new(choice, frame)),
        Motif::Still | Motif::Shapes | Motif::Rooms => Box::new(solid::Solid::new(choice, frame)),
    }
}

/// One picture at one size, ready to be painted row by row.
struct Easel<'a> {
    frame: Frame,
    scene: Box<dyn Scene>,
    finish: Finish,
    guide: Option<Guide>,
    /// Only with a guide: the alpha and its width and height.
    mask: Option<(&'a [u8], u32, u32)>,
}

impl<'a> Easel<'a> {
    fn new(choice: &Choice, painting: &Painting<'a>, photo: Option<&Photo<'_>>, size: (u32, u32)) -> Self {
        let frame = Frame::new(size.0, size.1);
        let scene = scene(choice, &frame);
        let (w, h) = (painting.width, painting.height);
        let fits = |mask: &&[u8]| photo.is_some() && mask.len() == w as usize * h as usize;
        Self {
            finish: Finish::new(frame.aspect, scene.grain(), choice.rng.clone()),
            guide: photo.map(|photo| Guide::new(photo, size.0, size.1)),
            mask: painting.mask.filter(fits).map(|mask| (mask, w, h)),
            frame,
            scene,
        }
    }

    /// One pixel from samples at these places within it.
    fn pixel(&self, column: u32, row: u32, places: &[(f32, f32)]) -> [u8; 3] {
        let kept = self.guide.as_ref().map_or([0; 3], |guide| guide.pixel(column, row));
        let repaint = self.repaint(column, row);
        if repaint <= 0.0 {
            return kept;
        }
        let (x, y, pixel) = (column as f32, row as f32, self.frame.pixel);
        let sample = |p: &(f32, f32)| self.scene.colour((x + p.0) * pixel, (y + p.1) * pixel);
        let sum = places.iter().map(sample).fold(V3::default(), |sum, c| sum + c);
        let mut c = sum * (1.0 / places.len() as f32);
        if let Some(guide) = self.guide.as_ref().filter(|_| self.mask.is_none()) {
            c = guide.over(c, column, row);
        }
        let mut bytes = self.finish.bytes(c, column, row, pixel);
        for (new, old) in bytes.iter_mut().zip(kept.map(f32::from)) {
            *new = (old + (f32::from(*new) - old) * repaint + 0.5) as u8;
        }
        bytes
    }

    /// How much of a pixel is repainted.
    fn repaint(&self, column: u32, row: u32) -> f32 {
        let Some((mask, w, h)) = self.mask else {
            return 1.0;
        };
        let (x, y) = (column * w / self.frame.width, row * h / self.frame.height);
        let alpha = mask.get(y as usize * w as usize + x as usize);
        alpha.map_or(1.0, |&a| f32::from(a) / 255.0)
    }

    fn rows(&self, rows: Range<u32>, out: &mut Vec<u8>) {
        for row in rows {
            (0..self.frame.width).for_each(|column| out.extend(self.pixel(column, row, &[(0.5, 0.5)])));
        }
    }

    /// Paints the pixels that differ from a neighbour again, from more samples.
    fn smooth_edges(&self, rows: Range<u32>, detail: Detail, out: &mut [u8]) {
        let (step, places) = match detail {
            Detail::Standard if self.scene.hard_edges() => (10, FOUR),
            Detail::Fine => (3, EIGHT),
            _ => return,
        };
        // What the grain alone makes of two neighbours is no edge.
        let step = step + (self.scene.grain() * 600.0) as u8;
        let width = self.frame.width as usize;
        for row in rows {
            let start = row as usize * width;
            let rough = (0..width).filter(|i| roughness(out, start + i, width) > step);
            for i in rough.collect::<Vec<_>>() {
                let at = (start + i) * 3;
                let fresh = self.pixel(i as u32, row, places);
                out.iter_mut().skip(at).zip(fresh).for_each(|(old, new)| *old = new);
            }
        }
    }
}

/// Places within a pixel.
const FOUR: &[(f32, f32)] = &[(0.375, 0.125), (0.875, 0.375), (0.625, 0.875), (0.125, 0.625)];
const EIGHT: &[(f32, f32)] =
    &[(0.06, 0.44), (0.19, 0.81), (0.31, 0.19), (0.44, 0.69), (0.56, 0.31), (0.69, 0.94), (0.81, 0.06), (0.94, 0.56)];

/// Largest difference of a pixel's green from those beside, above and below.
fn roughness(rgb: &[u8], at: usize, width: usize) -> u8 {
    let green = |i: usize| rgb.get(i * 3 + 1).copied();
    let here = green(at).unwrap_or(0);
    let before = [at.checked_sub(1), at.checked_sub(width)].into_iter().flatten();
    let near = before.chain([at + 1, at + width]).filter_map(green);
    near.map(|v| v.abs_diff(here)).max().unwrap_or(0)
}

/// Share of its pixels that a preview keeps after each step, in hundredths of its sides.
const SHARPNESS: [u32; STEPS as usize] = [4, 7, 11, 17, 27, 42, 66, 100];

/// Paints band by band. After each step `watch` hears of it; when it breaks, painting stops at once.
///
/// Returns RGB8, width times height times three bytes, or nothing when stopped. A photo or a mask
/// whose bytes do not match its size is left out.
pub fn paint(painting: &Painting<'_>, watch: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>) -> Option<Vec<u8>> {
    let (width, height) = (painting.width.max(1), painting.height.max(1));
    let photo = painting.reference.as_ref().filter(|photo| photo.is_whole());
    let mut choice = Choice::read(painting.prompt, painting.seed);
    if let Some(photo) = photo {
        choice.recolour(reference::palette(photo), photo.strength);
    }
    let long = width.max(height).max(PREVIEW);
    let small = [width, height].map(|side| (side * PREVIEW / long).max(1));
    let mut sketch = Vec::new();
    Easel::new(&choice, painting, photo, (small[0], small[1])).rows(0..small[1], &mut sketch);
    let easel = Easel::new(&choice, painting, photo, (width, height));
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    for (number, share) in (1..).zip(SHARPNESS) {
        let (from, to) = (height * (number - 1) / STEPS, height * number / STEPS);
        easel.rows(from..to, &mut out);
        // The last row waits for the one below it.
        let settled = if number == STEPS { to } else { to.saturating_sub(1) };
        easel.smooth_edges(from.saturating_sub(1)..settled, painting.detail, &mut out);
        let rgb = reference::coarse(&sketch, small, share);
        let preview = Preview { rgb: &rgb, width: small[0], height: small[1] };
        if watch(Step { number, of: STEPS, preview: Some(preview) }).is_break() {
            return None;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests;
