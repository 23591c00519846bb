# SPDX-License-Identifier: Apache-2.0
"""Holds the audit log against the limits that were in force, and against nothing else.

For every key and every interval: what was admitted is at most burst + rate * time; what was refused
the exact rule refuses, too; what was settled is at most the budget. The rule is written here once
more, in Python's whole numbers."""
import collections

SECOND = 10**9
SKEW = 100 * 10**6  # between a worker's look at the clock and its turn at the lock


class Rate:
    """A level in units of 1/count nanosecond that drains by count a nanosecond."""

    def __init__(self, count, period, burst=None):
        self.count, self.period, self.burst = count, period, burst or count

    @property
    def top(self):
        return self.burst * self.period

    def cost(self, permits):
        return permits * self.period


class Request:
    __slots__ = ("id", "user", "key", "groups", "address", "route", "model", "limit", "reason",
                 "closed", "aborted", "status")


def read(events):
    """{request id: Request} of the gate's requests; later records tell more."""
    requests = {}
    for event in events:
        dvara = event.get("unmapped", {}).get("dvara", {})
        if event["class_uid"] != 6003 or dvara.get("phase") not in ("open", "close"):
            continue
        name = event["api"]["request"]["uid"]
        request = requests.get(name)
        if request is None:
            request = requests[name] = Request()
            request.id, request.closed = name, False
        user = event.get("actor", {}).get("user", {})
        request.user = user.get("name")
        request.groups = tuple(group["name"] for group in user.get("groups", ()))
        credentials = user.get("programmatic_credentials", [{}])
        request.key = credentials[0].get("uid")
        request.address = event["src_endpoint"]["ip"]
        request.limit = dvara.get("limit")
        request.reason = event.get("status_code")
        resources = {one["type"]: one["name"] for one in event.get("resources", ())}
        request.route, request.model = resources.get("route"), resources.get("model")
        if dvara["phase"] == "close":
            request.closed = True
            request.status = event["http_response"]["code"]
    return requests


def subjects(request):
    """Whom a request's limits of caller are about."""
    return [f"key/{request.key}", f"user/{request.user}", f"route/{request.route}",
            *(f"group/{name}" for name in request.groups)]


class Oracle:
    """rates: {kind: Rate of requests}; budgets: {kind: (unit, most)}; tokens: {kind: Rate}."""

    def __init__(self, rates, budgets, tokens, lost):
        self.rates, self.budgets, self.tokens, self.lost = rates, budgets, tokens, lost
        self.violations = []
        self.counts = collections.Counter()
        self.unexplained = 0

    def wrong(self, text):
        self.violations.append(text)

    # -- who was charged what, when

    def gather(self, requests):
        self.charged = collections.defaultdict(list)   # rates: key -> [time]
        self.refused = collections.defaultdict(list)   # rates: key -> [(time, tat)]
        self.reserved = collections.defaultdict(list)  # key -> [(time, tokens, cost)]
        self.short = collections.defaultdict(list)     # budgets: key -> [(time, remaining, asked)]
        for request in requests.values():
            self.gather_one(request)

    def gather_one(self, request):
        limit = request.limit
        if limit is None:
            self.counts["without a limit"] += 1
            return
        called, key = limit["called_ns"], limit["key"]
        at_body = "reserved_ns" in limit
        refused_by = None if limit["admitted"] else key.split("/")[0]
        if refused_by == "address" and not at_body:
            self.refused[key].append((called, limit["tat_ns"]))
            self.counts["refused by address"] += 1
            return
        self.charged[f"address/{request.address}"].append(called)
        if refused_by is not None and not at_body:
            self.refused[key].append((called, limit["tat_ns"]))
            self.counts[f"refused by {refused_by}"] += 1
            return
        if request.key is None:  # ended before it was known who calls, and charged its address alone
            self.counts["of nobody"] += 1
            if at_body:
                self.wrong(f"{request.id} was given tokens, but has no caller")
            return
        for subject in subjects(request):
            self.charged[subject].append(called)
        if not at_body:
            self.counts["ended before its body"] += 1
            return
        if refused_by is not None:
            self.counts[f"refused by the {refused_by}'s tokens or cost"] += 1
            self.short[key].append((limit["reserved_ns"], limit))
            return
        self.counts["admitted"] += 1
        if not request.closed:
            self.counts["cut off by a kill"] += 1
        settled = limit.get("settled_tokens", limit["reserved_tokens"])
        cost = limit.get("settled_cost", limit["reserved_cost"])
        row = (limit["reserved_ns"], settled, cost, limit["reserved_tokens"], limit["reserved_cost"])
        for subject in [*subjects(request), f"address/{request.address}", f"model/{request.model}"]:
            self.reserved[subject].append(row)

    # -- rates

    def check_rates(self):
        for key in set(self.charged) | set(self.refused):
            rate = self.rates.get(key.split("/")[0])
            if rate is not None:
                self.check_rate(key, rate, sorted(self.charged[key]), sorted(self.refused[key]))

    def check_rate(self, key, rate, charged, refused):
        self.check_interval(key, rate, [(time, 1) for time in charged])
        level, before, index = 0, 0, 0
        for now, tat in refused:
            while index < len(charged) and charged[index] <= now:
                level = max(0, level - (charged[index] - before) * rate.count) + rate.period
                before = charged[index]
                index += 1
            ahead, near = index, 0
            while ahead < len(charged) and charged[ahead] <= now + SKEW:
                near += 1
                ahead += 1
            self.check_refusal(key, rate, now, tat,
                               max(0, level - (now - before) * rate.count) + near * rate.period)

    def check_refusal(self, key, rate, now, tat, level):
        """tat is told rounded up to the nanosecond."""
        told = (tat - now) * rate.count
        if told + rate.period <= rate.top:
            self.wrong(f"{key} was refused at {now} with room: {told} of {rate.top}")
        if level + rate.period <= rate.top:
            # Room by the log alone: only charges of processes that died before they wrote explain it.
            missing = -(-(rate.top - level - rate.period + 1) // rate.period)
            self.unexplained = max(self.unexplained, missing)

    def check_interval(self, key, rate, charges):
        """A bucket that every charge fills never runs over: then no interval has too many."""
        level, before = 0, 0
        for time, permits in charges:
            level = max(0, level - (time - before) * rate.count) + rate.cost(permits)
            before = time
            if level > rate.top:
                self.wrong(f"{key}: too much at {time}: {level} of {rate.top}")
                return
        self.counts["intervals"] += len(charges)

    # -- tokens and cost

    def check_reservations(self, label):
        for key, rows in self.reserved.items():
            kind = key.split("/")[0]
            rows.sort()
            if kind in self.tokens:
                self.check_interval(key, self.tokens[kind], [(row[0], row[1]) for row in rows])
            for unit, most in self.budgets.get(kind, ()):
                column = 1 if unit == "tokens" else 2
                sums = collections.Counter()
                for row in rows:
                    sums[label(row[0])] += row[column]
                for period, total in sums.items():
                    self.counts["budgets"] += 1
                    self.counts["budgets used by more than 90 %"] += total > 0.9 * most
                    if total > most:
                        self.wrong(f"{key}: {total} {unit} of {most} in {period}")

    def check_short(self):
        """A budget refuses what does not fit beside what is reserved and settled, and no other."""
        for key, rows in self.short.items():
            for _, limit in rows:
                unit = limit.get("unit")
                asked = limit["reserved_cost"] if unit == "cost" else limit["reserved_tokens"]
                if unit in ("tokens", "cost") and asked <= limit["remaining"]:
                    self.wrong(f"{key} refused {asked} {unit} with {limit['remaining']} left")

    def check(self, requests, label):
        self.gather(requests)
        self.check_rates()
        self.check_reservations(label)
        self.check_short()
        if self.unexplained > self.lost:
            self.wrong(f"{self.unexplained} permits are gone without a trace; kills explain {self.lost}")
