//! Silk: folds as a height field, lit from the upper left, with a soft highlight.

use super::choice::Choice;
use super::colour::{Ramp, WHITE, lin, mix};
use super::numbers::{V3, fbm, floor, hash};
use super::{Frame, Scene};

pub(super) struct Silk {
    ramp: Ramp,
    shine: V3,
    cos: f32,
    sin: f32,
    step: f32,
    seed: u32,
}

impl Silk {
    pub(super) fn new(choice: &Choice, frame: &Frame) -> Self {
        let mut rng = choice.rng.clone();
        let [_, _, base, ..] = choice.stuff;
        let angle = rng.between(0.3, 1.0);
        let stops = [(0.0, mix(base, lin(0x0b0a10), 0.72)), (0.34, mix(base, lin(0x140f14), 0.30)), (0.72, base)];
        Self {
            ramp: Ramp::new(&[stops.as_slice(), &[(1.0, mix(base, lin(0xfff3e6), 0.52))]].concat()),
            shine: mix(base, WHITE, 0.75),
            cos: angle.cos(),
            sin: angle.sin(),
            step: frame.pixel.max(0.001),
            seed: rng.seed(),
        }
    }

    fn height(&self, x: f32, y: f32) -> f32 {
        let a = fbm(x * 1.1 + 5.0, y * 1.1 + 5.0, 2, 0.5, self.seed);
        let b = fbm(x * 1.1 + 45.0, y * 1.1 + 25.0, 2, 0.5, self.seed ^ 3);
        let u = x * self.cos + y * self.sin + (a - 0.5) * 0.9;
        (u * 9.0 + b * 5.0).sin() * 0.5 + (u * 17.0 + a * 7.0).sin() * 0.22 + b * 0.8
    }
}

impl Scene for Silk {
    fn colour(&self, x: f32, y: f32) -> V3 {
        let (h, e) = (self.height(x, y), self.step);
        let (gx, gy) = (self.height(x + e, y) - h, self.height(x, y + e) - h);
        let (nx, ny) = (-gx / e * 0.055, -gy / e * 0.055);
        let scale = 1.0 / (nx * nx + ny * ny + 1.0).sqrt();
        let light = ((nx * -0.50 + ny * -0.55 + 0.67) * scale).clamp(0.0, 1.0);
        let gloss = ((nx * -0.28 + ny * -0.32 + 0.9) * scale).clamp(0.0, 1.0).powi(26);
        let (u, v) = (x * self.cos - y * self.sin, x * self.sin + y * self.cos);
        let thread = hash(floor(u * 900.0), floor(v * 90.0), self.seed);
        let c = self.ramp.at(light.powf(1.1)) + self.shine * (gloss * 0.40);
        c * (0.975 + 0.05 * thread)
    }

    fn grain(&self) -> f32 {
        0.008
    }
}
