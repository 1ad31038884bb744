//! The colours of a picture before the picture: a thumbhash turned into six rectangles.
//!
//! Done here and not in the browser, so that a page shows them with its first paint and without a
//! script. A thumbhash is a few cosine terms of a tiny picture in a luminance and two colour axes;
//! evaluating them at the centres of a 3 by 2 grid gives the six colours.

use std::f32::consts::PI;

/// Six fills, row by row, as `#rrggbb`.
pub type Rects = [String; 6];

/// The header of a thumbhash: average colour, scales, and how many terms follow.
struct Header {
    l_dc: f32,
    p_dc: f32,
    q_dc: f32,
    l_scale: f32,
    p_scale: f32,
    q_scale: f32,
    lx: usize,
    ly: usize,
    alpha: bool,
}

/// Colours for the six rectangles; `None` for a hash that is none.
pub fn rects(hash: &[u8]) -> Option<Rects> {
    let header = header(hash)?;
    let nibbles = hash.get(if header.alpha { 6 } else { 5 }..)?;
    let mut terms = nibbles.iter().flat_map(|byte| [byte & 15, byte >> 4]).map(|value| f32::from(value) / 7.5 - 1.0);
    let l = channel(&mut terms, header.lx, header.ly, header.l_scale);
    let p = channel(&mut terms, 3, 3, header.p_scale * 1.25);
    let q = channel(&mut terms, 3, 3, header.q_scale * 1.25);
    Some(std::array::from_fn(|at| {
        let x = (at % 3) as f32 / 3.0 + 1.0 / 6.0;
        let y = (at / 3) as f32 / 2.0 + 0.25;
        colour(header.l_dc + value(&l, x, y), header.p_dc + value(&p, x, y), header.q_dc + value(&q, x, y))
    }))
}

fn header(hash: &[u8]) -> Option<Header> {
    let [a, b, c, d, e, ..] = *hash else { return None };
    let first = u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16;
    let second = u32::from(d) | u32::from(e) << 8;
    let part = |from: u32, shift: u32, bits: u32| (from >> shift & ((1 << bits) - 1)) as f32;
    let alpha = first >> 23 == 1;
    let landscape = second >> 15 == 1;
    let short = (second & 7) as usize;
    let long = if alpha { 5 } else { 7 };
    let (lx, ly) = if landscape { (long, short) } else { (short, long) };
    Some(Header {
        l_dc: part(first, 0, 6) / 63.0,
        p_dc: part(first, 6, 6) / 31.5 - 1.0,
        q_dc: part(first, 12, 6) / 31.5 - 1.0,
        l_scale: part(first, 18, 5) / 31.0,
        p_scale: part(second, 3, 6) / 63.0,
        q_scale: part(second, 9, 6) / 63.0,
        lx: lx.max(3),
        ly: ly.max(3),
        alpha,
    })
}

/// One cosine term: horizontal and vertical frequency, and its weight.
type Term = (f32, f32, f32);

// The terms are stored as a triangle: low frequencies only, the constant one is in the header.
fn channel(terms: &mut impl Iterator<Item = f32>, nx: usize, ny: usize, scale: f32) -> Vec<Term> {
    let mut found = Vec::new();
    for y in 0..ny {
        let first = usize::from(y == 0);
        for x in (first..).take_while(|x| x * ny < nx * (ny - y)) {
            let Some(weight) = terms.next() else { return found };
            found.push((x as f32, y as f32, weight * scale));
        }
    }
    found
}

fn value(terms: &[Term], x: f32, y: f32) -> f32 {
    terms.iter().map(|(fx, fy, weight)| weight * (PI * fx * x).cos() * (PI * fy * y).cos() * 2.0).sum()
}

fn colour(l: f32, p: f32, q: f32) -> String {
    let blue = l - 2.0 / 3.0 * p;
    let red = (3.0 * l - blue + q) / 2.0;
    let green = red - q;
    let byte = |part: f32| (part.clamp(0.0, 1.0) * 255.0).round() as u8;
    format!("#{:02x}{:02x}{:02x}", byte(red), byte(green), byte(blue))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_of_one_colour_gives_that_colour() {
        // l 32/63, p and q at their middle, all scales zero: as grey as six bits can say it.
        let first: u32 = 32 | (31 << 6) | (31 << 12);
        let [low, middle, high, _] = first.to_le_bytes();
        let rects = rects(&[low, middle, high, 3, 0]).unwrap();
        assert!(rects.iter().all(|fill| fill == "#7e8284"), "{rects:?}");
    }

    #[test]
    fn a_real_hash_gives_the_colours_of_its_picture() {
        // A sunrise in the format's own documentation.
        let hash = [213, 7, 18, 29, 4, 103, 135, 143, 119, 87, 135, 72, 135, 135, 151, 135, 88, 120, 144, 149, 8];
        assert_eq!(rects(&hash).unwrap(), ["#8e8691", "#aea0a0", "#898991", "#07070f", "#2e2625", "#222732"]);
    }

    #[test]
    fn broken_hashes_are_refused_or_harmless() {
        assert!(rects(&[]).is_none());
        assert!(rects(&[1, 2, 3, 4]).is_none());
        for byte in 0..=255u8 {
            let filled = rects(&[byte; 25]).unwrap();
            assert!(filled.iter().all(|fill| fill.len() == 7));
        }
    }
}
