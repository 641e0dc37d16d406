//! Backends by name.

use std::fmt;
use std::sync::Arc;

use solver_api::{Capability, Error, Factory, Options, Solver};

use crate::auto::{Auto, AutoFactory};
use crate::backends;

/// The backends there are: those compiled in, and those a caller adds.
///
/// ```
/// use kantorovich::{Options, Registry};
///
/// let registry = Registry::new();
/// println!("compiled in: {}", registry.names().join(", "));
/// let unknown = registry.build("no-such", &Options::default()).map(|_| ());
/// assert!(unknown.unwrap_err().to_string().contains("no such backend"));
/// ```
///
/// The name `auto` is always known and never listed: it stands for a choice among the others, made for each
/// problem (see [`Auto`]).
#[derive(Clone)]
pub struct Registry {
    factories: Vec<Arc<dyn Factory>>,
}

impl Default for Registry {
    /// The same as [`Registry::new`].
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.names()).finish()
    }
}

impl Registry {
    /// What is compiled in: one backend for each cargo feature that names one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            factories: backends::compiled_in(),
        }
    }

    /// No backends at all, to be filled by [`Registry::with`].
    #[must_use]
    pub fn empty() -> Self {
        Self { factories: vec![] }
    }

    /// With one more backend. One of the same name takes the old one's place in the list.
    #[must_use]
    pub fn with(mut self, factory: impl Factory + 'static) -> Self {
        let factory: Arc<dyn Factory> = Arc::new(factory);
        let same = self
            .factories
            .iter_mut()
            .find(|f| f.name() == factory.name());
        match same {
            Some(old) => *old = factory,
            None => self.factories.push(factory),
        }
        self
    }

    /// All names, in the order of the list, without `auto`.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.factories.iter().map(|f| f.name()).collect()
    }

    /// All backends, in the order of the list, without `auto`.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Factory>> {
        self.factories.iter()
    }

    /// The number of backends.
    #[must_use]
    pub fn len(&self) -> usize {
        self.factories.len()
    }

    /// Whether no backend is compiled in or added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.factories.is_empty()
    }

    /// The backend of that name, or `auto`. [`Error::UnknownBackend`] lists the names there are.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Factory>, Error> {
        if let Some(found) = self.factories.iter().find(|f| f.name() == name) {
            return Ok(Arc::clone(found));
        }
        if name == Auto::NAME {
            return Ok(Arc::new(AutoFactory::new(self.clone())));
        }
        let known = self.names().into_iter().chain([Auto::NAME]);
        Err(Error::UnknownBackend {
            name: name.to_owned(),
            known: known.map(str::to_owned).collect(),
        })
    }

    /// A solver by name with checked options. Errors: an unknown name, a backend that can't run on this machine,
    /// an option that the backend lacks or that is out of range.
    pub fn build(&self, name: &str, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let factory = self.get(name)?;
        factory.available()?;
        factory.build(options)
    }

    /// The choice among all backends for these options. [`Registry::build`] of `auto` returns the same, boxed.
    pub fn auto(&self, options: &Options) -> Result<Auto, Error> {
        Auto::new(self, options)
    }

    /// [`Registry::auto`] among the backends that can do without an n×m array ([`Capability::LazyCost`]), each of them told so if it
    /// has the choice.
    pub fn auto_lazily(&self, options: &Options) -> Result<Auto, Error> {
        Auto::lazily(self, options)
    }

    /// The names of the backends that have `capability` and can run here.
    #[must_use]
    pub fn having(&self, capability: Capability) -> Vec<&str> {
        self.factories
            .iter()
            .filter(|f| f.capabilities().has(capability) && f.available().is_ok())
            .map(|f| f.name())
            .collect()
    }

    /// The backends that have every one of `capabilities`, in the same order.
    #[must_use]
    pub fn restricted_to(&self, capabilities: &[Capability]) -> Self {
        let able = |f: &&Arc<dyn Factory>| {
            let has = f.capabilities();
            capabilities.iter().all(|c| has.has(*c))
        };
        Self {
            factories: self.factories.iter().filter(able).cloned().collect(),
        }
    }

    /// Completes an [`Error::Unsupported`] with the backends that have what was missing; others pass unchanged.
    #[must_use]
    pub fn with_hint(&self, error: Error) -> Error {
        match error {
            Error::Unsupported {
                solver,
                needs,
                instead,
            } if instead.is_empty() => {
                let having = self.factories.iter().filter(|f| {
                    f.available().is_ok() && f.capabilities().iter().any(|c| c.name() == needs)
                });
                let instead = having.map(|f| f.name().to_owned()).collect();
                Error::Unsupported {
                    solver,
                    needs,
                    instead,
                }
            }
            other => other,
        }
    }
}
