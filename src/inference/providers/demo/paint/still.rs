//! The sets of the still lifes, as text: a form on each line, its place, its sizes, its colour and gloss.

use super::choice::{Choice, Motif};
use super::forms::{Form, Object, profile};
use super::numbers::{Rng, V3, v3};

/// Words that ask for a turned body; after the bar, heights and radii.
const BODIES: &str = "\
teapot tea kettle|0 .26 .05 .34 .20 .48 .38 .52 .56 .46 .70 .30 .72 .30 .76 .26 .84 .12 .86 .06
cup mug coffee|0 .22 .04 .27 .10 .29 .62 .33 .64 .32
bottle juice wine oil drink perfume|0 .28 .04 .33 .10 .34 .95 .34 1.12 .30 1.26 .17 1.34 .115 1.62 .11 1.64 .15 1.78 .15 1.80 .13
vase pottery flower|0 .20 .06 .24 .3 .40 .62 .50 .92 .42 1.12 .24 1.26 .17 1.36 .20 1.40 .22
carafe pitcher glass|0 .36 .05 .42 .25 .45 .55 .40 .85 .26 1.1 .16 1.34 .17 1.40 .20
jar candle cosmetic cream|0 .34 .04 .39 .09 .41 .66 .41 .74 .37 .76 .36 .80 .43 .96 .43 1.0 .40
bowl fruit food kitchen|0 .20 .03 .22 .08 .30 .2 .47 .34 .58 .42 .62 .44 .61
tube serum skincare lotion shampoo|0 .20 .03 .22 .30 .22 .33 .20 .36 .26 1.20 .27 1.40 .25 1.42 .24";

const SHAPES: [&str; 3] = [
    "arch -.3 .75 .62 1.45 .26 .24 3 .15
ball .72 .52 .15 .52 2 .5
column -1.02 .16 -.1 .42 .16 4 .3
ball -1.02 .56 -.1 .24 5 .6
ball .1 .17 -.55 .17 4 .5",
    "ring .05 .86 .25 .62 .24 2 .55
block -.95 .42 .4 .36 .42 .36 3 .25
ball -.95 1.13 .4 .29 4 .6
column 1 .58 .3 .30 .58 5 .3
ball .55 .2 -.55 .2 4 .5
ball -.35 .13 -.7 .13 3 .5",
    "ball .1 .46 .35 .46 2 .55
ball -.62 .30 .05 .30 3 .55
ball .78 .34 .1 .34 4 .55
ball -.15 .2 -.45 .2 5 .55
ball .38 .24 -.4 .24 3 .55
ball -1.08 .17 -.25 .17 4 .55
ball -.45 .42 .75 .42 4 .55
ball 1.22 .15 -.3 .15 2 .55
ball .05 .11 -.8 .11 2 .6",
];

const ROOMS: &str = "\
block .55 .11 .05 .52 .11 .11 3 .15
block .55 .22 .25 .52 .22 .11 3 .15
block .55 .33 .45 .52 .33 .11 3 .15
block .55 .44 .65 .52 .44 .11 3 .15
block .55 .55 .85 .52 .55 .11 3 .15
block .55 .66 1.05 .52 .66 .11 3 .15
arch .55 1.38 .62 2.45 .4 .14 2 .15
arch -.85 .95 .72 1.5 .3 .22 2 .15
ball -.85 .34 .15 .34 4 .6
column -1.75 .95 .55 .2 .95 5 .2
ball .55 .57 .22 .13 4 .6";

const PLINTHS: [&str; 2] = ["column -.05 .15 0 .74 .15 1 .2", "block -.05 .15 .05 .7 .15 .52 1 .2"];
const SIDES: &str = "ball .42 .46 -.28 .16 4 .75\nball -.98 .23 -.25 .23 5 .7";
const BACKS: [&str; 3] = [
    "arch -.8 1.05 .78 1.62 .22 .16 3 .15",
    "ring -.62 .91 1.15 .8 .11 3 .3",
    "block -.72 .8 1.05 .34 .8 .12 1 .15\nblock -1.22 .52 .9 .24 .52 .12 3 .15",
];
const POT: &str = "rod .30 .64 .02 .42 .36 0 .095 2 .8\nring -.58 .72 .02 .24 .05 2 .8\nball -.1 1.21 .02 .08 2 .8";
const HANDLE: &str = "ring -.44 .64 .02 .17 .045 2 .8";
const CUBE: &str = "block 1.08 .3 .25 .26 .3 .26 3 .25";

pub(super) fn arrange(choice: &Choice, aspect: f32, rng: &mut Rng) -> Vec<Object> {
    let mirror = if rng.chance(0.5) { 1.0 } else { -1.0 };
    let place = |text: &str, spread: f32| -> Vec<Object> {
        text.lines().filter_map(|line| object(line, spread * mirror, &choice.stuff)).collect()
    };
    match choice.motif {
        Motif::Rooms => place(ROOMS, 1.0),
        Motif::Still => set(choice, place, mirror, (0.7 + 0.25 * aspect).min(1.0), rng),
        _ => {
            let drawn = rng.below(SHAPES.len());
            let style = if choice.has("ball sphere spheres planet planets") { 2 } else { drawn };
            place(SHAPES.get(style).copied().unwrap_or_default(), (0.62 * aspect + 0.25).min(1.1))
        }
    }
}

/// A turned body on a plinth, a second one or a cube beside it, two balls, and something behind.
fn set(
    choice: &Choice,
    place: impl Fn(&str, f32) -> Vec<Object>,
    mirror: f32,
    spread: f32,
    rng: &mut Rng,
) -> Vec<Object> {
    let [_, _, c2, c3, c4, _] = choice.stuff;
    let bodies: Vec<(&str, &str)> = BODIES.lines().filter_map(|l| l.split_once('|')).collect();
    let mut named = bodies.iter().filter(|b| choice.has(b.0));
    let drawn = bodies.get(2 + rng.below(4));
    let (words, points) = named.next().or(drawn).copied().unwrap_or_default();
    let mut main = Object::new(profile(&numbers(points)), v3(-0.10 * mirror, 0.30, 0.02), c2, 0.8);
    main.upper = if rng.chance(0.4) { c4 } else { c2 };
    let mut all = place(PLINTHS.get(rng.below(2)).copied().unwrap_or_default(), 1.0);
    all.push(main);
    match named.next() {
        Some(b) => all.push(Object::new(profile(&numbers(b.1)), v3(1.12 * spread * mirror, 0.0, -0.10), c3, 0.7)),
        None => all.extend(place(CUBE, spread)),
    }
    all.extend(place(BACKS.get(rng.below(3)).copied().unwrap_or_default(), spread));
    all.extend(place(SIDES, 1.0));
    if words.contains("teapot") {
        all.extend(place(POT, 1.0));
    } else if words.contains("cup") {
        all.extend(place(HANDLE, 1.0));
    }
    all
}

fn numbers(text: &str) -> Vec<f32> {
    text.split(' ').filter_map(|n| n.parse().ok()).collect()
}

/// One line of a set; `spread` stretches it sideways, or mirrors it.
fn object(line: &str, spread: f32, stuff: &[V3; 6]) -> Option<Object> {
    let (form, at, c, gloss) = match (line.split(' ').next()?, numbers(line).as_slice()) {
        ("ball", &[x, y, z, r, c, g]) => (Form::Ball(r), v3(x, y, z), c, g),
        ("block", &[x, y, z, a, b, d, c, g]) => (Form::Block(v3(a, b, d)), v3(x, y, z), c, g),
        ("column", &[x, y, z, r, half, c, g]) => (Form::Column(r, half), v3(x, y, z), c, g),
        ("ring", &[x, y, z, big, small, c, g]) => (Form::Ring(big, small), v3(x, y, z), c, g),
        ("rod", &[x, y, z, a, b, d, r, c, g]) => (Form::Rod(v3(a * spread, b, d), r), v3(x, y, z), c, g),
        ("arch", &[x, z, w, h, thick, d, c, g]) => (Form::Arch(w, h, thick, d), v3(x, 0.0, z), c, g),
        _ => return None,
    };
    Some(Object::new(form, v3(at.x * spread, at.y, at.z), stuff.get(c as usize).copied()?, gloss))
}
