//! What goes by names, in their order, and has numbers by which others name it: groups, their consumers, and producers.

/// Things by name. A number is good until its thing is taken out.
#[derive(Debug)]
pub(super) struct Names<T> {
    slots: Vec<Option<(Box<[u8]>, T)>>,
    /// Numbers in the order of the names.
    order: Vec<u32>,
    vacant: Vec<u32>,
    name_bytes: usize,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            order: Vec::new(),
            vacant: Vec::new(),
            name_bytes: 0,
        }
    }
}

impl<T> Names<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Bytes of memory, but for what the things have elsewhere.
    pub(super) fn bytes(&self) -> u64 {
        let slots = self.slots.capacity() * size_of::<Option<(Box<[u8]>, T)>>();
        let numbers = (self.order.capacity() + self.vacant.capacity()) * size_of::<u32>();
        (slots + numbers + self.name_bytes) as u64
    }

    fn slot(&self, number: u32) -> &(Box<[u8]>, T) {
        let slot = self.slots[number as usize].as_ref();
        slot.expect("a number is of something that is there")
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.order
            .binary_search_by(|&number| (*self.slot(number).0).cmp(name))
    }

    /// The number of a name.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        self.search(name).ok().map(|at| self.order[at])
    }

    /// The first number from this one on that something has.
    pub(super) fn number_from(&self, number: u64) -> Option<u32> {
        let from = usize::try_from(number).ok()?;
        let more = self.slots.get(from..)?.iter().position(Option::is_some)?;
        Some((from + more) as u32)
    }

    pub(super) fn name(&self, number: u32) -> &[u8] {
        &self.slot(number).0
    }

    pub(super) fn at(&self, number: u32) -> &T {
        &self.slot(number).1
    }

    pub(super) fn at_mut(&mut self, number: u32) -> &mut T {
        let slot = self.slots[number as usize].as_mut();
        &mut slot.expect("a number is of something that is there").1
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        self.find(name).map(|number| self.at(number))
    }

    /// Adds something under a name that nothing has; its number.
    pub(super) fn insert(&mut self, name: &[u8], thing: T) -> u32 {
        let at = self.search(name).expect_err("nothing has the name");
        let slot = Some((name.into(), thing));
        let number = match self.vacant.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.order.insert(at, number);
        self.name_bytes += name.len();
        number
    }

    /// Takes out what has a number.
    pub(super) fn remove(&mut self, number: u32) -> T {
        let at = self.search(self.name(number));
        self.order.remove(at.expect("it has a name"));
        let slot = self.slots[number as usize].take();
        let (name, thing) = slot.expect("a number is of something that is there");
        self.name_bytes -= name.len();
        self.vacant.push(number);
        if self.order.is_empty() {
            *self = Self::default();
        }
        thing
    }

    /// Takes the last one out of what is in use no more, and to which nothing is added any more.
    pub(super) fn pop(&mut self) -> Option<T> {
        let slot = self.slots[self.order.pop()? as usize].take();
        let (name, thing) = slot.expect("a number is of something that is there");
        self.name_bytes -= name.len();
        if self.order.is_empty() {
            *self = Self::default();
        }
        Some(thing)
    }

    /// The last one, in the order of the names.
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        let number = *self.order.last()?;
        Some(self.at_mut(number))
    }

    /// Numbers, names and things, in the order of the names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8], &T)> {
        self.order.iter().map(|&number| {
            let (name, thing) = self.slot(number);
            (number, &**name, thing)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_order_and_numbers_that_stay() {
        let mut names = Names::default();
        let numbers = [b"m", b"c", b"x"].map(|name: &[u8; 1]| names.insert(name, name[0]));
        assert_eq!(names.remove(numbers[1]), b'c');
        let again = names.insert(b"a", b'a');
        assert_eq!(again, numbers[1]);
        let order: Vec<u8> = names.iter().map(|(_, name, _)| name[0]).collect();
        assert_eq!(order, b"amx");
        assert_eq!(
            (names.find(b"x"), names.find(b"c")),
            (Some(numbers[2]), None)
        );
        *names.at_mut(again) = 7;
        assert_eq!(names.get(b"a"), Some(&7));
        assert!(names.bytes() > 0);
        for number in [again, numbers[0], numbers[2]] {
            names.remove(number);
        }
        assert_eq!((names.len(), names.bytes()), (0, 0));
    }
}
