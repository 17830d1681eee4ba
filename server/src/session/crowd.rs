//! A set of a few members mostly, and of very many at times: a list, which iterates as fast as memory is read, and above
//! a size a table of places beside it, so that a member is found and removed in constant time however many there are.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use ahash::RandomState;

/// Up to so many members are found by looking through the list.
const LISTED_MAX: usize = 32;

/// A set. There are many of one or two members, so that it is to be small itself. Members are in the order they came until one leaves; the last then takes its place.
#[derive(Clone, Debug)]
pub struct Crowd<T> {
    list: Vec<T>,
    #[allow(clippy::box_collection, reason = "most crowds have no table")]
    places: Option<Box<HashMap<T, u32, RandomState>>>,
}

impl<T> Default for Crowd<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            places: None,
        }
    }
}

impl<T> Crowd<T> {
    /// Number of members.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The members.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.list.iter()
    }
}

impl<T: Clone + Eq + Hash> Crowd<T> {
    /// Takes `member` in. False: it was in already.
    pub fn insert(&mut self, member: T) -> bool {
        if self.contains(&member) {
            return false;
        }
        let place = u32::try_from(self.list.len()).expect("fewer members than memory holds");
        self.list.push(member.clone());
        if let Some(places) = &mut self.places {
            places.insert(member, place);
        } else if self.list.len() > LISTED_MAX {
            let places = self.list.iter().cloned().zip(0..).collect();
            self.places = Some(Box::new(places));
        }
        true
    }

    /// Removes `member`. False: it was not in.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let Some(place) = self.place(member) else {
            return false;
        };
        self.list.swap_remove(place);
        if self.list.len() <= LISTED_MAX / 2 {
            self.places = None;
        } else if let Some(places) = &mut self.places {
            places.remove(member);
            if let Some(moved) = self.list.get(place) {
                places.insert(moved.clone(), place as u32);
            }
        }
        true
    }

    /// Whether `member` is in.
    pub fn contains<Q: Eq + Hash + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.place(member).is_some()
    }

    fn place<Q: Eq + Hash + ?Sized>(&self, member: &Q) -> Option<usize>
    where
        T: Borrow<Q>,
    {
        match &self.places {
            Some(places) => places.get(member).map(|&place| place as usize),
            None => self.list.iter().position(|other| other.borrow() == member),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_come_in_the_order_they_joined() {
        let mut crowd = Crowd::default();
        for member in ["b", "a", "c", "a"] {
            crowd.insert(member);
        }
        assert_eq!(crowd.iter().copied().collect::<Vec<_>>(), ["b", "a", "c"]);
    }

    proptest! {
        #[test]
        fn a_crowd_of_any_size_is_a_set(steps in prop::collection::vec((any::<bool>(), 0..90u32), 0..600)) {
            let (mut crowd, mut model) = (Crowd::default(), BTreeSet::new());
            for (joins, member) in steps {
                if joins {
                    prop_assert_eq!(crowd.insert(member), model.insert(member));
                } else {
                    prop_assert_eq!(crowd.remove(&member), model.remove(&member));
                }
                prop_assert_eq!(crowd.len(), model.len());
                prop_assert_eq!(crowd.contains(&member), model.contains(&member));
            }
            prop_assert_eq!(crowd.iter().copied().collect::<BTreeSet<_>>(), model);
        }
    }
}
