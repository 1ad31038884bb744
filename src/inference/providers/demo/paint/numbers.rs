//! Numbers of the painter: vectors, the random stream, value noise and tables along one axis.

use std::ops::{Add, Mul, Sub};

/// Three numbers: a point, a linear RGB colour or an `OKLab` colour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    pub(super) fn cross(self, o: Self) -> Self {
        v3(self.y * o.z - self.z * o.y, self.z * o.x - self.x * o.z, self.x * o.y - self.y * o.x)
    }
    /// From here to `o`, as far as `t` says.
    pub(super) fn to(self, o: Self, t: f32) -> Self {
        self + (o - self) * t
    }
}

impl Add for V3 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        v3(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for V3 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        v3(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f32> for V3 {
    type Output = Self;
    fn mul(self, k: f32) -> Self {
        v3(self.x * k, self.y * k, self.z * k)
    }
}

impl Mul for V3 {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        v3(self.x * o.x, self.y * o.y, self.z * o.z)
    }
}

/// The cubic step from 0 at `a` to 1 at `b`.
pub(super) fn smooth(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// splitmix64 over the FNV-1a hash of a text: every choice of a picture comes from this one stream.
#[derive(Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn of(text: &str) -> Self {
        Self(text.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)))
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub(super) fn between(&mut self, a: f32, b: f32) -> f32 {
        a + (b - a) * (self.next() >> 40) as f32 / 16_777_216.0
    }
    pub(super) fn chance(&mut self, p: f32) -> bool {
        self.between(0.0, 1.0) < p
    }
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
    pub(super) fn seed(&mut self) -> u32 {
        self.next() as u32
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

/// Length of two sides at a right angle; `f32::hypot` is too careful to be quick.
pub(super) fn hypot(a: f32, b: f32) -> f32 {
    (a * a + b * b).sqrt()
}

/// Value noise: the hash at the lattice, blended by a quintic.
pub(super) fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (i, j) = (floor(x), floor(y));
    let (u, v) = (x - i as f32, y - j as f32);
    let u = u * u * u * (u * (u * 6.0 - 15.0) + 10.0);
    let v = v * v * v * (v * (v * 6.0 - 15.0) + 10.0);
    let (a, b) = (hash(i, j, seed), hash(i, j + 1, seed));
    let a = a + (hash(i + 1, j, seed) - a) * u;
    let b = b + (hash(i + 1, j + 1, seed) - b) * u;
    a + (b - a) * v
}

/// Sum of `octaves` noises, each of twice the frequency and `gain` times the strength, as 0..1.
pub(super) fn fbm(x: f32, y: f32, octaves: u32, gain: f32, seed: u32) -> f32 {
    layered(x, y, octaves, gain, seed, |n| n)
}

/// As `fbm`, folded at its middle, so that crests become sharp.
pub(super) fn ridged(x: f32, y: f32, octaves: u32, gain: f32, seed: u32) -> f32 {
    layered(x, y, octaves, gain, seed, |n| 1.0 - (2.0 * n - 1.0).abs())
}

fn layered(x: f32, y: f32, octaves: u32, gain: f32, seed: u32, fold: impl Fn(f32) -> f32) -> f32 {
    let (mut sum, mut total, mut amp, mut rate) = (0.0, 0.0, 1.0, 1.0);
    for o in 0..octaves {
        let n = noise(x * rate + o as f32 * 17.3, y * rate + o as f32 * 9.1, seed.wrapping_add(o));
        sum += fold(n) * amp;
        total += amp;
        amp *= gain;
        rate *= 2.03;
    }
    sum / total
}

/// A function of x, taken once per pixel column and read between columns by a straight line.
pub(super) struct Line {
    values: Vec<f32>,
    step: f32,
}

impl Line {
    pub(super) fn of(width: f32, step: f32, f: impl Fn(f32) -> f32) -> Self {
        let count = (width / step) as u32 + 3;
        Self { values: (0..count).map(|i| f((i as f32 - 0.5) * step)).collect(), step }
    }
    pub(super) fn at(&self, x: f32) -> f32 {
        let p = (x / self.step + 0.5).clamp(0.0, self.values.len() as f32 - 2.0);
        let i = p as usize;
        match self.values.get(i..i + 2) {
            Some(&[a, b]) => a + (b - a) * (p - i as f32),
            _ => 0.0,
        }
    }
}
