//! Trees from hierarchies of labels.

use std::collections::HashMap;
use std::sync::Arc;

use solver_api::{Error, Tree};

/// A tree whose nodes have names, and the node of each label.
#[derive(Debug, Clone)]
pub struct LabelTree {
    tree: Arc<Tree>,
    names: Vec<String>,
    labels: Vec<usize>,
}

impl LabelTree {
    /// A tree from paths such as `animal/mammal/cat`, one for each label: common beginnings are common nodes, below a
    /// root of their own, which is node 0. A label may be the beginning of another, and come twice. `length` of a depth
    /// (1 for the topmost names) is the length of the edge to a node of that depth. O(total length of the paths).
    ///
    /// ```
    /// use solver_exact::closed::tree::LabelTree;
    ///
    /// let labels = ["animal/mammal/cat", "animal/mammal/dog", "animal/bird/owl"];
    /// let hierarchy = LabelTree::from_paths(&labels, '/', |depth| 0.5_f64.powi(depth as i32 - 1))?;
    /// let [cat, dog, owl] = hierarchy.labels() else { unreachable!() };
    /// assert_eq!(hierarchy.tree().distance(*cat, *dog), Some(0.5));
    /// assert_eq!(hierarchy.tree().distance(*cat, *owl), Some(1.5));
    /// # Ok::<(), solver_api::Error>(())
    /// ```
    ///
    /// # Errors
    /// A path with an empty part; no labels; a length that [`Tree::new`] refuses.
    pub fn from_paths(
        labels: &[impl AsRef<str>],
        separator: char,
        length: impl Fn(usize) -> f64,
    ) -> Result<Self, Error> {
        check_any(labels.len())?;
        let mut known: HashMap<&str, usize> = HashMap::new();
        let (mut names, mut parent, mut lengths) = (vec![String::new()], vec![0], vec![0.0]);
        let mut nodes = Vec::with_capacity(labels.len());
        for (k, label) in labels.iter().enumerate() {
            let label = label.as_ref();
            let (mut above, mut end) = (0, 0);
            for (depth, part) in label.split(separator).enumerate() {
                if part.is_empty() {
                    let rule = format!("each part between `{separator}` must have a name");
                    return Err(Error::setting(format!("labels[{k}]"), label, rule));
                }
                end += part.len();
                above = *known.entry(&label[..end]).or_insert_with(|| {
                    names.push(part.to_owned());
                    parent.push(above);
                    lengths.push(length(depth + 1));
                    names.len() - 1
                });
                end += separator.len_utf8();
            }
            nodes.push(above);
        }
        Ok(Self {
            tree: Arc::new(Tree::new(&parent, &lengths)?),
            names,
            labels: nodes,
        })
    }

    /// A tree from the name of each label and of its parent, `None` for the root; node k is `names[k]`. `length` of a
    /// label's index is the length of the edge to its parent.
    ///
    /// # Errors
    /// A name that comes twice, a parent that is not among the names, and what [`Tree::new`] refuses: no root, several,
    /// cycles, lengths.
    pub fn from_parents(
        names: &[impl AsRef<str>],
        parents: &[Option<impl AsRef<str>>],
        length: impl Fn(usize) -> f64,
    ) -> Result<Self, Error> {
        check_any(names.len())?;
        if parents.len() != names.len() {
            return Err(Error::ShapeMismatch {
                argument: "parents",
                found: parents.len().to_string(),
                expected: format!("there are {} names", names.len()),
            });
        }
        let mut known = HashMap::new();
        for (k, name) in names.iter().enumerate() {
            if let Some(first) = known.insert(name.as_ref(), k) {
                let rule = format!("is the name of entry {first} already");
                return Err(Error::setting(format!("names[{k}]"), name.as_ref(), rule));
            }
        }
        let node = |(k, parent): (usize, &Option<_>)| match parent {
            None => Ok(k),
            Some(parent) => {
                let parent: &str = AsRef::as_ref(parent);
                known.get(parent).copied().ok_or_else(|| {
                    let rule = "must be one of the names";
                    Error::setting(format!("parents[{k}]"), parent, rule)
                })
            }
        };
        let nodes = parents.iter().enumerate().map(node);
        let parent: Vec<usize> = nodes.collect::<Result<_, _>>()?;
        let lengths: Vec<f64> = (0..names.len()).map(length).collect();
        Ok(Self {
            tree: Arc::new(Tree::new(&parent, &lengths)?),
            names: names.iter().map(|n| n.as_ref().to_owned()).collect(),
            labels: (0..names.len()).collect(),
        })
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// The name of each node: the last part of its path. That of the root above all paths is empty.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The node of each label, in the order in which they were given.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }
}

fn check_any(labels: usize) -> Result<(), Error> {
    if labels == 0 {
        return Err(Error::ShapeMismatch {
            argument: "labels",
            found: "0".to_owned(),
            expected: "at least one label is needed".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_share_their_beginnings() {
        let labels = ["a/b", "a", "c/b", "a/b", "ä/b"];
        let found = LabelTree::from_paths(&labels, '/', |_| 1.0).unwrap();
        assert_eq!(found.names(), ["", "a", "b", "c", "b", "ä", "b"]);
        assert_eq!(found.labels(), [2, 1, 4, 2, 6]);
        assert_eq!(found.tree().distance(2, 4), Some(4.0));
        let said = |labels: &[&str]| {
            LabelTree::from_paths(labels, '/', |_| 1.0)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            said(&["a", "b//c"]),
            "`labels[1]` = b//c: each part between `/` must have a name"
        );
        assert_eq!(
            said(&[]),
            "`labels` has shape 0, but at least one label is needed"
        );
        assert!(LabelTree::from_paths(&labels, '/', |_| f64::NAN).is_err());
    }

    #[test]
    fn parents_are_names() {
        let names = ["cat", "animal", "dog"];
        let parents = [Some("animal"), None, Some("animal")];
        let found = LabelTree::from_parents(&names, &parents, |_| 2.0).unwrap();
        assert_eq!(
            (found.tree().root(), found.tree().distance(0, 2)),
            (1, Some(4.0))
        );
        let said = |names: &[&str], parents: &[Option<&str>]| {
            LabelTree::from_parents(names, parents, |_| 1.0)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            said(&["a", "a"], &[None, None]),
            "`names[1]` = a: is the name of entry 0 already"
        );
        assert_eq!(
            said(&["a", "b"], &[None, Some("c")]),
            "`parents[1]` = c: must be one of the names"
        );
        assert!(said(&["a", "b"], &[None, None]).contains("second root"));
        assert!(said(&["a", "b"], &[Some("b"), Some("a")]).contains("cycle"));
        assert_eq!(
            said(&["a"], &[]),
            "`parents` has shape 0, but there are 1 names"
        );
    }
}
