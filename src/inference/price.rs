//! Price cards: what a request can cost at most, in whole millionths.
#![deny(clippy::float_arithmetic)]

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::model::{Request, Size};
use crate::base::{
    error::Invalid,
    ids::PriceCardId,
    money::{Currency, Micros, Money, Overflow},
};

/// Why a request has no price, although its model has one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPrice {
    #[error("This is too much to be counted. Ask for less at a time.")]
    TooLarge(#[from] Overflow),
    #[error("This model has no price for this choice of size and parameters. Choose others, or ask an owner.")]
    Unsaid,
}

/// A dated price: its components are added.
#[derive(Clone, Debug)]
pub struct PriceCard {
    pub id: PriceCardId,
    pub currency: Currency,
    pub components: Vec<Component>,
    /// The values that the components count with where a request leaves a parameter out: the model's own, as they were
    /// when the price was set.
    pub defaults: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    pub unit: Unit,
    /// Millionths of the card's currency for each unit.
    #[schema(minimum = 0)]
    pub micros: i64,
    /// Counts only when each of these parameters (or `size`) has this value. One that is left out has its default.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub when: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Image,
    /// Each begun megapixel of each picture.
    Megapixel,
    Request,
}

impl PriceCard {
    /// The most that this request can cost.
    pub fn estimate(&self, request: &Request, size: Size) -> Result<Money, NoPrice> {
        self.price(request, size, request.count)
    }

    /// What `delivered` pictures of this request cost.
    pub fn price(&self, request: &Request, size: Size, delivered: u32) -> Result<Money, NoPrice> {
        let parameters = self.completed(&request.parameters);
        let mut counted = self.components.iter().filter(|component| component.applies(&parameters, size)).peekable();
        // Nothing that is said about it is not the same as nothing to pay.
        counted.peek().ok_or(NoPrice::Unsaid)?;
        let sum = counted.try_fold(Micros::ZERO, |sum, component| {
            sum.plus(Micros(component.micros).times(component.unit.quantity(size, delivered))?)
        })?;
        Ok(Money::new(sum, self.currency))
    }

    /// The parameters with those that the price depends on: what is priced is also what is asked for.
    pub fn completed(&self, parameters: &Map<String, Value>) -> Map<String, Value> {
        self.defaults.clone().into_iter().chain(parameters.clone()).collect()
    }

    /// For a single picture of the usual kind, where a list shows a price.
    pub fn single(&self, size: Size) -> Result<Money, NoPrice> {
        let request = Request {
            prompt: String::new(),
            size: None,
            count: 1,
            seed: None,
            references: Vec::new(),
            parameters: Map::new(),
        };
        self.price(&request, size, 1)
    }
}

impl Component {
    pub fn per_image(micros: i64) -> Self {
        Self { unit: Unit::Image, micros, when: Map::new() }
    }

    fn applies(&self, parameters: &Map<String, Value>, size: Size) -> bool {
        self.when.iter().all(|(name, wanted)| match name.as_str() {
            "size" => wanted.as_str() == Some(&size.to_string()),
            name => parameters.get(name).is_some_and(|value| same(value, wanted)),
        })
    }
}

/// To a JSON Schema 30 and 30.0 are one number.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one == other)
}

/// The defaults in the model's `schema` that its components count with. Refuses a component about a parameter that a
/// request may leave out without anybody knowing what it gets then.
pub fn defaults(components: &[Component], schema: &Value) -> Result<Map<String, Value>, Invalid> {
    let default = |name: &str| schema.get("properties")?.get(name)?.get("default").cloned();
    let all_required = schema.get("required").and_then(Value::as_array);
    let required = |name: &str| all_required.is_some_and(|all| all.iter().any(|one| one == name));
    let mut found = Map::new();
    for (component, at) in components.iter().zip(0..) {
        for name in component.when.keys().filter(|name| *name != "size") {
            match default(name) {
                Some(value) => drop(found.insert(name.clone(), value)),
                None if required(name) => {}
                None => {
                    let message = format!("Give {name} a default in the model's parameters, or require it there.");
                    return Err(Invalid::field(format!("price_card[{at}].when.{name}"), "undecided", message));
                }
            }
        }
    }
    Ok(found)
}

impl Unit {
    fn quantity(self, size: Size, count: u32) -> i64 {
        let pixels = i64::from(size.width) * i64::from(size.height);
        match self {
            Self::Image => i64::from(count),
            Self::Megapixel => i64::from(count) * ((pixels + 999_999) / 1_000_000),
            Self::Request => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::clock::Clock;

    fn card(components: Vec<Component>) -> PriceCard {
        let defaults = Map::new();
        PriceCard { id: PriceCardId::new(&Clock::fixed()), currency: "EUR".parse().unwrap(), components, defaults }
    }

    fn request(count: u32) -> Request {
        Request {
            prompt: "x".into(),
            size: None,
            count,
            seed: None,
            references: vec![],
            parameters: Map::from_iter([("quality".to_owned(), Value::from("high"))]),
        }
    }

    const SIZE: Size = Size { width: 1024, height: 1024 };

    #[test]
    fn components_add_up() {
        let high = Map::from_iter([("quality".to_owned(), Value::from("high"))]);
        let low = Map::from_iter([("quality".to_owned(), Value::from("low"))]);
        let card = card(vec![
            Component { unit: Unit::Image, micros: 20_000, when: high },
            Component { unit: Unit::Image, micros: 5_000, when: low },
            Component { unit: Unit::Megapixel, micros: 1_000, when: Map::new() },
            Component { unit: Unit::Request, micros: 7, when: Map::new() },
        ]);
        // 1024 x 1024 is a little over one megapixel, so two are begun.
        assert_eq!(card.estimate(&request(3), SIZE).unwrap().micros, Micros(3 * 20_000 + 3 * 2 * 1_000 + 7));
    }

    #[test]
    fn a_price_beyond_counting_is_an_error() {
        let card = card(vec![Component { unit: Unit::Image, micros: i64::MAX, when: Map::new() }]);
        assert_eq!(card.estimate(&request(2), SIZE), Err(NoPrice::TooLarge(Overflow)));
    }

    fn when(name: &str, value: impl Into<Value>, micros: i64) -> Component {
        Component { unit: Unit::Image, micros, when: Map::from_iter([(name.to_owned(), value.into())]) }
    }

    #[test]
    fn what_is_left_out_counts_with_its_default() {
        let components = vec![when("quality", "high", 9), when("steps", 30, 5), when("steps", 50, 7)];
        let schema = json!({ "properties": { "quality": { "default": "low" }, "steps": { "default": 30.0 } } });
        let card = PriceCard { defaults: defaults(&components, &schema).unwrap(), ..card(components) };
        let price = |parameters: Value| {
            let parameters = parameters.as_object().unwrap().clone();
            card.estimate(&Request { parameters, ..request(1) }, SIZE).map(|money| money.micros.0)
        };
        assert_eq!(price(json!({})), Ok(5));
        assert_eq!(price(json!({ "quality": "high" })), Ok(14));
        assert_eq!(price(json!({ "quality": "high", "steps": 50.0 })), Ok(16));
        assert_eq!(price(json!({ "steps": 7 })), Err(NoPrice::Unsaid));
        assert_eq!(card.single(SIZE).unwrap().micros, Micros(5));
    }

    #[test]
    fn a_price_depends_on_nothing_that_nobody_decides() {
        let about = |name| [Component::per_image(1), when(name, "high", 1)];
        let schema = json!({ "properties": { "quality": {}, "style": {} }, "required": ["style"] });
        for name in ["size", "style"] {
            assert!(defaults(&about(name), &schema).unwrap().is_empty(), "{name}");
        }
        for name in ["quality", "unknown"] {
            let fault = defaults(&about(name), &schema).unwrap_err().0.remove(0);
            assert_eq!((fault.name, fault.code.as_str()), (format!("price_card[1].when.{name}"), "undecided"));
        }
    }
}
