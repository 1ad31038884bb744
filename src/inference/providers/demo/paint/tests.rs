//! What every caller relies on: the same bytes for the same call, a size that is kept, a way to stop.

use super::*;

fn small(prompt: &str, seed: u32) -> Painting<'_> {
    let (reference, mask, detail) = (None, None, Detail::Standard);
    Painting { prompt, seed, width: 96, height: 64, reference, mask, detail }
}

fn painted(painting: &Painting<'_>) -> Vec<u8> {
    paint(painting, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Mean difference of two pictures, in levels.
fn apart(a: &[u8], b: &[u8]) -> f32 {
    let sum: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    sum as f32 / a.len() as f32
}

#[test]
fn same_call_gives_same_bytes_and_seed_and_words_change_them() {
    for prompt in ["mountain lake", "ocean", "teapot", "shapes", "arches", "silk", "gradient", ""] {
        let first = painted(&small(prompt, 1));
        assert_eq!(first, painted(&small(prompt, 1)), "{prompt}");
        assert!(apart(&first, &painted(&small(prompt, 2))) > 2.0, "{prompt}");
        let levels = first.iter().collect::<std::collections::HashSet<_>>().len();
        assert!(levels > 40, "{prompt} has only {levels} levels");
    }
    assert!(apart(&painted(&small("lake at night", 1)), &painted(&small("lake at noon", 1))) > 20.0);
}

#[test]
fn sizes_are_kept() {
    for (width, height) in [(256, 256), (320, 180), (90, 160), (1, 1), (3, 200)] {
        for prompt in ["desert dunes", "sailboat", "vase"] {
            let painting = Painting { width, height, ..small(prompt, 3) };
            assert_eq!(painted(&painting).len(), (width * height * 3) as usize);
        }
    }
}

#[test]
fn detail_changes_edges_only() {
    let draft = painted(&Painting { detail: Detail::Draft, ..small("spheres", 1) });
    let fine = painted(&Painting { detail: Detail::Fine, ..small("spheres", 1) });
    assert!(draft != fine && apart(&draft, &fine) < 6.0);
}

#[test]
fn watcher_hears_every_step_and_can_stop() {
    let (mut heard, mut sharp) = (Vec::new(), Vec::new());
    let mut watch = |step: Step<'_>| {
        heard.push(step.number);
        let preview = step.preview.unwrap();
        assert_eq!(preview.rgb.len(), (preview.width * preview.height * 3) as usize);
        sharp.push(preview.rgb.windows(4).map(|w| u32::from(w[0].abs_diff(w[3]))).sum::<u32>());
        ControlFlow::Continue(())
    };
    paint(&small("mountains", 1), &mut watch).unwrap();
    assert_eq!(heard, (1..=STEPS).collect::<Vec<_>>());
    assert!(sharp.first() < sharp.last());
    let mut steps = 0;
    let stopped = paint(&small("mountains", 1), &mut |_| {
        steps += 1;
        if steps == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(stopped.is_none() && steps == 3);
}

#[test]
fn reference_shows_and_mask_keeps_it() {
    let rgb: Vec<u8> = (0..96 * 64).flat_map(|i| if i % 96 < 48 { [220, 40, 30] } else { [20, 30, 90] }).collect();
    let photo = |strength| Some(Photo { rgb: &rgb, width: 96, height: 64, strength });
    let plain = painted(&small("ocean", 1));
    let weak = painted(&Painting { reference: photo(0.2), ..small("ocean", 1) });
    let strong = painted(&Painting { reference: photo(0.9), ..small("ocean", 1) });
    assert!(apart(&rgb, &strong) < apart(&rgb, &weak) && apart(&rgb, &weak) < apart(&rgb, &plain));
    let mask: Vec<u8> = (0..96 * 64).map(|i| if i < 96 * 32 { 0 } else { 255 }).collect();
    let edited = painted(&Painting { reference: photo(0.5), mask: Some(&mask), ..small("ocean", 1) });
    let (kept, fresh) = edited.split_at(96 * 32 * 3);
    assert_eq!(kept, &rgb[..kept.len()]);
    assert!(apart(fresh, &rgb[kept.len()..]) > 10.0);
    let torn = Some(Photo { rgb: &rgb[1..], width: 96, height: 64, strength: 1.0 });
    assert_eq!(painted(&Painting { reference: torn, ..small("ocean", 1) }), plain);
}
