//! The finish of every picture: vignette, soft shoulder, a little contrast, sRGB and grain.

use super::colour::{encoded, luma};
use super::numbers::{Rng, V3, hash, smooth, v3};

/// Linear light from 0 to this value has its own tone; what is brighter is white.
const BRIGHTEST: f32 = 4.0;
const ENTRIES: u32 = 4095;

pub(super) struct Finish {
    tones: Vec<f32>,
    grain: f32,
    aspect: f32,
    seed: u32,
}

impl Finish {
    pub(super) fn new(aspect: f32, grain: f32, mut rng: Rng) -> Self {
        // The square root spends more entries on the shadows, where the eye sees steps.
        let at = |i: u32| BRIGHTEST * (i as f32 / ENTRIES as f32).powi(2);
        Self { tones: (0..=ENTRIES).map(|i| tone(at(i))).collect(), grain, aspect, seed: rng.seed() }
    }

    /// The bytes of a linear colour at a pixel of this size.
    pub(super) fn bytes(&self, c: V3, column: u32, row: u32, pixel: f32) -> [u8; 3] {
        let (dx, dy) = (column as f32 * pixel - self.aspect / 2.0, row as f32 * pixel - 0.5);
        let r2 = (dx * dx + dy * dy) / (0.25 * (self.aspect * self.aspect + 1.0));
        let s = (c * (1.0 - 0.16 * r2 * r2)).map(|u| self.tone(u));
        let (i, j) = (column as i32, row as i32);
        let speck = hash(i, j, self.seed) + hash(i, j, self.seed ^ 0x55) - 1.0;
        let lift = speck * self.grain * (1.25 - luma(s));
        let V3 { x, y, z } = (s + v3(lift, lift, lift)).map(|v| v * 255.0 + 0.5);
        [x as u8, y as u8, z as u8]
    }

    fn tone(&self, u: f32) -> f32 {
        let i = (u / BRIGHTEST).clamp(0.0, 1.0).sqrt() * ENTRIES as f32;
        self.tones.get(i as usize).copied().unwrap_or(1.0)
    }
}

fn tone(u: f32) -> f32 {
    let u = if u < 0.7 { u } else { 0.7 + 0.3 * ((u - 0.7) / 0.3 * 0.9).tanh() / 0.9 };
    let s = encoded(u.clamp(0.0, 1.0));
    s + 0.10 * (smooth(0.0, 1.0, s) - s)
}
