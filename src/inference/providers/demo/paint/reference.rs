//! The reference photo: its main colours, its light and dark places, and the parts of it that a mask keeps.

use super::numbers::{V3, linear, v3};
use super::{Painting, Photo};

pub(super) struct Guide<'a> {
    /// At the size of the picture: with a mask the photo itself, else the photo softened to the width of a brush.
    pixels: Vec<[u8; 3]>,
    mask: Option<&'a [u8]>,
    /// Six main colours, brightest first.
    pub palette: [V3; 6],
    pub strength: f32,
    mean: f32,
}

impl<'a> Guide<'a> {
    pub(super) fn new(photo: &Photo<'_>, painting: &Painting<'a>, width: u32, height: u32) -> Self {
        // So many brush strokes cross the short side.
        let short = width.min(height).max(112);
        let [w, h] = [width, height].map(|side| (side * 112 / short).max(1));
        let brushed = Photo { rgb: &resized(photo, w, h).concat(), width: w, height: h, strength: 1.0 };
        let mask = painting.mask.filter(|mask| mask.len() == width as usize * height as usize);
        let colours: Vec<V3> = resized(&brushed, 48, 48).into_iter().map(seen).collect();
        Self {
            pixels: resized(if mask.is_some() { photo } else { &brushed }, width, height),
            mask,
            mean: mean(&colours).y.max(0.05),
            palette: palette(colours),
            strength: photo.strength.clamp(0.0, 1.0),
        }
    }

    /// The painted colour with the light, and some of the colour, of the photo; with a mask it stays as it is.
    pub(super) fn over(&self, painted: V3, at: usize) -> V3 {
        let Some(&photo) = self.pixels.get(at).filter(|_| self.mask.is_none()) else { return painted };
        let lit = 1.0 + 0.5 * self.strength * (seen(photo).y / self.mean - 1.0);
        let c = (painted.map(f32::sqrt) * lit.clamp(0.3, 1.9)).to(seen(photo), 0.72 * self.strength);
        c * c
    }

    /// What the mask leaves of a new pixel; the rest is the photo, to the bit.
    pub(super) fn masked(&self, new: [u8; 3], at: usize) -> [u8; 3] {
        let alpha = self.mask.and_then(|mask| mask.get(at)).map_or(255, |a| u32::from(*a));
        let mut both = self.pixels.get(at).copied().unwrap_or(new);
        for (old, new) in both.iter_mut().zip(new) {
            *old = ((u32::from(new) * alpha + u32::from(*old) * (255 - alpha) + 127) / 255) as u8;
        }
        both
    }
}

/// A pixel as the eye sees it: the root of its light.
fn seen(pixel: [u8; 3]) -> V3 {
    linear(pixel).map(f32::sqrt)
}

fn mean(colours: &[V3]) -> V3 {
    colours.iter().fold(V3::default(), |sum, c| sum + *c) * (1.0 / colours.len().max(1) as f32)
}

/// Of six steps of lightness, each the mean of its most vivid third.
fn palette(mut colours: Vec<V3>) -> [V3; 6] {
    let vivid = |c: &V3| c.x.max(c.y).max(c.z) - c.x.min(c.y).min(c.z);
    colours.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut steps = colours.chunks_mut(48 * 8).map(|step| {
        step.sort_by(|a, b| vivid(b).total_cmp(&vivid(a)));
        let c = mean(step.get(..128).unwrap_or_default());
        c * c
    });
    [(); 6].map(|()| steps.next().unwrap_or_default())
}

/// The photo cut to the shape of the picture, from its middle, and brought to its size; the same size stays exact.
pub(super) fn resized(photo: &Photo<'_>, width: u32, height: u32) -> Vec<[u8; 3]> {
    let scale = (photo.width as f32 / width as f32).min(photo.height as f32 / height as f32);
    let place =
        |i: u32, size: u32, source: u32| (i as f32 + 0.5 - size as f32 / 2.0) * scale + source as f32 / 2.0 - 0.5;
    let columns: Vec<f32> = (0..width).map(|i| place(i, width, photo.width)).collect();
    let rows = (0..height).map(|j| place(j, height, photo.height));
    rows.flat_map(|y| columns.iter().map(move |x| around(photo, *x, y, scale.max(1.0)))).collect()
}

/// Mean of the pixels around a place, the nearer the heavier.
fn around(photo: &Photo<'_>, x: f32, y: f32, reach: f32) -> [u8; 3] {
    let (mut sum, mut total) = (V3::default(), 0.0);
    let (left, top) = ((x - reach).ceil().max(0.0) as usize, (y - reach).ceil().max(0.0) as usize);
    let lines = photo.rgb.chunks_exact(photo.width as usize * 3).enumerate();
    for (j, line) in lines.skip(top).take_while(|(j, _)| *j as f32 <= y + reach) {
        let pixels = line.chunks_exact(3).enumerate();
        for (i, pixel) in pixels.skip(left).take_while(|(i, _)| *i as f32 <= x + reach) {
            let weight = (1.0 - (i as f32 - x).abs() / reach) * (1.0 - (j as f32 - y).abs() / reach);
            let &[r, g, b] = pixel else { continue };
            sum = sum + v3(f32::from(r), f32::from(g), f32::from(b)) * weight;
            total += weight;
        }
    }
    let mean = sum * (1.0 / total);
    [mean.x, mean.y, mean.z].map(|v| (v + 0.5) as u8)
}
