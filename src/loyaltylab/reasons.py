"""Why a row is put aside or noted: the words of the rules, in English in every file.

A reason is the name of a column and what is wrong with its value, or one of the two that name none.
"""

from __future__ import annotations

from loyaltylab.language import localised, phrase, rephrased

REPEATS = "repeats an earlier row"
# Who reads a row's reasons is told first that it could not be read at all.
CANNOT_BE_READ = "row cannot be read: {problem}"

MISSING = "is missing"
NOT_A_DATE = "is not a date"
NOT_A_FLAG = "is not a yes or no"
NOT_WHOLE = "is not a whole number"
NOT_A_NUMBER = "is not a number"
OTHER_BYTES = "holds bytes that are not {encoding}"
HTML = "holds HTML"
FORMULA = "is a spreadsheet's formula"
LOST_LETTERS = "has lost letters"
NO_ADDRESS = "is no address"
NO_PHONE = "is no number that can be dialled"
OFF_SCALE = "is outside the instrument's scale"
NO_ORDER = "is in no order"
NO_CUSTOMER = "is no customer's"
NO_ROW = "is in no row of {table}"
AGAIN = "appears again, with other values"
SAME_DAY = "is on the day of an earlier order"
CANCELS = "is below 0 and cancels an earlier order"
CANCELLED = "is netted by a later cancellation"
AFTER_ALL = "is after observed_until, {until}"
BEFORE, NOT_BEFORE = "is before {bound}", "is not before {bound}"
AFTER, NOT_AFTER = "is after {bound}", "is not after {bound}"
BELOW, NOT_BELOW = "is below {bound}", "is not below {bound}"
ABOVE, NOT_ABOVE = "is above {bound}", "is not above {bound}"
OUTSIDE = "is not within {low} to {high}"
NONE_OF, ONE_OF = "is none of {values}", "is one of {values}"
OTHER_FORM = "does not match {pattern}"
NOT_WITHIN_IT = "does not contain {pattern}"
OTHER_START, OTHER_END = "does not start with {text}", "does not end with {text}"
OTHER_LENGTH = "has not {exact} characters"
LENGTH_OUTSIDE = "has not {least} to {most} characters"
SHORTER, LONGER = "has fewer than {least} characters", "has more than {most} characters"
IS_NOT, IS = "is not {value}", "is {value}"

# Each before those that it is a case of.
_OF_COLUMNS = (
    *(MISSING, NOT_A_DATE, NOT_A_FLAG, NOT_WHOLE, NOT_A_NUMBER, OTHER_BYTES, HTML, FORMULA),
    *(LOST_LETTERS, NO_ADDRESS, NO_PHONE, OFF_SCALE, NO_ORDER, NO_CUSTOMER, NO_ROW, AGAIN),
    *(SAME_DAY, CANCELS, CANCELLED, AFTER_ALL, BEFORE, NOT_BEFORE, AFTER, NOT_AFTER),
    *(BELOW, NOT_BELOW, ABOVE, NOT_ABOVE, OUTSIDE, NONE_OF, ONE_OF, OTHER_FORM, NOT_WITHIN_IT),
    *(OTHER_START, OTHER_END, LENGTH_OUTSIDE, OTHER_LENGTH, SHORTER, LONGER, IS_NOT, IS),
)
# As `sources` and `records` word them.
_PROBLEMS = (
    "wrong number of fields",
    "not text",
    "a quote that is not closed, or closed amid text",
    "longer than its widths",
    "longer than {limit} characters",
    "not a JSON object",
    "a key given twice",
)


def of(column: str, template: str, **values: object) -> str:
    """The reason that says this of a column."""
    return f"{column} {template.format(**values)}"


def in_words(reason: str) -> str:
    """A reason in the language in use; the names of columns and their values stay as they are."""
    if reason == REPEATS:
        return phrase(REPEATS)
    unread = CANNOT_BE_READ.format(problem="")
    if reason.startswith(unread):
        problem = rephrased(reason.removeprefix(unread), _PROBLEMS)
        return phrase(CANNOT_BE_READ, problem=localised(problem))
    column, _, wrong = reason.partition(" ")
    return f"{column} {rephrased(wrong, _OF_COLUMNS)}"
