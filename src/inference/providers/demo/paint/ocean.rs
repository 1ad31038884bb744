//! The sea: waves in perspective, the path of the sun, foam, islands on the horizon and a sail on request.

use super::choice::{Choice, Light};
use super::colour::{Ramp, WHITE, lin, mix};
use super::numbers::{Line, Rng, V3, fbm, noise, smooth};
use super::sky::{Sky, Sun};
use super::{Frame, Scene};

pub(super) struct Ocean {
    sky: Sky,
    sun: Option<Sun>,
    islands: Vec<(Line, V3)>,
    sail: Option<Sail>,
    still: Ramp,
    wave: Ramp,
    foam: V3,
    haze: V3,
    sparkle: V3,
    horizon: f32,
    middle: f32,
    pixel: f32,
    seed: u32,
}

impl Ocean {
    pub(super) fn new(choice: &Choice, frame: &Frame) -> Self {
        let mut rng = choice.rng.clone();
        let (aspect, night) = (frame.aspect, choice.mood == "night");
        let Light { sky: [zenith, high, low, rim], haze, far, near, sun: white } = choice.light;
        let horizon = rng.between(0.40, 0.52);
        let x = aspect * rng.between(0.3, 0.7);
        let sun = Sun { x, y: horizon - rng.between(0.06, 0.17), r: rng.between(0.035, 0.055) };
        let sun = (choice.mood != "storm").then_some(sun);
        let chance = rng.chance(0.4);
        let land = chance || choice.has("island coast cliff lighthouse tropical bay harbour harbor lagoon");
        let shade = |k: f32| mix(haze, mix(far, near, 0.25 * k), 0.45 + 0.2 * k);
        let island = |k: f32| (island(k, horizon, x, frame, rng.seed()), shade(k));
        let islands = if land { [0.0, 1.0, 2.0].map(island).into() } else { Vec::new() };
        let deep = mix(near, mix(far, zenith, 0.6), 0.55);
        let shallow = mix(far, high, 0.55);
        let sail = choice.has("sail sailboat boat yacht ship regatta");
        Self {
            sky: Sky::new(choice, horizon, sun, 0.75, frame.pixel, rng.seed()),
            sun,
            islands,
            sail: sail.then(|| Sail::new(choice, frame, horizon, &mut rng)),
            still: Ramp::new(&[(0.0, mix(haze, low, 0.5)), (0.22, shallow), (0.66, deep), (1.0, mix(deep, near, 0.5))]),
            wave: Ramp::new(&[(0.0, mix(deep, near, 0.3)), (0.5, shallow), (1.0, mix(low, haze, 0.5))]),
            foam: mix(rim, WHITE, 0.5) * if night { 0.4 } else { 0.9 },
            haze,
            sparkle: white * if night { 0.55 } else { 1.0 },
            horizon,
            middle: aspect / 2.0,
            pixel: frame.pixel,
            seed: rng.seed(),
        }
    }

    fn water(&self, x: f32, y: f32) -> V3 {
        let t = (y - self.horizon) / (1.0 - self.horizon);
        let z = 1.0 / (0.05 + t);
        let (s, foot) = (self.seed, self.pixel * z * z / (1.0 - self.horizon));
        let u = (x - self.middle) * (0.45 + 0.55 * z) + 40.0;
        let swell = |dz: f32| waves(u * 2.2, (z + dz) * 5.0, 5, foot * 5.0, s);
        let here = swell(0.0);
        let slope = (here - swell(0.04 + 0.010 * z)) * 3.4;
        let fine = waves(u * 11.0, z * 26.0, 3, foot * 26.0, s ^ 20) - 0.5;
        let tilt = slope + fine * 0.9 * (1.0 - 0.45 * t);
        let base = self.still.at(t.powf(0.6));
        let mut c = base.to(self.wave.at(0.5 + tilt * (0.55 + 0.9 * t)), 0.62 - 0.12 * t);
        if let Some(sun) = self.sun {
            let off = (x - sun.x) / (0.03 + 0.26 * t);
            let path = (-off * off).exp();
            let spark = smooth(0.10, 0.42, tilt + 0.25 * fine + 0.16 * path - 0.05);
            c = c + self.sparkle * (path * (spark * (1.35 - 0.45 * t) + 0.16 * (1.0 - t)));
        }
        let crest = smooth(0.60, 0.78, here + 0.25 * fine) * smooth(0.15, 0.8, t);
        let lace = smooth(0.42, 0.62, fbm(u * 9.0, z * 20.0, 3, 0.6, s ^ 60));
        c.to(self.foam, crest * lace * 0.6)
    }
}

/// Noise whose finest octaves fade where they would be smaller than a pixel.
fn waves(x: f32, y: f32, octaves: u32, foot: f32, seed: u32) -> f32 {
    let (mut sum, mut total, mut amp, mut rate) = (0.0, 0.0, 1.0, 1.0);
    for o in 0..octaves {
        let seen = amp * smooth(1.1, 0.35, foot * rate);
        total += amp;
        sum += 0.5 * (amp - seen);
        if seen > 0.0 {
            // Each octave runs at an angle of its own, as wind waves do.
            let lean = if o % 2 == 0 { 0.22 } else { -0.3 };
            sum += seen
                * noise(x * rate + lean * y * rate + o as f32 * 17.3, y * rate + o as f32 * 9.1, seed.wrapping_add(o));
        }
        amp *= 0.55;
        rate *= 2.03;
    }
    sum / total
}

fn island(n: f32, horizon: f32, sun: f32, frame: &Frame, seed: u32) -> Line {
    Line::of(frame.aspect, frame.pixel, |x| {
        let clear = 0.25 * (((sun - x) / frame.aspect).abs() - 0.25);
        let rise = fbm(x * (1.6 + 0.5 * n), 0.0, 6, 0.5, seed) - 0.46 + clear;
        horizon + 0.003 - (0.10 + 0.03 * n) * rise.clamp(-0.1, 1.0) * 2.0
    })
}

impl Scene for Ocean {
    fn colour(&self, x: f32, y: f32) -> V3 {
        let edge = |d: f32| (d / self.pixel + 0.5).clamp(0.0, 1.0);
        let below = edge(y - self.horizon);
        let mut c = V3::default();
        if below < 1.0 {
            c = self.sky.colour(x, y);
            for (line, colour) in &self.islands {
                c = c.to(*colour, edge(y - line.at(x)));
            }
        }
        if below > 0.0 {
            c = c.to(self.water(x, y.max(self.horizon)), below);
        }
        c = c.to(self.haze, smooth(0.05, 0.0, (y - self.horizon).abs()) * 0.38);
        self.sail.as_ref().map_or(c, |sail| sail.over(c, x, y, self.pixel))
    }
}

/// A boat: hull, main sail, jib and the streaks of their reflection.
struct Sail {
    x: f32,
    y: f32,
    size: f32,
    hull: V3,
    main: V3,
    jib: V3,
    streak: V3,
}

impl Sail {
    fn new(choice: &Choice, frame: &Frame, horizon: f32, rng: &mut Rng) -> Self {
        let light = &choice.light;
        Self {
            x: frame.aspect * rng.between(0.25, 0.75),
            y: horizon + rng.between(0.03, 0.10),
            size: rng.between(0.13, 0.20),
            hull: mix(light.near, lin(0x101418), 0.5),
            main: mix(lin(0xfffaf0), light.sun, 0.3),
            jib: mix(lin(0xf1e4d0), light.far, 0.2),
            streak: mix(light.sun, WHITE, 0.3),
        }
    }

    fn over(&self, behind: V3, x: f32, y: f32, pixel: f32) -> V3 {
        let (u, v) = ((x - self.x) / self.size, (y - self.y) / self.size);
        if u.abs() > 0.6 || !(-1.2..1.1).contains(&v) {
            return behind;
        }
        let edge = |d: f32| (0.5 - d * self.size / pixel).clamp(0.0, 1.0);
        let bow = (-v).clamp(0.0, 1.0);
        let hull = (u.abs() - 0.36 + 0.7 * v.clamp(0.0, 1.0)).max(-v).max(v - 0.11);
        let belly = 0.34 * (1.0 - bow / 1.1) * (1.0 + 0.35 * (bow * 3.1).sin());
        let main = (0.015 - u).max(v + 0.05).max(u - belly).max(-v - 1.1);
        let jib = (u + 0.015).max(v + 0.07).max(-u - 0.32 * (1.0 - bow / 0.95)).max(-v - 0.92);
        let streak = if v > 0.11 { self.reflection(u, v) } else { 0.0 };
        let c = behind.to(self.streak, streak);
        let shade = self.main * (1.0 - 0.12 * smooth(0.02, 0.30, u));
        c.to(self.hull, edge(hull)).to(shade, edge(main)).to(self.jib, edge(jib))
    }

    fn reflection(&self, u: f32, v: f32) -> f32 {
        let width = 0.26 * (1.1 - v).max(0.05);
        let sway = 0.05 * (v * 23.0).sin();
        let bars = smooth(0.2, 0.9, (v * 60.0 + 5.0 * (u * 7.0).sin()).sin());
        let off = (u - sway) / width;
        (-off * off).exp() * bars * 0.42 * (1.1 - v)
    }
}
