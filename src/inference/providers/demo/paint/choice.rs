//! The choice: words of the prompt name a motif, a light and a material; the seed decides the rest.

use super::numbers::{Rng, V3, linear, mix};

/// Motifs; after the bar the words that choose them. Words for what is not painted here lead to the nearest.
const MOTIFS: &str = "\
silk|silk satin drape fabric textile cloth velvet curtain fashion dress scarf linen wool
still|product bottle vase jar bowl ceramic pottery skincare perfume cosmetic packaging teapot tea cup mug coffee wine food
still|shape geometric 3d ball sphere planet toy robot car object arch arches architecture room house building city street
gradient|abstract gradient background blur texture logo icon pattern paper wallpaper poster banner
ocean|ocean sea beach coast sailboat boat yacht ship island wave shore lagoon harbour bay surf
landscape|landscape mountain lake hill valley meadow forest tree garden desert aurora portrait person cat dog animal space";

/// Lights: sky from the zenith to the horizon (four), haze, far, near, sun; after the bar the words.
const LIGHTS: &str = "\
dawn 6d8fb3 a9bccb efcdb4 ffe4c4 f1d2bf a3a7bd 20343c fff3d6|dawn sunrise morning early mist misty spring
sunset 33406f 86608c e58b6c ffd08c f0a988 966f90 1c1d31 fff2c6|sunset dusk evening golden warm romantic
noon 4484bd 82b4da bfdcea eef5ee cde0e6 8aadbd 1f4637 ffffff|noon day daylight summer clear bright sunny meadow
night 070d20 122447 274b6f 618699 27435c 23456a 050a12 f1f5ff|night midnight moon moonlit star starry neon space dark
storm 3c4852 67747c 9aa3a4 cccbc0 adb4b3 76848a 18242a f6f0df|storm stormy rain rainy cloudy grey gray fog foggy
autumn 7d93a6 b8c0bb ead5ae f8e7c2 e7caa0 b78f66 35201a fff1cc|autumn fall harvest october november desert
winter 7d9dc1 b4c8dc e0e5ec fcf1e9 dde5ee a4b8cd 2b4254 fff6e8|winter snow snowy ice icy cold frost
tropic 1d7fa4 5cb5c2 bde2d3 fff0d2 c6e4da 5fa3a3 0d3b3d fff8e2|tropical tropic beach island turquoise lagoon palm
mono 8d8c88 b4b2ad d8d5ce f1eee7 d3d0c9 9a9893 23211f ffffff|monochrome mono black-and-white";

/// Materials: ground, wall and four objects; after the bar the words.
const STUFFS: &str = "\
e3d5c6 ecdfd1 c26d4c 2f5f63 f0b67d 473c3a|clay terracotta earth warm ceramic orange brown wood
cfd8c8 dfe5d8 5f8069 ecc9a1 bf5a3f 2c3a35|sage green olive botanical plant leaf herb forest
f1cfc0 f7dfd3 d9604f 2f7480 f4c666 fbf3ea|coral pink summer playful pastel
2a2f34 343b41 c99361 86aaa8 eadfce b4523b|dark black moody graphite copper coffee night
c3dbe0 d9e8ea 2e7386 f1b994 fbf4e8 153f4e|blue sky water ocean teal turquoise azure
efe2b4 f6eecd e3a72f 56806f fbf6e7 d96f47|yellow lemon honey citrus gold golden
c9c4bb d9d5cd 8f877b efeae1 57616a b98b62|stone marble concrete neutral linen grey gray white minimal
e6c5c1 f0d8d3 b45a66 f3e7da 3e5f6b e2a25f|rose blush red wine burgundy";

pub(super) struct Choice {
    words: Vec<String>,
    pub motif: &'static str,
    /// Name of the light.
    pub mood: &'static str,
    pub light: [V3; 8],
    pub stuff: [V3; 6],
    /// What is left of the stream after the choice; every scene starts from a copy.
    pub rng: Rng,
}

impl Choice {
    pub(super) fn read(prompt: &str, seed: u32) -> Self {
        let lower = prompt.to_lowercase();
        let split = lower.split(|c: char| !c.is_alphanumeric() && c != '-');
        let words: Vec<String> = split.filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let mut rng = Rng::of(&format!("{} {seed}", words.join(" ")));
        let [motif, light, stuff] = [MOTIFS, LIGHTS, STUFFS].map(|table| chosen(&words, table, &mut rng));
        let (mood, light) = light.split_once(' ').unwrap_or_default();
        Self { words, motif, mood, light: colours(light), stuff: colours(stuff), rng }
    }

    /// Whether the prompt has a word of the list.
    pub(super) fn has(&self, list: &str) -> bool {
        self.words.iter().any(|word| listed(word, list))
    }

    /// The six main colours of a photo, brightest first, take the place of the palette.
    pub(super) fn recolour(&mut self, [a, b, c, d, e, f]: [V3; 6], strength: f32) {
        let own = self.light.iter_mut().chain(&mut self.stuff);
        for (own, new) in own.zip([d, c, b, a, b, d, f, a, b, a, d, c, e, f]) {
            *own = mix(*own, new, (1.6 * strength).min(1.0));
        }
    }
}

fn listed(word: &str, list: &str) -> bool {
    list.split(' ').any(|entry| word == entry || word.strip_suffix('s') == Some(entry))
}

/// The line that the earliest word of the prompt names; without one, the draw.
fn chosen(words: &[String], table: &'static str, rng: &mut Rng) -> &'static str {
    let lines: Vec<_> = table.lines().filter_map(|line| line.split_once('|')).collect();
    let drawn = rng.pick(&lines);
    let named = words.iter().find_map(|word| lines.iter().copied().find(|(_, list)| listed(word, list)));
    named.or(drawn).unwrap_or_default().0
}

fn colours<const N: usize>(line: &str) -> [V3; N] {
    let hex = line.split(' ').map(|hex| u32::from_str_radix(hex, 16).unwrap_or(0).to_be_bytes());
    let mut all = hex.map(|[_, r, g, b]| linear([r, g, b]));
    [(); N].map(|()| all.next().unwrap_or_default())
}
