//! The arguments of searches, in the order in which Redis finds fault with them: it looks up the member at the center on the way.
//!
//! ```text
//!  GEORADIUS         key longitude latitude radius unit   options
//!  GEORADIUSBYMEMBER key member             radius unit   options
//!  GEOSEARCH         key                                  options, FROM… and BY… among them
//!  GEOSEARCHSTORE    destination source                   options, FROM… and BY… among them
//! ```

use larder_engine::{SortedSetRef, parse_canonical_i64};

use super::earth::Position;
use super::find::{Distances, Order};
use super::grid::position_of;
use super::shape::Shape;
use super::unit::Unit;
use crate::command::Args;
use crate::resp::{ErrorReply, errors};

/// Whose arguments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    Radius(MayStore),
    RadiusByMember(MayStore),
    Search,
    SearchStore,
}

/// Whether `STORE` and `STOREDIST` are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayStore {
    No,
    Yes,
}

impl Grammar {
    /// The argument that is the key searched in.
    pub(super) fn source(self) -> usize {
        match self {
            Self::SearchStore => 2,
            _ => 1,
        }
    }

    /// Where the options begin.
    fn options_from(self) -> usize {
        match self {
            Self::Radius(_) => 6,
            Self::RadiusByMember(_) => 5,
            Self::Search => 2,
            Self::SearchStore => 3,
        }
    }

    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    fn knows_store(self) -> bool {
        matches!(
            self,
            Self::Radius(MayStore::Yes) | Self::RadiusByMember(MayStore::Yes)
        )
    }

    /// Where what is found is to be stored: the last of the options that say it.
    pub(super) fn stored(self, args: &Args<'_>) -> Option<Stored> {
        if self == Self::SearchStore {
            let from = self.options_from();
            let as_distances = (from..args.len()).any(|at| args.is(at, "storedist"));
            return Some(Stored {
                at: 1,
                as_distances,
            });
        }
        if !self.knows_store() {
            return None;
        }
        let (mut stored, mut at) = (None, self.options_from());
        while at + 1 < args.len() {
            let as_distances = args.is(at, "storedist");
            if as_distances || args.is(at, "store") {
                at += 1;
                stored = Some(Stored { at, as_distances });
            }
            at += 1;
        }
        stored
    }
}

/// Where what is found is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The argument that is the key.
    pub(super) at: usize,
    /// With distances as scores, not with the scores that there are.
    pub(super) as_distances: bool,
}

/// What is shown of a member beside its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shows {
    pub(super) distance: bool,
    pub(super) score: bool,
    pub(super) position: bool,
}

/// A search.
#[derive(Debug)]
pub(super) struct Request {
    /// Its center and shape; unknown if there is no sorted set to search in.
    pub(super) place: Option<(Position, Shape)>,
    pub(super) unit: Unit,
    pub(super) shows: Shows,
    pub(super) order: Option<Order>,
    /// At most so many.
    pub(super) count: Option<u64>,
    /// Any of them, not the first in order.
    pub(super) any: bool,
    pub(super) stored: Option<Stored>,
}

/// A search whose arguments are being read.
struct Reading<'a, 's> {
    args: Args<'a>,
    grammar: Grammar,
    set: Option<SortedSetRef<'s>>,
    center: Center,
    shape: Option<(Shape, Unit)>,
    request: Request,
}

/// Where the center is from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Center {
    Nowhere,
    /// A member; its position is known if there is a sorted set.
    Member(Option<Position>),
    Position(Position),
}

impl Request {
    /// Reads the arguments of a search in a sorted set, if there is one.
    ///
    /// # Errors
    /// They are wrong, or no such member is there.
    pub(super) fn parse(
        args: &Args<'_>,
        grammar: Grammar,
        set: Option<SortedSetRef<'_>>,
    ) -> Result<Self, ErrorReply> {
        let mut reading = Reading {
            args: *args,
            grammar,
            set,
            center: Center::Nowhere,
            shape: None,
            request: Self {
                place: None,
                unit: Unit::METER,
                shows: Shows::default(),
                order: None,
                count: None,
                any: false,
                stored: None,
            },
        };
        reading.read_circle()?;
        let mut at = grammar.options_from();
        while at < args.len() {
            at += reading.read_option(at)?;
        }
        reading.finish()
    }

    /// Whether the distances of what is found are shown, stored, or bring it in order.
    pub(super) fn distances(&self) -> Distances {
        let is_stored = self.stored.is_some_and(|stored| stored.as_distances);
        match self.shows.distance || self.order.is_some() || is_stored {
            true => Distances::Needed,
            false => Distances::Unneeded,
        }
    }
}

impl Reading<'_, '_> {
    /// Reads what stands before the options.
    fn read_circle(&mut self) -> Result<(), ErrorReply> {
        match self.grammar {
            Grammar::Radius(_) => {
                self.center = Center::Position(Position::parse(&self.args, 2)?);
                self.shape = Some(Shape::circle(&self.args, 4)?);
            }
            // With nothing to search in, the radius is not looked at.
            Grammar::RadiusByMember(_) if self.set.is_none() => {}
            Grammar::RadiusByMember(_) => {
                self.center = self.member(2)?;
                self.shape = Some(Shape::circle(&self.args, 3)?);
            }
            Grammar::Search | Grammar::SearchStore => {}
        }
        Ok(())
    }

    /// The member that argument `at` names as center.
    fn member(&self, at: usize) -> Result<Center, ErrorReply> {
        let Some(set) = self.set else {
            return Ok(Center::Member(None));
        };
        let score = set.score(self.args.at(at));
        let score = score.ok_or(errors::NO_SUCH_POSITION)?;
        Ok(Center::Member(Some(position_of(score))))
    }

    /// Reads the option at argument `at`; how many arguments it has.
    fn read_option(&mut self, at: usize) -> Result<usize, ErrorReply> {
        let (args, behind) = (self.args, self.args.len() - at - 1);
        let request = &mut self.request;
        match () {
            () if args.is(at, "withdist") => request.shows.distance = true,
            () if args.is(at, "withhash") => request.shows.score = true,
            () if args.is(at, "withcoord") => request.shows.position = true,
            () if args.is(at, "any") => request.any = true,
            () if args.is(at, "asc") => request.order = Some(Order::Nearest),
            () if args.is(at, "desc") => request.order = Some(Order::Farthest),
            () if args.is(at, "count") && behind >= 1 => {
                let count = parse_canonical_i64(args.at(at + 1)).ok_or(errors::NOT_AN_INTEGER)?;
                let count = u64::try_from(count).ok().filter(|&count| count > 0);
                request.count = Some(count.ok_or(errors::GEO_COUNT)?);
                return Ok(2);
            }
            () if self.grammar.knows_store()
                && behind >= 1
                && (args.is(at, "store") || args.is(at, "storedist")) =>
            {
                return Ok(2);
            }
            () if self.grammar == Grammar::SearchStore && args.is(at, "storedist") => {}
            () if self.grammar.is_search() => return self.read_place(at, behind),
            () => return Err(errors::SYNTAX),
        }
        Ok(1)
    }

    /// Reads an option about center or shape, with so many arguments behind it.
    fn read_place(&mut self, at: usize, behind: usize) -> Result<usize, ErrorReply> {
        let args = self.args;
        let is_polygon = matches!(self.shape, Some((Shape::Polygon { .. }, _)));
        let is_circle = matches!(self.shape, Some((Shape::Circle { .. }, _)));
        let is_box = matches!(self.shape, Some((Shape::Box { .. }, _)));
        let is_member = matches!(self.center, Center::Member(_));
        let is_position = matches!(self.center, Center::Position(_));
        match () {
            () if args.is(at, "frommember") && behind >= 1 && !is_position && !is_polygon => {
                self.center = self.member(at + 1)?;
                Ok(2)
            }
            () if args.is(at, "fromlonlat") && behind >= 2 && !is_member && !is_polygon => {
                self.center = Center::Position(Position::parse(&args, at + 1)?);
                Ok(3)
            }
            () if args.is(at, "byradius") && behind >= 2 && !is_box && !is_polygon => {
                self.shape = Some(Shape::circle(&args, at + 1)?);
                Ok(3)
            }
            () if args.is(at, "bybox") && behind >= 3 && !is_circle && !is_polygon => {
                self.shape = Some(Shape::square(&args, at + 1)?);
                Ok(4)
            }
            () if args.is(at, "bypolygon")
                && behind >= 2
                && self.shape.is_none()
                && self.center == Center::Nowhere =>
            {
                let (shape, unit) = Shape::polygon(&args, at + 1)?;
                let Shape::Polygon { vertices } = &shape else {
                    unreachable!("it was read as a polygon")
                };
                let arguments = 2 + 2 * vertices.len();
                self.shape = Some((shape, unit));
                Ok(arguments)
            }
            () => Err(errors::SYNTAX),
        }
    }

    fn finish(self) -> Result<Request, ErrorReply> {
        let Self {
            args,
            grammar,
            set,
            center,
            shape,
            mut request,
        } = self;
        request.stored = grammar.stored(&args);
        if request.stored.is_some() && request.shows != Shows::default() {
            return Err(match grammar {
                Grammar::SearchStore => errors::GEOSEARCHSTORE_WITH_OTHERS,
                _ => errors::STORE_WITH_OTHERS,
            });
        }
        let own_center = shape.as_ref().and_then(|(shape, _)| shape.center());
        if grammar.is_search() && center == Center::Nowhere && own_center.is_none() {
            return Err(errors::no_center(args.at(0)));
        }
        if grammar.is_search() && shape.is_none() {
            return Err(errors::no_shape(args.at(0)));
        }
        if request.any && request.count.is_none() {
            return Err(errors::ANY_WITHOUT_COUNT);
        }
        let center = match center {
            Center::Nowhere => own_center,
            Center::Member(position) => position,
            Center::Position(position) => Some(position),
        };
        if let (Some(center), Some((shape, unit)), true) = (center, shape, set.is_some()) {
            request.unit = unit;
            request.place = Some((center, shape));
        }
        // The first so many are those in an order, the nearest if none is said.
        if request.count.is_some() && request.order.is_none() && !request.any {
            request.order = Some(Order::Nearest);
        }
        Ok(request)
    }
}
