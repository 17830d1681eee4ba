"""A game's leaderboards over sorted sets, by the PyPI `redis`: usage `leaderboard.py HOST PORT`; exit status 0 is success.

Threads of the game add what players win; pages of the boards, ranks and what is added up of them are compared with those that
a dictionary gives.
"""

import random
import sys
import threading

import redis

PLAYERS = 300
THREADS = 4
# Wins that each thread adds.
WINS = 400
PAGE = 10


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


class Leaderboard:
    """A board, the best first; those of equal score by their names, the last first."""

    def __init__(self, client, name):
        self.client, self.key = client, f"board:{name}"

    def win(self, player, points):
        return self.client.zincrby(self.key, points, player)

    def record(self, player, score):
        """Keeps the best of a player, and says whether this is it."""
        return self.client.zadd(self.key, {player: score}, gt=True, ch=True) == 1

    def page(self, number):
        return self.client.zrange(self.key, number * PAGE, number * PAGE + PAGE - 1, desc=True, withscores=True)

    def rank(self, player):
        """The rank, from 0, and the score, at one moment."""
        with self.client.pipeline(transaction=True) as pipe:
            return tuple(pipe.zrevrank(self.key, player).zscore(self.key, player).execute())

    def around(self, player, distance):
        """Who is next to a player, in one round trip."""
        script = """
            local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
            if not rank then return {} end
            local first = math.max(0, rank - ARGV[2])
            return redis.call('ZREVRANGE', KEYS[1], first, rank + ARGV[2])
        """
        return self.client.eval(script, 1, self.key, player, distance)

    def between(self, low, high):
        return self.client.zcount(self.key, low, high)


class Model:
    """What a board is, in a dictionary."""

    def __init__(self, scores):
        self.scores = scores
        self.order = sorted(scores, key=lambda player: (scores[player], player), reverse=True)

    def page(self, number):
        return [(player, self.scores[player]) for player in self.order[number * PAGE : number * PAGE + PAGE]]

    def rank(self, player):
        return (self.order.index(player), self.scores[player])

    def around(self, player, distance):
        rank = self.order.index(player)
        return self.order[max(0, rank - distance) : rank + distance + 1]

    def between(self, low, high):
        return sum(low <= score <= high for score in self.scores.values())


def as_pairs(scored):
    """RESP3 has pairs as lists, RESP2 as tuples."""
    return [tuple(pair) for pair in scored]


def compare(board, model, what):
    check(board.client.zcard(board.key), len(model.scores), f"{what}: players")
    for number in range(len(model.scores) // PAGE + 2):
        check(as_pairs(board.page(number)), model.page(number), f"{what}: page {number}")
    for player in model.order[:: max(1, len(model.order) // 50)]:
        check(board.rank(player), model.rank(player), f"{what}: the rank of {player}")
        check(board.around(player, 3), model.around(player, 3), f"{what}: players around {player}")
    scores = sorted(model.scores.values())
    for low, high in ((scores[0], scores[-1]), (scores[len(scores) // 3], scores[len(scores) // 2]), (-5, -1)):
        check(board.between(low, high), model.between(low, high), f"{what}: scores from {low} to {high}")


def play(client, names, days):
    """The game: what all threads add is added up, whichever is first. Returns what players won on each day."""
    won = [{} for _ in days]
    lock = threading.Lock()

    def one(seed):
        draws = random.Random(seed)
        for _ in range(WINS):
            day, player, points = draws.randrange(len(days)), draws.choice(names), draws.randrange(1, 20) / 4
            days[day].win(player, points)
            with lock:
                won[day][player] = won[day].get(player, 0) + points

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def boards(client):
    client.flushall()
    names = [f"player:{number:04}" for number in range(PLAYERS)]
    days = [Leaderboard(client, f"day:{day}") for day in range(7)]
    won = play(client, names, days)
    for board, scores in zip(days, won):
        compare(board, Model(scores), board.key)

    # The week is of all days, whose boards are on several cores.
    week = Leaderboard(client, "week")
    total = {}
    for scores in won:
        for player, points in scores.items():
            total[player] = total.get(player, 0) + points
    check(client.zunionstore(week.key, [day.key for day in days]), len(total), "players of the week")
    compare(week, Model(total), "the week")
    best = {player: max(scores.get(player, 0) for scores in won) for player in total}
    client.zunionstore("board:best", [day.key for day in days], aggregate="MAX")
    compare(Leaderboard(client, "best"), Model(best), "the best days")
    double = {player: 2 * won[5][player] + won[6][player] / 2 for player in won[5].keys() & won[6].keys()}
    client.zinterstore("board:both", {days[5].key: 2, days[6].key: 0.5})
    compare(Leaderboard(client, "both"), Model(double), "those of both days")
    absent = client.zdiff([days[0].key, *(day.key for day in days[1:3])])
    check(set(absent), won[0].keys() - won[1].keys() - won[2].keys(), "those of the first day only")
    # Friends are a plain set, whose members count nothing.
    friends = sorted(total)[::7]
    client.sadd("friends", *friends, "nobody")
    client.zinterstore("board:friends", {week.key: 1, "friends": 0})
    compare(Leaderboard(client, "friends"), Model({player: total[player] for player in friends}), "friends")

    # A season keeps the best ten, and pays them out from the last.
    model = Model(total)
    client.zrangestore("board:season", week.key, 0, PAGE - 1, desc=True)
    season = Leaderboard(client, "season")
    check(as_pairs(season.page(0)), model.page(0), "the season")
    check(client.zremrangebyrank(week.key, 0, -PAGE - 1), len(total) - PAGE, "those who go down")
    check(as_pairs(week.page(0)), model.page(0), "those who stay")
    paid = []
    while popped := client.zpopmin(season.key, 3):
        paid.extend(as_pairs(popped))
    check(paid, model.page(0)[::-1], "those who are paid, the last first")
    check(client.exists(season.key), 0, "the season in the end")

    records = Leaderboard(client, "records")
    check([records.record("one", score) for score in (5, 3, 5, 8)], [True, False, False, True], "records")
    check(records.rank("one"), (0, 8), "the record")
    check(records.rank("nobody"), (None, None), "the rank of nobody")
    check(records.around("nobody", 3), [], "players around nobody")


def search(client):
    """Completion of names: members of one score are in the order of their bytes."""
    client.flushall()
    names = sorted({f"{a}{b}{c}" for a in "abc" for b in "aeiou" for c in ("", "n", "nna", "é", "z")}, key=str.encode)
    client.zadd("names", dict.fromkeys(names, 0))
    for prefix in ("a", "be", "con", "aé", "x"):
        found = client.zrange("names", f"[{prefix}", f"[{prefix}\U0010ffff", bylex=True)
        check(found, [name for name in names if name.startswith(prefix)], f"names with {prefix}")
    check(client.zlexcount("names", "-", "+"), len(names), "all names")
    check(client.zremrangebylex("names", "[b", "(c"), sum(name[0] == "b" for name in names), "names with b")
    check(client.zrange("names", "[b", "(c", bylex=True), [], "names with b in the end")


def nearby(client):
    """Players by where they are."""
    client.flushall()
    places = {"Palermo": (13.361389, 38.115556), "Catania": (15.087269, 37.502669), "Rome": (12.496366, 41.902782)}
    for name, (longitude, latitude) in places.items():
        client.geoadd("places", (longitude, latitude, name))
    check(client.geosearch("places", longitude=15, latitude=37, radius=200, unit="km", sort="ASC"), ["Catania", "Palermo"], "near")
    check(round(client.geodist("places", "Palermo", "Catania", unit="km")), 166, "a distance in km")
    check(client.geosearch("places", member="Rome", radius=1000, unit="km", count=1), ["Rome"], "the nearest")


def main():
    for protocol in (2, 3):
        client = redis.Redis(host=sys.argv[1], port=int(sys.argv[2]), protocol=protocol, decode_responses=True)
        for scenario in (boards, search, nearby):
            scenario(client)
    print("leaderboard: all right")


if __name__ == "__main__":
    main()
