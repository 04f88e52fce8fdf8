//! The answers of both servers, and the differences among them that are intended.

use std::{collections::BTreeMap, fmt::Debug};

/// Names of requests, or of clients.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names {
    All,
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

impl Names {
    fn has(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(&name),
            Self::AllBut(names) => !names.contains(&name),
        }
    }

    fn listed(self) -> &'static [&'static str] {
        match self {
            Self::All => &[],
            Self::Only(names) | Self::AllBut(names) => names,
        }
    }
}

/// An intended difference: the answers to each of these requests of each of these clients.
pub(super) struct Known<A: 'static> {
    pub(super) requests: Names,
    pub(super) clients: Names,
    pub(super) there: A,
    pub(super) here: A,
    pub(super) why: &'static str,
}

impl<A: Copy> Known<A> {
    /// A difference in the answers there and here.
    pub(super) const fn of(
        requests: &'static [&'static str],
        clients: &'static [&'static str],
        (there, here): (A, A),
        why: &'static str,
    ) -> Self {
        Self { requests: Names::Only(requests), clients: Names::Only(clients), there, here, why }
    }

    fn is_of(&self, request: &str, client: &str) -> bool {
        self.requests.has(request) && self.clients.has(client)
    }
}

/// The answers of the reference server and of the embedded one, by request and client.
pub(super) struct Answers<A>(BTreeMap<(String, String), (A, A)>);

impl<A: Copy + PartialEq + Debug> Answers<A> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn add(&mut self, request: &str, client: &str, there: A, here: A) {
        let before = self.0.insert((request.to_owned(), client.to_owned()), (there, here));
        assert!(before.is_none(), "{request} of {client} has two answers");
    }

    /// Requires that the answers are the same, but for the known differences, and that each of
    /// these occurs.
    pub(super) fn check(&self, known: &[Known<A>]) {
        let wrong = self.wrong(known);
        assert!(wrong.is_empty(), "{} answers are wrong: {wrong:#?}", wrong.len());
    }

    fn wrong(&self, known: &[Known<A>]) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((request, client), (there, here)) in &self.0 {
            let known: Vec<_> = known.iter().filter(|it| it.is_of(request, client)).collect();
            let found = format!("{request} of {client}: {there:?} there and {here:?} here");
            match known[..] {
                [] if there != here => wrong.push(found),
                [] => {}
                [known] if (&known.there, &known.here) == (there, here) => {}
                [Known { there, here, why, .. }] => {
                    wrong.push(format!("{found}; known is {there:?} and {here:?}: {why}"));
                }
                _ => wrong.push(format!("{found}; it is known {} times", known.len())),
            }
        }
        let unknown = |names: Names, has: &dyn Fn(&str) -> bool| {
            names.listed().iter().copied().find(|name| !has(name))
        };
        for Known { requests, clients, why, .. } in known {
            let request = unknown(*requests, &|name| self.0.keys().any(|(it, _)| it == name));
            let client = unknown(*clients, &|name| self.0.keys().any(|(_, it)| it == name));
            if let Some(name) = request.or(client) {
                wrong.push(format!("there is no {name}: {why}"));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers<u8> {
        let mut answers = Answers::new();
        answers.add("read", "ann", 1, 1);
        answers.add("read", "bob", 1, 2);
        answers.add("write", "ann", 3, 3);
        answers.add("write", "bob", 1, 2);
        answers
    }

    fn known(requests: Names, clients: Names, there: u8, here: u8) -> Known<u8> {
        Known { requests, clients, there, here, why: "it is so" }
    }

    #[test]
    fn every_difference_has_to_be_known() {
        let bob = known(Names::All, Names::Only(&["bob"]), 1, 2);
        assert_eq!(answers().wrong(&[bob]), [""; 0]);
        let all_but_ann = known(Names::All, Names::AllBut(&["ann"]), 1, 2);
        assert_eq!(answers().wrong(&[all_but_ann]), [""; 0]);
        let read = known(Names::Only(&["read"]), Names::Only(&["bob"]), 1, 2);
        assert_eq!(answers().wrong(&[read]), ["write of bob: 1 there and 2 here"]);
    }

    #[test]
    fn a_known_difference_that_does_not_occur_is_wrong() {
        let all = known(Names::Only(&["read"]), Names::All, 1, 2);
        let bob = known(Names::Only(&["write"]), Names::Only(&["bob"]), 1, 2);
        let wrong = answers().wrong(&[all, bob]);
        assert_eq!(wrong, ["read of ann: 1 there and 1 here; known is 1 and 2: it is so"]);
        let other = known(Names::All, Names::Only(&["bob"]), 1, 3);
        assert_eq!(answers().wrong(&[other]).len(), 2);
    }

    #[test]
    fn a_difference_that_is_known_twice_or_is_of_no_client_is_wrong() {
        let bob = || known(Names::All, Names::Only(&["bob"]), 1, 2);
        assert_eq!(answers().wrong(&[bob(), bob()]).len(), 2);
        let eve = known(Names::All, Names::Only(&["eve"]), 1, 2);
        assert_eq!(answers().wrong(&[bob(), eve]), ["there is no eve: it is so"]);
    }
}
