//! The sky of the outdoor pictures: colours down to the horizon, sun or moon with its glow, clouds, stars.

use super::choice::Choice;
use super::colour::{Ramp, WHITE, lin, mix};
use super::numbers::{V3, fbm, floor, hash, hypot, smooth};

/// Sun or moon: centre and radius, in picture heights.
#[derive(Clone, Copy)]
pub(super) struct Sun {
    pub x: f32,
    pub y: f32,
    pub r: f32,
}

impl Sun {
    pub(super) fn distance(&self, x: f32, y: f32) -> f32 {
        hypot(x - self.x, y - self.y)
    }
}

pub(super) struct Sky {
    ramp: Ramp,
    lit: Ramp,
    horizon: f32,
    sun: Option<Sun>,
    disc: V3,
    glow: V3,
    clouds: f32,
    night: bool,
    aurora: Option<Ramp>,
    seed: u32,
    pixel: f32,
}

impl Sky {
    pub(super) fn new(choice: &Choice, horizon: f32, sun: Option<Sun>, clouds: f32, pixel: f32, seed: u32) -> Self {
        let [zenith, high, low, rim] = choice.light.sky;
        let night = choice.mood == "night";
        let [a, b, c, d] = [0x7df0b0, 0x3fd3a4, 0x4f7fd0, 0x7a58b8].map(lin);
        let curtain = Ramp::new(&[(0.0, a), (0.33, b), (0.67, c), (1.0, d)]);
        let shaded = mix(high, choice.light.far, 0.45);
        Self {
            ramp: Ramp::new(&[(0.0, zenith), (0.42, high), (0.8, low), (1.0, rim)]),
            lit: Ramp::new(&[(0.0, shaded), (0.5, low), (1.0, mix(rim, WHITE, 0.35))]),
            horizon,
            sun,
            disc: choice.light.sun * 1.15,
            glow: mix(choice.light.sun, low, 0.35) * if night { 0.4 } else { 1.0 },
            clouds: clouds * if night { 0.3 } else { 1.0 },
            night,
            aurora: (night && choice.has("aurora northern polar")).then_some(curtain),
            seed,
            pixel,
        }
    }

    pub(super) fn colour(&self, x: f32, y: f32) -> V3 {
        let height = (y / self.horizon).clamp(0.0, 1.0);
        let mut c = self.ramp.at(height.powf(1.15));
        if self.night {
            c = c + lin(0xdfe8ff) * (self.star(x, y) * (1.0 - height));
        }
        if let Some(sun) = self.sun {
            let d = sun.distance(x, y);
            c = c + self.glow * (0.42 * (-d / 0.16).exp() + 0.20 * (-d / 0.5).exp());
            c = c.to(self.disc, ((sun.r - d) / self.pixel + 0.5).clamp(0.0, 1.0));
        }
        if let Some(ramp) = &self.aurora {
            return (0..3).fold(c, |c, k| self.curtain(ramp, c, k, x, y));
        }
        self.cloud(c, x, y, height)
    }

    /// A curtain of light: bright at its lower edge, fading upwards, in vertical rays.
    fn curtain(&self, ramp: &Ramp, behind: V3, k: u32, x: f32, y: f32) -> V3 {
        let (n, s) = (k as f32, self.seed ^ (k * 64 + 64));
        let base = 0.28 + 0.13 * n + 0.32 * (fbm(x * 0.9 + n, 0.0, 3, 0.5, s) - 0.5);
        let t = (base - y) / (0.10 + 0.20 * fbm(x * 3.0, 0.0, 2, 0.5, s ^ 8));
        let ray = 0.35 + 0.65 * fbm(x * 13.0, 0.0, 3, 0.6, s ^ 4);
        let bright = smooth(-0.12, 0.05, t) * (-t.clamp(0.0, 9.0) * 1.35).exp() * ray;
        behind + ramp.at(t / 2.2) * (bright * (0.62 - 0.13 * n))
    }

    fn star(&self, x: f32, y: f32) -> f32 {
        let (u, v) = (x * 70.0, y * 70.0);
        let (i, j) = (floor(u), floor(v));
        let bright = smooth(0.80, 1.0, hash(i, j, self.seed));
        if bright <= 0.0 {
            return 0.0;
        }
        let (a, b) = (hash(i, j, self.seed ^ 1), hash(i, j, self.seed ^ 2));
        let d = hypot(u - i as f32 - 0.1 - 0.8 * a, v - j as f32 - 0.1 - 0.8 * b) / 70.0;
        let r = (0.0006 + 0.0007 * bright).max(self.pixel * 0.55);
        bright * 0.9 * (-(d / r) * (d / r)).exp()
    }

    fn cloud(&self, c: V3, x: f32, y: f32, height: f32) -> V3 {
        let fade = self.clouds * smooth(1.02, 0.6, height);
        if fade <= 0.0 {
            return c;
        }
        let s = self.seed;
        let v = height.powf(0.75) * 5.2;
        let warp = (fbm(x * 1.7, y * 4.0, 3, 0.5, s ^ 9) - 0.5) * 0.22;
        let n = fbm(x * 1.5, v, 5, 0.5, s) + warp;
        let cover = smooth(0.50 - 0.06 * self.clouds, 0.76, n) * fade;
        if cover <= 0.004 {
            return c;
        }
        let m = fbm(x * 1.5 + 0.05, v + 0.16, 4, 0.5, s) + warp;
        c.to(self.lit.at(0.55 + (n - m) * 4.5), cover * 0.85)
    }
}
