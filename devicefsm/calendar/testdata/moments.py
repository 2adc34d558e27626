#!/usr/bin/env python3
"""Writes moments.json: what clocks show around changes in some zones, and when schedules are due.

It knows nothing of the package: it looks at each minute of the days around a change with
Python's zoneinfo, and picks those that the rules in doc.go name.

    python3 devicefsm/calendar/testdata/moments.py > devicefsm/calendar/testdata/moments.json
"""
import json
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

UTC = timezone.utc
# A zone, and a day in UTC near a change of its clock.
CHANGES = [
    ("Europe/Berlin", "2025-03-30"), ("Europe/Berlin", "2025-10-26"),
    ("America/New_York", "2025-03-09"), ("America/New_York", "2025-11-02"),
    ("Australia/Lord_Howe", "2025-04-05"), ("Australia/Lord_Howe", "2025-10-04"),  # half an hour
    ("America/Santiago", "2025-04-06"), ("America/Santiago", "2025-09-07"),  # at midnight
    ("America/Nuuk", "2025-03-30"), ("America/Nuuk", "2025-10-26"),  # up to midnight
    ("Africa/Casablanca", "2024-03-10"), ("Africa/Casablanca", "2024-04-14"),  # around Ramadan
    ("Pacific/Apia", "2011-12-30"),  # a day that was left out
    ("America/St_Johns", "2010-11-07"),  # put back over midnight, at 00:01
]
# Schedules: fixed times of day, with the field of minutes and hours as sets, and paces.
FIXED = {
    "30 2 * * *": [(2, 30)], "0 0 * * *": [(0, 0)], "15,45 0,1,2,3 * * *": [(h, m) for h in range(4) for m in (15, 45)],
    "0 8 * * *": [(8, 0)], "59 23 * * *": [(23, 59)],
}
PACED = {"*/15 * * * *": [0, 15, 30, 45], "0 * * * *": [0], "7 * * * *": [7]}


def shown(minute, zone):
    return minute.astimezone(zone).replace(tzinfo=None)


def stamp(t):
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


def main():
    tables = []
    for name, day in CHANGES:
        zone = ZoneInfo(name)
        middle = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        begin = middle - timedelta(days=2)
        minutes = [begin + timedelta(minutes=i) for i in range(4 * 24 * 60)]
        walls = [shown(m, zone) for m in minutes]
        at = {}
        for m, w in zip(minutes, walls):
            at.setdefault(w, []).append(m)
        changes = [i for i in range(1, len(minutes)) if walls[i] - walls[i - 1] != timedelta(minutes=1)]
        assert changes, name

        def meant(wall):
            """The moment that a local time means; None outside of the days looked at."""
            if wall in at:
                return at[wall][0]
            for i in changes:
                if walls[i - 1] < wall < walls[i]:
                    return minutes[i]
            return None

        table = {"zone": name, "from": stamp(begin), "until": stamp(minutes[-1]), "shown": [], "meant": [], "days": [], "due": {}}
        for i in changes:
            for j in range(i - 3, i + 3):
                table["shown"].append([stamp(minutes[j]), walls[j].strftime("%Y-%m-%dT%H:%M:%S")])
            low, high = min(walls[i - 1], walls[i]), max(walls[i - 1], walls[i])
            wall = low - timedelta(minutes=30)
            while wall <= high + timedelta(minutes=30):
                first = meant(wall)
                last = at[wall][-1] if wall in at else first
                table["meant"].append([wall.strftime("%Y-%m-%dT%H:%M:%S"), stamp(first), stamp(last), wall in at])
                wall += timedelta(minutes=30 if high - low > timedelta(hours=3) else 10)
        # Days begin with their 00:00; those without one with the change that leaves it out.
        date = walls[0].date() + timedelta(days=1)
        while True:
            start = meant(datetime(date.year, date.month, date.day))
            following = date + timedelta(days=1)
            end = meant(datetime(following.year, following.month, following.day))
            if end is None:
                break
            table["days"].append([date.isoformat(), stamp(start), stamp(end)])
            date = following
        for cron, clocks in FIXED.items():
            due = set()
            date = walls[0].date() + timedelta(days=1)
            while date < walls[-1].date():
                for h, m in clocks:
                    due.add(meant(datetime(date.year, date.month, date.day, h, m)))
                date += timedelta(days=1)
            table["due"][cron] = [stamp(t) for t in sorted(due)]
        for cron, past in PACED.items():
            table["due"][cron] = [stamp(m) for m, w in zip(minutes, walls) if w.minute in past]
        tables.append(table)
    print("[\n" + ",\n".join(json.dumps(t) for t in tables) + "\n]")


main()
