"""What customers write: languages, recurring problems and tone, by hand and where they were planted."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import service
from loyaltylab.contract import Engine
from loyaltylab.engine import connect
from loyaltylab.numbers import Numbers
from loyaltylab.service import sentiment, themes, words
from loyaltylab.simulation.people import LOCALES, texts_of

UNTIL = dt.date(2024, 12, 31)


def texts_of_kind(texts, **columns):
    """As `service.drawn` gives them, each by another person unless said."""
    frame = pd.DataFrame({"text": list(texts)})
    frame["kind"], frame["person"] = "ticket", range(len(frame))
    frame["at"] = pd.Timestamp("2024-01-15")
    for name in ("topic", "favourable", "platform"):
        frame[name] = None
    return frame.assign(**columns).astype({"favourable": "boolean"})


# ---- Words and languages.


def test_terms_by_hand():
    assert words.terms("Where's my ORDER 4711-b? Größe 8½!") == [
        "where's",
        "my",
        "order",
        "b",
        "größe",
    ]
    assert words.terms("") == [] and words.terms("12 34") == []
    # No spaces between words: two letters in a row each.
    assert words.terms("返品したい 12 ok") == ["返品", "品し", "した", "たい", "ok"]
    assert words.terms("квитанция où") == ["квитанция", "où"]


def test_openings_and_closings_are_left_out_and_nothing_between_them():
    bodies = [f"{a}{b} middle {b}{a}" for a in "abcdefgh" for b in "klmnopqr"]
    texts = [f"dear team {body} kind regards".split() for body in bodies]
    texts[0] = ["kind", "regards", "only", "here", "dear", "team", "so"]
    found = words.without_formulas(texts)
    assert found[1:] == [body.split() for body in bodies[1:]]
    assert found[0] == texts[0]  # not at that end
    few = [["dear", "team", str(n)] for n in range(4)]
    assert words.without_formulas(few) == few


@pytest.fixture(scope="module")
def letters():
    """Messages in the three languages of the demo: (language, text), shuffled."""
    told = [
        (place, f"{text} {number}")
        for place in LOCALES
        for topic in texts_of(place)["tickets"].values()
        for mood in topic.values()
        for number, text in enumerate(mood)
    ]
    order = np.random.default_rng(1).permutation(len(told))
    return [told[at] for at in order]


def test_languages_are_told_by_their_letters(letters):
    found = words.languages([text for _, text in letters], seed=1)
    table = pd.crosstab([place for place, _ in letters], found)
    assert table.shape == (3, 3)
    assert table.max(axis=1).sum() >= 0.97 * len(letters)


def test_one_language_stays_one_and_order_and_copies_do_not_matter(letters):
    german = [text for place, text in letters if place == LOCALES[0]]
    assert set(words.languages(german, seed=1)) == {0}
    assert set(words.languages(german[:10], seed=1)) == {0}
    # Nor are letters at random languages, though no two texts share a word.
    random = np.random.default_rng(0)
    noise = ["".join(random.choice(list("abcdefgh "), 40)) for _ in range(200)]
    assert set(words.languages(noise, seed=1)) == {0}
    mixed = [text for _, text in letters]
    found = words.languages(mixed, seed=1)
    assert (words.languages(mixed[::-1], seed=1)[::-1] == found).all()
    assert (words.languages([*mixed, *mixed], seed=1)[: len(mixed)] == found).all()


# ---- Texts from the engine.


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    return connect(Engine(), spill=tmp_path_factory.mktemp("spill"))


def raw_texts(ids, people, texts):
    frame = pd.DataFrame({"id": ids, "person_id": people, "text": texts})
    frame["at"], frame["kind"] = pd.Timestamp("2024-01-01"), "ticket"
    return ibis.memtable(frame)


def test_a_sample_is_the_same_whatever_the_order_and_whoever_wrote(con):
    ids, texts = [f"T{n}" for n in range(200)], [f"text {n}" for n in range(200)]
    people = [f"p{n % 50}" for n in range(200)]
    table = service.drawn([raw_texts(ids, people, texts)], until=UNTIL, most=60)
    other = [f"q{n % 50 * 7}" for n in range(200)]
    again = raw_texts(ids[::-1], other[::-1], texts[::-1])
    again = service.drawn([again], until=UNTIL, most=60)
    assert len(table) == 60 and table["text"].tolist() == again["text"].tolist()
    assert table["person"].nunique() == again["person"].nunique()
    assert service.there([raw_texts(ids, people, texts)], until=UNTIL) == 200


def test_a_person_is_one_in_all_parts_and_reviews_are_each_somebody_elses(con):
    tickets = raw_texts(["1", "2", "3"], ["ann", "bo", "bo"], ["a", " ", "c"])
    answers = raw_texts(["1"], ["ann"], ["d"]).mutate(kind=ibis.literal("comment"))
    reviews = raw_texts(["1", "2"], ["x", "x"], ["e", "f"]).drop("person_id")
    reviews = reviews.mutate(kind=ibis.literal("review"))
    table = service.drawn([tickets, answers, reviews], until=UNTIL).set_index("text")
    assert sorted(table.index) == ["a", "c", "d", "e", "f"]  # a text of spaces is none
    assert table.loc["a", "person"] == table.loc["d", "person"]
    assert table["person"].nunique() == 4
    none = service.drawn([tickets], until=dt.date(2023, 12, 31))
    assert none.empty and list(none) == list(table.reset_index()[none.columns])


def test_scores_say_which_texts_are_favourable():
    rows = [("nps", 9.0), ("nps", 8.0), ("csat", 4.0), ("csat", 3.0), ("ces", 5.0), ("ces", None)]
    frame = pd.DataFrame(rows, columns=["instrument", "score"])
    frame["response_id"], frame["person_id"], frame["comment"] = "1", "a", "text"
    frame["sent_at"] = pd.Timestamp("2024-01-01")
    frame["answered_at"] = pd.Series([pd.NaT] * 5 + [pd.Timestamp("2024-02-01")])
    table = service.of_answers(ibis.memtable(frame)).to_pandas()
    assert table["favourable"].iloc[:5].tolist() == [True, False, True, False, True]
    assert pd.isna(table["favourable"].iloc[5]) and table["at"].dt.month.tolist()[4:] == [1, 2]
    frame = pd.DataFrame(
        {"feedback_id": "1", "platform": "p", "text": "t", "rating": [4.0, 3.9, None]}
    )
    frame["posted_at"] = pd.Timestamp("2024-01-01")
    table = service.of_reviews(ibis.memtable(frame), good=4).to_pandas()
    assert table["favourable"].tolist()[:2] == [True, False] and pd.isna(table["favourable"][2])
    texts = texts_of_kind("abcd", kind=["ticket", "comment", "comment", "review"],
                          favourable=[None, True, False, False])  # fmt: skip
    assert service.problems(texts)["text"].tolist() == ["a", "c"]


# ---- Nobody is told by what is shown.


def test_masked_by_hand():
    same = "please send my parcel again"
    texts = [f"{same} {name}" for name in ("Ann Miller", "Bo Berg", "Cy Xu")]
    shown = service.masked(texts, [1, 2, 3], minimum=3)
    assert shown == [f"{same} …"] * 3
    assert service.masked(texts, [1, 2, 2], minimum=3) == ["…"] * 3  # two persons alone
    # What all write is not shown either if it holds a number, an address or a link.
    telling = "call me now at +49 151 234 or me@shop.example or www.me.example/x or @me, order 4711"
    shown = service.masked([telling] * 5, range(5), minimum=3)[0]
    for secret in ("151", "@", "shop", "www", "4711", "234"):
        assert secret not in shown
    assert shown.startswith("call me now at …")
    assert service.masked(["thanks"] * 3, range(3), minimum=3) == ["thanks"] * 3
    assert service.masked(["", "…"], [1, 2], minimum=1) == ["", "…"]


def test_no_word_of_too_few_persons_is_ever_shown(letters):
    """Names, streets and order numbers hidden in the messages of 600 customers."""
    random = np.random.default_rng(4)
    texts, secrets = [], []
    for n, at in enumerate(random.integers(0, len(letters), 600)):
        secret = "".join(chr(97 + d) for d in random.integers(0, 26, 9))
        secrets.append(secret)
        body = letters[at][1].split()
        body.insert(int(random.integers(0, len(body))), secret)
        texts.append(" ".join(body) + f" {secret}strasse 12, A{n:05d}")
    table = texts_of_kind(texts)
    found = service.find(table, minimum=3, seed=1)
    sizes = service.sizes(found, minimum=3)
    assert len(sizes)
    shown = " ".join(
        [
            *sizes["terms"],
            *service.examples(found, sizes, minimum=3)["example"],
            *found.choice["common"],
        ]
    )
    assert not [secret for secret in secrets if secret in shown]
    assert not any(character.isdigit() for character in shown)


# ---- Problems.

PROBLEMS = {
    "parcel": "parcel courier doorstep tracking driver depot neighbour doorbell",
    "money": "refund card charged bank invoice twice payment statement",
    "login": "password account reset locked email login browser page",
    "broken": "cracked glass scratched screw lid handle chipped dent",
}


SMALL = "the and my was with not for still has when"


def planted(size, seed=0):
    """Texts of five words of one of four problems, and small and rare words: text and topic."""
    random = np.random.default_rng(seed)
    filler = [f"word{chr(97 + i)}{chr(97 + j)}" for i in range(12) for j in range(12)]
    rows = []
    for n in range(size):
        topic = list(PROBLEMS)[n % 4]
        own = random.choice(PROBLEMS[topic].split(), 5, replace=False)
        small = random.choice(SMALL.split(), 5, replace=False)
        text = [*own, *small, *random.choice(filler, 2, replace=False)]
        rows.append((" ".join(random.permutation(text)), topic))
    return texts_of_kind([t for t, _ in rows], topic=[topic for _, topic in rows])


@pytest.fixture(scope="module")
def few_numbers():
    """As many themes as were planted are among the numbers tried."""
    patch = pytest.MonkeyPatch()
    patch.setattr(themes, "NUMBERS", (8, 4, 2))
    patch.setattr(themes, "COMMON", 0.3)
    yield
    patch.undo()


def test_planted_problems_are_found_again(few_numbers):
    table = planted(600)
    found = service.find(table, minimum=5, seed=1)
    assert found.choice["themes"].tolist() == [4] and found.choice["agreement"][0] > 0.9
    alike = service.likeness(found)
    assert alike["purity"] > 0.97 and alike["rand"] > 0.9 and alike["covered"] > 0.9
    assert alike["naive"] < 0.3
    sizes = service.sizes(found, minimum=5)
    for terms in sizes["terms"]:
        # All words of a name are of one problem.
        assert any(set(terms.split(", ")) <= set(own.split()) for own in PROBLEMS.values())
    # In another order, and with a further seed, they are the same.
    turned = table.sample(frac=1, random_state=3).reset_index(drop=True)
    again = service.find(turned, minimum=5, seed=1)
    assert service.likeness(again)["purity"] > 0.97
    assert service.likeness(service.find(table, minimum=5, seed=9))["purity"] > 0.97
    numbers = Numbers("05b_service", as_of=UNTIL)
    service.record_themes(numbers, found, sizes)
    assert numbers.records["service.problems"].value == 4
    words_ = service.theme_finding(found, sizes)
    assert words_.startswith("## 4 problems come up again and again")


def test_a_growing_problem_is_told(few_numbers):
    table = planted(1200)
    months = pd.date_range("2022-01-01", periods=36, freq="MS")
    random = np.random.default_rng(2)
    late = np.minimum(35, (36 * np.sqrt(random.random(len(table)))).astype(int))
    at = np.where(table["topic"] == "money", late, random.integers(0, 36, len(table)))
    found = service.find(table.assign(at=months[at]), minimum=5, seed=1)
    sizes = service.sizes(found, minimum=5)
    cells = service.theme_cells(found, sizes, months)
    assert len(cells) == 4 * 36 and cells["count"].sum() == sizes["texts"].sum()
    changes = service.trends(cells)
    said = service.change_finding(changes, sizes)
    money = next(t for t in sizes["terms"] if set(t.split(", ")) <= set(PROBLEMS["money"].split()))
    assert f"“{money}”: +" in said
    assert service.change_finding(changes.assign(p=1.0), sizes).startswith("None of them")
    assert len(service.theme_table(sizes.head(2), changes)) == 2


def test_words_of_one_customer_are_no_problem(few_numbers):
    """One who writes the same 300 times is one, and names no theme and no language."""
    table = planted(400)
    loud = texts_of_kind(["zebra quagga okapi tapir gnu"] * 300, person=7, topic="zoo")
    found = service.find(pd.concat([table, loud], ignore_index=True), minimum=5, seed=1)
    assert not any("gnu" in terms for terms in [*found.table["terms"], *found.choice["common"]])


@pytest.mark.parametrize(
    "texts", [["help"] * 200, ["a b c"] * 10, [f"unique{'x' * n}" for n in range(60)]]
)
def test_texts_without_problems_in_common(texts):
    found = service.find(texts_of_kind(texts), minimum=5, seed=1)
    sizes = service.sizes(found, minimum=5)
    assert sizes.empty and (found.texts["theme"] == themes.NONE).all()
    assert service.theme_finding(found, sizes).startswith("## No recurring problem was found")
    numbers = Numbers("05b_service", as_of=UNTIL)
    service.record_themes(numbers, found, sizes)
    assert numbers.records["service.problems"].value == 0
    assert service.examples(found, sizes, minimum=5).empty
    assert service.likeness(found)["tickets"] == 0


def test_no_text_at_all():
    found = service.find(texts_of_kind([]), minimum=5, seed=1)
    sizes = service.sizes(found, minimum=5)
    assert service.theme_finding(found, sizes).startswith("## No recurring problem was found")
    assert service.lacking(texts_of_kind([])).startswith("There are 0 different texts")
    assert service.favourable(texts_of_kind([]), None, ["platform"], minimum=1, seed=1).empty


def test_agreement_by_hand():
    some = np.eye(3, 40) * 9
    for row in range(3):
        some[row, 10 * row + 3 : 10 * row + 12] = 1  # with its own, ten words each
    assert themes.agreement(some, some[[2, 0, 1]]).tolist() == [1, 1, 1]
    other = np.zeros((3, 40))
    other[:, 30:] = 1
    assert themes.agreement(some, other)[0] == 0


# ---- Tone.

GOOD, BAD = "great lovely quick perfect happy superb", "awful slow broken rude angry terrible"


def scored(size, seed=0, share=0.6, noise=0.0, slips=0.0):
    """Texts of two words of their side and four of neither, with their sides. noise : share of ratings
    that are wrong; slips : share of words that are of the other side."""
    random = np.random.default_rng(seed)
    filler = [f"thing{chr(97 + i)}{chr(97 + j)}" for i in range(15) for j in range(15)]
    good = random.random(size) < share
    texts = []
    for side in good:
        sides = side ^ (random.random(2) < slips)
        own = [random.choice((GOOD if one else BAD).split()) for one in sides]
        texts.append(" ".join([*own, *random.choice(filler, 4)]))
    flip = random.random(size) < noise
    return texts_of_kind(texts, kind="review", favourable=np.where(flip, ~good, good)), good


@pytest.fixture(scope="module")
def learned():
    table, _ = scored(600, noise=0.1)
    return service.learn(table, seed=1)


def test_planted_tone_is_learned_and_calibrated(learned):
    # A tenth of the labels are wrong: nobody can be right in more than nine tenths.
    assert (
        0.85 < learned.new.accuracy < 0.95 and learned.new.low < learned.new.auc < learned.new.high
    )
    assert learned.naive == pytest.approx(max(learned.share, 1 - learned.share))
    assert learned.new.brier < learned.naive_brier and learned.new.tells
    table = learned.new.calibration
    assert table["texts"].sum() == 600 and (table["low"] <= table["observed"]).all()
    assert np.average(np.abs(table["observed"] - table["predicted"]), weights=table["texts"]) < 0.1


def test_tone_of_nothing_is_a_coin():
    table, _ = scored(400)
    random = np.random.default_rng(8)
    found = service.learn(table.assign(favourable=random.random(400) < 0.5), seed=1)
    assert found.new.low < 0.5 < found.new.high and not found.new.tells


def test_copies_of_a_text_are_never_on_both_sides():
    """Forty wordings, each always on the side that a coin chose: known by heart, and not understood."""
    random = np.random.default_rng(0)
    wordings = ["".join(chr(97 + d) for d in random.integers(0, 26, 12)) for _ in range(80)]
    side = dict(zip(wordings, random.random(80) < 0.5, strict=True))
    texts = [wordings[at] for at in random.integers(0, 80, 1600)]
    table = texts_of_kind(texts, favourable=[side[t] for t in texts])
    found = service.learn(table, seed=1)
    assert found.distinct == 80 and found.known.accuracy > 0.95
    assert found.new.low < 0.5 < found.new.high
    assert "words are familiar, and not in new ones" in service.sentiment_finding(found)
    assert "nothing is said" in service.sentiment_finding(found)
    # So unrated copies are judged, and new wordings are not.
    copies = texts_of_kind(texts[:200], kind="review", platform="x")
    row = service.favourable(copies, found, ["platform"], minimum=5, seed=1).iloc[0]
    true = np.mean([side[t] for t in texts[:200]])
    assert row["low"] <= true <= row["high"] and row["rated"] == 0
    new = texts_of_kind([f"{t}zz" for t in texts[:50]], kind="review", platform="x")
    assert np.isnan(service.favourable(new, found, ["platform"], minimum=5, seed=1)["share"][0])


def test_shares_of_unrated_texts_hold_the_truth():
    """Words slip to the other side; of 28 platforms, as unlike those learned from as can be, the
    interval holds the true share in nine tenths or more, and what is taken as it stands does not."""
    held, plain = [], []
    for world in range(4):
        found = service.learn(scored(300, seed=world, slips=0.2)[0], seed=1)
        for seed, share in enumerate(np.linspace(0.05, 0.95, 7)):
            table, good = scored(300, seed=100 + 10 * world + seed, share=share, slips=0.2)
            unrated = table.assign(platform="x", favourable=pd.array([pd.NA] * 300, "boolean"))
            row = service.favourable(unrated, found, ["platform"], minimum=5, seed=1).iloc[0]
            held.append(row["low"] <= good.mean() <= row["high"])
            taken = (found.model.judged(table["text"])["chance"] > 0.5).mean()
            plain.append(abs(taken - good.mean()) < 1.96 * np.sqrt(taken * (1 - taken) / 300))
    assert np.mean(held) >= 0.9 and np.mean(plain) < 0.7


def test_correction_by_hand():
    """Rogan and Gladen: of 100 taken 62 where 8 in 10 and 9 in 10 are right, (0.62 + 0.9 − 1) / 0.7."""
    right = np.tile([0.8, 0.9], (sentiment.DRAWS, 1))
    skill = sentiment.Skill(0.9, 0.8, 1.0, 0.85, 0.1, pd.DataFrame(), right)
    shares, draws = service.corrected(skill, [62, 0, 5], [100, 0, 100], seed=1)
    assert shares[0] == pytest.approx(0.52 / 0.7) and shares[1] == 0
    assert shares[2] == 0  # fewer taken than would be by mistake
    low, high = np.percentile(draws[0], [2.5, 97.5])
    spread = 1.96 * np.sqrt(0.62 * 0.38 / 100) / 0.7
    assert high - low == pytest.approx(2 * spread, rel=0.15)
    blind = sentiment.Skill(0.5, 0.4, 0.6, 0.5, 0.25, pd.DataFrame(), right * 0 + 0.5)
    assert np.isnan(service.corrected(blind, [62], [100], seed=1)[0]).all()


def test_ratings_count_where_there_are_some(learned):
    table, _ = scored(100, seed=5)
    table = table.assign(platform=["a"] * 60 + ["b"] * 36 + ["c"] * 4)
    rated = service.favourable(table, learned, ["platform"], minimum=5, seed=1)
    assert rated["platform"].tolist() == ["a", "b"] and (rated["texts"] == rated["rated"]).all()
    share = table["favourable"].iloc[:60].astype(bool).mean()
    assert rated["share"][0] == pytest.approx(share) and rated["low"][0] < share < rated["high"][0]
    some = table.copy()
    some.loc[:29, "favourable"] = pd.NA
    mixed = service.favourable(some, learned, ["platform"], minimum=5, seed=1)
    assert (
        mixed["rated"].tolist() == [30, 36]
        and mixed["low"][0] < mixed["share"][0] < mixed["high"][0]
    )
    assert mixed["high"][0] - mixed["low"][0] > rated["high"][0] - rated["low"][0]
    # Without a model they are left out, not counted as unfavourable.
    without = service.favourable(some, None, ["platform"], minimum=5, seed=1)
    assert without["texts"].tolist() == [30, 36]
    words_ = service.review_finding(mixed)
    assert "30 of them without a rating" in words_ and "all of them rated" in words_
    none = service.review_finding(mixed.assign(share=np.nan))
    assert none.startswith("## Nothing says how favourable")
    numbers = Numbers("05b_service", as_of=UNTIL)
    service.record_reviews(numbers, mixed)
    assert numbers.records["service.favourable.a"].n == 60


def test_what_cannot_be_learned_is_said():
    few, _ = scored(30)
    assert service.lacking(few).startswith("There are 30 different texts")
    many, _ = scored(200)
    assert service.lacking(many) == ""
    assert "on the same side" in service.lacking(many.assign(favourable=True))
    # A thousand copies of one text are one.
    copies = texts_of_kind(["Great!", "great"] * 500, favourable=True)
    assert service.lacking(copies).startswith("There are 1 different texts")


def test_figures_and_tables_of_tone(learned):
    assert "in new words" in service.describe_calibration(learned)
    assert service.plot_calibration(learned).lines
    numbers = Numbers("05b_service", as_of=UNTIL)
    service.record_sentiment(numbers, learned)
    assert numbers.records["service.sentiment_auc"].value == pytest.approx(learned.new.auc)
    table, _ = scored(120, seed=6)
    table["platform"] = ["a", "b"] * 60
    table["month"] = [*[pd.Timestamp("2024-01-01")] * 60, *[pd.Timestamp("2024-03-01")] * 60]
    by_month = service.favourable(table, learned, ["platform", "month"], minimum=5, seed=1)
    assert "in Jan 2024" in service.describe_reviews(by_month)
    panel = service.plot_reviews(by_month)
    assert pd.isna(panel.lines[0].get_ydata()).tolist() == [False, True, False]
    assert service.plot_reviews(by_month.head(0)).texts
    assert "Lines without points" in service.describe_reviews(by_month.head(0))
    told = service.favourable(table.assign(topic="late"), learned, ["topic"], minimum=5, seed=1)
    assert service.tone_table(told)["texts"].tolist() == ["120"]
    assert "all 7" in service.sample_finding(table.head(7), 7).lower()
    assert service.sample_finding(table.head(0), 0).startswith("No ticket, answer or review")
    assert "Of 9 texts" in service.sample_finding(table.head(7), 9)


def test_order_of_texts_does_not_matter_to_tone(learned):
    table, _ = scored(600, noise=0.1)
    again = service.learn(table.sample(frac=1, random_state=2), seed=1)
    assert again.new.auc == pytest.approx(learned.new.auc)
    assert again.new.brier == pytest.approx(learned.new.brier)


def test_tone_beside_the_truth(learned):
    table, good = scored(200, seed=9)
    frame = pd.DataFrame({"ticket_id": [f"T{n}" for n in range(200)], "text": table["text"]})
    frame["person_id"], frame["opened_at"] = range(200), pd.Timestamp("2024-06-01")
    moods = pd.DataFrame({"person": [*range(200)] * 3})
    moods["since"] = np.repeat(pd.to_datetime(["2024-01-01", "2024-05-01", "2024-07-01"]), 200)
    # Only the mood in between was there when they wrote.
    moods["satisfaction"] = np.concatenate([-1 * good, good * 2 - 1, 1 - good * 2]).astype(float)
    told = service.tone_told(ibis.memtable(frame), ibis.memtable(moods), learned)
    assert told["tickets"] == 200 and told["auc"] > 0.95
