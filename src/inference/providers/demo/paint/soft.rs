//! Pictures without things: silk in folds, and gradients of soft spots of colour.

use super::choice::Choice;
use super::numbers::{Ramp, V3, WHITE, fbm, floor, hash, mix};
use super::{Frame, Scene};

/// Folds as a height field, lit from the upper left, with a soft highlight.
pub(super) fn silk(choice: &Choice, frame: Frame) -> Scene {
    let mut rng = choice.rng.clone();
    let [_, _, base, ..] = choice.stuff;
    let black = WHITE * 0.005;
    let ramp = Ramp::new(&[mix(base, black, 0.72), mix(base, black, 0.30), base, mix(base, WHITE, 0.50)]);
    let (shine, (sin, cos)) = (mix(base, WHITE, 0.75) * 0.4, rng.between(0.3, 1.0).sin_cos());
    let (seed, e) = (rng.seed(), frame.pixel.max(0.001));
    let height = move |x: f32, y: f32| {
        let a = fbm(x * 1.1 + 5.0, y * 1.1 + 5.0, 2.0, seed);
        let b = fbm(x * 1.1 + 45.0, y * 1.1 + 25.0, 2.0, seed ^ 3);
        let u = x * cos + y * sin + (a - 0.5) * 0.9;
        (u * 9.0 + b * 5.0).sin() * 0.5 + (u * 17.0 + a * 7.0).sin() * 0.22 + b * 0.8
    };
    Box::new(move |x, y| {
        let h = height(x, y);
        let [nx, ny] = [height(x + e, y), height(x, y + e)].map(|there| (h - there) / e * 0.055);
        let scale = 1.0 / (nx * nx + ny * ny + 1.0).sqrt();
        let light = ((0.67 - nx * 0.50 - ny * 0.55) * scale).clamp(0.0, 1.0);
        let gloss = ((0.90 - nx * 0.28 - ny * 0.32) * scale).clamp(0.0, 1.0).powi(26);
        let thread = hash(floor((x * cos - y * sin) * 900.0), floor((x * sin + y * cos) * 90.0), seed);
        (ramp.at(light.powf(1.1)) + shine * gloss) * (0.975 + 0.05 * thread)
    })
}

/// Six soft spots of colour, mixed as the eye sees them, on warped coordinates.
pub(super) fn gradient(choice: &Choice, frame: Frame) -> Scene {
    let mut rng = choice.rng.clone();
    let seed = rng.seed();
    let spots = choice.stuff.map(|colour| {
        let (x, y) = (rng.between(0.0, frame.aspect), rng.between(0.0, 1.0));
        (x, y, rng.between(0.22, 0.5), colour.map(f32::sqrt))
    });
    Box::new(move |x, y| {
        let a = fbm(x * 1.2 + 3.0, y * 1.2 + 3.0, 2.3, seed);
        let b = fbm(x * 1.2 + 63.0, y * 1.2 + 33.0, 2.3, seed ^ 4);
        let (px, py) = (x + (a - 0.5) * 0.9, y + (b - 0.5) * 0.9);
        let (mut sum, mut total) = (V3::default(), 0.0);
        for (sx, sy, r, colour) in spots {
            let (dx, dy) = ((px - sx) / r, (py - sy) / r);
            let weight = (-(dx * dx + dy * dy)).exp() + 1e-4;
            sum = sum + colour * weight;
            total += weight;
        }
        let c = sum * ((1.0 + 0.07 * ((a * 2.2 + b * 1.4 + px * 0.7) * 9.0).sin()) / total);
        c * c
    })
}
