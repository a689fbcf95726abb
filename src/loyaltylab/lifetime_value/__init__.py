"""Customer lifetime value: who will order again, how often, for how much.

Grain in: one order. One person's orders of one day are one purchase, so what is counted throughout
is order days. Data are in days; the models' unit of time is the week.

A person's history is (frequency, recency, age): order days after the first, days from the first to
the last order day, days from the first order day to the last day observed. It is all that the
BG/NBD model needs, so equal histories are grouped in the engine and fitted with weights. Value is
revenue within a horizon, not discounted and before costs.

Sources:
- BG/NBD: Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way", Marketing Science 24.
- Gamma-Gamma: Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value".
"""

from loyaltylab.lifetime_value.figures import (
    describe_concentration,
    describe_holdout,
    describe_silence,
    describe_tracking,
    plot_concentration,
    plot_holdout,
    plot_silence,
    plot_tracking,
)
from loyaltylab.lifetime_value.forecasts import (
    concentration,
    forecast,
    repeat_names,
    silence,
    value_by_frequency,
)
from loyaltylab.lifetime_value.history import (
    DAYS,
    HISTORY,
    histories,
    spend_histories,
    summarise,
    tally,
    with_holdout,
)
from loyaltylab.lifetime_value.holdout import (
    FREQUENT,
    errors,
    gini,
    holdout_by_frequency,
    holdout_scores,
    top_tenth,
    tracking,
)
from loyaltylab.lifetime_value.models import (
    BgNbd,
    Fit,
    GammaGamma,
    fit_bg_nbd,
    fit_gamma_gamma,
)

__all__ = [
    "DAYS",
    "FREQUENT",
    "HISTORY",
    "BgNbd",
    "Fit",
    "GammaGamma",
    "concentration",
    "describe_concentration",
    "describe_holdout",
    "describe_silence",
    "describe_tracking",
    "errors",
    "fit_bg_nbd",
    "fit_gamma_gamma",
    "forecast",
    "gini",
    "histories",
    "holdout_by_frequency",
    "holdout_scores",
    "plot_concentration",
    "plot_holdout",
    "plot_silence",
    "plot_tracking",
    "repeat_names",
    "silence",
    "spend_histories",
    "summarise",
    "tally",
    "top_tenth",
    "tracking",
    "value_by_frequency",
    "with_holdout",
]
