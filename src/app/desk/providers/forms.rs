//! Forms of the page: what was typed, read into the catalog's words, or given back with its faults.

use serde::Deserialize;

use crate::{
    base::{
        error::{FieldFault, Invalid},
        ids::ProviderId,
        money::{Currency, Micros, Money, NotAnAmount},
    },
    inference::{
        model::{Description, Model, Size, Task, Upstream},
        ops::{ModelChange, NewModel, NewPrice, NewProvider, ProviderChange, usual_parameters},
        pages::views::{Connection, ModelForm},
    },
    web::parts::Field,
};

/// References that a model takes for which somebody only says that it takes some.
const SOME_REFERENCES: u32 = 4;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionForm {
    name: String,
    base_url: String,
    /// Empty keeps what there is.
    api_key: String,
    local: Option<String>,
}

impl ConnectionForm {
    fn key(&self) -> Option<secrecy::SecretString> {
        let key = self.api_key.trim();
        (!key.is_empty()).then(|| key.into())
    }

    /// It starts switched off, so that it can be tested first.
    pub fn new_provider(&self) -> NewProvider {
        NewProvider {
            slug: None,
            title: self.name.clone(),
            base_url: self.base_url.clone(),
            api_key: self.key(),
            local: self.local.is_some(),
            enabled: false,
        }
    }

    pub fn change(&self) -> ProviderChange {
        ProviderChange {
            title: Some(self.name.clone()),
            base_url: Some(self.base_url.clone()),
            api_key: self.key().map(Some),
            local: Some(self.local.is_some()),
            enabled: None,
        }
    }

    /// The form again, with what is wrong with it; a key is never given back.
    pub fn again(&self, faults: &[FieldFault], key_note: String) -> Connection {
        let fault = |name: &str| faults.iter().find(|fault| fault.name == name).map(|fault| fault.message.clone());
        let field = |value: &str, name: &str| Field { value: value.to_owned(), error: fault(name) };
        Connection {
            name: field(&self.name, "title"),
            base_url: field(&self.base_url, "base_url"),
            key_note,
            key_error: fault("api_key"),
            local: self.local.is_some(),
            local_error: fault("local"),
        }
    }
}

/// A group of boxes: none, one or several are ticked.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Ticked {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelFields {
    pub existing: String,
    title: String,
    id: String,
    upstream: String,
    task: Option<Ticked>,
    sizes: String,
    max_count: String,
    references: Option<String>,
    billing: String,
    price: String,
}

impl ModelFields {
    fn tasks(&self) -> Vec<Task> {
        let ticked = match &self.task {
            None => &[][..],
            Some(Ticked::One(task)) => std::slice::from_ref(task),
            Some(Ticked::Many(tasks)) => tasks.as_slice(),
        };
        Task::ALL.into_iter().filter(|task| ticked.iter().any(|word| word == task.as_str())).collect()
    }

    fn sizes(&self) -> Result<Vec<Size>, Invalid> {
        let words = self.sizes.split([',', ' ', '\n']).map(str::trim).filter(|word| !word.is_empty());
        let wrong = |word: &str| Invalid::field("sizes", "malformed", format!("{word} is no size such as 1024x1024."));
        words.map(|word| word.parse().map_err(|_| wrong(word))).collect()
    }

    /// None: an empty field, which leaves the price as it is.
    fn price(&self, currency: Currency) -> Result<Option<NewPrice>, Invalid> {
        if self.billing == "free" {
            return Ok(Some(NewPrice::PerImage(Money::new(Micros::ZERO, currency))));
        }
        if self.price.trim().is_empty() {
            return Ok(None);
        }
        let wrong = |fault: NotAnAmount| match fault {
            NotAnAmount::TooLarge => Invalid::field("price", "out_of_range", "The most is 1,000,000."),
            _ => Invalid::field("price", "malformed", "Write an amount of zero or more, such as 0.04."),
        };
        let micros: Micros = self.price.parse().map_err(wrong)?;
        Ok(Some(NewPrice::PerImage(Money::new(micros, currency))))
    }

    fn described(&self, before: Option<&Model>, local: bool) -> Result<Description, Invalid> {
        let id = self.id.trim();
        if before.is_some_and(|model| model.id != id) {
            return Err(Invalid::field("id", "fixed", "An id stays: programs and pictures name it."));
        }
        let wrong = |_| Invalid::field("max_count", "malformed", "Write a number from 1 to 16.");
        let references = match (self.references.is_some(), before.map(|model| model.max_references)) {
            (false, _) => 0,
            (true, Some(known @ 1..)) => known,
            (true, _) => SOME_REFERENCES,
        };
        Ok(Description {
            id: id.to_owned(),
            upstream_name: self.upstream.trim().to_owned(),
            title: self.title.trim().to_owned(),
            tasks: self.tasks(),
            sizes: self.sizes()?,
            max_count: self.max_count.trim().parse().map_err(wrong)?,
            max_references: references,
            // Local servers take a seed; OpenAI refuses the field.
            seeds: before.map_or(local, |model| model.seeds),
            parameters: before.map_or_else(|| usual_parameters(local), |model| model.parameters.clone()),
            aliases: before.map(|model| model.aliases.clone()).unwrap_or_default(),
            upstream: before.map_or_else(Upstream::default, |model| model.upstream),
        })
    }

    pub fn new_model(&self, provider: ProviderId, local: bool, currency: Currency) -> Result<NewModel, Invalid> {
        let missing = || Invalid::field("price", "required", "Write what a picture costs, or choose free.");
        Ok(NewModel {
            provider,
            described: self.described(None, local)?,
            price: self.price(currency)?.ok_or_else(missing)?,
            enabled: true,
        })
    }

    pub fn change(&self, before: &Model, local: bool, currency: Currency) -> Result<ModelChange, Invalid> {
        let described = self.described(Some(before), local)?;
        Ok(ModelChange {
            described: (described != before.description()).then_some(described),
            price: self.price(currency)?,
            enabled: None,
        })
    }

    /// The form again, with what is wrong with it.
    pub fn again(&self, provider: ProviderId, faults: &[FieldFault]) -> ModelForm {
        let starts = |fault: &FieldFault, name: &str| fault.name == name || fault.name.starts_with(&format!("{name}["));
        let fault = |name: &str| faults.iter().find(|fault| starts(fault, name)).map(|fault| fault.message.clone());
        let field = |value: &str, name: &str| Field { value: value.to_owned(), error: fault(name) };
        ModelForm {
            provider: provider.to_string(),
            existing: self.existing.clone(),
            id: Field { value: self.id.clone(), error: fault("id").or_else(|| fault("aliases")) },
            title: field(&self.title, "title"),
            upstream: field(&self.upstream, "upstream_name"),
            tasks: super::tasks(&self.tasks()),
            tasks_error: fault("tasks"),
            sizes: field(&self.sizes, "sizes"),
            max_count: field(&self.max_count, "max_count"),
            references: self.references.is_some(),
            free: self.billing == "free",
            price: field(&self.price, "price"),
            back: super::at(&provider.to_string(), "", ""),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchForm {
    /// `true` or `false`: what it becomes.
    on: String,
    #[serde(default)]
    pub model: String,
}

impl SwitchForm {
    pub fn on(&self) -> bool {
        self.on == "true"
    }
}

/// A form that says everything with its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
