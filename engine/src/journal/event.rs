//! Why an entry changed, or what was asked of one that is not there: the vocabulary of keyspace notifications.

/// Class of a keyspace event: the letter of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// `g`: commands of any type.
    Generic,
    /// `$`: string commands.
    String,
    /// `l`: list commands.
    List,
    /// `s`: set commands.
    Set,
    /// `h`: hash commands.
    Hash,
    /// `z`: sorted set commands.
    SortedSet,
    /// `t`: stream commands.
    Stream,
    /// `x`: an entry reached its deadline.
    Expired,
    /// `e`: an entry was evicted for `maxmemory`.
    Evicted,
    /// `n`: a key came to be.
    New,
    /// `m`: a key that was read is not there.
    Missed,
    /// No event is published.
    Silent,
}

impl EventClass {
    /// The letter of `notify-keyspace-events`.
    pub fn letter(self) -> Option<char> {
        match self {
            Self::Generic => Some('g'),
            Self::String => Some('$'),
            Self::List => Some('l'),
            Self::Set => Some('s'),
            Self::Hash => Some('h'),
            Self::SortedSet => Some('z'),
            Self::Stream => Some('t'),
            Self::Expired => Some('x'),
            Self::Evicted => Some('e'),
            Self::New => Some('n'),
            Self::Missed => Some('m'),
            Self::Silent => None,
        }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = ($text:literal, $class:ident),)*) => {
        /// Why an entry changed: the event of a keyspace notification.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Event { $($(#[$doc])* $name,)* }

        impl Event {
            /// Every event; each stands where its [code](Self::code) says.
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// A number for the event, of this process only.
            pub fn code(self) -> u8 {
                self as u8
            }

            /// The event of a code.
            ///
            /// # Panics
            /// There is none.
            pub fn of_code(code: u8) -> Self {
                Self::ALL[usize::from(code)]
            }

            /// The event's name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether what it tells of overwrites the value that a key has, which is not removed first.
            pub fn overwrites(self) -> bool {
                matches!(
                    self,
                    Self::SortStore
                        | Self::SInterStore
                        | Self::SUnionStore
                        | Self::SDiffStore
                        | Self::ZRangeStore
                        | Self::ZInterStore
                        | Self::ZUnionStore
                        | Self::ZDiffStore
                        | Self::GeoSearchStore
                        | Self::GeoRadiusStore
                )
            }

            /// The event's class.
            pub fn class(self) -> EventClass {
                match self { $(Self::$name => EventClass::$class,)* }
            }
        }
    };
}

events! {
    /// A string was written whole.
    Set = ("set", String),
    /// `SETRANGE`.
    SetRange = ("setrange", String),
    /// `APPEND`.
    Append = ("append", String),
    /// `SETBIT`, `BITFIELD`.
    SetBit = ("setbit", String),
    /// `PFADD`, `PFMERGE`.
    PfAdd = ("pfadd", String),
    /// `PFCOUNT` has kept its result: a change that publishes nothing.
    PfCount = ("", Silent),
    /// `INCR`, `DECR`, `INCRBY`, `DECRBY`.
    IncrBy = ("incrby", String),
    /// `INCRBYFLOAT`.
    IncrByFloat = ("incrbyfloat", String),
    /// `LPUSH`, `LPUSHX`, and what moves an element to the head of a list.
    LPush = ("lpush", List),
    /// `RPUSH`, `RPUSHX`, and what moves an element to the tail of a list.
    RPush = ("rpush", List),
    /// An element was taken from the head of a list.
    LPop = ("lpop", List),
    /// An element was taken from the tail of a list.
    RPop = ("rpop", List),
    /// `LINSERT`.
    LInsert = ("linsert", List),
    /// `LSET`.
    LSet = ("lset", List),
    /// `LREM`.
    LRem = ("lrem", List),
    /// `LTRIM`.
    LTrim = ("ltrim", List),
    /// `SORT` with `STORE`.
    SortStore = ("sortstore", List),
    /// `SADD`, and what moves a member to a set.
    SAdd = ("sadd", Set),
    /// `SREM`, and what moves a member from a set.
    SRem = ("srem", Set),
    /// `SPOP`.
    SPop = ("spop", Set),
    /// `SINTERSTORE`.
    SInterStore = ("sinterstore", Set),
    /// `SUNIONSTORE`.
    SUnionStore = ("sunionstore", Set),
    /// `SDIFFSTORE`.
    SDiffStore = ("sdiffstore", Set),
    /// `HSET`, `HSETNX`, `HMSET`, `HSETEX`.
    HSet = ("hset", Hash),
    /// `HINCRBY`.
    HIncrBy = ("hincrby", Hash),
    /// `HINCRBYFLOAT`.
    HIncrByFloat = ("hincrbyfloat", Hash),
    /// Fields were deleted by a command.
    HDel = ("hdel", Hash),
    /// Fields got deadlines.
    HExpire = ("hexpire", Hash),
    /// Fields have lost their deadlines.
    HPersist = ("hpersist", Hash),
    /// Fields reached their deadlines.
    HExpired = ("hexpired", Hash),
    /// `ZADD`, `GEOADD`.
    ZAdd = ("zadd", SortedSet),
    /// `ZINCRBY`, `ZADD` with `INCR`.
    ZIncr = ("zincr", SortedSet),
    /// `ZREM`.
    ZRem = ("zrem", SortedSet),
    /// `ZREMRANGEBYRANK`.
    ZRemRangeByRank = ("zremrangebyrank", SortedSet),
    /// `ZREMRANGEBYSCORE`.
    ZRemRangeByScore = ("zremrangebyscore", SortedSet),
    /// `ZREMRANGEBYLEX`.
    ZRemRangeByLex = ("zremrangebylex", SortedSet),
    /// The lowest members of a sorted set were taken.
    ZPopMin = ("zpopmin", SortedSet),
    /// The highest members of a sorted set were taken.
    ZPopMax = ("zpopmax", SortedSet),
    /// `ZRANGESTORE`.
    ZRangeStore = ("zrangestore", SortedSet),
    /// `ZUNIONSTORE`.
    ZUnionStore = ("zunionstore", SortedSet),
    /// `ZINTERSTORE`.
    ZInterStore = ("zinterstore", SortedSet),
    /// `ZDIFFSTORE`.
    ZDiffStore = ("zdiffstore", SortedSet),
    /// `GEOSEARCHSTORE`.
    GeoSearchStore = ("geosearchstore", SortedSet),
    /// `GEORADIUS`, `GEORADIUSBYMEMBER` with `STORE` or `STOREDIST`.
    GeoRadiusStore = ("georadiusstore", SortedSet),
    /// `XADD`.
    XAdd = ("xadd", Stream),
    /// Entries of a stream were deleted.
    XDel = ("xdel", Stream),
    /// A stream was trimmed.
    XTrim = ("xtrim", Stream),
    /// `XSETID`.
    XSetId = ("xsetid", Stream),
    /// `XGROUP CREATE`.
    XGroupCreate = ("xgroup-create", Stream),
    /// `XGROUP SETID`.
    XGroupSetId = ("xgroup-setid", Stream),
    /// `XGROUP DESTROY`.
    XGroupDestroy = ("xgroup-destroy", Stream),
    /// A consumer came to be.
    XGroupCreateConsumer = ("xgroup-createconsumer", Stream),
    /// `XGROUP DELCONSUMER`.
    XGroupDelConsumer = ("xgroup-delconsumer", Stream),
    /// The entry was deleted by a command.
    Del = ("del", Generic),
    /// A deadline was set.
    Expire = ("expire", Generic),
    /// A deadline was removed.
    Persist = ("persist", Generic),
    /// The entry was renamed away.
    RenameFrom = ("rename_from", Generic),
    /// The entry came by a rename.
    RenameTo = ("rename_to", Generic),
    /// The entry was moved to another database.
    MoveFrom = ("move_from", Generic),
    /// The entry came from another database.
    MoveTo = ("move_to", Generic),
    /// The entry was copied here.
    CopyTo = ("copy_to", Generic),
    /// `RESTORE`.
    Restore = ("restore", Generic),
    /// The entry reached its deadline.
    Expired = ("expired", Expired),
    /// The entry was evicted.
    Evicted = ("evicted", Evicted),
    /// The key came to be; what follows says how.
    New = ("new", New),
    /// The key was read and is not there: no change.
    Missed = ("keymiss", Missed),
    /// A change that publishes nothing (an overwritten destination, `FLUSHDB`).
    Silent = ("", Silent),
}
