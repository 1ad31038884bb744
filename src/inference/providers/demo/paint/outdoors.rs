//! Outdoor pictures: a sky with sun, clouds and stars over mountains with conifers and a lake, or over the sea.

use super::choice::Choice;
use super::numbers::{Ramp, V3, WHITE, fbm, floor, hash, hypot, mix, ridged, smooth, v3};
use super::{Frame, Scene};

/// A range of mountains, or an island, from its crest down.
struct Layer {
    /// Height of the crest in each column of pixels.
    crest: Vec<f32>,
    body: V3,
    /// 0 for the farthest range, 1 for the nearest.
    d: f32,
    /// Size of its trees; bare rock has none.
    trees: f32,
    seed: u32,
}

struct Outdoors {
    frame: Frame,
    light: [V3; 8],
    /// Centre and radius of the sun or the moon, in picture heights.
    sun: (f32, f32, f32),
    /// What the sun adds to what it lights; nothing in a storm.
    glow: V3,
    horizon: f32,
    clear: Ramp,
    cloud: Ramp,
    night: bool,
    layers: Vec<Layer>,
    /// Where the water begins; 1 without water.
    shore: f32,
    /// Water from afar to the front, and its waves from the dark to the bright side; a lake has none.
    sea: Option<(Ramp, Ramp)>,
    seed: u32,
}

pub(super) fn scene(choice: &Choice, frame: Frame) -> Scene {
    let mut rng = choice.rng.clone();
    let [zenith, high, low, rim, haze, far, near, white] = choice.light;
    let (night, storm, sea) = (choice.mood == "night", choice.mood == "storm", choice.motif == "ocean");
    let horizon = if sea { rng.between(0.40, 0.52) } else { rng.between(0.58, 0.66) };
    let lake = rng.chance(0.4) || choice.has("lake water reflection fjord river pond");
    let islands = rng.chance(0.4) || choice.has("island coast cliff lighthouse bay harbour lagoon");
    let (x, up, r) = (frame.aspect * rng.between(0.25, 0.75), rng.between(0.08, 0.24), rng.between(0.026, 0.048));
    let shore = if sea { horizon } else { 1.0 - 0.2 * f32::from(lake) };
    let shallow = mix(far, high, 0.55);
    let deep = mix(near, mix(far, zenith, 0.6), 0.55);
    let still = Ramp::new(&[mix(haze, low, 0.5), shallow, deep, mix(deep, near, 0.5)]);
    let bodies = Ramp::new(&[mix(far, haze, 0.55), far, near]);
    let mut layer = |k: u8| {
        let (d, seed) = (f32::from(k) / 5.0, rng.seed());
        let foot = if sea { horizon } else { horizon - 0.18 + (shore - horizon + 0.18) * d.powf(1.5) * 0.74 };
        let rise = if sea { island } else { range };
        let columns = (0..=(frame.aspect / frame.pixel) as u32).map(|i| (i as f32 + 0.5) * frame.pixel);
        let crest = columns.map(|at| foot - rise(d, at, x, frame.aspect, seed)).collect();
        Layer { crest, body: bodies.at(d.powf(0.76)), d, trees: if k > 3 { 4.5 * d - 2.6 } else { 0.0 }, seed }
    };
    let view = Outdoors {
        frame,
        light: choice.light,
        sun: (x, if night { 0.7 * up + 0.06 } else { horizon - up }, if storm { -1.0 } else { r }),
        glow: mix(white, low, 0.35) * if night { 0.4 } else { f32::from(!storm) },
        horizon,
        clear: Ramp::new(&[zenith, high, low, rim]),
        cloud: Ramp::new(&[mix(high, far, 0.45), low, mix(rim, WHITE, 0.35)]),
        night,
        layers: (0..if sea { u8::from(islands) } else { 6 }).map(&mut layer).collect(),
        shore,
        sea: sea.then(|| (still, Ramp::new(&[mix(deep, near, 0.3), shallow, mix(low, haze, 0.5)]))),
        seed: rng.seed(),
    };
    Box::new(move |x, y| view.colour(x, y))
}

/// Height of a crest above its foot: the far ones are sharp, the second has the peak that carries the picture.
fn range(d: f32, x: f32, sun: f32, aspect: f32, seed: u32) -> f32 {
    let rough = if d < 0.7 { ridged(x * (2.1 - 0.7 * d), 0.0, 7.0, seed) } else { fbm(x * 1.5, 0.0, 7.0, seed) };
    let peak = if d == 0.2 { 0.17 * (-(x / 1.4 + sun / aspect - 1.1).abs() / 0.15).exp() } else { 0.0 };
    (0.20 - 0.08 * d) * (rough - 0.52) * if d < 0.5 { 2.3 } else { 1.6 } + peak * (0.5 + rough)
}

/// Land keeps clear of the sun.
fn island(_: f32, x: f32, sun: f32, aspect: f32, seed: u32) -> f32 {
    0.22 * (fbm(x * 1.8, 0.0, 6.0, seed) - 0.53 + 0.25 * ((x - sun) / aspect).abs()).max(-0.1) - 0.003
}

impl Outdoors {
    fn colour(&self, x: f32, y: f32) -> V3 {
        let ([.., haze, _, _, _], off) = (self.light, y - self.shore);
        let c = match &self.sea {
            _ if off <= 0.0 => self.land(x, y),
            Some(sea) => self.water(sea, x, off / (1.0 - self.shore)),
            None => self.lake(x, off),
        };
        let near = if self.shore < 1.0 { smooth(0.07, 0.0, (off + 0.008).abs()) } else { 0.0 };
        let drift = if near > 0.0 { 0.1 + 0.35 * fbm(x * 1.6, y * 14.0, 3.0, self.seed ^ 7) } else { 0.0 };
        c.to(haze, near * drift)
    }

    fn sky(&self, x: f32, y: f32) -> V3 {
        let ([.., white], height) = (self.light, (y / self.horizon).clamp(0.0, 1.0));
        let d = hypot(x - self.sun.0, y - self.sun.1);
        let stars = if self.night { self.star(x, y) * (1.0 - height) } else { 0.0 };
        let c = self.clear.at(height.powf(1.35)) + WHITE * stars;
        let c = c + self.glow * (0.42 * (-d / 0.16).exp() + 0.20 * (-d / 0.5).exp());
        self.clouds(c.to(white * 1.15, self.frame.edge(self.sun.2 - d)), x, y, height)
    }

    fn star(&self, x: f32, y: f32) -> f32 {
        let (i, j) = (floor(x * 70.0), floor(y * 70.0));
        let bright = smooth(0.80, 1.0, hash(i, j, self.seed));
        let place = |k: i32, salt: u32| k as f32 + 0.1 + 0.8 * hash(i, j, self.seed ^ salt);
        let d = hypot(x * 70.0 - place(i, 1), y * 70.0 - place(j, 2));
        let r = (0.04 + 0.05 * bright).max(self.frame.pixel * 40.0);
        bright * 0.8 * (-(d / r) * (d / r)).exp()
    }

    /// Lit by the difference to a place nearer to the light.
    fn clouds(&self, c: V3, x: f32, y: f32, height: f32) -> V3 {
        let (s, v) = (self.seed, height.powf(0.75) * 5.2);
        let warp = (fbm(x * 1.7, y * 4.0, 2.0, s ^ 9) - 0.5) * 0.22;
        let n = fbm(x * 1.5, v, self.frame.octaves(5.0), s) + warp;
        let cover = smooth(0.46, 0.76, n) * smooth(1.02, 0.6, height) * if self.night { 0.25 } else { 0.6 };
        if cover <= 0.004 {
            return c;
        }
        let m = fbm(x * 1.5 + 0.05, v + 0.16, self.frame.octaves(4.0), s) + warp;
        c.to(self.cloud.at(0.55 + (n - m) * 4.5), cover)
    }

    /// Starts at the nearest layer that hides everything behind it.
    fn land(&self, x: f32, y: f32) -> V3 {
        let column = (x / self.frame.pixel) as usize;
        let depth = |layer: &Layer| y - layer.crest.get(column).or(layer.crest.last()).copied().unwrap_or(1.0);
        let from = self.layers.iter().rposition(|layer| depth(layer) >= self.frame.pixel * 0.5);
        let back = if from.is_some() { V3::default() } else { self.sky(x, y) };
        let near = self.layers.iter().skip(from.unwrap_or(0));
        let glow = (-hypot(x - self.sun.0, y - self.sun.1) / 0.33).exp();
        near.fold(back, |c, layer| self.cover(layer, c, x, y, depth(layer))) + self.glow * (0.10 * glow)
    }

    /// Lays a layer, with the mist at its foot, over what is behind it.
    fn cover(&self, layer: &Layer, behind: V3, x: f32, y: f32, depth: f32) -> V3 {
        let ([.., haze, _, _, _], d) = (self.light, layer.d);
        let trees = if layer.trees > 0.0 { layer.conifers(x, y, depth, self.frame) } else { 0.0 };
        let cover = self.frame.edge(depth).max(trees);
        if cover <= 0.0 {
            return behind;
        }
        let plain = layer.trees > 0.0 || self.sea.is_some();
        let own = if plain { layer.body } else { self.rock(layer, x, y, depth) };
        let foot = smooth(0.02, 0.34 - 0.10 * d, depth) * (0.78 - 0.62 * d);
        let mist = if foot > 0.0 { foot * (0.62 + 0.5 * fbm(x * 2.0, y * 5.0, 2.0, layer.seed ^ 11)) } else { 0.0 };
        behind.to(own.to(haze, mist.min(0.92)), cover)
    }

    /// Relief of ridged noise along the slopes, lit from the side of the sun, with snow near the crest.
    fn rock(&self, layer: &Layer, x: f32, y: f32, depth: f32) -> V3 {
        let (d, s, octaves) = (layer.d, layer.seed, self.frame.octaves(4.0));
        let side = if self.sun.0 < self.frame.aspect / 2.0 { 1.0 } else { -1.0 };
        let g = fbm(x * (5.0 + 3.0 * d), y * 7.0, octaves.min(3.0), s ^ 3) - 0.5;
        let u = (x * 0.86 + depth * 0.62 * side) * 8.0 + g * 0.5;
        let v = (depth * 0.80 - x * 0.34 * side) * 6.4 + g * 0.5;
        let lit = ridged(u + side * 0.16, v + 0.07, octaves, s ^ 4) - ridged(u, v, octaves, s ^ 4);
        let relief = (lit * 2.3 * (0.95 + 0.4 * d)).clamp(-0.5, 0.5);
        let snow = smooth(0.17, 0.02, depth + g * 0.16) * smooth(-0.18, 0.12, relief + 0.05);
        let [_, _, _, rim, ..] = self.light;
        let white = rim.to(self.glow, 0.5).to(WHITE * self.glow.y, 0.3);
        let bare = layer.body * (1.0 + relief * (0.35 + 0.75 * d));
        bare.to(white * (0.72 + relief), snow * 0.72) + self.glow * (relief.max(0.0) * 0.30 * (1.0 - d))
    }

    /// Mirrors the land, stretched, rippled and darker with depth.
    fn lake(&self, x: f32, below: f32) -> V3 {
        let ([.., haze, _, near, _], t) = (self.light, below / (1.0 - self.shore));
        let ripple = fbm(x * 5.0, 9.0 / (0.06 + t), self.frame.octaves(3.0), self.seed) - 0.5;
        let from = self.shore - 0.003 - below * 1.55 - ripple * (0.005 + 0.06 * t);
        let land = self.land(x + ripple * (0.003 + 0.026 * t), from.clamp(0.0, self.shore - 0.002));
        let c = (land * v3(0.80, 0.86, 0.90)).to(near.to(haze, 0.15), 0.10 + 0.42 * t * t.sqrt());
        let off = (x - self.sun.0) / (0.05 + 0.12 * t);
        c + self.glow * (0.5 * (-off * off).exp() * smooth(0.08, 0.20, ripple) * (1.0 - 0.5 * t))
    }

    /// Waves in perspective: `t` runs from the horizon to the lower edge, `z` is the distance along the water.
    fn water(&self, (still, wave): &(Ramp, Ramp), x: f32, t: f32) -> V3 {
        let (s, z) = (self.seed, 1.0 / (0.05 + t));
        // Octaves that are wider than a pixel; finer ones are left out.
        let seen = -(self.frame.pixel * z * z * 11.0).log2();
        let u = (x - self.frame.aspect / 2.0) * (0.45 + 0.55 * z) + 40.0;
        let swell = |dz: f32| fbm(u * 2.2 + z * 0.9, (z + dz) * 5.0, seen.clamp(0.05, 5.0), s ^ 1);
        let (here, there) = (swell(0.0), swell(0.04 + 0.010 * z));
        let detail = (seen - 2.3).clamp(0.05, 3.0);
        let fine = (fbm(u * 11.0 - z * 7.0, z * 26.0, detail, s ^ 20) - 0.5) * detail.min(1.0);
        let tilt = (here - there) * 3.4 * (seen + 1.0).clamp(0.2, 1.0) + fine * 0.9 * (1.0 - 0.45 * t);
        let c = still.at(t.powf(0.45)).to(wave.at(0.5 + tilt * (0.55 + 0.9 * t)), 0.62 - 0.12 * t);
        let off = (x - self.sun.0) / (0.03 + 0.26 * t);
        let path = (-off * off).exp();
        let spark = smooth(0.05, 0.37, tilt + 0.25 * fine + 0.16 * path - 0.10);
        let c = c + self.glow * (path * (spark * (1.5 - 0.45 * t) + 0.16 * (1.0 - t)));
        let crest = smooth(0.60, 0.78, here + 0.25 * fine) * smooth(0.15, 0.8, t);
        let lace = if crest > 0.0 { smooth(0.42, 0.62, fbm(u * 9.0, z * 20.0, 3.0, s ^ 60)) } else { 0.0 };
        c.to(self.glow.to(WHITE, 0.3), crest * lace * 0.5)
    }
}

impl Layer {
    /// How much of a point trees cover: in every narrow column stands one, where and how tall its hash says.
    fn conifers(&self, x: f32, y: f32, depth: f32, frame: Frame) -> f32 {
        if depth < -0.11 * self.trees {
            return 0.0;
        }
        let column = 0.012 + 0.012 * self.trees;
        let middle = floor(x / column);
        let trees = (middle - 2..=middle + 2).map(|i| {
            let draw = |salt: u32| hash(i, 7, self.seed ^ salt);
            let (at, tall) = ((i as f32 + draw(31)) * column, (0.045 + 0.050 * draw(32)) * self.trees);
            let (half, off) = (tall * (0.16 + 0.08 * draw(33)), (x - at).abs());
            let foot = self.crest.get((at / frame.pixel) as usize).map_or(2.0, |crest| crest + 0.012);
            let t = (y - foot) / tall + 1.0;
            // The half width grows downwards in steps of branches.
            let tooth = ((t + 0.054 * off / half) * (7.0 + tall * 26.0)).fract();
            let width = half * t.max(0.0).powf(0.85) * (0.62 + 0.38 * tooth);
            if t > 0.0 && t < 1.2 { frame.edge(width - off) } else { 0.0 }
        });
        trees.fold(0.0, f32::max)
    }
}
