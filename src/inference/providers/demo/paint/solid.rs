//! Still lifes: a set of solids in front of a curved backdrop, sphere traced, in the light of one lamp and the sky.

use super::choice::{Choice, Motif};
use super::colour::{lin, luma};
use super::forms::Object;
use super::numbers::{Rng, V3, fbm, floor, smooth, v3};
use super::still;
use super::{Frame, Scene};

const WALL: f32 = 2.6;
const CURVE: f32 = 1.2;
const FARTHEST: f32 = 16.0;

#[derive(Clone, Copy, PartialEq)]
enum Screen {
    Open,
    Window,
    Leaves,
}

pub(super) struct Solid {
    objects: Vec<Object>,
    floor: V3,
    wall: V3,
    eye: V3,
    ahead: V3,
    right: V3,
    up: V3,
    aspect: f32,
    lamp: V3,
    lamp_colour: V3,
    sky: V3,
    screen: Screen,
    seed: u32,
}

struct Hit<'a> {
    t: f32,
    object: Option<&'a Object>,
}

impl Solid {
    pub(super) fn new(choice: &Choice, frame: &Frame) -> Self {
        let mut rng = choice.rng.clone();
        let [floor, wall, ..] = choice.stuff;
        let objects = still::arrange(choice, frame.aspect, &mut rng);
        let dark = luma(floor) < 0.13;
        let rooms = choice.motif == Motif::Rooms;
        let eye = v3(if rooms { -0.3 } else { rng.between(-0.5, 0.5) }, 1.75, -6.2);
        let target = match choice.motif {
            Motif::Rooms => v3(-0.15, 0.98, 0.4),
            Motif::Still => v3(0.02, 0.80, 0.1),
            _ => v3(0.02, 0.62, 0.1),
        };
        let zoom = 0.285 * if rooms { 1.16 } else { 0.92 };
        let zoom = zoom * if frame.aspect > 1.25 { 0.88 } else { 1.0 } * if frame.aspect < 0.95 { 1.12 } else { 1.0 };
        let ahead = (target - eye).unit();
        let right = v3(0.0, 1.0, 0.0).cross(ahead).unit();
        let left = if rng.chance(0.6) { -1.0 } else { 1.0 };
        let lamp = v3(left * rng.between(0.62, 0.85), rng.between(0.75, 0.95), -rng.between(0.45, 0.62));
        Self {
            objects,
            floor,
            wall,
            eye,
            ahead,
            right: right * zoom,
            up: ahead.cross(right) * zoom,
            aspect: frame.aspect,
            lamp: lamp.unit(),
            lamp_colour: lin(0xffe9cf) * if dark { 1.65 } else { 1.04 },
            sky: if dark { lin(0x8fa8bd) * 0.42 } else { lin(0xcfdcec) * 0.54 },
            screen: screen(choice, &mut rng),
            seed: rng.seed(),
        }
    }

    /// What the ray meets first. Each object is asked only inside the box around it.
    fn trace(&self, ray: V3) -> Hit<'_> {
        let mut hit = Hit { t: self.backdrop_along(ray), object: None };
        let inverse = ray.map(f32::recip);
        for object in &self.objects {
            let Some((from, to)) = object.span(self.eye, inverse, 0.0) else {
                continue;
            };
            let (mut t, end) = (from, to.min(hit.t));
            for _ in 0..60 {
                if t >= end {
                    break;
                }
                let d = object.distance(self.eye + ray * t);
                if d < 0.0015 {
                    hit = Hit { t, object: Some(object) };
                    break;
                }
                t += d;
            }
        }
        hit
    }

    /// Floor and wall by their planes; only where they curve into each other the ray is marched.
    fn backdrop_along(&self, ray: V3) -> f32 {
        let reach = |gap: f32, speed: f32| if speed > 1e-4 { gap / speed } else { FARTHEST };
        let (floor, wall) = (reach(self.eye.y, -ray.y), reach(WALL - self.eye.z, ray.z));
        if floor < wall && self.eye.z + ray.z * floor < WALL - CURVE {
            return floor;
        }
        if wall < floor && self.eye.y + ray.y * wall > CURVE {
            return wall;
        }
        let mut t = reach(self.eye.y - CURVE / 4.0, -ray.y).min(reach(WALL - CURVE / 4.0 - self.eye.z, ray.z));
        for _ in 0..24 {
            t += backdrop(self.eye + ray * t);
        }
        t
    }

    /// Soft shadow of the lamp: the narrowest angle at which the ray passes an object.
    fn shadow(&self, from: V3) -> f32 {
        let (mut lit, inverse) = (1.0_f32, self.lamp.map(f32::recip));
        for object in &self.objects {
            let Some((start, end)) = object.penumbra(from, self.lamp, inverse) else {
                continue;
            };
            let mut t = start;
            for _ in 0..28 {
                if t > end || lit <= 0.03 {
                    break;
                }
                let d = object.distance(from + self.lamp * t);
                lit = lit.min(9.0 * d / t + 0.02);
                t += d.clamp(0.03, 0.5);
            }
        }
        smooth(0.0, 1.0, lit)
    }

    /// Sky light that nearby surfaces take away.
    fn occlusion(&self, p: V3, n: V3) -> f32 {
        let mut taken = 0.0;
        for (s, weight) in [(0.06, 1.6), (0.20, 1.0), (0.48, 0.62)] {
            let q = p + n * s;
            let near = self.objects.iter().filter(|o| o.reaches(q, s));
            let d = near.fold(backdrop(q), |d, o| d.min(o.distance(q)));
            taken += (s - d).clamp(0.0, 1.0) * weight;
        }
        (1.0 - taken * 1.25).clamp(0.12, 1.0)
    }

    /// A window or leaves between the lamp and the set.
    fn screened(&self, p: V3) -> f32 {
        let (x, z) = (p.x - self.lamp.x / self.lamp.y * p.y, p.z - self.lamp.z / self.lamp.y * p.y);
        match self.screen {
            Screen::Open => 1.0,
            Screen::Leaves => 0.30 + 0.70 * smooth(0.40, 0.56, fbm(x * 1.5 + 30.0, z * 1.5 + 30.0, 3, 0.5, self.seed)),
            Screen::Window => {
                let pane = |v: f32| smooth(0.03, 0.13, 0.5 - (v - floor(v) as f32 - 0.5).abs());
                let (a, b) = (x * 0.92 + z * 0.38, z * 0.92 - x * 0.38);
                0.22 + 0.78 * pane(a * 0.62 + 5.2) * pane(b * 0.45 + 5.6)
            }
        }
    }

    fn shade(&self, p: V3, ray: V3, hit: &Hit<'_>) -> V3 {
        let n = normal(p, hit.object);
        let facing = n.dot(self.lamp).clamp(0.0, 1.0);
        let shadow = if facing > 0.01 { self.shadow(p + n * 0.012) } else { 0.0 };
        let key = facing * shadow * if shadow > 0.0 { self.screened(p) } else { 0.0 };
        let open = self.occlusion(p, n);
        let (albedo, gloss) = match hit.object {
            Some(o) => (o.colour_at(p), o.gloss),
            None => (self.floor.to(self.wall, smooth(0.1, 1.9, p.y)), 0.05),
        };
        let bounce = (0.5 - 0.5 * n.y) * (-1.1 * p.y.max(0.0)).exp() * open;
        let light = self.lamp_colour * key + self.sky * ((0.5 + 0.5 * n.y) * open) + self.floor * (0.42 * bounce);
        let half = (self.lamp - ray).unit();
        let shine = n.dot(half).clamp(0.0, 1.0).powf(12.0 + 130.0 * gloss * gloss);
        let rim = (1.0 + n.dot(ray)).clamp(0.0, 1.0).powi(4) * open * (0.10 + 0.35 * gloss);
        let white = 0.55 * gloss * shadow * shine;
        albedo * light + v3(white, white, white) + self.wall * (rim * 0.45)
    }
}

impl Scene for Solid {
    fn colour(&self, x: f32, y: f32) -> V3 {
        let (u, v) = (x * 2.0 - self.aspect, 1.0 - y * 2.0);
        let ray = (self.ahead + self.right * u + self.up * v).unit();
        let hit = self.trace(ray);
        self.shade(self.eye + ray * hit.t, ray, &hit).map(|c| c.min(1.6))
    }

    fn hard_edges(&self) -> bool {
        true
    }
}

fn screen(choice: &Choice, rng: &mut Rng) -> Screen {
    let drawn = rng.below(3);
    if choice.has("window light sunlight morning") || drawn == 0 {
        Screen::Window
    } else if choice.has("leaf leaves plant botanical palm shadow") || drawn == 1 {
        Screen::Leaves
    } else {
        Screen::Open
    }
}

/// Floor and wall, joined by a wide curve.
fn backdrop(p: V3) -> f32 {
    let (floor, wall) = (p.y, WALL - p.z);
    let h = (0.5 + 0.5 * (wall - floor) / CURVE).clamp(0.0, 1.0);
    wall + (floor - wall) * h - CURVE * h * (1.0 - h)
}

fn normal(p: V3, object: Option<&Object>) -> V3 {
    let field = |q: V3| object.map_or_else(|| backdrop(q), |o| o.distance(q));
    let corners = [v3(1.0, -1.0, -1.0), v3(-1.0, -1.0, 1.0), v3(-1.0, 1.0, -1.0), v3(1.0, 1.0, 1.0)];
    corners.iter().fold(V3::default(), |n, c| n + *c * field(p + *c * 0.006)).unit()
}
