//! Colour: hex to linear RGB, mixing in `OKLab`, and ramps read from a table.

use super::numbers::{V3, v3};

pub(super) const WHITE: V3 = v3(1.0, 1.0, 1.0);

/// A `0xRRGGBB` colour as linear RGB.
pub(super) fn lin(hex: u32) -> V3 {
    let part = |shift: u32| linear(((hex >> shift) & 255) as f32 / 255.0);
    v3(part(16), part(8), part(0))
}

pub(super) fn linear(s: f32) -> f32 {
    if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
}

pub(super) fn encoded(u: f32) -> f32 {
    if u <= 0.003_130_8 { 12.92 * u } else { 1.055 * u.powf(1.0 / 2.4) - 0.055 }
}

pub(super) fn luma(c: V3) -> f32 {
    c.dot(v3(0.2126, 0.7152, 0.0722))
}

pub(super) fn to_lab(c: V3) -> V3 {
    let long = c.dot(v3(0.412_221_46, 0.536_332_55, 0.051_445_995));
    let medium = c.dot(v3(0.211_903_5, 0.680_699_5, 0.107_396_96));
    let short = c.dot(v3(0.088_302_46, 0.281_718_85, 0.629_978_7));
    let cone = v3(long, medium, short).map(|v| v.max(0.0).cbrt());
    v3(
        cone.dot(v3(0.210_454_26, 0.793_617_8, -0.004_072_047)),
        cone.dot(v3(1.977_998_5, -2.428_592_2, 0.450_593_7)),
        cone.dot(v3(0.025_904_037, 0.782_771_77, -0.808_675_77)),
    )
}

pub(super) fn from_lab(c: V3) -> V3 {
    let cone = v3(
        c.dot(v3(1.0, 0.396_337_78, 0.215_803_76)),
        c.dot(v3(1.0, -0.105_561_346, -0.063_854_17)),
        c.dot(v3(1.0, -0.089_484_18, -1.291_485_5)),
    )
    .map(|v| v * v * v);
    v3(
        cone.dot(v3(4.076_741_7, -3.307_711_6, 0.230_969_94)),
        cone.dot(v3(-1.268_438, 2.609_757_4, -0.341_319_4)),
        cone.dot(v3(-0.004_196_086_3, -0.703_418_6, 1.707_614_7)),
    )
    .map(|v| v.max(0.0))
}

/// Between two linear colours, by way of `OKLab`, so that the middle stays clean.
pub(super) fn mix(a: V3, b: V3, t: f32) -> V3 {
    from_lab(to_lab(a).to(to_lab(b), t))
}

/// A gradient through colours at places in 0..1.
pub(super) struct Ramp(Vec<V3>);

const RAMP: u32 = 511;

impl Ramp {
    pub(super) fn new(stops: &[(f32, V3)]) -> Self {
        let lab: Vec<_> = stops.iter().map(|&(p, c)| (p, to_lab(c))).collect();
        Self((0..=RAMP).map(|i| from_lab(between(&lab, i as f32 / RAMP as f32))).collect())
    }
    pub(super) fn at(&self, t: f32) -> V3 {
        let i = (t.clamp(0.0, 1.0) * RAMP as f32) as usize;
        self.0.get(i).copied().unwrap_or_default()
    }
}

fn between(stops: &[(f32, V3)], t: f32) -> V3 {
    let mut last = stops.first().copied().unwrap_or_default();
    for &(p, c) in stops {
        if t <= p {
            return last.1.to(c, (t - last.0) / (p - last.0).max(1e-6));
        }
        last = (p, c);
    }
    last.1
}
