//! Gradients: six soft spots of colour, mixed in `OKLab` on warped coordinates.

use super::choice::Choice;
use super::colour::{from_lab, to_lab};
use super::numbers::{V3, fbm};
use super::{Frame, Scene};

struct Spot {
    x: f32,
    y: f32,
    r: f32,
    lab: V3,
}

pub(super) struct Gradient {
    spots: Vec<Spot>,
    seed: u32,
}

impl Gradient {
    pub(super) fn new(choice: &Choice, frame: &Frame) -> Self {
        let mut rng = choice.rng.clone();
        let seed = rng.seed();
        let [ground, wall, a, b, c, d] = choice.stuff;
        let mut spot = |colour: V3| Spot {
            x: rng.between(0.0, frame.aspect),
            y: rng.between(0.0, 1.0),
            r: rng.between(0.22, 0.5),
            lab: to_lab(colour),
        };
        Self { spots: [a, b, c, wall, d, ground].map(&mut spot).into(), seed }
    }
}

impl Scene for Gradient {
    fn colour(&self, x: f32, y: f32) -> V3 {
        let s = self.seed;
        let a = fbm(x * 1.2 + 3.0, y * 1.2 + 3.0, 3, 0.45, s);
        let b = fbm(x * 1.2 + 63.0, y * 1.2 + 33.0, 3, 0.45, s ^ 4);
        let (px, py) = (x + (a - 0.5) * 0.9, y + (b - 0.5) * 0.9);
        let (mut sum, mut total) = (V3::default(), 0.0);
        for spot in &self.spots {
            let (dx, dy) = (px - spot.x, py - spot.y);
            let weight = (-(dx * dx + dy * dy) / (spot.r * spot.r)).exp() + 1e-4;
            sum = sum + spot.lab * weight;
            total += weight;
        }
        let mut lab = sum * (1.0 / total);
        lab.x += 0.045 * ((a * 2.2 + b * 1.4 + px * 0.7) * 9.0).sin();
        from_lab(lab)
    }

    fn grain(&self) -> f32 {
        0.045
    }
}
