//! As much of YAML as sets are described in: text, lists and maps.
//!
//! Values are kept as they are written, since a class may be called `1` or `no`.
//! Aliases are refused, so that nothing is expanded.

use saphyr_parser::{Event, Parser};

use crate::finding::escaped;

/// How deep values may be nested; descriptions need three levels.
const MAX_DEPTH: usize = 16;

/// The most values: more than the most classes with their numbers.
const MAX_NODES: usize = 100_000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A list or map that is being read.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, Node)>, Option<String>),
}

impl Node {
    /// The value of a map's key, none for any other value; the error is a message for
    /// the user.
    pub(super) fn get(&self, key: &str) -> Result<Option<&Self>, String> {
        let Self::Map(entries) = self else {
            return Ok(None);
        };
        let mut values = entries.iter().filter(|(name, _)| name == key);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(format!("found the key `{key}` twice")),
            (first, None) => Ok(first.map(|(_, value)| value)),
        }
    }

    /// What kind of value it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads the first document of a YAML text; the error is a message for the user.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut count = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            format!("line {line}: expected YAML: {}", escaped(error.info()))
        })?;
        let at_line = |message: &str| format!("line {}: {message}", span.start.line());
        let node = match event {
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == MAX_DEPTH => {
                let message = format!("values are nested more than {MAX_DEPTH} deep");
                return Err(at_line(&message));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Node::List(items),
                Some(Open::Map(entries, _)) => Node::Map(entries),
                None => continue,
            },
            Event::Scalar(text, ..) => Node::Text(text.into_owned()),
            Event::Alias(_) => return Err(at_line("found an alias, which is not read")),
            Event::DocumentEnd => break,
            _ => continue,
        };
        count += 1;
        if count > MAX_NODES {
            return Err(format!("expected at most {MAX_NODES} values, found more"));
        }
        match (open.last_mut(), node) {
            (None, node) => root = Some(node),
            (Some(Open::List(items)), node) => items.push(node),
            (Some(Open::Map(entries, key)), node) => match (key.take(), node) {
                (Some(name), node) => entries.push((name, node)),
                (None, Node::Text(name)) => *key = Some(name),
                (None, node) => {
                    let message = format!("expected text as a key, found {}", node.kind());
                    return Err(at_line(&message));
                }
            },
        }
    }
    root.ok_or_else(|| "expected YAML, found nothing".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn values_are_kept_as_they_are_written() {
        let parsed = parse(
            "# mine\npath: ../set # here\nnames:\n  0: no\n  1: \"a: b\"\nnc: 2\n\
             train: [a, 'b c']\ntest:\n- x\n",
        )
        .unwrap();
        let get = |key: &str| parsed.get(key).unwrap();
        assert_eq!(get("path"), Some(&text("../set")));
        let names = Node::Map(vec![("0".into(), text("no")), ("1".into(), text("a: b"))]);
        assert_eq!(get("names"), Some(&names));
        let train = Node::List(vec![text("a"), text("b c")]);
        assert_eq!(get("train"), Some(&train));
        assert_eq!(get("test"), Some(&Node::List(vec![text("x")])));
        assert_eq!(get("val"), None);
    }

    #[test]
    fn hostile_texts_are_refused() {
        let fault = |text: &str| parse(text).unwrap_err();
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        assert!(
            fault(bomb).contains("line 2: found an alias"),
            "{}",
            fault(bomb)
        );
        let deep = "[".repeat(20) + &"]".repeat(20);
        assert!(fault(&deep).contains("nested more than 16 deep"));
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(fault(&format!("[{}]", "a,".repeat(MAX_NODES + 1))).contains("at most"));
        assert!(fault("a: [b").contains("expected YAML"));
        assert!(fault("").contains("found nothing"));
        assert!(fault("? [a]\n: b\n").contains("expected text as a key"));
        let twice = parse("a: 1\na: 2\n").unwrap();
        assert!(twice.get("a").unwrap_err().contains("twice"));
    }
}
