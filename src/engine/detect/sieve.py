# SPDX-License-Identifier: Apache-2.0
"""Derives from a regular expression what every text that it matches must hold: a few sets of bytes
one after the other (a gram). Anything this file does not understand is an error, never a guess.

A gram is made of the first bytes that a match can have: set i holds every byte that may stand at
place i of some match, and every byte there is once some match may have ended before. So no match is
without its gram; the gram may be met without a match.
"""
import functools
import re

try:
    import re._constants as sre
    import re._parser as sre_parse
except ImportError:  # before Python 3.11
    import sre_constants as sre
    import sre_parse

ANY = frozenset(range(256))
DIGITS = frozenset(b"0123456789")
DEPTH = 12     # bytes of a match that are looked at
WIDTH = 3      # sets that the vector pass compares (DV_SIEVE_WIDTH)
BEHIND = 4     # sets before those (DV_SIEVE_BEHIND) and from them on (DV_SIEVE_AHEAD) that a hit is
AHEAD = 8      # compared with one by one
BUCKETS = 8    # bits of a byte
SWEEPS = 4     # of all grams, in search of a better bucket
GRAMS = 64     # bits of a word (DV_SIEVE_GRAMS)
UNBOUNDED = 0  # a match may be of any length
REPEATS = {getattr(sre, name) for name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
           if hasattr(sre, name)}
CATEGORIES = {sre.CATEGORY_SPACE: frozenset(b" \t\n\r\v\f"), sre.CATEGORY_DIGIT: DIGITS}


class Unknown(Exception):
    pass


def parse(regex):
    """The parsed expression as nested lists, and whether all of it ignores case."""
    parsed = sre_parse.parse(regex.encode("utf-8"))
    return parsed, bool(parsed.state.flags & re.IGNORECASE)


def either_case(found):
    lower = {b + 32 for b in found if 65 <= b <= 90}
    return frozenset(found | lower | {b - 32 for b in found if 97 <= b <= 122})


def class_bytes(items):
    """The bytes of one [...] class."""
    found = set()
    for op, arg in items:
        if op is sre.LITERAL:
            found.add(arg)
        elif op is sre.RANGE:
            found.update(range(arg[0], arg[1] + 1))
        elif op is sre.CATEGORY and arg in CATEGORIES:
            found |= CATEGORIES[arg]
        elif op is not sre.NEGATE:
            raise Unknown(f"class with {op} {arg}")
    return ANY - found if items[0][0] is sre.NEGATE else frozenset(found)


def one_byte(op, arg, caseless):
    """The bytes of an item that is one byte long; None for all others."""
    if op is sre.LITERAL:
        found = frozenset({arg})
    elif op is sre.NOT_LITERAL:
        found = ANY - {arg}
    elif op is sre.IN:
        found = class_bytes(arg)
    elif op is sre.ANY:
        found = ANY  # the triggers' full stop takes line ends too
    else:
        return None
    return either_case(found) if caseless else found


def inner_case(arg, caseless):
    """A group's content, and whether it ignores case."""
    _, added, taken, inner = arg
    return inner, (caseless or bool(added & re.IGNORECASE)) and not taken & re.IGNORECASE


# ---- grams ----

def alternatives(items, caseless, most):
    """The expression as a list of sequences without branches at their top, `most` at most."""
    out = [[]]
    for op, arg in items:
        if op is sre.SUBPATTERN:
            inner, inside = inner_case(arg, caseless)
            parts = alternatives(inner, inside, most)
        elif op is sre.BRANCH:
            parts = [p for part in arg[1] for p in alternatives(part, caseless, most)]
        else:
            parts = [[(op, arg, caseless)]]
        if len(out) * len(parts) > most:
            parts = [[(op, arg, caseless)]]
        out = [before + part for before in out for part in parts]
    return out


class Automaton:
    """A Thompson automaton of an expression, or of one that matches more. State 0 accepts."""

    def __init__(self):
        self.edges = [[]]  # of each state: (bytes, state); bytes None: nothing is read

    def state(self, edges):
        self.edges.append(edges)
        return len(self.edges) - 1

    def add(self, items, caseless, after):
        for item in reversed(list(items)):
            after = self.add_item(item[0], item[1], item[2] if len(item) > 2 else caseless, after)
        return after

    def add_item(self, op, arg, caseless, after):
        found = one_byte(op, arg, caseless)
        if found is not None:
            return self.state([(found, after)])
        if op is sre.SUBPATTERN:
            inner, inside = inner_case(arg, caseless)
            return self.add(inner, inside, after)
        if op is sre.BRANCH:
            return self.state([(None, self.add(part, caseless, after)) for part in arg[1]])
        if op in REPEATS:
            least, most, inner = arg
            if most is sre.MAXREPEAT or most > least:  # as often as it may: no match is lost
                loop = self.state([(None, after)])
                self.edges[loop].append((None, self.add(inner, caseless, loop)))
                after = loop
            for _ in range(min(least, DEPTH)):
                after = self.add(inner, caseless, after)
            return after
        if op in (sre.ASSERT, sre.ASSERT_NOT, sre.AT):
            return after  # without it more would match
        raise Unknown(f"{op} in a trigger")

    def closure(self, states):
        todo, seen = list(states), set(states)
        while todo:
            for found, after in self.edges[todo.pop()]:
                if found is None and after not in seen:
                    seen.add(after)
                    todo.append(after)
        return seen


def gram_of(items):
    """The sets of bytes at the first DEPTH places of what a sequence matches."""
    automaton = Automaton()
    states = automaton.closure({automaton.add(items, False, 0)})
    sets = []
    for _ in range(DEPTH):
        steps = [(found, after) for s in states for found, after in automaton.edges[s] if found]
        ended = 0 in states or (sets and sets[-1] is ANY)
        sets.append(ANY if ended else frozenset().union(*(found for found, _ in steps)))
        states = automaton.closure({after for _, after in steps})
    return tuple(sets)


def longest(items):
    """The greatest length of a match in bytes; infinite when there is none."""
    total = 0
    for op, arg, *_ in items:
        if one_byte(op, arg, False) is not None:
            total += 1
        elif op is sre.SUBPATTERN:
            total += longest(arg[3])
        elif op is sre.BRANCH:
            total += max(longest(part) for part in arg[1])
        elif op in REPEATS:
            total += float("inf") if arg[1] is sre.MAXREPEAT else int(arg[1]) * longest(arg[2])
        elif op not in (sre.ASSERT, sre.ASSERT_NOT, sre.AT):
            raise Unknown(f"{op} in a trigger")
    return total


# ---- how often bytes are met ----

# Of the kinds of text that pass here most; only speed hangs on it.
SAMPLE = b"""
Could you please look through the attached report and tell me which three findings matter most to
somebody who has never worked with databases? I think that the section about caching repeats itself,
and the key figure on page 12 seems to contradict what the team said during last Thursday's meeting.
Thanks for waiting! Here's a short summary: (1) reads grew by 40%, mostly because new customers
checked their balance twice a day; (2) backups took longer than expected; (3) nobody knows why the
queue was empty between 10:30 and 11:15. However, I would not worry about any of these yet. Would it
help if we started with the second question? Marketing always asks whether colours could be changed,
which we usually decline. "Well," said Jack, quietly, "every village follows its own customs: grey
walls, narrow streets, fresh bread before dawn, an old church clock that chimes twice." Scientists
observed how quickly liquids evaporate under low pressure; the process requires energy, of course.
**Recommended steps**

* Increase `max_connections` to 200, then restart the service.
* Use https where you can. Keep logs for thirty days.

```python
def make_index(rows, key=None):
    result = {}
    for row in rows:
        name = row["name"].strip().lower()
        if key is not None and not row.get(key):
            continue
        result.setdefault(name, []).append(row["value"] * 2 + 1)
    return result
```
\0model\0assistant\0messages\0role\0user\0content\0system\0temperature\0tools\0function\0parameters\0type
\0object\0properties\0description\0required\0string\0choices\0index\0finish_reason\0stop\0logprobs\0usage
\0prompt_tokens\0completion_tokens\0total_tokens\0id\0chat.completion\0created\0arguments\0tool_calls\0
the of and to in a is that for it as was with be by on not he this are or his from at which but have an had they you were their one all
we can her has there been if more when will would who so no said what up its about than into them could other then do some
time very even any my over such our out also after made first should because through most before those must just good
people way each where much well how state still years being great make world life work system between used under last right
same back may old while long part came three own place against year number every house another high during without small
government present however always point part often general early water whether night called better course far almost give
though home money family history political economic business company service customer market product project management
development information education research university technology computer software hardware network security performance
important different possible available necessary particular national international social public private local special
question answer problem solution result reason example method process change increase reduce improve support provide require
include consider suggest follow describe explain understand remember believe expect happen become remain appear continue
quickly usually recently probably certainly actually finally nearly already together perhaps rather quite enough instead
farmers reported northern districts pumps faster need less care cooperative asked simpler order spare parts quarterly review
irrigation weather temperature summer winter morning evening kitchen garden window table bottle sugar coffee dinner
doctor patient hospital medicine treatment symptoms exercise sleep health children parents teacher student school lesson
country city river mountain ocean island village street building airport station travel ticket hotel passport
football music movie theatre novel author chapter character story language grammar sentence paragraph translation
function variable loop array string pointer memory thread database query table column index commit branch merge deploy
server client request response header cookie session browser page button click error warning exception debug test
analysis average estimate percentage growth revenue budget invoice contract agreement policy legal liability clause
physics energy particle equation theorem proof integral derivative matrix vector probability distribution sample
fox jumps lazy dog quick brown zebra exactly jazz mixed vowels awkward rhythm laws draws lawsuit news views shows
static size_t count_words(const char *text, size_t len) { size_t i = 0; while (i < len) { i++; } }
"""


def places(shift):
    """For each value of the low and of the high half of a byte: where the sample has it, as bits."""
    low, high = [0] * 16, [0] * 16
    for at, byte in enumerate(SAMPLE[shift:]):
        low[byte & 15] |= 1 << at
        high[byte >> 4] |= 1 << at
    return low, high


PLACES = [places(shift) for shift in range(WIDTH)]
COUNTS = [SAMPLE.count(byte) for byte in range(256)]


@functools.lru_cache(maxsize=None)
def likely(low, high):
    """How likely a byte with such halves is, told from the sample; never nothing."""
    found = [h << 4 | l for h in range(16) if high >> h & 1 for l in range(16) if low >> l & 1]
    return sum(COUNTS[b] + 0.5 for b in found) / (len(SAMPLE) + 128)


class Mask:
    """What a bucket's tables accept at its WIDTH places, and where in the sample they do."""

    def __init__(self, sets):
        self.halves = [(bits(b & 15 for b in s), bits(b >> 4 for b in s)) for s in sets]
        self.seen = [tuple(sum(seen[v] for v in range(16) if half >> v & 1)
                           for half, seen in zip(halves, place))
                     for halves, place in zip(self.halves, PLACES)]

    def joined(self, other):
        out = Mask(())
        for mine, theirs, to in ((self.halves, other.halves, out.halves),
                                 (self.seen, other.seen, out.seen)):
            to += [(a | c, b | d) for (a, b), (c, d) in zip(mine, theirs)]
        return out

    def hits(self):
        """At how many places of the sample the bucket is met, and by chance."""
        met, chance = -1, float(len(SAMPLE))
        for low, high in self.seen:
            met &= low & high
        for low, high in self.halves:
            chance *= likely(low, high)
        return bin(met).count("1") + chance


def bits(numbers):
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


NOTHING = Mask([()] * WIDTH)


# ---- a sieve ----

class Gram:
    """What the first bytes of a match are, and where among them the vector pass looks."""

    def __init__(self, items, owner):
        self.first = gram_of(items)
        self.longest = longest(items)
        self.owner = owner
        self.masks = [Mask(self.first[at:at + WIDTH]) for at in range(DEPTH - WIDTH + 1)]
        self.rarest = min(mask.hits() for mask in self.masks)
        self.offset, self.bucket = 0, None

    def sets(self):
        """The bytes around a hit of the vector pass, BEHIND before it and AHEAD from it on."""
        around = range(self.offset - BEHIND, self.offset + AHEAD)
        return [self.first[i] if 0 <= i < DEPTH else ANY for i in around]

    def ahead(self):
        """How far behind a hit the match may end."""
        return UNBOUNDED if self.longest > 4096 else int(self.longest) - self.offset


def settle(gram, grams):
    """Puts a gram into the bucket where it adds the fewest hits, looked for where it adds the
    fewest. True when that is another place than before."""
    masks = [NOTHING] * BUCKETS
    for other in grams:
        if other is not gram and other.bucket is not None:
            masks[other.bucket] = masks[other.bucket].joined(other.masks[other.offset])
    before = (gram.bucket, gram.offset)
    _, _, gram.bucket, gram.offset = min(
        (masks[bucket].joined(gram.masks[offset]).hits() - masks[bucket].hits(),
         (bucket, offset) != before, bucket, offset)
        for bucket in range(BUCKETS) for offset in range(len(gram.masks)))
    return (gram.bucket, gram.offset) != before


def sieve(regexes, most):
    """The grams of several expressions, in buckets that make the vector pass stop seldom.

    regexes: (owner, regex); most: alternatives of one expression that have grams of their own.
    """
    grams = []
    for owner, regex in regexes:
        parsed, caseless = parse(regex)
        grams += [Gram(items, owner) for items in alternatives(parsed, caseless, most)]
    if len(grams) > GRAMS:
        raise Unknown(f"{len(grams)} grams; a sieve holds {GRAMS}")
    for _ in range(SWEEPS):
        if not any([settle(g, grams) for g in sorted(grams, key=lambda g: -g.rarest)]):
            break
    return grams


# ---- numbers ----

def least(items, wanted):
    """How many bytes of a set each match holds at least."""
    total = 0
    for op, arg, *_ in items:
        found = one_byte(op, arg, False)
        if found is not None:
            total += 1 if found <= wanted else 0
        elif op is sre.SUBPATTERN:
            total += least(arg[3], wanted)
        elif op is sre.BRANCH:
            total += min(least(part, wanted) for part in arg[1])
        elif op in REPEATS:
            total += int(arg[0]) * least(arg[2], wanted)
    return total


def outside(items):
    """How many bytes that are no digits may stand at most before the first digit of a match, and in
    a match that has no digit. Minus infinity: there is no such match."""
    first, none = float("-inf"), 0
    for op, arg, *_ in items:
        found = one_byte(op, arg, False)
        if found is not None:
            inner = (0 if found & DIGITS else float("-inf"), 1 if found - DIGITS else float("-inf"))
        elif op is sre.SUBPATTERN:
            inner = outside(arg[3])
        elif op is sre.BRANCH:
            parts = [outside(part) for part in arg[1]]
            inner = max(p[0] for p in parts), max(p[1] for p in parts)
        elif op in REPEATS:
            times = 4096 if arg[1] is sre.MAXREPEAT else int(arg[1])
            one = outside(arg[2])
            inner = (one[0] + max(one[1], 0) * (times - 1), 0 if arg[0] == 0 else one[1])
            inner = (inner[0], max(inner[1], one[1] * times if one[1] > 0 else inner[1]))
        else:
            continue
        first, none = max(first, none + inner[0]), none + inner[1]
    return first, none


def backwards(items):
    """The same expression read from its end, as far as `outside` looks at it."""
    out = []
    for op, arg, *_ in reversed(list(items)):
        if op is sre.SUBPATTERN:
            arg = (*arg[:3], backwards(arg[3]))
        elif op is sre.BRANCH:
            arg = (arg[0], [backwards(part) for part in arg[1]])
        elif op in REPEATS:
            arg = (arg[0], arg[1], backwards(arg[2]))
        out.append((op, arg))
    return out


def number_needs(regex):
    """(digits, other bytes between the first and the last digit) of each match at least, and the
    bytes before its first digit at most."""
    parsed, _ = parse(regex)
    before, after = outside(parsed)[0], outside(backwards(parsed))[0]
    return least(parsed, DIGITS), max(0, least(parsed, ANY - DIGITS) - before - after), before
