//! What every caller relies on: the same bytes for the same call, a size that is kept, a way to stop.

use super::*;

fn small(prompt: &str, seed: u32) -> Painting<'_> {
    Painting { prompt, seed, width: 72, height: 48, photo: None, strength: 0.0, mask: None, fine: false }
}

fn painted(painting: &Painting<'_>) -> Vec<u8> {
    paint(painting, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// Mean difference of two pictures, in levels.
fn apart(a: &[u8], b: &[u8]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f32::from(a.abs_diff(*b))).sum::<f32>() / a.len() as f32
}

#[test]
fn same_call_gives_same_bytes_and_seed_and_words_change_them() {
    for prompt in ["mountain lake", "ocean", "teapot", "spheres", "silk", "gradient", ""] {
        let first = painted(&small(prompt, 1));
        assert_eq!(first, painted(&small(prompt, 1)), "{prompt}");
        assert!(apart(&first, &painted(&small(prompt, 2))) > 2.0, "{prompt}");
        assert!(first.iter().collect::<std::collections::HashSet<_>>().len() > 40, "{prompt} is dull");
    }
    assert!(apart(&painted(&small("lake at night", 1)), &painted(&small("lake at noon", 1))) > 20.0);
    let fine = painted(&Painting { fine: true, ..small("spheres", 1) });
    assert!((0.01..6.0).contains(&apart(&fine, &painted(&small("spheres", 1)))));
}

#[test]
fn sizes_are_kept() {
    for (width, height) in [(1, 1), (2, 90), (200, 3)] {
        for prompt in ["mountain lake", "island", "vase", "silk", "gradient"] {
            let picture = painted(&Painting { width, height, ..small(prompt, 3) });
            assert_eq!(picture.len(), (width * height * 3) as usize);
        }
    }
}

#[test]
fn watcher_hears_every_step_and_can_stop() {
    let (mut heard, mut sharp) = (Vec::new(), Vec::new());
    let stopped = paint(&small("mountains", 1), &mut |number, preview| {
        assert_eq!(preview.dimensions(), (72, 48));
        sharp.push(preview.windows(4).map(|w| u32::from(w[0].abs_diff(w[3]))).sum::<u32>());
        heard.push(number);
        if number == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(stopped.is_none() && heard == [1, 2, 3, 4, 5, 6, 7] && sharp[0] * 3 < sharp[6] * 2, "{sharp:?}");
}

#[test]
fn reference_shows_and_mask_keeps_it() {
    let rgb: Vec<u8> = (0..72 * 48).flat_map(|i| if i % 72 < 36 { [220, 40, 30] } else { [20, 30, 90] }).collect();
    let guided = |strength, mask| painted(&Painting { photo: Some(&rgb), strength, mask, ..small("ocean", 1) });
    let plain = painted(&small("ocean", 1));
    let [weak, strong] = [0.2, 0.9].map(|strength| guided(strength, None));
    assert!(apart(&rgb, &strong) < apart(&rgb, &weak) && apart(&rgb, &weak) < apart(&rgb, &plain));
    let mask: Vec<u8> = (0..72 * 48).map(|i| if i < 72 * 24 { 0 } else { 255 }).collect();
    let edited = guided(0.5, Some(&mask));
    let (kept, fresh) = edited.split_at(72 * 24 * 3);
    assert!(kept == &rgb[..kept.len()] && apart(fresh, &rgb[kept.len()..]) > 10.0);
    assert_eq!(painted(&Painting { photo: Some(&rgb[1..]), strength: 1.0, ..small("ocean", 1) }), plain);
}
