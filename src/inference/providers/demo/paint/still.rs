//! Still lifes: a few solids in front of a curved backdrop, sphere traced, in the light of one lamp and the sky.

use super::choice::Choice;
use super::numbers::{Rng, V3, WHITE, floor, hypot, smooth, v3};
use super::{Frame, Scene};

const EYE: V3 = v3(0.0, 1.75, -6.2);
/// The floor runs up to here, and bends into the wall with this radius.
const WALL: f32 = 2.6;
const BEND: f32 = 1.5;

/// Turned bodies: heights and radii after the words that ask for them.
const BODIES: &str = "\
bottle wine oil juice drink perfume|0 .30 .06 .34 .92 .35 1.34 .115 1.62 .115 1.65 .15 1.78 .15 1.80 .13
vase pottery flower|0 .21 .03 .22 .62 .52 1.24 .17 1.40 .23
carafe pitcher glass|0 .38 .08 .45 .36 .47 1.16 .15 1.40 .21
jar candle cosmetic cream skincare|0 .36 .06 .41 .70 .41 .75 .36 .78 .36 .81 .43 .97 .43 1.0 .41
teapot tea kettle|0 .26 .02 .28 .38 .54 .70 .28 .72 .33 .84 .09 .88 .08 .96 .11 1.02 .02
bowl fruit food kitchen cup mug coffee|0 .22 .03 .22 .06 .19 .42 .62 .45 .61";

enum Form {
    Ball,
    /// Half width of a doorway, round above.
    Block(f32),
    /// From a height and radius to the next.
    Turned(Vec<[f32; 4]>),
}

struct Object {
    form: Form,
    centre: V3,
    half: V3,
    /// Radius of a ball around it, which spares most of the asking.
    reach: f32,
    colour: V3,
    gloss: f32,
}

impl Object {
    /// Stands a form of these half sides on a place.
    fn new(form: Form, half: V3, foot: V3, colour: V3, gloss: f32) -> Self {
        let reach = if matches!(form, Form::Ball) { half.x } else { half.length() };
        Self { form, centre: foot + v3(0.0, half.y, 0.0), half, reach, colour, gloss }
    }

    fn ball(r: f32, foot: V3, colour: V3) -> Self {
        Self::new(Form::Ball, v3(r, r, r), foot, colour, 0.6)
    }

    fn turned(text: &str, foot: V3, colour: V3) -> Self {
        let points: Vec<f32> = text.split(' ').filter_map(|n| n.parse().ok()).collect();
        let wide = points.iter().skip(1).step_by(2).copied().fold(0.0, f32::max);
        let half = points.iter().rev().nth(1).map_or(0.0, |height| height / 2.0);
        let swings = points.windows(4).step_by(2).filter_map(|swing| swing.try_into().ok()).collect();
        Self::new(Form::Turned(swings), v3(wide, half, wide), foot, colour, 0.7)
    }

    fn distance(&self, p: V3) -> f32 {
        let (p, half) = (p - self.centre, self.half);
        match &self.form {
            Form::Ball => p.length() - half.x,
            Form::Block(door) => {
                let above = p.y - half.y + door * 1.7;
                let inside = (p.x.abs() - door).max(above).min(hypot(p.x, above) - door);
                let q = p.map(f32::abs) - half + WHITE * 0.03;
                (q.map(|v| v.max(0.0)).length() + q.x.max(q.y).max(q.z).min(0.0) - 0.03).max(-inside)
            }
            Form::Turned(swings) => {
                let (r, above) = (hypot(p.x, p.z), p.y.abs() - half.y);
                let outer = (r - half.x).max(above);
                // Scaled down, as the slope of the side is not known.
                if outer > 0.1 { outer } else { ((r - radius(swings, p.y + half.y)) * 0.65).max(above) }
            }
        }
    }

    fn normal(&self, p: V3) -> V3 {
        let corners = [v3(1.0, -1.0, -1.0), v3(-1.0, -1.0, 1.0), v3(-1.0, 1.0, -1.0), v3(1.0, 1.0, 1.0)];
        corners.iter().fold(V3::default(), |n, c| n + *c * self.distance(p + *c * 0.006)).unit()
    }

    /// Where a ray comes nearer than `slack` to the ball around it, and leaves that again.
    fn span(&self, from: V3, ray: V3, slack: f32) -> Option<(f32, f32)> {
        let (to, r) = (self.centre - from, self.reach + slack);
        let near = to.dot(ray);
        let half = (r * r - to.dot(to) + near * near).max(0.0).sqrt();
        (half > 0.0 && near + half > 0.0).then_some((near - half, near + half))
    }
}

/// Radius of a turned body at a height: level at each point, in one swing between them.
fn radius(swings: &[[f32; 4]], y: f32) -> f32 {
    let swing = swings.iter().find(|[_, _, to, _]| y <= *to).or(swings.last());
    swing.map_or(0.0, |[from, a, to, b]| a + (b - a) * smooth(*from, *to, y))
}

/// A body or a ball on a plinth, another or a block beside it, an arch behind, and two balls.
fn arrange(choice: &Choice, rng: &mut Rng) -> Vec<Object> {
    let [_, wall, a, b, c, d] = choice.stuff;
    let bodies: Vec<_> = BODIES.lines().filter_map(|line| line.split_once('|')).collect();
    let mut named = bodies.iter().filter(|body| choice.has(body.0)).map(|body| body.1);
    let drawn = rng.pick(&bodies).unwrap_or_default().1;
    let (place, beside) = (v3(-0.10, 0.30, 0.02), v3(1.12, 0.0, 0.0));
    let ball = choice.has("shape geometric 3d ball sphere planet toy object");
    let main =
        if ball { Object::ball(0.58, place, a) } else { Object::turned(named.next().unwrap_or(drawn), place, a) };
    let block = || Object::new(Form::Block(-1.0), v3(0.26, 0.3, 0.26), beside, b, 0.25);
    vec![
        Object::turned("0 .70 .03 .74 .27 .74 .30 .71", v3(-0.05, 0.0, 0.0), wall),
        main,
        named.next().map_or_else(block, |body| Object::turned(body, beside, b)),
        Object::new(Form::Block(0.38), v3(0.60, 0.95, 0.16), v3(-0.80, 0.0, 0.78), b, 0.15),
        Object::ball(0.16, v3(0.40, 0.30, -0.30), c),
        Object::ball(0.23, v3(-1.02, 0.0, -0.25), d),
    ]
}

struct Still {
    objects: Vec<Object>,
    floor: V3,
    wall: V3,
    lamp: V3,
    /// Light of the lamp and of the sky.
    bright: (V3, V3),
    window: bool,
}

pub(super) fn scene(choice: &Choice, frame: Frame) -> Scene {
    let mut rng = choice.rng.clone();
    let [floor, wall, ..] = choice.stuff;
    let (dark, warm, cool) = (floor.y < 0.13, v3(1.0, 0.82, 0.62), v3(0.34, 0.39, 0.46));
    let (left, mirror) = (if rng.chance(0.6) { -1.0 } else { 1.0 }, if rng.chance(0.5) { -1.0 } else { 1.0 });
    let still = Still {
        objects: arrange(choice, &mut rng),
        floor,
        wall,
        lamp: v3(left * rng.between(0.62, 0.85), rng.between(0.75, 0.95), -rng.between(0.45, 0.62)).unit(),
        bright: if dark { (warm * 1.65, cool * 0.45) } else { (warm * 1.04, cool) },
        window: choice.has("window light sunlight morning") || rng.chance(0.5),
    };
    let zoom = 0.19 + 0.075 / frame.aspect.clamp(0.6, 2.0);
    let ray = move |x: f32, y: f32| {
        let (u, v) = ((x * 2.0 - frame.aspect) * mirror * zoom, (1.0 - y * 2.0) * zoom);
        v3(u, v - 0.15, 1.0 + v * 0.15).unit()
    };
    let e = frame.pixel * 0.3;
    Box::new(move |x, y| still.colour([ray(x, y - e), ray(x - e, y + e), ray(x + e, y + e)], frame.pixel * zoom))
}

impl Still {
    /// From one ray, or from three where it passes closely by an edge.
    fn colour(&self, [a, b, c]: [V3; 3], pixel: f32) -> V3 {
        let look = |ray: V3| {
            let (t, object, clear) = self.march(EYE, ray, backdrop(ray), 2.0 * pixel);
            (self.shade(EYE + ray * t, ray, object).map(|v| v.min(1.6)), clear)
        };
        let (first, clear) = look(a);
        if clear >= 1.0 { first } else { (first + look(b).0 + look(c).0) * (1.0 / 3.0) }
    }

    /// How far the nearest object is, which it is, and how clear of the others a ray of this `spread` stays. Each is
    /// asked within its ball, widened by the spread.
    fn march(&self, from: V3, ray: V3, far: f32, spread: f32) -> (f32, Option<&Object>, f32) {
        let (mut nearest, mut hit, mut clear) = (far, None, 1.0_f32);
        for object in &self.objects {
            let away = (object.centre - from).dot(ray).max(0.0) + object.reach;
            let (start, end) = object.span(from, ray, away * spread).unwrap_or((far, 0.0));
            let (mut t, mut closest) = (start.max(0.03), clear);
            while t < end.min(nearest) {
                let d = object.distance(from + ray * t);
                if d < 0.0015 {
                    (nearest, hit, closest) = (t, Some(object), clear);
                    break;
                }
                closest = closest.min(d / (t * spread));
                t += d.max(0.3 * spread);
            }
            clear = closest;
        }
        (nearest, hit, clear)
    }

    /// Sky light that nearby surfaces leave.
    fn open(&self, p: V3, n: V3) -> f32 {
        let mut taken = 0.0;
        for (s, weight) in [(0.06, 1.6), (0.20, 1.0), (0.48, 0.62)] {
            let q = p + n * s;
            let near = self.objects.iter().filter(|o| (q - o.centre).length() < o.reach + s);
            let d = near.fold(BEND - corner(q).length(), |d, o| d.min(o.distance(q)));
            taken += (s - d).clamp(0.0, 1.0) * weight;
        }
        (1.0 - taken * 1.25).max(0.12)
    }

    /// The bars of a window between the lamp and the set.
    fn bars(&self, p: V3) -> f32 {
        let q = p - self.lamp * (p.y / self.lamp.y);
        let pane = |v: f32| smooth(0.03, 0.13, 0.5 - (v - floor(v) as f32 - 0.5).abs());
        0.22 + 0.78 * pane(q.x * 0.57 + q.z * 0.24 + 5.2) * pane(q.z * 0.41 - q.x * 0.17 + 5.6)
    }

    fn shade(&self, p: V3, ray: V3, object: Option<&Object>) -> V3 {
        let n = object.map_or_else(|| corner(p).unit(), |o| o.normal(p));
        let facing = n.dot(self.lamp).max(0.0);
        let (_, hit, clear) = self.march(p + n * 0.012, self.lamp, 4.5, 0.11);
        let shadow = if hit.is_some() || facing < 0.01 { 0.0 } else { smooth(0.0, 1.0, clear) };
        let key = facing * shadow * if self.window { self.bars(p) } else { 1.0 };
        let backdrop = self.floor.to(self.wall, smooth(0.1, 1.9, p.y));
        let (albedo, gloss) = object.map_or((backdrop, 0.05), |o| (o.colour, o.gloss));
        let open = self.open(p, n);
        let bounce = (0.5 - 0.5 * n.y) * (-1.1 * p.y.max(0.0)).exp() * open;
        let light = self.bright.0 * key + self.bright.1 * ((0.5 + 0.5 * n.y) * open) + self.floor * (0.42 * bounce);
        let shine = n.dot((self.lamp - ray).unit()).max(0.0).powf(12.0 + 130.0 * gloss * gloss);
        let rim = (1.0 + n.dot(ray)).clamp(0.0, 1.0).powi(4) * open * (0.10 + 0.35 * gloss);
        albedo * light + WHITE * (0.55 * gloss * shadow * shine) + self.wall * (rim * 0.45)
    }
}

/// How far the backdrop is: from where floor and wall would meet it goes back to the bend between them.
fn backdrop(ray: V3) -> f32 {
    let edge = (EYE.y / (-ray.y).max(1e-4)).min((WALL - EYE.z) / ray.z.max(1e-4));
    (0..8).fold(edge, |t, _| t + BEND - corner(EYE + ray * t).length())
}

/// From a point to the axis of the bend, as far as floor and wall are concerned: it is the normal of the backdrop,
/// and what its length lacks of the radius is the distance.
fn corner(p: V3) -> V3 {
    v3(0.0, (BEND - p.y).max(0.0), (WALL - BEND - p.z).min(0.0))
}
