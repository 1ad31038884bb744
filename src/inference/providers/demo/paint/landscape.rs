//! Landscapes: mountains with rock, snow and conifers, hills with hedges, dunes; on request before a lake.

use super::choice::{Choice, Light};
use super::colour::{Ramp, WHITE, lin, mix};
use super::numbers::{Line, Rng, V3, fbm, noise, ridged, smooth, v3};
use super::sky::{Sky, Sun};
use super::{Frame, Scene};

#[derive(Clone, Copy, PartialEq)]
enum Ground {
    Mountains,
    Hills,
    Dunes,
}

/// One range of ground, from its crest down.
struct Layer {
    crest: Line,
    /// Height of the bushes that stand along the crest of a hill.
    hedge: Option<Line>,
    conifers: Option<Conifers>,
    body: V3,
    hedge_colour: V3,
    /// 0 for the farthest layer, 1 for the nearest.
    d: f32,
    rock: bool,
    snow: bool,
    seed: u32,
}

pub(super) struct Landscape {
    sky: Sky,
    layers: Vec<Layer>,
    ground: Ground,
    sun: Option<Sun>,
    /// Where the light comes from: 1 left, -1 right.
    side: f32,
    haze: V3,
    shine: V3,
    snow: V3,
    deep: V3,
    shore: f32,
    pixel: f32,
    seed: u32,
}

impl Landscape {
    pub(super) fn new(choice: &Choice, frame: &Frame) -> Self {
        let mut rng = choice.rng.clone();
        let (light, aspect) = (choice.light, frame.aspect);
        let ground = ground_of(choice, &mut rng);
        let night = choice.mood == "night";
        let wet = rng.chance(0.3) && ground == Ground::Mountains;
        let lake = wet || choice.has("lake water reflection fjord river pond still");
        let horizon = rng.between(0.50, if lake { 0.56 } else { 0.60 });
        let place = rng.between(0.22, 0.78);
        let (high, r) = (rng.between(0.08, 0.26), rng.between(0.024, 0.040));
        let y = if night { high + 0.03 } else { horizon - high };
        let sun = (choice.mood != "storm").then_some(Sun { x: aspect * place, y, r });
        let sky = Sky::new(choice, horizon + 0.08, sun, rng.between(0.35, 0.85), frame.pixel, rng.seed());
        let shore = if lake { 0.80 } else { 1.0 };
        let plan = Plan { ground, mood: choice.mood, light, horizon, place, shore, frame };
        let count = if ground == Ground::Mountains { 6 } else { 5 };
        Self {
            sky,
            layers: (0..count).map(|k| plan.layer(k, count, &mut rng)).collect(),
            ground,
            sun: sun.filter(|_| !night),
            side: if place < 0.5 { 1.0 } else { -1.0 },
            haze: light.haze * if night { 0.55 } else { 1.0 },
            shine: mix(light.sun, light.sky[2], 0.45),
            snow: mix(light.sky[3], WHITE, 0.3) * if night { 0.22 } else { 0.95 },
            deep: mix(light.near, light.haze, 0.30),
            shore,
            pixel: frame.pixel,
            seed: rng.seed(),
        }
    }

    /// Starts at the nearest layer that hides everything behind it.
    fn land(&self, x: f32, y: f32) -> V3 {
        let hides = |layer: &Layer| y - layer.crest.at(x) >= self.pixel * 0.5;
        let from = self.layers.iter().rposition(hides);
        let back = if from.is_some() { V3::default() } else { self.sky.colour(x, y) };
        let near = self.layers.iter().skip(from.unwrap_or(0));
        let c = near.fold(back, |c, layer| self.cover(layer, c, x, y));
        c + self.shine * self.sun.map_or(0.0, |s| 0.10 * (-s.distance(x, y) / 0.33).exp())
    }

    /// Lays a layer over what is behind it.
    fn cover(&self, layer: &Layer, behind: V3, x: f32, y: f32) -> V3 {
        let depth = y - layer.crest.at(x);
        let edge = |d: f32| (d / self.pixel + 0.5).clamp(0.0, 1.0);
        let hedge = layer.hedge.as_ref().map_or(0.0, |h| h.at(x));
        let bushes = if hedge > 0.002 && depth < 0.012 { edge(depth + hedge) } else { 0.0 };
        let trees = layer.conifers.as_ref().map_or(0.0, |t| t.coverage(x, y, self.pixel));
        let (c, cover) = (behind.to(layer.hedge_colour, bushes), edge(depth).max(trees));
        if cover <= 0.0 {
            return c;
        }
        let own = match self.ground {
            Ground::Mountains if layer.rock => self.rock(layer, x, y, depth),
            Ground::Mountains => layer.body,
            Ground::Hills => self.hill(layer, x, y, depth),
            Ground::Dunes => return c.to(self.dune(layer, x, y, depth), cover),
        };
        c.to(own.to(self.haze, mist(layer, x, y, depth)), cover)
    }

    /// Relief of ridged noise along the slopes, lit from the side of the sun, with snow near the crest.
    fn rock(&self, layer: &Layer, x: f32, y: f32, depth: f32) -> V3 {
        let (d, s) = (layer.d, layer.seed);
        let g = fbm(x * (5.0 + 3.0 * d), y * 7.0, 4, 0.55, s ^ 3) - 0.5;
        let u = (x * 0.86 + depth * 0.62 * self.side) * 8.0 + g * 0.5 + 40.0;
        let v = (depth * 0.80 - x * 0.34 * self.side) * 6.4 + g * 0.5 + 40.0;
        let there = ridged(u + self.side * 0.16, v + 0.07, 4, 0.55, s ^ 4);
        let lit = there - ridged(u, v, 4, 0.55, s ^ 4);
        let relief = (lit * 2.2 * (0.95 + 0.4 * d)).clamp(-0.5, 0.5);
        let mut c = layer.body * (1.0 + relief * (0.35 + 0.75 * d));
        if layer.snow {
            let lies = smooth(0.17, 0.02, depth + g * 0.16) * smooth(-0.18, 0.12, relief + 0.05);
            c = c.to(self.snow * (0.75 + relief), lies * 0.72);
        }
        c + self.shine * (relief.max(0.0) * 0.30 * (1.0 - d))
    }

    /// Meadows and fields in rows, with light on the brow.
    fn hill(&self, layer: &Layer, x: f32, y: f32, depth: f32) -> V3 {
        let (d, s) = (layer.d, layer.seed);
        let g = fbm(x * (5.0 + 3.0 * d), y * 7.0, 4, 0.55, s ^ 3) - 0.5;
        let along = x * self.side * 0.6 + depth * 2.6;
        let rows = (along * (66.0 - 20.0 * d) + g * 4.0).sin();
        let field = smooth(0.46, 0.56, noise(x * 2.2 + d * 12.0, (y + 0.4 * x) * 3.5, s ^ 8));
        let meadow = smooth(0.40, 0.60, noise(x * 1.6 + 7.0, depth * 5.0 + x, s ^ 5)) - 0.5;
        let (u, v) = (x * 2.4, depth * 3.0);
        let roll = (noise(u - 0.22, v, s ^ 6) - noise(u, v, s ^ 6)) * self.side;
        let shade = (1.0 + 0.5 * g + 0.16 * rows * field * (0.3 + d) + 0.26 * meadow) * (1.0 + 1.5 * roll);
        layer.body * shade + self.shine * (0.15 * (-depth / 0.07).exp() * (1.0 - 0.3 * d))
    }

    /// A lit and a shaded side, divided by a wandering crest, and fine ripples.
    fn dune(&self, layer: &Layer, x: f32, y: f32, depth: f32) -> V3 {
        let (d, s) = (layer.d, layer.seed);
        let u = x * (1.9 - 0.6 * d) + depth * 1.8 * self.side + 30.0;
        let v = depth * 0.9 + 30.0;
        let here = noise(u, v, s ^ 7);
        let lit = smooth(-0.012, 0.030, (here - noise(u + 0.22, v, s ^ 7)) * self.side);
        let grain = fbm(x * (5.0 + 3.0 * d), y * 11.0, 3, 0.55, s ^ 3);
        let ripple = ((depth + 0.05 * here) * (260.0 - 90.0 * d) + grain * 10.0).sin() * 0.5 + 0.5;
        let fade = smooth(0.62, 0.0, depth);
        let shade = 0.52 + 0.70 * lit * (0.55 + 0.45 * fade) + 0.07 * ripple * (0.3 + lit) * d;
        let c = layer.body * (shade * (0.94 + 0.12 * grain));
        let c = c + self.shine * (0.20 * lit * fade * (1.0 - d * 0.45));
        c.to(self.haze, 0.30 * (1.0 - d) * smooth(0.0, 0.10, depth))
    }

    /// Mirrors the land, stretched, rippled and darker with depth.
    fn lake(&self, x: f32, y: f32) -> V3 {
        let shore = self.shore;
        let t = (y - shore) / (1.0 - shore);
        let ripple = fbm(x * 5.0, 9.0 / (0.06 + t), 3, 0.5, self.seed) - 0.5;
        let from = shore - 0.003 - (y - shore) * 1.55 - ripple * (4.0 + 46.0 * t) / 768.0;
        let land = self.land(x + ripple * (2.0 + 20.0 * t) / 768.0, from.clamp(0.0, shore - 0.002));
        let c = (land * v3(0.80, 0.86, 0.90)).to(self.deep, 0.10 + 0.42 * t * t.sqrt());
        let Some(sun) = self.sun else { return c };
        let off = (x - sun.x) / (0.05 + 0.12 * t);
        c + self.shine * (0.5 * (-off * off).exp() * smooth(0.08, 0.20, ripple) * (1.0 - 0.5 * t))
    }
}

impl Scene for Landscape {
    fn colour(&self, x: f32, y: f32) -> V3 {
        let c = if y > self.shore { self.lake(x, y) } else { self.land(x, y) };
        let near = smooth(0.075, 0.0, (y - self.shore + 0.012).abs());
        if near <= 0.0 || self.shore >= 1.0 {
            return c;
        }
        let drift = 0.25 + 0.9 * fbm(x * 1.6, y * 14.0, 4, 0.5, self.seed ^ 7);
        c.to(self.haze.to(WHITE, 0.15 * self.haze.x), near * near.sqrt() * drift * 0.34)
    }
}

/// Mist gathers at the foot of each layer, the more the farther it is.
fn mist(layer: &Layer, x: f32, y: f32, depth: f32) -> f32 {
    let foot = smooth(0.02, 0.34 - 0.10 * layer.d, depth) * (0.78 - 0.62 * layer.d);
    let drift = if foot > 0.0 { fbm(x * 2.0, y * 5.0, 3, 0.5, layer.seed ^ 11) } else { 0.0 };
    (foot * (0.62 + 0.5 * drift)).clamp(0.0, 0.92)
}

fn ground_of(choice: &Choice, rng: &mut Rng) -> Ground {
    let hills = rng.chance(0.2);
    if choice.has("desert dune sand") {
        Ground::Dunes
    } else if choice.has("hill meadow field vineyard countryside valley garden flower animal horse dog cat") {
        Ground::Hills
    } else if choice.has("mountain lake fjord forest wood tree aurora alpine peak ridge portrait space") {
        Ground::Mountains
    } else if choice.mood == "desert" {
        Ground::Dunes
    } else if hills {
        Ground::Hills
    } else {
        Ground::Mountains
    }
}

/// What the layers of one landscape share while they are laid out.
struct Plan<'a> {
    ground: Ground,
    mood: &'a str,
    light: Light,
    horizon: f32,
    place: f32,
    shore: f32,
    frame: &'a Frame,
}

impl Plan<'_> {
    fn layer(&self, k: u32, count: u32, rng: &mut Rng) -> Layer {
        let (d, seed) = (k as f32 / (count - 1) as f32, rng.seed());
        let (mountains, front) = (self.ground == Ground::Mountains, k + 2 >= count);
        let line = |f: &dyn Fn(f32) -> f32| Line::of(self.frame.aspect, self.frame.pixel, f);
        let crest = line(&|x| self.crest(k as f32, d, x, seed));
        let trees = if k + 1 == count { (27.0, 1.9) } else { (42.0, 1.0) };
        Layer {
            conifers: (mountains && front).then(|| Conifers::new(&crest, self.frame.aspect, trees, rng)),
            crest,
            hedge: (self.ground == Ground::Hills && k > 0).then(|| line(&|x| hedge(d, x, seed))),
            body: self.body(d),
            hedge_colour: mix(mix(self.light.near, lin(0x0d1a14), 0.25), self.light.haze, 0.62 * (1.0 - d)),
            d,
            rock: !front,
            snow: k <= 3 && "winter dawn noon night storm".contains(self.mood),
            seed,
        }
    }

    fn crest(&self, k: f32, d: f32, x: f32, s: u32) -> f32 {
        let fall = |top: f32, bend: f32, reach: f32| {
            let top = self.horizon - top;
            top + (self.shore - top) * d.powf(bend) * reach
        };
        match self.ground {
            Ground::Dunes => {
                let wave = fbm(x * (1.5 - 0.5 * d) + k * 3.0, 0.0, 2, 0.5, s) - 0.5;
                fall(0.02, 1.35, 0.86) - (0.10 + 0.16 * d) * wave
            }
            Ground::Hills => {
                let wave = fbm(x * 1.3 + k * 5.0, 0.0, 3, 0.38, s) - 0.5;
                fall(0.05, 1.3, 0.80) - (0.12 + 0.16 * d) * wave
            }
            Ground::Mountains => {
                let at = x * (2.1 - 0.7 * d) + k * 7.0;
                let rough = if d < 0.7 { ridged(at, 0.0, 7, 0.44, s) } else { fbm(at, 0.0, 7, 0.44, s) };
                let high = if d < 0.5 { 2.3 } else { 1.6 };
                fall(0.10, 1.5, 0.74) - (0.20 - 0.08 * d) * (rough - 0.52) * high - self.peak(k, x, s)
            }
        }
    }

    /// The second range gets the peak that carries the picture.
    fn peak(&self, k: f32, x: f32, s: u32) -> f32 {
        let at = self.frame.aspect * (1.0 - self.place) + (self.place - 0.5) * 0.3;
        let rise = 0.17 * (-(x - at).abs() / 0.20).exp();
        if k == 1.0 { rise * (0.8 + 0.4 * fbm(x * 6.0, 0.0, 3, 0.5, s ^ 5)) } else { 0.0 }
    }

    fn body(&self, d: f32) -> V3 {
        let Light { haze, far, near, .. } = self.light;
        let hills = self.ground == Ground::Hills;
        let last = if hills { mix(far, near, 0.62) } else { near };
        let ramp = Ramp::new(&[(0.0, mix(far, haze, 0.55)), (0.35, far), (1.0, last)]);
        let grass = match self.mood {
            "noon" | "tropic" | "dawn" => 0x7f9a3e,
            "autumn" | "sunset" | "desert" => 0xb98a3e,
            _ => 0x6f7f5c,
        };
        let grown = if hills { 0.28 + 0.34 * d } else { 0.0 };
        mix(ramp.at(d.powf(1.15)), lin(grass) * if self.mood == "night" { 0.15 } else { 1.0 }, grown)
    }
}

fn hedge(d: f32, x: f32, s: u32) -> f32 {
    let grove = fbm(x * (4.0 - d) + d * 4.0, 0.0, 2, 0.5, s ^ 21) - 0.50;
    let round = (x * (95.0 - 45.0 * d) + 3.0 * (x * 31.0).sin()).sin().abs();
    let leaves = 0.5 * fbm(x * 120.0, 0.0, 2, 0.5, s ^ 23);
    grove.max(0.0) * (0.09 + 0.13 * d) * (0.55 + 0.75 * round + leaves)
}

struct Conifer {
    x: f32,
    top: f32,
    height: f32,
    half: f32,
}

/// The trees of one layer, in order of their columns, so that a point asks only its neighbours.
struct Conifers {
    columns: Vec<Vec<Conifer>>,
    top: f32,
}

const COLUMN: f32 = 0.05;

impl Conifers {
    fn new(crest: &Line, aspect: f32, (density, size): (f32, f32), rng: &mut Rng) -> Self {
        let mut columns: Vec<Vec<Conifer>> = Vec::new();
        columns.resize_with((aspect / COLUMN) as usize + 1, Vec::new);
        let mut highest = 1.0_f32;
        for _ in 0..(aspect * density) as u32 {
            let (x, height) = (rng.between(0.0, aspect), rng.between(0.045, 0.095) * size);
            let top = crest.at(x) + 0.012 - height;
            let tree = Conifer { x, top, height, half: height * rng.between(0.16, 0.24) };
            highest = highest.min(top);
            if let Some(column) = columns.get_mut((x / COLUMN) as usize) {
                column.push(tree);
            }
        }
        Self { columns, top: highest }
    }

    fn coverage(&self, x: f32, y: f32, pixel: f32) -> f32 {
        if y < self.top {
            return 0.0;
        }
        let first = (x / COLUMN - 1.0) as usize;
        let near = self.columns.iter().skip(first).take(3).flatten();
        near.map(|tree| tree.coverage(x, y, pixel)).fold(0.0, f32::max)
    }
}

impl Conifer {
    /// The half width grows downwards in steps of branches.
    fn coverage(&self, x: f32, y: f32, pixel: f32) -> f32 {
        let (off, t) = ((x - self.x).abs(), (y - self.top) / self.height);
        if t <= 0.0 || t > 1.2 || off > self.half * 1.4 {
            return 0.0;
        }
        let rows = 7.0 + self.height * 26.0;
        let tooth = (t * rows + off / self.half * 0.054 * rows).fract();
        let sway = 1.0 + 0.10 * (t * 37.0 + self.x * 91.0).sin();
        let width = self.half * t.powf(0.85) * (0.62 + 0.38 * tooth) * sway;
        ((width - off) / pixel + 0.5).clamp(0.0, 1.0)
    }
}
