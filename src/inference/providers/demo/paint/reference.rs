//! The reference photo: its main colours, its light and dark places, and the parts of it that stay.

use super::Photo;
use super::colour::{from_lab, linear, to_lab};
use super::numbers::{V3, v3};

/// A photo at the size of the picture.
pub(super) struct Guide {
    pixels: Vec<[u8; 3]>,
    /// The photo again, softened to the width of a brush.
    soft: Vec<[u8; 3]>,
    mean: f32,
    width: u32,
    strength: f32,
}

impl Guide {
    pub(super) fn new(photo: &Photo<'_>, width: u32, height: u32) -> Self {
        let short = width.min(height).max(BRUSHES);
        let [w, h] = [width, height].map(|side| (side * BRUSHES / short).max(1));
        let small = resized(photo, w, h);
        let brushed = Photo { rgb: &small.concat(), width: w, height: h, strength: 1.0 };
        let sum: f32 = small.iter().map(|p| to_lab(light_of(*p)).x).sum();
        Self {
            pixels: resized(photo, width, height),
            soft: resized(&brushed, width, height),
            mean: (sum / small.len() as f32).max(0.05),
            width,
            strength: photo.strength.clamp(0.0, 1.0),
        }
    }

    fn at(&self, column: u32, row: u32) -> usize {
        row as usize * self.width as usize + column as usize
    }

    /// The photo itself.
    pub(super) fn pixel(&self, column: u32, row: u32) -> [u8; 3] {
        self.pixels.get(self.at(column, row)).copied().unwrap_or_default()
    }

    /// The painted colour with the light, and some of the colour, of the photo.
    pub(super) fn over(&self, painted: V3, column: u32, row: u32) -> V3 {
        let Some(&photo) = self.soft.get(self.at(column, row)) else {
            return painted;
        };
        let (seen, own) = (to_lab(light_of(photo)), to_lab(painted));
        let lit = 1.0 + 0.5 * self.strength * (seen.x / self.mean - 1.0);
        from_lab((own * lit.clamp(0.3, 1.9)).to(seen, 0.72 * self.strength))
    }
}

/// How many brush strokes cross the short side.
const BRUSHES: u32 = 112;

/// A picture with the sharpness that `share` hundredths of its sides leave.
pub(super) fn coarse(rgb: &[u8], [width, height]: [u32; 2], share: u32) -> Vec<u8> {
    let [w, h] = [width, height].map(|side| (side * share / 100).max(2));
    let whole = Photo { rgb, width, height, strength: 1.0 };
    let small = resized(&whole, w, h).concat();
    resized(&Photo { rgb: &small, width: w, height: h, strength: 1.0 }, width, height).concat()
}

fn light_of(p: [u8; 3]) -> V3 {
    let [r, g, b] = p.map(|v| linear(f32::from(v) / 255.0));
    v3(r, g, b)
}

/// Six main colours, brightest first: k-means in `OKLab` on 48 by 48 points.
pub(super) fn palette(photo: &Photo<'_>) -> [V3; 6] {
    let mut points: Vec<V3> = resized(photo, 48, 48).into_iter().map(|p| to_lab(light_of(p))).collect();
    points.sort_by(|a, b| b.x.total_cmp(&a.x));
    let mut centres = [0, 1, 2, 3, 4, 5].map(|k| points.get(40 + k * 444).copied().unwrap_or_default());
    for _ in 0..12 {
        let mut sums = [(V3::default(), 0.0); 6];
        for &p in &points {
            let far = |c: &V3| (p - *c).dot(p - *c);
            let nearest = centres.iter().zip(&mut sums).min_by(|a, b| far(a.0).total_cmp(&far(b.0)));
            if let Some((_, sum)) = nearest {
                *sum = (sum.0 + p, sum.1 + 1.0);
            }
        }
        for (centre, (sum, count)) in centres.iter_mut().zip(sums) {
            *centre = if count > 0.0 { sum * (1.0 / count) } else { *centre };
        }
    }
    centres.sort_by(|a, b| b.x.total_cmp(&a.x));
    centres.map(from_lab)
}

/// The photo cut to the shape of the picture, from its middle, and brought to its size; the same size stays exact.
fn resized(photo: &Photo<'_>, width: u32, height: u32) -> Vec<[u8; 3]> {
    let scale = (photo.width as f32 / width as f32).min(photo.height as f32 / height as f32);
    let columns: Vec<_> = (0..width).map(|i| taps(i, width, photo.width, scale)).collect();
    let mut wide: Vec<V3> = Vec::with_capacity((width * photo.height) as usize);
    for row in photo.rgb.chunks_exact(photo.width as usize * 3) {
        for taps in &columns {
            let line = row.chunks_exact(3).skip(taps.0);
            wide.push(taps.1.iter().zip(line).fold(V3::default(), |sum, (k, p)| sum + bytes3(p) * *k));
        }
    }
    let rows = (0..height).map(|j| taps(j, height, photo.height, scale));
    let mut out = Vec::with_capacity((width * height) as usize);
    for (first, weights) in rows {
        let mut line = vec![V3::default(); width as usize];
        for (k, source) in weights.iter().zip(wide.chunks_exact(width as usize).skip(first)) {
            line.iter_mut().zip(source).for_each(|(sum, p)| *sum = *sum + *p * *k);
        }
        out.extend(line.iter().map(|c| [c.x, c.y, c.z].map(|v| (v + 0.5) as u8)));
    }
    out
}

fn bytes3(p: &[u8]) -> V3 {
    match *p {
        [r, g, b] => v3(f32::from(r), f32::from(g), f32::from(b)),
        _ => V3::default(),
    }
}

/// First source index and tent weights that make up pixel `i` of `size`.
fn taps(i: u32, size: u32, source: u32, scale: f32) -> (usize, Vec<f32>) {
    let centre = (source as f32 - size as f32 * scale) / 2.0 + (i as f32 + 0.5) * scale - 0.5;
    let reach = scale.max(1.0);
    let first = (centre - reach).ceil().max(0.0);
    let last = (centre + reach).floor().min(source as f32 - 1.0);
    let weight = |k: u32| (1.0 - (first + k as f32 - centre).abs() / reach).max(0.0);
    let weights: Vec<f32> = (0..=(last - first).max(0.0) as u32).map(weight).collect();
    let total: f32 = weights.iter().sum();
    (first as usize, weights.into_iter().map(|w| w / total.max(1e-6)).collect())
}
