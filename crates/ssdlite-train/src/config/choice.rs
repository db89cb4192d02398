//! What a configuration may leave to the run.

use serde::de::{self, DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// A value, or `auto`: the run chooses by its data, and writes down what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice<T> {
    /// Left to the run.
    #[default]
    Auto,
    /// Asked for, or chosen before.
    Is(T),
}

/// How what is left open is written.
const AUTO: &str = "auto";

impl<T: Serialize> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(AUTO),
            Self::Is(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        if value.as_str() == Some(AUTO) {
            return Ok(Self::Auto);
        }
        let value = T::deserialize(value);
        value
            .map(Self::Is)
            .map_err(|error| de::Error::custom(format!("{}, or `{AUTO}`", error.message())))
    }
}

impl<T: Copy> Choice<T> {
    /// The value, if one was asked for.
    pub fn asked(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Is(value) => Some(value),
        }
    }

    /// The value, or `usual` where it is left open.
    pub fn or(self, usual: T) -> T {
        match self {
            Self::Auto => usual,
            Self::Is(value) => value,
        }
    }

    /// Chooses `usual` where it is left open; returns what it is then.
    pub(crate) fn settle(&mut self, usual: T) -> T {
        let value = self.or(usual);
        *self = Self::Is(value);
        value
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::FinestMap;

    use super::*;
    use crate::config::HeadKind;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Section {
        head: Choice<HeadKind>,
        finest: Choice<FinestMap>,
    }

    #[test]
    fn words_and_numbers_come_back() {
        for (text, head, finest) in [
            (
                "head = \"auto\"\nfinest = \"auto\"\n",
                Choice::Auto,
                Choice::Auto,
            ),
            (
                "head = \"fpn\"\nfinest = 8\n",
                Choice::Is(HeadKind::Fpn),
                Choice::Is(FinestMap::Stride8),
            ),
        ] {
            let section: Section = toml::from_str(text).unwrap();
            assert_eq!(section, Section { head, finest });
            assert_eq!(toml::to_string(&section).unwrap(), text);
        }
        for text in ["head = \"auto\"\nfinest = 4", "head = \"Auto\"\nfinest = 8"] {
            assert!(toml::from_str::<Section>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_asked_for_stays() {
        let mut choice = Choice::Is(1);
        assert_eq!((choice.or(2), choice.settle(2)), (1, 1));
        let mut choice = Choice::Auto;
        assert_eq!((choice.or(2), choice.settle(3)), (2, 3));
        assert_eq!(choice, Choice::Is(3));
    }
}
