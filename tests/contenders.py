"""What `make bench` times beside the lab: the same work by other packages, each as a script.

A script runs in a folder of its own files, in a process of its own (`apart`), and ends with `seconds`,
which do not count imports and files read before, and `told`: what it found, to be compared.
"""

from tests import bench_validation as rules

# Of a whole export: what reading it at the least costs.
SCAN = """
    import duckdb

    con = duckdb.connect()
    con.execute("SET threads = 2")
    path = "raw/orders.parquet"
    names = [row[0] for row in con.execute(f"DESCRIBE FROM '{path}'").fetchall()]
    columns = ", ".join(f"count({name})" for name in names)
    began = time.monotonic()
    told = con.execute(f"SELECT count(*), sum(amount), {columns} FROM '{path}'").fetchone()[0]
    seconds = time.monotonic() - began
"""

# Each accepted order with a customer's number, as a page gets them.
BOUGHT = """
    import duckdb

    con = duckdb.connect()
    con.execute("SET threads = 2")
    con.execute(\"\"\"
        COPY (
            SELECT record_id AS person_id, ordered_at, amount, margin FROM 'raw/orders.parquet'
            WHERE amount > 0 AND currency = 'EUR'
        ) TO 'bought.parquet' (FORMAT parquet, COMPRESSION zstd)
    \"\"\")
    con.execute(\"\"\"
        COPY (
            SELECT count(*) - 1 AS frequency, (max(day) - min(day))::BIGINT AS recency,
                (DATE '2025-12-30' - min(day))::BIGINT AS age, 0.0 AS log_gaps,
                sum(amount - CASE WHEN day = first THEN amount ELSE 0 END)::DOUBLE AS repeat_spend
            FROM (
                SELECT *, min(day) OVER (PARTITION BY person_id) AS first FROM (
                    SELECT person_id, ordered_at::DATE AS day, sum(amount) AS amount
                    FROM 'bought.parquet' GROUP BY ALL
                )
            ) GROUP BY person_id
        ) TO 'histories.parquet' (FORMAT parquet, COMPRESSION zstd)
    \"\"\")
    seconds = 0
"""

# From orders to the waits, the purchase counts and the triangle of cohorts.
TABLES = """
    import datetime as dt
    from pathlib import Path
    from loyaltylab import engine, retention
    from loyaltylab.contract import DuckDB, Engine
    from loyaltylab.timelines import timelines, with_margin

    con = engine.connect(Engine(duckdb=DuckDB(threads=2, memory_limit="3GB")), spill=Path("spill"))
    until = dt.date(2025, 12, 30)
    began = time.monotonic()
    orders = con.read_parquet("bought.parquet")
    bought = engine.keep(con, timelines(with_margin(orders), until=until), "bought")
    waits = retention.waits(bought, until=until)
    counts = retention.purchase_counts(bought)
    flows = retention.flows(bought, period="month", until=until)
    cells = retention.triangle(flows, period="month", until=until)
    seconds = time.monotonic() - began
    told = [int(waits["returned"].sum()), len(counts), int(cells["active"].sum())]
"""

PANDAS = """
    import pandas as pd

    began = time.monotonic()
    rows = pd.read_parquet("bought.parquet").astype({"amount": float, "margin": float})
    rows["day"] = rows.pop("ordered_at").dt.floor("D")
    days = rows.groupby(["person_id", "day"], as_index=False).agg(
        orders=("amount", "size"), amount=("amount", "sum"), margin=("margin", "sum")
    )
    person = days.groupby("person_id")["day"]
    days["first"], days["rank"] = person.transform("first"), person.cumcount() + 1
    days["previous"], days["next_day"] = person.shift(), person.shift(-1)
    end = days["next_day"].fillna(pd.Timestamp("2025-12-30"))
    waits = days.assign(
        rank=days["rank"].clip(upper=7), days=(end - days["day"]).dt.days,
        returned=days["next_day"].notna(), waiting=days["next_day"].isna(),
    ).groupby(["rank", "days"])[["returned", "waiting"]].sum()
    counts = days.groupby("person_id").agg(n=("day", "size"), amount=("amount", "sum"))
    counts = counts.groupby("n").agg(customers=("amount", "size"), amount=("amount", "sum"))
    at, cohort = (days[name].dt.year * 12 + days[name].dt.month for name in ("day", "first"))
    before = days["previous"].dt.year * 12 + days["previous"].dt.month
    cells = days.assign(at=at, cohort=cohort, active=~(before == at)).groupby(["cohort", "at"])[
        ["active", "orders", "amount", "margin"]
    ].sum()
    seconds = time.monotonic() - began
    over = cells[cells.index.get_level_values("at") < 2025 * 12 + 12]
    told = [int(waits["returned"].sum()), len(counts), int(over["active"].sum())]
"""

# BG/NBD and Gamma-Gamma, from customers' histories to the fitted parameters.
FITS = """
    import pandas as pd
    from loyaltylab import lifetime_value as lv

    rows = pd.read_parquet("histories.parquet")
    began = time.monotonic()
    rows["customers"] = 1
    groups = rows.groupby(["frequency", "recency", "age"], as_index=False)[
        ["customers", "log_gaps"]].sum()
    fit = lv.fit_bg_nbd(groups)
    spent = rows[(rows["frequency"] > 0) & (rows["repeat_spend"] > 0)]
    spend = lv.fit_gamma_gamma(spent[["frequency", "repeat_spend", "customers"]])
    seconds = time.monotonic() - began
    told = [fit.parameters["r"], fit.parameters["alpha"], spend.parameters["q"]]
"""

LIFETIMES = """
    import numpy as np
    import pandas as pd
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    rows = pd.read_parquet("histories.parquet")
    began = time.monotonic()
    fit = BetaGeoFitter(penalizer_coef=0.0)
    fit.fit(rows["frequency"], rows["recency"] / 7, rows["age"] / 7)
    spent = rows[(rows["frequency"] > 0) & (rows["repeat_spend"] > 0)]
    spend = GammaGammaFitter(penalizer_coef=0.0)
    spend.fit(spent["frequency"], spent["repeat_spend"] / spent["frequency"])
    seconds = time.monotonic() - began
    told = [float(fit.params_["r"]), float(fit.params_["alpha"]), float(spend.params_["q"])]
"""

# Its quickest fit: the mode of the posterior. Samples of it, its default, take many times as long.
PYMC = """
    import pandas as pd
    from pymc_marketing import clv

    rows = pd.read_parquet("histories.parquet").reset_index(names="customer_id")
    rows = rows.assign(recency=rows["recency"] / 7, T=rows["age"] / 7)
    began = time.monotonic()
    fit = clv.BetaGeoModel(data=rows[["customer_id", "frequency", "recency", "T"]])
    fit.fit(method="map", progressbar=False)
    spent = rows[(rows["frequency"] > 0) & (rows["repeat_spend"] > 0)]
    spent = spent.assign(monetary_value=spent["repeat_spend"] / spent["frequency"])
    spend = clv.GammaGammaModel(data=spent[["customer_id", "frequency", "monetary_value"]])
    spend.fit(method="map", progressbar=False)
    seconds = time.monotonic() - began
    posterior = fit.idata.posterior
    told = [float(posterior[name].mean()) for name in ("r", "alpha")]
    told.append(float(spend.idata.posterior["q"].mean()))
"""

# Records of a simulated company, as validation accepts them, to one cluster a person.
LINK = """
    from pathlib import Path
    from loyaltylab import engine
    from loyaltylab.contract import DuckDB, Engine
    from loyaltylab.linkage import links

    con = engine.connect(Engine(duckdb=DuckDB(threads=2)), spill=Path("spill"))
    customers = con.read_parquet("customers.parquet")
    began = time.monotonic()
    found = links.link(con, customers)
    clusters = engine.keep(con, links.cluster(con, found), "clusters")
    seconds = time.monotonic() - began
    con.to_parquet(clusters.select("source", "record_id", "cluster"), "clusters.parquet")
"""

# What linkage is given: the accepted records.
ACCEPTED = """
from pathlib import Path
from loyaltylab import dataset, engine
from loyaltylab.contract import Engine
from loyaltylab.validation import tables

folder = Path("{folder}")
con = engine.connect(Engine(), spill=folder / "spill")
checked = tables.check(con, dataset.load(folder), folder, "customers")
con.to_parquet(checked.accepted, folder / "customers.parquet")
"""

SPLINK = """
    import duckdb
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    con = duckdb.connect()
    con.execute("SET threads = 2")
    rows = con.sql(\"\"\"
        SELECT source || ':' || record_id AS unique_id, source, record_id,
            lower(given_name) AS given_name, lower(family_name) AS family_name,
            lower(email) AS email, phone, birth_date::DATE::VARCHAR AS birth_date, postcode
        FROM 'customers.parquet'
    \"\"\").df()
    began = time.monotonic()
    api = DuckDBAPI(connection=con)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="unique_id",
        comparisons=[
            *(cl.JaroWinklerAtThresholds(name, [0.9]) for name in ("given_name", "family_name")),
            *(cl.ExactMatch(name) for name in ("email", "phone", "birth_date", "postcode")),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("email"), block_on("phone"), block_on("family_name", "postcode"),
            block_on("given_name", "family_name", "birth_date"),
        ],
    )
    linker = Linker(api.register(rows), settings)
    linker.training.estimate_probability_two_random_records_match([block_on("email")], recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in (block_on("email"), block_on("family_name", "postcode")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    pairs = linker.inference.predict(threshold_match_probability=0.01)
    found = linker.clustering.cluster_pairwise_predictions_at_threshold(
        pairs, threshold_match_probability=0.5)
    rows = found.as_duckdbpyrelation()
    con.sql("SELECT source, record_id, cluster_id AS cluster FROM rows").write_parquet(
        "clusters.parquet")
    seconds = time.monotonic() - began
"""

# How right clusters are: F1 over pairs of records of one person.
SCORED = """
    import duckdb

    con = duckdb.connect()
    con.execute(\"\"\"CREATE VIEW matched AS FROM 'clusters.parquet'
        JOIN 'truth/records.parquet' USING (source, record_id)\"\"\")

    def pairs(by):
        query = f"SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM matched GROUP BY {by})"
        return con.execute(query).fetchone()[0]

    told = 2 * pairs("cluster, person") / (pairs("cluster") + pairs("person"))
"""

RULES, POINTBLANK = rules.OURS, rules.POINTBLANK
RULE_ROWS = """
    import duckdb

    con = duckdb.connect()
    con.execute(\"\"\"COPY ({orders}) TO 'orders.parquet' (COMPRESSION zstd)\"\"\")
    con.execute(\"\"\"COPY ({people}) TO 'people.parquet' (COMPRESSION zstd)\"\"\")
    seconds = 0
"""


def rule_rows(orders: int) -> str:
    """The script that writes what the rules are held against."""
    return RULE_ROWS.format(orders=rules.ORDERS.format(rows=orders), people=rules.PEOPLE)
