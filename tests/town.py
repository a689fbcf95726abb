"""Customer records of people whom only the test knows."""

import numpy as np

GIVEN = ["anna", "bert", "carl", "dora", "emil", "fritz", "greta", "hans", "ida", "jonas", "otto"]
FAMILY = ["meier", "schulz", "krause", "olsen", "hansen", "berg", "stein", "vogel", "wolf", "lang"]


def someone(number, **but):
    """Somebody whom nobody else is like, but for names, city and day of birth."""
    rng = np.random.default_rng(number)
    return {
        "given_name": rng.choice(GIVEN),
        "family_name": rng.choice(FAMILY),
        "email": f"{rng.choice(GIVEN)}{number}@mail.example",
        "phone": f"+49{rng.integers(10**9, 10**10)}",
        "birth_date": f"{rng.integers(1950, 2000)}-{rng.integers(1, 13):02d}-{number % 28 + 1:02d}",
        "street": f"{rng.choice(FAMILY)}weg {rng.integers(1, 200)}",
        "postcode": f"{rng.integers(10000, 99999)}",
        "city": rng.choice(["bonn", "trier", "kiel"]),
    } | but


def record(source, number, said):
    return {"source": source, "record_id": str(number), **said}


def town(persons):
    """Each has a record in the shop, and one in the CRM."""
    return [
        record(source, number, someone(number))
        for source in ("shop", "crm")
        for number in range(persons)
    ]
