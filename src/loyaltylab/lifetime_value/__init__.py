"""Customer lifetime value: who will order again, how often, for how much.

Grain in: one purchase, as `timelines` gives it: one person's orders of one day. So what is counted
throughout is order days. Data are in days; the models' unit of time is the week.

A person's history is (frequency, recency, age): order days after the first, days from the first to
the last order day, days from the first order day to the last day observed. It is all that most of the
models need, so equal histories are grouped in the engine and fitted with weights. Each model names its
paper.
"""

from loyaltylab.lifetime_value.contest import (
    MODELS,
    Forecast,
    baselines,
    fit_all,
    groups_of,
    judged_people,
    origins,
    told,
)
from loyaltylab.lifetime_value.discrete import BgBb, fit_bg_bb
from loyaltylab.lifetime_value.evaluation import (
    FREQUENT,
    LEVELS,
    by_frequency,
    calibration,
    coverage,
    crps,
    differences,
    gini,
    money_scores,
    places,
    ranking,
    scores,
    top_tenth,
)
from loyaltylab.lifetime_value.figures import (
    describe_calibration,
    describe_concentration,
    describe_holdout,
    describe_silence,
    describe_tracking,
    plot_calibration,
    plot_concentration,
    plot_holdout,
    plot_silence,
    plot_tracking,
)
from loyaltylab.lifetime_value.findings import (
    NAMES,
    champion_finding,
    coverage_finding,
    record_fits,
    record_scores,
)
from loyaltylab.lifetime_value.fitting import (
    fit_bg_nbd,
    fit_gamma_gamma,
    fit_mbg_cnbd,
    fit_mbg_nbd,
    fit_nbd,
    fit_pareto_nbd,
)
from loyaltylab.lifetime_value.forecasts import (
    LIKELY,
    concentration,
    forecast,
    of_each,
    repeat_names,
    silence,
    value_by_frequency,
    write_forecasts,
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
from loyaltylab.lifetime_value.models import (
    BgNbd,
    Combined,
    Fit,
    MbgCnbd,
    MbgNbd,
    Nbd,
    OrderModel,
    ParetoNbd,
)
from loyaltylab.lifetime_value.spend import GammaGamma
from loyaltylab.lifetime_value.totals import Total, total_orders, total_value
from loyaltylab.lifetime_value.tracking import diebold_mariano, tracking

__all__ = [
    "DAYS",
    "FREQUENT",
    "HISTORY",
    "LEVELS",
    "LIKELY",
    "MODELS",
    "NAMES",
    "BgBb",
    "BgNbd",
    "Combined",
    "Fit",
    "Forecast",
    "GammaGamma",
    "MbgCnbd",
    "MbgNbd",
    "Nbd",
    "OrderModel",
    "ParetoNbd",
    "Total",
    "baselines",
    "by_frequency",
    "calibration",
    "champion_finding",
    "concentration",
    "coverage",
    "coverage_finding",
    "crps",
    "describe_calibration",
    "describe_concentration",
    "describe_holdout",
    "describe_silence",
    "describe_tracking",
    "diebold_mariano",
    "differences",
    "fit_all",
    "fit_bg_bb",
    "fit_bg_nbd",
    "fit_gamma_gamma",
    "fit_mbg_cnbd",
    "fit_mbg_nbd",
    "fit_nbd",
    "fit_pareto_nbd",
    "forecast",
    "gini",
    "groups_of",
    "histories",
    "judged_people",
    "money_scores",
    "of_each",
    "origins",
    "places",
    "plot_calibration",
    "plot_concentration",
    "plot_holdout",
    "plot_silence",
    "plot_tracking",
    "ranking",
    "record_fits",
    "record_scores",
    "repeat_names",
    "scores",
    "silence",
    "spend_histories",
    "summarise",
    "tally",
    "told",
    "top_tenth",
    "total_orders",
    "total_value",
    "tracking",
    "value_by_frequency",
    "with_holdout",
    "write_forecasts",
]
