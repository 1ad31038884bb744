//! Price cards: what a request can cost at most, in whole millionths.
#![deny(clippy::float_arithmetic)]

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::model::{Request, Size};
use crate::base::{
    ids::PriceCardId,
    money::{Currency, Micros, Money, Overflow},
};

/// A dated price: its components are added.
#[derive(Clone, Debug)]
pub struct PriceCard {
    pub id: PriceCardId,
    pub currency: Currency,
    pub components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    pub unit: Unit,
    /// Millionths of the card's currency for each unit.
    #[schema(minimum = 0)]
    pub micros: i64,
    /// Counts only when each of these parameters (or `size`) has this value.
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
    pub fn estimate(&self, request: &Request, size: Size) -> Result<Money, Overflow> {
        self.price(request, size, request.count)
    }

    /// What `delivered` pictures of this request cost.
    pub fn price(&self, request: &Request, size: Size, delivered: u32) -> Result<Money, Overflow> {
        let sum = self
            .components
            .iter()
            .filter(|component| component.applies(request, size))
            .try_fold(Micros::ZERO, |sum, component| {
                sum.plus(Micros(component.micros).times(component.unit.quantity(size, delivered))?)
            })?;
        Ok(Money::new(sum, self.currency))
    }

    /// For a single picture of the usual kind, where a list shows a price.
    pub fn single(&self, size: Size) -> Result<Money, Overflow> {
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

    fn applies(&self, request: &Request, size: Size) -> bool {
        self.when.iter().all(|(name, wanted)| match name.as_str() {
            "size" => wanted.as_str() == Some(&size.to_string()),
            name => request.parameters.get(name) == Some(wanted),
        })
    }
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
    use super::*;
    use crate::base::clock::Clock;

    fn card(components: Vec<Component>) -> PriceCard {
        PriceCard { id: PriceCardId::new(&Clock::fixed()), currency: "EUR".parse().unwrap(), components }
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
        assert_eq!(card.estimate(&request(2), SIZE), Err(Overflow));
    }
}
