//! A graph of nodes as ComfyUI stores it: each with a class, and inputs that are values or links to another node.

use serde_json::{Map, Value};

/// Links that are followed one after the other. Graphs can be circles.
const MOST_LINKS: usize = 200;

/// The nodes by their ids.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a>(&'a Map<String, Value>);

/// A node.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    graph: Graph<'a>,
    /// Its class.
    pub class: &'a str,
    inputs: &'a Map<String, Value>,
}

impl<'a> Graph<'a> {
    /// Of the `prompt` text; `None` for what is none.
    pub fn new(value: &'a Value) -> Option<Self> {
        value.as_object().map(Graph)
    }

    fn node(self, id: &str) -> Option<Node<'a>> {
        let node = self.0.get(id)?;
        Some(Node { graph: self, class: node["class_type"].as_str()?, inputs: node["inputs"].as_object()? })
    }

    /// All nodes that are some.
    pub fn nodes(self) -> impl Iterator<Item = Node<'a>> {
        self.0.keys().filter_map(move |id| self.node(id))
    }
}

impl<'a> Node<'a> {
    /// The node that an input links to.
    pub fn link(self, input: &str) -> Option<Node<'a>> {
        let id = self.inputs.get(input)?.as_array()?.first()?;
        let id = id.as_str().map_or_else(|| id.to_string(), Into::into);
        self.graph.node(&id)
    }

    /// Whether an input links to this very node.
    pub fn takes(self, input: &str, other: Node<'_>) -> bool {
        self.link(input).is_some_and(|node| std::ptr::eq(node.inputs, other.inputs))
    }

    /// The value of an input, followed through nodes that only hold one.
    pub fn value(self, input: &str) -> Option<&'a Value> {
        let (mut node, mut input) = (self, input.to_string());
        for _ in 0..MOST_LINKS {
            let value = node.inputs.get(&input)?;
            if !value.is_array() {
                return Some(value);
            }
            node = node.link(&input)?;
            input = ["value", "text", "string", "int", "float", "seed", "noise_seed"]
                .into_iter()
                .find(|name| node.inputs.contains_key(*name))?
                .into();
        }
        None
    }

    /// A text, or a number as one.
    pub fn text(self, input: &str) -> Option<String> {
        match self.value(input)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A number.
    pub fn number(self, input: &str) -> Option<f64> {
        self.value(input)?.as_f64()
    }

    /// This node and those that it is led to by the first of these inputs that is a link, one after the other.
    pub fn chain(self, inputs: &'static [&'static str]) -> impl Iterator<Item = Node<'a>> {
        let next = move |node: &Node<'a>| inputs.iter().find_map(|input| node.link(input));
        std::iter::successors(Some(self), next).take(MOST_LINKS)
    }
}
