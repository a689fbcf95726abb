"""CPU seconds of the BG/NBD fit: grouped histories against one row a customer.

The customers are CDNOW's 23,570, taken as often as asked for: `python tests/bench_lifetime_value.py`.
"""

import datetime as dt
import importlib.resources
import time

import ibis

from loyaltylab import lifetime_value

TIMES = (1, 5)


def orders():
    path = importlib.resources.files("lifetimes") / "datasets" / "CDNOW_master.txt"
    lines = ibis.duckdb.connect().read_csv(
        str(path), header=False, skip=1, columns={"line": "VARCHAR"}, delim="\t"
    )
    fields = lines.line.strip().re_split(r"\s+")
    return lines.select(
        person_id=fields[0],
        ordered_at=fields[1].as_timestamp("%Y%m%d"),
        amount=fields[3].cast("decimal(18, 4)"),
    ).cache()


def timed(action, *arguments):
    began = time.process_time()
    result = action(*arguments)
    return result, time.process_time() - began


def main():
    people = lifetime_value.summarise(orders(), until=dt.date(1998, 6, 30))
    groups, seconds = timed(lifetime_value.histories, people)
    print(f"summary: {seconds:.2f} s, {groups.customers.sum():,} customers, {len(groups):,} groups")
    for times in TIMES:
        more = groups.assign(customers=groups.customers * times)
        rows = more.loc[more.index.repeat(more.customers)].assign(customers=1)
        grouped, grouped_seconds = timed(lifetime_value.fit_bg_nbd, more)
        single, single_seconds = timed(lifetime_value.fit_bg_nbd, rows)
        difference = abs(grouped.log_likelihood - single.log_likelihood)
        print(
            f"fit, {len(rows):,} customers: grouped {grouped_seconds:.2f} s, row by row "
            f"{single_seconds:.2f} s, {single_seconds / grouped_seconds:.1f} times as long "
            f"(log-likelihoods differ by {difference:.1e})"
        )


if __name__ == "__main__":
    main()
