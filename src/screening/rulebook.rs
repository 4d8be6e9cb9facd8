//! The rule files, read, checked and compiled.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    finding::Verdict,
    fold::{FoldData, Folding},
    hits::Source,
    links::{LinkData, Links, Place},
    numbers::{DigitData, Digits},
    rules::{LONGEST, Rule, RuleData},
    terms::{ListData, Terms},
};

/// The files of the product.
const BUILT_IN: [(&str, &str); 10] = [
    ("fold.toml", include_str!("rules/fold.toml")),
    ("common.toml", include_str!("rules/common.toml")),
    ("wechat.toml", include_str!("rules/wechat.toml")),
    ("wecom.toml", include_str!("rules/wecom.toml")),
    ("groups.toml", include_str!("rules/groups.toml")),
    ("numbers.toml", include_str!("rules/numbers.toml")),
    ("other_im.toml", include_str!("rules/other_im.toml")),
    ("links.toml", include_str!("rules/links.toml")),
    ("qr.toml", include_str!("rules/qr.toml")),
    ("solicit.toml", include_str!("rules/solicit.toml")),
];
/// The list of words that may stand between the digits of a number or the pieces of a name.
const GLUE: &str = "glue";
/// Most parts of a rule.
const MAX_PARTS: usize = 4;

/// A shape that a rule may name beside the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    Id,
    Word,
    Mention,
    Pieces,
    Handle,
    Phone,
    Landline,
    Number,
    Told,
    Link,
    Passphrase,
}

const SHAPES: [(&str, Shape); 11] = [
    ("id", Shape::Id),
    ("word", Shape::Word),
    ("mention", Shape::Mention),
    ("pieces", Shape::Pieces),
    ("handle", Shape::Handle),
    ("phone", Shape::Phone),
    ("landline", Shape::Landline),
    ("number", Shape::Number),
    ("told", Shape::Told),
    ("link", Shape::Link),
    ("passphrase", Shape::Passphrase),
];

/// Why a rulebook is refused: the file, what in it, and what is wrong.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{file}: {entry}: {problem}")]
pub struct RulebookError {
    pub file: String,
    pub entry: String,
    pub problem: String,
}

impl RulebookError {
    fn new(file: &str, entry: &str, problem: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            entry: entry.to_owned(),
            problem: problem.into(),
        }
    }
}

/// One file; every part is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<String>,
    fold: Option<FoldData>,
    links: Option<LinkData>,
    #[serde(default)]
    digits: Vec<DigitData>,
    #[serde(default)]
    lists: BTreeMap<String, ListData>,
    #[serde(default)]
    rules: Vec<RuleData>,
    #[serde(default)]
    places: Vec<Place>,
}

/// All rules, compiled. Costly to make, cheap to use from many threads.
#[derive(Debug)]
pub struct Rulebook {
    version: String,
    pub(super) folding: Folding,
    pub(super) digits: Digits,
    pub(super) links: Links,
    pub(super) terms: Terms,
    pub(super) rules: Vec<Rule>,
    pub(super) shapes: HashMap<Shape, Vec<Source>>,
    pub(super) sources: usize,
    pub(super) glue: Source,
}

impl Rulebook {
    /// The product's own rules. `own_hosts` are the platform's: links to them and to what is
    /// under them are no finding.
    pub fn built_in(own_hosts: &[String]) -> Result<Self, RulebookError> {
        Self::parse(&BUILT_IN, own_hosts)
    }

    /// Compiles rule files, given by name and content.
    ///
    /// # Errors
    /// The first thing that is wrong: an id or a list twice, a name that is none, a rule, list
    /// or place without `why`, a window over 48, an empty pattern.
    pub fn parse(files: &[(&str, &str)], own_hosts: &[String]) -> Result<Self, RulebookError> {
        let mut whole = File::default();
        let mut ids = HashSet::new();
        for (name, content) in files {
            let file = toml::from_str::<File>(content)
                .map_err(|error| RulebookError::new(name, "syntax", error.to_string()))?;
            check(name, &file, &mut ids)?;
            merge(&mut whole, file);
        }
        let compiled = compile(whole, own_hosts).map_err(|(entry, problem)| {
            let file = files.iter().find(|(_, content)| content.contains(&*entry));
            RulebookError::new(file.map_or("rules", |(name, _)| name), &entry, problem)
        })?;
        Ok(Self {
            version: format!("{}-{}", compiled.version, digest(files)),
            ..compiled
        })
    }

    /// As the files have it, and a digest of them: other rules have another version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Eight hexadecimal digits.
fn digest(files: &[(&str, &str)]) -> String {
    let mut digest = Sha256::new();
    for (_, content) in files {
        digest.update(content.as_bytes());
    }
    let digest = digest.finalize();
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What can be said of each entry alone.
fn check(file: &str, data: &File, ids: &mut HashSet<String>) -> Result<(), RulebookError> {
    let refuse = |entry: &str, problem: &str| Err(RulebookError::new(file, entry, problem));
    let lists = data.lists.iter().map(|(name, list)| (name, &list.why));
    let rules = data.rules.iter().map(|rule| (&rule.id, &rule.why));
    let places = data.places.iter().map(|place| (&place.id, &place.why));
    for (id, why) in lists.chain(rules).chain(places) {
        if why.trim().is_empty() {
            return refuse(id, "has no why");
        }
        if !ids.insert(id.clone()) {
            return refuse(id, "is there twice");
        }
    }
    for (name, list) in &data.lists {
        if list.terms.is_empty() || list.terms.iter().any(|term| term.trim().is_empty()) {
            return refuse(name, "has an empty pattern, or none");
        }
        if list.far > LONGEST {
            return refuse(name, "has a window wider than 48");
        }
    }
    for rule in &data.rules {
        if !(1..=MAX_PARTS).contains(&rule.all.len()) {
            return refuse(&rule.id, "must have one to four parts");
        }
        if rule.verdict == Verdict::Allow {
            return refuse(
                &rule.id,
                "finds nothing with ALLOW; that is what `none` is for",
            );
        }
        if rule.within > LONGEST || rule.beside > LONGEST {
            return refuse(&rule.id, "has a window wider than 48");
        }
    }
    Ok(())
}

fn merge(whole: &mut File, file: File) {
    whole.version = file.version.or(whole.version.take());
    whole.fold = file.fold.or(whole.fold.take());
    whole.links = file.links.or(whole.links.take());
    whole.digits.extend(file.digits);
    whole.lists.extend(file.lists);
    whole.rules.extend(file.rules);
    whole.places.extend(file.places);
}

/// Numbers lists, shapes and the unions that rules name. An error is an entry and its problem.
fn compile(data: File, own_hosts: &[String]) -> Result<Rulebook, (String, String)> {
    let at = |entry: &str| {
        let entry = entry.to_owned();
        move |problem: String| (entry, problem)
    };
    let mut sources = Sources::default();
    for name in data
        .lists
        .keys()
        .map(String::as_str)
        .chain(SHAPES.map(|(name, _)| name))
    {
        sources.name(name);
    }
    let glue = sources.find(GLUE).map_err(at(GLUE))?;
    let mut rules = Vec::new();
    for rule in data.rules {
        let all = sources.all(&rule.all).map_err(at(&rule.id))?;
        let mut none = Vec::new();
        for name in &rule.none {
            let far = data.lists.get(name).map_or(0, |list| list.far);
            none.push((sources.find(name), rule.beside + far));
        }
        none.extend(rule.against.iter().map(|name| (sources.find(name), 1)));
        let none = none
            .into_iter()
            .map(|(source, reach)| Ok((source?, reach)))
            .collect::<Result<_, String>>()
            .map_err(at(&rule.id))?;
        let names = rule.all.iter().flat_map(|part| part.split('|'));
        let shaped = |name: &str| SHAPES.iter().any(|(shape, _)| *shape == name.trim());
        rules.push(Rule {
            carries: names.into_iter().any(shaped),
            data: rule,
            all,
            none,
        });
    }
    let folding = Folding::new(data.fold.unwrap_or_default()).map_err(at("fold"))?;
    let lists = data
        .lists
        .iter()
        .map(|(name, list)| (name.as_str(), list, sources.of(name)));
    let shapes = SHAPES.map(|(name, shape)| (shape, sources.of(name)));
    Ok(Rulebook {
        version: data
            .version
            .ok_or(("version".to_owned(), "is missing".to_owned()))?,
        terms: Terms::new(&folding, lists)?,
        digits: Digits::new(data.digits).map_err(at("digits"))?,
        links: Links::new(data.links.unwrap_or_default(), data.places, own_hosts),
        shapes: HashMap::from(shapes),
        sources: sources.count,
        folding,
        rules,
        glue,
    })
}

/// The numbers of lists and shapes, and of their unions.
#[derive(Default)]
struct Sources {
    names: HashMap<String, Source>,
    /// For each name, the sources that its hits count for.
    feeds: HashMap<String, Vec<Source>>,
    count: usize,
}

impl Sources {
    fn name(&mut self, name: &str) {
        self.names.insert(name.to_owned(), self.count);
        self.feeds.insert(name.to_owned(), vec![self.count]);
        self.count += 1;
    }

    fn find(&self, name: &str) -> Result<Source, String> {
        let source = self.names.get(name).copied();
        source.ok_or_else(|| format!("no list or shape is called {name:?}"))
    }

    fn of(&self, name: &str) -> Vec<Source> {
        self.feeds.get(name).cloned().unwrap_or_default()
    }

    fn all(&mut self, parts: &[String]) -> Result<Vec<Source>, String> {
        parts.iter().map(|part| self.part(part)).collect()
    }

    /// A name, or a union of several, which is numbered once.
    fn part(&mut self, part: &str) -> Result<Source, String> {
        if let Ok(source) = self.find(part) {
            return Ok(source);
        }
        let members: Vec<&str> = part.split('|').map(str::trim).collect();
        for member in &members {
            self.find(member)?;
        }
        let union = self.count;
        for member in members {
            self.feeds.entry(member.to_owned()).or_default().push(union);
        }
        self.names.insert(part.to_owned(), union);
        self.count += 1;
        Ok(union)
    }
}
