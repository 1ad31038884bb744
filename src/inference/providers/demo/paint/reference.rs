//! The reference photo: its main colours, its light and dark places, and the parts of it that a mask keeps.

use image::{
    ImageBuffer, Rgb,
    imageops::{FilterType, resize},
};

use super::Painting;
use super::numbers::{V3, linear};

pub(super) struct Guide<'a> {
    /// At the size of the picture: with a mask the photo itself, else the photo softened to the width of a brush.
    pixels: Vec<[u8; 3]>,
    mask: Option<&'a [u8]>,
    /// Six main colours, brightest first.
    pub palette: [V3; 6],
    pub strength: f32,
    mean: f32,
}

impl<'a> Guide<'a> {
    /// Nothing without a photo of the right size.
    pub(super) fn new(painting: &Painting<'a>) -> Option<Self> {
        let Painting { width, height, .. } = *painting;
        let all = width as usize * height as usize;
        let photo = painting.photo.filter(|photo| photo.len() == all * 3)?;
        let photo = ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, photo)?;
        // So many brush strokes cross the short side.
        let short = width.min(height).max(112);
        let [w, h] = [width, height].map(|side| (side * 112 / short).max(1));
        let brushed = resize(&photo, w, h, FilterType::Triangle);
        let small = resize(&brushed, 48, 48, FilterType::Triangle);
        let colours: Vec<V3> = small.pixels().map(|pixel| seen(pixel.0)).collect();
        let mask = painting.mask.filter(|mask| mask.len() == all);
        let soft = || resize(&brushed, width, height, FilterType::Triangle);
        Some(Self {
            pixels: if mask.is_some() { pixels(&photo) } else { pixels(&soft()) },
            mask,
            mean: mean(&colours).y.max(0.05),
            palette: palette(colours),
            strength: painting.strength.clamp(0.0, 1.0),
        })
    }

    /// The painted colour with the light, and some of the colour, of the photo; with a mask it stays as it is.
    pub(super) fn over(&self, painted: V3, at: usize) -> V3 {
        let Some(&photo) = self.pixels.get(at).filter(|_| self.mask.is_none()) else { return painted };
        let lit = 1.0 + 0.5 * self.strength * (seen(photo).y / self.mean - 1.0);
        let c = (painted.map(f32::sqrt) * lit.clamp(0.3, 1.9)).to(seen(photo), 0.72 * self.strength);
        c * c
    }

    /// What the mask leaves of a new pixel; the rest is the photo, to the bit.
    pub(super) fn masked(&self, new: [u8; 3], at: usize) -> [u8; 3] {
        let alpha = self.mask.and_then(|mask| mask.get(at)).map_or(255, |a| u32::from(*a));
        let mut both = self.pixels.get(at).copied().unwrap_or(new);
        for (old, new) in both.iter_mut().zip(new) {
            *old = ((u32::from(new) * alpha + u32::from(*old) * (255 - alpha) + 127) / 255) as u8;
        }
        both
    }
}

fn pixels<C: std::ops::Deref<Target = [u8]>>(picture: &ImageBuffer<Rgb<u8>, C>) -> Vec<[u8; 3]> {
    picture.pixels().map(|pixel| pixel.0).collect()
}

/// A pixel as the eye sees it: the root of its light.
fn seen(pixel: [u8; 3]) -> V3 {
    linear(pixel).map(f32::sqrt)
}

fn mean(colours: &[V3]) -> V3 {
    colours.iter().fold(V3::default(), |sum, c| sum + *c) * (1.0 / colours.len().max(1) as f32)
}

/// Of six steps of lightness, each the mean of its most vivid third.
fn palette(mut colours: Vec<V3>) -> [V3; 6] {
    let vivid = |c: &V3| c.x.max(c.y).max(c.z) - c.x.min(c.y).min(c.z);
    colours.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut steps = colours.chunks_mut(48 * 8).map(|step| {
        step.sort_by(|a, b| vivid(b).total_cmp(&vivid(a)));
        let c = mean(step.get(..128).unwrap_or_default());
        c * c
    });
    [(); 6].map(|()| steps.next().unwrap_or_default())
}
