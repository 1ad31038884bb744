//! The choice: words of the prompt name a motif, a light and a material; the seed decides the rest.

use super::colour::{lin, mix};
use super::numbers::{Rng, V3};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Motif {
    Still,
    Shapes,
    Rooms,
    Silk,
    Gradient,
    Ocean,
    Landscape,
}

/// The first line with a word of the prompt decides. Words for what is not painted here lead to the nearest.
const MOTIFS: &[(Motif, &str)] = &[
    (Motif::Silk, "silk satin drape fabric textile cloth velvet curtain fashion dress scarf linen wool tweed tartan"),
    (
        Motif::Rooms,
        "architecture arch arches stair stairs staircase courtyard room interior house building city town street skyline office hotel museum temple",
    ),
    (
        Motif::Still,
        "product bottle vase jar carafe bowl tube ceramic ceramics pottery serum skincare perfume cosmetic packaging juice teapot tea cup mug coffee wine still-life fruit food drink glass candle kitchen watch",
    ),
    (
        Motif::Shapes,
        "shape geometric 3d render solid solids ball sphere spheres planet planets saturn orbit toy robot car cube object abstract-3d sculpture",
    ),
    (
        Motif::Gradient,
        "abstract gradient background blur texture logo icon pattern paper ribbons swell flowing wallpaper poster banner",
    ),
    (
        Motif::Ocean,
        "ocean sea beach coast sailboat sail boat yacht ship island wave waves shore lagoon harbour harbor bay seascape surf",
    ),
    (
        Motif::Landscape,
        "landscape mountain mountains lake hill hills dune desert valley meadow field vineyard countryside aurora fjord forest wood woodland tree trees garden flower portrait person woman man face cat dog fox bird horse animal galaxy space stars sky",
    ),
];

/// Sky from the zenith to the horizon (four), haze, far, near, sun; after the bar the words that choose it.
const LIGHTS: &str = "\
dawn 6d8fb3 a9bccb efcdb4 ffe4c4 f1d2bf a3a7bd 20343c fff3d6|dawn sunrise morning early mist misty spring
sunset 33406f 86608c e58b6c ffd08c f0a988 966f90 1c1d31 fff2c6|sunset dusk evening golden warm romantic
noon 4484bd 82b4da bfdcea eef5ee cde0e6 8aadbd 1f4637 ffffff|noon day daylight summer clear bright sunny meadow green
night 070d20 122447 274b6f 618699 34597a 23456a 050a12 f1f5ff|night midnight moon moonlit moonlight stars starry aurora neon space galaxy dark
storm 3c4852 67747c 9aa3a4 cccbc0 adb4b3 76848a 18242a f6f0df|storm stormy rain rainy cloudy grey gray fog foggy overcast dramatic
autumn 7d93a6 b8c0bb ead5ae f8e7c2 e7caa0 b78f66 35201a fff1cc|autumn fall harvest october november
winter 7d9dc1 b4c8dc e0e5ec fcf1e9 dde5ee a4b8cd 2b4254 fff6e8|winter snow snowy ice icy cold frost christmas
desert 5b90af a7c3c6 efd8b4 fce9ca eed0aa d7a077 74381f fff4d8|desert dune dunes sand canyon
tropic 1d7fa4 5cb5c2 bde2d3 fff0d2 c6e4da 5fa3a3 0d3b3d fff8e2|tropical tropic beach island turquoise lagoon palm
mono 8d8c88 b4b2ad d8d5ce f1eee7 d3d0c9 9a9893 23211f ffffff|monochrome mono black-and-white";

/// Ground, wall and four objects; after the bar the words that choose them.
const STUFFS: &str = "\
e3d5c6 ecdfd1 c26d4c 2f5f63 f0b67d 473c3a|clay terracotta earth warm ceramic orange brown wood
cfd8c8 dfe5d8 5f8069 ecc9a1 bf5a3f 2c3a35|sage green olive botanical plant leaf herb tea
f1cfc0 f7dfd3 d9604f 2f7480 f4c666 fbf3ea|coral pink summer playful pastel
2a2f34 343b41 c99361 86aaa8 eadfce b4523b|dark black moody studio graphite copper coffee
c3dbe0 d9e8ea 2e7386 f1b994 fbf4e8 153f4e|blue sky water ocean teal turquoise azure
efe2b4 f6eecd e3a72f 56806f fbf6e7 d96f47|yellow lemon honey citrus gold golden
c9c4bb d9d5cd 8f877b efeae1 57616a b98b62|stone marble concrete neutral linen grey gray white travertine minimal
e6c5c1 f0d8d3 b45a66 f3e7da 3e5f6b e2a25f|rose blush red wine burgundy
1b2733 233341 d9a441 3f7f8c e9e2d4 8c4a5c|night navy midnight indigo planet space purple violet
33463c 40564a 8fae82 e2c48f efe9da b5603c|forest pine moss emerald";

/// The colours of an outdoor light.
#[derive(Clone, Copy)]
pub(super) struct Light {
    pub sky: [V3; 4],
    pub haze: V3,
    pub far: V3,
    pub near: V3,
    pub sun: V3,
}

pub(super) struct Choice {
    words: Vec<String>,
    pub motif: Motif,
    /// Name of the light.
    pub mood: &'static str,
    pub light: Light,
    pub stuff: [V3; 6],
    /// What is left of the stream after the choice; every scene starts from a copy.
    pub rng: Rng,
}

impl Choice {
    pub(super) fn read(prompt: &str, seed: u32) -> Self {
        let lower = prompt.to_lowercase();
        let split = lower.split(|c: char| !c.is_alphanumeric() && c != '-');
        let words: Vec<String> = split.filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let mut unique = words.clone();
        unique.sort();
        unique.dedup();
        let mut rng = Rng::of(&format!("{}|{seed}", unique.join(" ")));
        let drawn = MOTIFS.get(rng.below(MOTIFS.len()));
        let named = MOTIFS.iter().find(|(_, list)| words.iter().any(|w| listed(w, list)));
        let (mood, light) = first(&words, LIGHTS, &mut rng).split_once(' ').unwrap_or_default();
        let [a, b, c, d, haze, far, near, sun] = colours(light);
        Self {
            motif: named.or(drawn).map_or(Motif::Landscape, |m| m.0),
            mood,
            light: Light { sky: [a, b, c, d], haze, far, near, sun },
            stuff: colours(first(&words, STUFFS, &mut rng)),
            words,
            rng,
        }
    }

    /// Whether the prompt has a word of the list.
    pub(super) fn has(&self, list: &str) -> bool {
        self.words.iter().any(|w| listed(w, list))
    }

    /// The six main colours of a photo, brightest first, take the place of the palette.
    pub(super) fn recolour(&mut self, photo: [V3; 6], strength: f32) {
        let [c0, c1, c2, c3, c4, c5] = photo;
        let amount = (1.6 * strength).clamp(0.0, 1.0);
        let blend = |own: &mut V3, new: V3| *own = mix(*own, new, amount);
        let Light { sky, haze, far, near, sun } = &mut self.light;
        sky.iter_mut().zip([c3, c2, c1, c0]).for_each(|(own, new)| blend(own, new));
        self.stuff.iter_mut().zip([c1, c0, c3, c2, c4, c5]).for_each(|(own, new)| blend(own, new));
        [haze, far, near].into_iter().zip([c1, c3, c5]).for_each(|(own, new)| blend(own, new));
        *sun = mix(*sun, c0, 0.5 * amount);
    }
}

fn listed(word: &str, list: &str) -> bool {
    list.split(' ').any(|entry| word == entry || word.strip_suffix('s') == Some(entry))
}

/// The line that the earliest word of the prompt names; without one, the draw.
fn first(words: &[String], table: &'static str, rng: &mut Rng) -> &'static str {
    let lines: Vec<(&str, &str)> = table.lines().filter_map(|l| l.split_once('|')).collect();
    let drawn = lines.get(rng.below(lines.len()));
    let named = words.iter().find_map(|w| lines.iter().find(|(_, list)| listed(w, list)));
    named.or(drawn).map_or("", |line| line.0)
}

fn colours<const N: usize>(line: &str) -> [V3; N] {
    let mut all = line.split(' ').map(|hex| lin(u32::from_str_radix(hex, 16).unwrap_or(0)));
    [(); N].map(|()| all.next().unwrap_or_default())
}
