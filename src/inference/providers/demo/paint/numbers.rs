//! Numbers of the painter: vectors, colours, the random stream, and value noise.

use std::ops::{Add, Mul, Sub};

/// Three numbers: a point or a linear RGB colour.
#[derive(Clone, Copy, Default)]
pub(super) struct V3 {
    pub x: f32,
    pub y: f32,
    pub z: f32,
}

pub(super) const fn v3(x: f32, y: f32, z: f32) -> V3 {
    V3 { x, y, z }
}

impl V3 {
    pub(super) fn map(self, f: impl Fn(f32) -> f32) -> Self {
        v3(f(self.x), f(self.y), f(self.z))
    }
    pub(super) fn dot(self, o: Self) -> f32 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }
    pub(super) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }
    pub(super) fn unit(self) -> Self {
        self * (1.0 / self.length().max(1e-9))
    }
    /// From here to `o`, as far as `t` says.
    pub(super) fn to(self, o: Self, t: f32) -> Self {
        self + (o - self) * t
    }
}

macro_rules! part_by_part {
    ($name:ident, $function:ident, $sign:tt) => {
        impl $name for V3 {
            type Output = Self;
            fn $function(self, o: Self) -> Self {
                v3(self.x $sign o.x, self.y $sign o.y, self.z $sign o.z)
            }
        }
    };
}
part_by_part!(Add, add, +);
part_by_part!(Sub, sub, -);
part_by_part!(Mul, mul, *);

impl Mul<f32> for V3 {
    type Output = Self;
    fn mul(self, k: f32) -> Self {
        v3(self.x * k, self.y * k, self.z * k)
    }
}

/// The cubic step from 0 at `a` to 1 at `b`.
pub(super) fn smooth(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Length of two sides at a right angle; `f32::hypot` is too careful to be quick.
pub(super) fn hypot(a: f32, b: f32) -> f32 {
    (a * a + b * b).sqrt()
}

pub(super) const WHITE: V3 = v3(1.0, 1.0, 1.0);

/// Three bytes of sRGB as linear RGB.
pub(super) fn linear([r, g, b]: [u8; 3]) -> V3 {
    v3(f32::from(r), f32::from(g), f32::from(b)).map(|v| (v / 255.0).powf(2.2))
}

/// Between two linear colours as the eye sees it; the root stands in for the eye.
pub(super) fn mix(a: V3, b: V3, t: f32) -> V3 {
    let c = a.map(f32::sqrt).to(b.map(f32::sqrt), t);
    c * c
}

/// An even gradient through some colours, read at 0..1.
pub(super) struct Ramp(Vec<V3>);

impl Ramp {
    pub(super) fn new(colours: &[V3]) -> Self {
        let pairs = colours.iter().zip(colours.iter().skip(1));
        Self(pairs.flat_map(|(&a, &b)| (0..=127_u8).map(move |i| mix(a, b, f32::from(i) / 127.0))).collect())
    }
    pub(super) fn at(&self, t: f32) -> V3 {
        let i = t.clamp(0.0, 1.0) * (self.0.len() as f32 - 1.0);
        self.0.get(i as usize).copied().unwrap_or_default()
    }
}

/// The stream that every choice of a picture comes from: hashes of a counter under the hash of a text.
#[derive(Clone)]
pub(super) struct Rng(u32, i32);

impl Rng {
    pub(super) fn of(text: &str) -> Self {
        Self(text.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193)), 0)
    }
    pub(super) fn between(&mut self, a: f32, b: f32) -> f32 {
        self.1 += 1;
        a + (b - a) * hash(self.1, 0, self.0)
    }
    pub(super) fn chance(&mut self, p: f32) -> bool {
        self.between(0.0, 1.0) < p
    }
    pub(super) fn seed(&mut self) -> u32 {
        self.between(0.0, 16_777_216.0) as u32
    }
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.between(0.0, from.len() as f32) as usize).copied()
    }
}

/// Two integers to 0..1: multiply and xorshift.
pub(super) fn hash(x: i32, y: i32, seed: u32) -> f32 {
    let h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    let h = h ^ seed.wrapping_mul(0xC2B2_AE3D);
    let h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    let h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    ((h ^ (h >> 15)) >> 8) as f32 / 16_777_216.0
}

/// `f32::floor` is a call into the C library on older processors, and noise lives on it.
pub(super) fn floor(x: f32) -> i32 {
    let i = x as i32;
    i - i32::from(x < i as f32)
}

/// Value noise: the hash at the lattice, blended by a quintic.
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (i, j) = (floor(x), floor(y));
    let (u, v) = (x - i as f32, y - j as f32);
    let u = u * u * u * (u * (u * 6.0 - 15.0) + 10.0);
    let v = v * v * v * (v * (v * 6.0 - 15.0) + 10.0);
    let (a, b) = (hash(i, j, seed), hash(i, j + 1, seed));
    let a = a + (hash(i + 1, j, seed) - a) * u;
    let b = b + (hash(i + 1, j + 1, seed) - b) * u;
    a + (b - a) * v
}

/// Sum of noises, each of twice the frequency and half the strength, as 0..1. Half an octave counts half.
pub(super) fn fbm(x: f32, y: f32, octaves: f32, seed: u32) -> f32 {
    folded(x, y, octaves, seed, |n| n)
}

/// As `fbm`, folded at its middle, so that crests become sharp.
pub(super) fn ridged(x: f32, y: f32, octaves: f32, seed: u32) -> f32 {
    folded(x, y, octaves, seed, |n| 1.0 - (2.0 * n - 1.0).abs())
}

fn folded(x: f32, y: f32, octaves: f32, seed: u32, fold: impl Fn(f32) -> f32) -> f32 {
    let (mut sum, mut total, mut amp, mut rate, mut o) = (0.0, 0.0, 1.0, 1.0, 0.0);
    while o < octaves {
        let weight = amp * (octaves - o).min(1.0);
        sum += weight * fold(noise(x * rate + o * 17.3, y * rate + o * 9.1, seed.wrapping_add(o as u32)));
        total += weight;
        (amp, rate, o) = (amp * 0.5, rate * 2.03, o + 1.0);
    }
    sum / total
}
