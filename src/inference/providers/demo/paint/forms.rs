//! The solids of the still lifes: signed distances, and boxes around them that spare most of the asking.

use super::numbers::{V3, hypot, smooth, v3};

pub(super) enum Form {
    Ball(f32),
    /// Half sizes.
    Block(V3),
    /// Radius and half height.
    Column(f32, f32),
    /// Large and small radius; the hole looks along z.
    Ring(f32, f32),
    /// A tapering rod from the origin.
    Rod(V3, f32),
    /// A doorway: inner width and height, thickness and half depth of the frame.
    Arch(f32, f32, f32, f32),
    /// A turned body: radius at even heights, and its height.
    Turned(Vec<f32>, f32),
}

pub(super) struct Object {
    pub form: Form,
    pub at: V3,
    pub colour: V3,
    /// The colour from the middle upwards.
    pub upper: V3,
    pub gloss: f32,
    /// Middle and half sides of a box around it.
    centre: V3,
    half: V3,
}

impl Object {
    pub(super) fn new(form: Form, at: V3, colour: V3, gloss: f32) -> Self {
        let (middle, half) = form.bound();
        Self { form, at, colour, upper: colour, gloss, centre: at + middle, half }
    }

    pub(super) fn colour_at(&self, p: V3) -> V3 {
        self.colour.to(self.upper, smooth(-0.004, 0.004, p.y - self.centre.y))
    }

    pub(super) fn distance(&self, p: V3) -> f32 {
        self.form.distance(p - self.at)
    }

    /// Where a ray, given by the inverse of its direction, enters and leaves the box, widened by `slack`.
    pub(super) fn span(&self, from: V3, inverse: V3, slack: f32) -> Option<(f32, f32)> {
        let (to, half) = (self.centre - from, self.half);
        let (mut enter, mut leave) = (0.0_f32, f32::MAX);
        for (to, inv, half) in [(to.x, inverse.x, half.x), (to.y, inverse.y, half.y), (to.z, inverse.z, half.z)] {
            let (a, b) = ((to - half - slack) * inv, (to + half + slack) * inv);
            (enter, leave) = (enter.max(a.min(b)), leave.min(a.max(b)));
        }
        (enter < leave).then_some((enter, leave))
    }

    /// Where a ray to the lamp passes so near that the object takes light away.
    pub(super) fn penumbra(&self, from: V3, lamp: V3, inverse: V3) -> Option<(f32, f32)> {
        let along = (self.centre - from).dot(lamp) + self.half.length();
        if along < 0.0 {
            return None;
        }
        self.span(from, inverse, along.min(4.0) / 9.0).map(|(a, b)| (a.max(0.03), b.min(4.5)))
    }

    pub(super) fn reaches(&self, p: V3, far: f32) -> bool {
        let d = (p - self.centre).map(f32::abs) - self.half;
        d.x.max(d.y).max(d.z) < far
    }
}

impl Form {
    fn distance(&self, p: V3) -> f32 {
        match self {
            Self::Ball(r) => p.length() - r,
            Self::Block(half) => block(p, *half),
            Self::Column(r, half) => {
                let (a, b) = (hypot(p.x, p.z) - r + 0.04, p.y.abs() - half + 0.04);
                hypot(a.max(0.0), b.max(0.0)) + a.max(b).min(0.0) - 0.04
            }
            Self::Ring(big, small) => hypot(hypot(p.x, p.y) - big, p.z) - small,
            Self::Rod(to, r) => {
                let t = (p.dot(*to) / to.dot(*to)).clamp(0.0, 1.0);
                (p - *to * t).length() - r * (1.0 - 0.35 * t)
            }
            Self::Arch(width, height, thick, depth) => {
                let half = v3(width / 2.0 + thick, height / 2.0 + thick * 0.6, *depth);
                let spring = height - width / 2.0;
                let door = (p.x.abs() - width / 2.0).max(p.y - spring);
                let door = door.min(hypot(p.x, p.y - spring) - width / 2.0);
                block(p - v3(0.0, height / 2.0, 0.0), half).max(-door)
            }
            Self::Turned(radii, height) => turned(p, radii, *height),
        }
    }

    /// Middle and half sides of a box around the form.
    fn bound(&self) -> (V3, V3) {
        let up = |y: f32| v3(0.0, y, 0.0);
        match self {
            Self::Ball(r) => (up(0.0), v3(*r, *r, *r)),
            Self::Block(half) => (up(0.0), *half),
            Self::Column(r, half) => (up(0.0), v3(*r, *half, *r)),
            Self::Ring(big, small) => (up(0.0), v3(big + small, big + small, *small)),
            Self::Rod(to, r) => (*to * 0.5, to.map(|v| v.abs() * 0.5 + r)),
            Self::Arch(w, h, thick, depth) => (up(h / 2.0), v3(w / 2.0 + thick, h / 2.0 + thick * 0.6, *depth)),
            Self::Turned(radii, h) => {
                let wide = radii.iter().copied().fold(0.0, f32::max);
                (up(h / 2.0), v3(wide, h / 2.0, wide))
            }
        }
    }
}

fn block(p: V3, half: V3) -> f32 {
    let q = p.map(f32::abs) - half + v3(0.03, 0.03, 0.03);
    q.map(|v| v.max(0.0)).length() + q.x.max(q.y).max(q.z).min(0.0) - 0.03
}

/// The distance is scaled down, as the slope of the side is not known.
fn turned(p: V3, radii: &[f32], height: f32) -> f32 {
    let steps = radii.len() as f32 - 1.0;
    let s = (p.y / height * steps - 0.5).clamp(0.0, steps - 1.001);
    let f = s - s as u32 as f32;
    let radius = match radii.get(s as usize..s as usize + 3) {
        // A curve of second degree, as a kink would show in the light.
        Some(&[a, b, c]) => (a * (1.0 - f) * (1.0 - f) + c * f * f) * 0.5 + b * (0.5 + f - f * f),
        _ => 0.0,
    };
    ((hypot(p.x, p.z) - radius) * 0.62).max(p.y - height).max(-p.y)
}

/// A turned body through pairs of height and radius, softened.
pub(super) fn profile(points: &[f32]) -> Form {
    let height = points.iter().rev().nth(1).copied().unwrap_or(1.0);
    let mut radii: Vec<f32> = (0..64).map(|i| radius_at(points, height * i as f32 / 63.0)).collect();
    for _ in 0..8 {
        let old = radii.clone();
        let sides = old.iter().zip(old.iter().skip(2));
        radii.iter_mut().skip(1).zip(sides).for_each(|(r, (a, b))| *r = (a + 2.0 * *r + b) / 4.0);
    }
    Form::Turned(radii, height)
}

fn radius_at(points: &[f32], y: f32) -> f32 {
    let mut last = (0.0, points.get(1).copied().unwrap_or(0.0));
    for pair in points.chunks_exact(2) {
        let &[h, r] = pair else { continue };
        if y <= h {
            return last.1 + (r - last.1) * (y - last.0) / (h - last.0).max(1e-6);
        }
        last = (h, r);
    }
    last.1
}
