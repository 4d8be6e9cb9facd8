"""The funnel, made again from what `measurement.proto` says of it.

Reads events as JSON lines, in any order and as often as they come, and prints how many viewers
reached each stage: lines of [merchant, basis, hour, stage, placement, note, channel, viewers].
"""

import json
import sys
from bisect import bisect_right
from collections import Counter, defaultdict

HOUR = 3_600_000_000
DAY = 24 * HOUR
OPENS = {"IMPRESSION", "INBOUND", "TAP"}
WITHIN = defaultdict(lambda: 7 * DAY, INBOUND=DAY, OPENING=DAY)


def openings(events):
    """When this viewer's windows open."""
    opened = []
    for time in sorted(e["time"] for e in events if e["type"] in OPENS):
        if not opened or time >= opened[-1] + DAY:
            opened.append(time)
    return opened


def windows(events):
    """What happened in each window, in order, by its opening."""
    opened, inside = openings(events), defaultdict(list)
    for event in sorted(events, key=lambda e: e["time"]):
        latest = bisect_right(opened, event["time"]) - 1
        if latest >= 0 and event["time"] < opened[latest] + WITHIN[event["type"]]:
            inside[opened[latest]].append(event)
    return inside


def named(event):
    return event["placement"], event["note"], event["channel"]


counts = Counter()
once, viewers = {}, defaultdict(list)
for line in sys.stdin:
    event = json.loads(line)
    once[event["merchant"], event["id"], event["time"] // DAY] = event
for event in once.values():
    viewers[event["merchant"], event["viewer"]].append(event)
for (merchant, _), events in viewers.items():
    for opened, inside in windows(events).items():
        first = {}
        for n, event in enumerate(inside):
            first.setdefault(event["type"], n)
        for stage, n in first.items():
            touches = [named(e) for e in inside[: n + 1] if any(named(e))]
            credited = touches[-1] if touches else ("", "", "")
            counts[merchant, "EVENT", inside[n]["time"] // HOUR, stage, *credited] += 1
            counts[merchant, "TOUCH", opened // HOUR, stage, *credited] += 1
for key, many in counts.items():
    print(json.dumps([*key, many]))
